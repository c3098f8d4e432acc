"""Sources of images with a target for each pixel, or for each object."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lossbench.data.mapped import held
from lossbench.data.sources.source import Source

Parts = tuple[Tensor, Tensor]
"""Of the training and of the test part."""
PART = 256
"""Images that are looked at at a time."""


def standardised(
    task: str,
    images: Parts,
    targets: Parts,
    class_names: tuple[str, ...] = (),
    extras: Mapping[str, Parts] | None = None,
    other_targets: Mapping[str, tuple[Tensor, Tensor, tuple[str, ...]]] | None = None,
) -> Source:
    """Make a source of images, whose mean and deviation are those of the training pixels of each channel.

    The images are among the extras as well, as `image`: for losses and figures that look at them as they are.
    """
    train, test = ({"image": images[k], **{name: each[k] for name, each in (extras or {}).items()}} for k in (0, 1))
    mean, std = _mean_and_deviation(images[0])
    settings: dict[str, Any] = {"train_extras": train, "test_extras": test, "other_targets": other_targets or {}}
    return Source(
        task, images[0], targets[0], images[1], targets[1],
        mean=mean.float(), std=std.clamp_min(1e-6).float(), class_names=class_names, **settings,
    )  # fmt: skip


def _mean_and_deviation(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel, bytes as 0..1; of bytes from whole sums, a part at a time."""
    if images.is_floating_point():
        return images.double().mean((0, 2, 3)), images.double().std((0, 2, 3))
    total = squares = torch.zeros(images.shape[1], dtype=torch.int64)
    for rows in torch.arange(len(images)).split(PART):
        part = held(images[rows]).long()
        total, squares = total + part.sum((0, 2, 3)), squares + (part**2).sum((0, 2, 3))
    count = len(images) * images.shape[2] * images.shape[3]
    sums = [*zip(total.tolist(), squares.tolist(), strict=True)]
    mean = [one / count / 255 for one, _ in sums]
    variance = [(count * two - one * one) / (count * max(1, count - 1)) for one, two in sums]  # whole numbers: exact
    return torch.tensor(mean, dtype=torch.float64), torch.tensor(variance, dtype=torch.float64).sqrt() / 255
