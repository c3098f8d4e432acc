"""Sources of images with a target for each pixel, or for each object."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lossbench.data.sources.source import Source

Parts = tuple[Tensor, Tensor]
"""Of the training and of the test part."""


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
    whole = images[0].double() / (255 if not images[0].is_floating_point() else 1)
    settings: dict[str, Any] = {"train_extras": train, "test_extras": test, "other_targets": other_targets or {}}
    return Source(
        task, images[0], targets[0], images[1], targets[1],
        mean=whole.mean((0, 2, 3)).float(), std=whole.std((0, 2, 3)).clamp_min(1e-6).float(),
        class_names=class_names, **settings,
    )  # fmt: skip
