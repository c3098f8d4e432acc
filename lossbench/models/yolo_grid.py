"""A detector whose image is a grid of cells: each says which boxes have their centre in it, and of which class."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lossbench.errors import ConfigError
from lossbench.models.centre_points import block
from lossbench.ranges import takes

CELL = 8
"""Pixels of a side of a cell."""
START = (0.5, 0.5, 0.25, 0.25, 0.0)
"""A box at the start: in the middle of its cell, a quarter of the image wide and high, without confidence."""


@takes(channels="int [1, inf)", blocks="int [0, inf)", boxes="int [1, inf)")
class YoloGrid(nn.Module):
    """A small YOLO v1: convolutions to a map of cells of 8x8 pixels, and a linear layer on each, without a sigmoid.

    Each block is a convolution, group norm and ReLU. The network of the paper ends in layers that see the whole image.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width of an image, which is square; 8 divides its side.
    num_classes : int
        Number of classes K, without a background.
    channels : int
        Width of the maps; the first, of every other pixel, has half of it.
    blocks : int
        Blocks on the map of cells.
    boxes : int
        Boxes B that each cell predicts.

    References
    ----------
    Redmon et al. 2016, "You Only Look Once: Unified, Real-Time Object Detection", arXiv:1506.02640.

    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, channels: int = 128, blocks: int = 2, boxes: int = 2
    ) -> None:
        super().__init__()
        if len(input_shape) != 3 or input_shape[1] != input_shape[2] or input_shape[1] % CELL:
            raise ConfigError(
                f"a detector of cells needs square images whose side {CELL} divides, but this data has inputs of shape "
                f"{tuple(input_shape)}. Use other data, or another loss."
            )
        few = max(1, channels // 2)
        layers = [block(input_shape[0], few, stride=2), block(few, channels, stride=2)]
        layers += [block(channels, channels, stride=2), *(block(channels, channels) for _ in range(blocks))]
        self.maps = nn.Sequential(*layers)
        self.cells = nn.Conv2d(channels, 5 * boxes + num_classes, 1)
        with torch.no_grad():
            self.cells.weight.normal_(std=0.01)
            self.cells.get_parameter("bias").copy_(torch.tensor([*boxes * START, *num_classes * [0.0]]))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, H) to what each cell says, (N, H / 8, H / 8, 5 B + K), as `losses.yolo_v1` takes it."""
        said: Tensor = self.cells(self.maps(images)).permute(0, 2, 3, 1)
        return said
