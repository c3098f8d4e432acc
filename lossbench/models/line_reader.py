"""A reader of lines: convolutions, then a recurrent layer over the frames."""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.ranges import takes

HEIGHT = 7
"""Maps are halved while they are higher than this."""


@takes(channels="list of 1+ int [1, inf)", hidden="int [1, inf)")
class LineReader(nn.Module):
    """Two convolutions and a bidirectional GRU: a small network in the manner of a CRNN, without batch norm.

    Each convolution is followed by a pooling by 2 while the maps are higher than 7 pixels, so a frame is 2 columns of
    an image of 8 rows and 4 columns of one of 28 rows. After the digits the last output is the blank.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width of a line.
    num_classes : int
        Number of classes K; there are K + 1 outputs for each frame.
    channels : sequence of int
        Width of each convolution.
    hidden : int
        Width of the recurrent layer in each direction.

    References
    ----------
    Shi, Bai, Yao 2017, "An End-to-End Trainable Neural Network for Image-Based Sequence Recognition" (CRNN).

    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, channels: Sequence[int] = (16, 32), hidden: int = 64
    ) -> None:
        super().__init__()
        widths = [input_shape[0], *channels]
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))
        height = input_shape[1]
        for _ in channels:
            height = height // 2 if height > HEIGHT else height
        self.recurrent = nn.GRU(channels[-1] * height, hidden, batch_first=True, bidirectional=True)
        self.outputs = nn.Linear(2 * hidden, num_classes + 1)

    def forward(self, lines: Tensor) -> Tensor:
        """Map lines (N, C, H, W) to logits (N, T, K + 1), the blank last."""
        maps = lines
        for convolution in self.convolutions:
            maps = F.relu(convolution(maps))
            maps = F.max_pool2d(maps, 2) if maps.shape[2] > HEIGHT else maps
        frames = maps.flatten(1, 2).transpose(1, 2)
        logits: Tensor = self.outputs(self.recurrent(frames)[0])
        return logits
