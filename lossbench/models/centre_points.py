"""A detector without anchors: each place of a map says what is there and how far away the sides of its box are."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.errors import ConfigError
from lossbench.losses.dense_detection import mean_of_bins
from lossbench.ranges import takes

STRIDE = 4
"""Pixels from one place to the next."""
PRIOR = 0.01
"""Probability of each class at the start, as most places are background (Lin et al. 2017)."""


class Places(NamedTuple):
    """What a detector says of each of L places of an image.

    Parameters
    ----------
    logits : Tensor (N, L, K)
        One for each class.
    distances : Tensor (N, L, 4)
        To the left, upper, right and lower side of the box, in pixels, from 0.
    quality : Tensor (N, L) or None
        Logit of how well the box is placed, if the network has it.
    bins: Tensor (N, L, 4, R) or None
        Logits of the distributions whose means the distances are, if the network has them.

    """

    logits: Tensor
    distances: Tensor
    quality: Tensor | None
    bins: Tensor | None = None


@takes(channels="int [1, inf)", blocks="int [0, inf)", quality="bool", bins="int [0, inf)")
class CentrePoints(nn.Module):
    """A small FCOS of one level: convolutions to a map of every fourth pixel, and two heads on it.

    0.2 M parameters. Each block is a convolution, group norm and ReLU; every other one is dilated by 2, so that after
    four blocks the heads see 63 pixels a side. No sample depends on the others of its batch. A distance is the softplus
    of an output, times the stride; or with `bins` the mean of a distribution over 0, 1 ... R - 1 strides.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width of an image; 4 divides both sides.
    num_classes : int
        Number of classes K, without a background.
    channels : int
        Width of the maps; the first, of every other pixel, has half of it.
    blocks : int
        Blocks on the map of every fourth pixel.
    quality : bool
        Whether there is a logit of quality, such as the centreness of FCOS.
    bins : int
        Bins R of the distribution of a distance, at least 2, which reaches to R - 1 strides; 0 for one output each.

    Attributes
    ----------
    locations : Tensor (L, 2)
        x and y of each place in pixels, row by row: the middle of its four by four pixels. x = 0 is the left edge of
        the image, so that the middle of the first pixel is at 0.5.

    References
    ----------
    Tian et al. 2019, "FCOS: Fully Convolutional One-Stage Object Detection", arXiv:1904.01355; Li et al. 2020,
    "Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for Dense Object Detection",
    arXiv:2006.04388 (bins).

    """

    stride = STRIDE
    locations: Tensor

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        channels: int = 64,
        blocks: int = 4,
        quality: bool = True,
        bins: int = 0,
    ) -> None:
        super().__init__()
        if bins == 1:
            raise ConfigError("learner.network.bins=1: one bin has one distance. Use 2 or more, or 0 for none.")
        if len(input_shape) != 3 or input_shape[1] % STRIDE or input_shape[2] % STRIDE:
            raise ConfigError(
                f"a detector of places needs images whose sides {STRIDE} divides, but this data has inputs of shape "
                f"{tuple(input_shape)}. Use other data."
            )
        depth, height, width = input_shape
        self.has_quality, self.bins = quality, bins
        few = max(1, channels // 2)
        layers = [block(depth, few, stride=2), block(few, channels, stride=2)]
        layers += [block(channels, channels, dilation=1 + each % 2) for each in range(blocks)]
        self.maps = nn.Sequential(*layers)
        self.classes = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.boxes = nn.Conv2d(channels, 4 * max(1, bins) + quality, 3, padding=1)
        with torch.no_grad():
            for head, bias in ((self.classes, math.log(PRIOR / (1 - PRIOR))), (self.boxes, 0.0)):
                head.weight.normal_(std=0.01)
                head.get_parameter("bias").fill_(bias)
        self.register_buffer("locations", locations_of(height, width), persistent=False)

    def forward(self, images: Tensor) -> Places:
        """Map images (N, C, H, W) to what is said of each of L = H W / 16 places."""
        maps = self.maps(images)
        logits, of_boxes = (head(maps).flatten(2).mT for head in (self.classes, self.boxes))
        quality = of_boxes[..., -1] if self.has_quality else None
        if not self.bins:
            return Places(logits, STRIDE * F.softplus(of_boxes[..., :4]), quality)
        bins = of_boxes[..., : 4 * self.bins].unflatten(-1, (4, self.bins))
        return Places(logits, STRIDE * mean_of_bins(bins), quality, bins)


def locations_of(height: int, width: int) -> Tensor:
    """Return x and y (L, 2) of the places of an image, row by row.

    Examples
    --------
    >>> locations_of(4, 8).tolist()
    [[2.0, 2.0], [6.0, 2.0]]

    """
    y, x = (STRIDE * (torch.arange(side // STRIDE) + 0.5) for side in (height, width))
    return torch.cartesian_prod(y, x).flip(-1)


def block(width_in: int, width_out: int, stride: int = 1, dilation: int = 1) -> nn.Module:
    """Return a convolution of 3x3 pixels, group norm and ReLU."""
    convolution = nn.Conv2d(width_in, width_out, 3, stride, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(math.gcd(8, width_out), width_out), nn.ReLU())
