"""Lines of digits: images side by side with random gaps, and what is read in each column."""

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Array, Rng
from lossbench.tasks.sequence.decoding import PADDING

LENGTHS = (1, 6)
"""Fewest and most digits of a line."""
REPEATS = 0.25
"""Chance that a digit has the class of its left neighbour for sure; else it has it by chance."""


def lines_of(images: Tensor, labels: Tensor, count: int, rng: Rng) -> tuple[Tensor, Tensor, Tensor]:
    """Put images side by side: so many lines of random length, with a random gap before each image and after the last.

    A gap is at most a quarter of an image wide. Of each image the outer seventh on both sides counts as blank (for
    MNIST that is the empty frame around its 20x20 pixels), so that two equal neighbours are parted by a blank even
    without a gap.

    Parameters
    ----------
    images : Tensor, shape (M, 1, H, w)
        Single digits on a background of 0.
    labels : Tensor, shape (M,)
        Their classes, int64.
    count : int
        Number of lines N.
    rng : numpy.random.Generator
        Draws lengths, digits and gaps.

    Returns
    -------
    lines : Tensor, shape (N, 1, H, W)
        Of the dtype of the images; W is the width of the longest possible line, rounded up to a multiple of 8.
    target : Tensor, shape (N, 6)
        The classes of each line, int64, then -1.
    alignment : Tensor, shape (N, W)
        The class that is seen in each column, the number of classes for a blank, and -1 after the end, int64.

    """
    blank, classes = int(labels.max()) + 1, labels.numpy()
    members = [np.flatnonzero(classes == label) for label in range(blank)]
    height, width = images.shape[-2:]
    most, border = LENGTHS[1], width // 7
    columns = -(-(most * width + (most + 1) * (width // 4)) // 8) * 8
    lines = torch.zeros((count, 1, height, columns), dtype=images.dtype)
    target = torch.full((count, most), PADDING)
    alignment = torch.full((count, columns), PADDING)
    for row, length in enumerate(rng.integers(LENGTHS[0], most + 1, size=count)):
        gaps = rng.integers(0, width // 4 + 1, size=length + 1)
        chosen = _digits(classes, members, length, rng)
        starts = np.cumsum(gaps[:-1] + width) - width
        target[row, :length] = torch.from_numpy(classes[chosen])
        alignment[row, : starts[-1] + width + gaps[-1]] = blank
        for start, image in zip(starts.tolist(), chosen, strict=True):
            lines[row, :, :, start : start + width] = images[image]
            alignment[row, start + border : start + width - border] = int(classes[image])
    return lines, target, alignment


def _digits(classes: Array, members: list[Array], length: int, rng: Rng) -> list[int]:
    """Draw the images of a line; now and then one of the class of its left neighbour."""
    chosen = rng.integers(len(classes), size=length).tolist()
    repeats = rng.random(length) < REPEATS
    for place in range(1, length):
        if repeats[place]:
            chosen[place] = int(rng.choice(members[classes[chosen[place - 1]]]))
    return chosen
