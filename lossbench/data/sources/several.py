"""Several targets of each sample: pairs of digits, and scenes with a mask, a digit in front and an order in depth."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Array
from lossbench.data.digit_pairs import digit_pairs as pairs_of
from lossbench.data.scenes import Scenes
from lossbench.data.sources import images, pixels, tables
from lossbench.data.sources.pictures import standardised
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.losses.multitask import beside
from lossbench.ranges import takes
from lossbench.seeding import numpy_stream

DIGITS = tuple(str(digit) for digit in range(10))


def with_parts(parts: Mapping[str, tuple[Tensor, Tensor, tuple[str, ...]]], of: Source, task: str) -> Source:
    """Return a source with the targets of several parts beside one another.

    Parameters
    ----------
    parts : mapping
        By the name of a part its targets, of the training and of the test part, and the names of its classes.
    of : Source
        With the inputs.
    task : str
        Of which task the parts are.

    """
    told = {name: {"shape": list(train.shape[1:]), "class_names": list(names)}
            for name, (train, _, names) in parts.items()}  # fmt: skip
    train = beside([train.float() for train, _, _ in parts.values()])
    test = beside([test.float() for _, test, _ in parts.values()])
    more: dict[str, Any] = {"class_names": (), "shared": {**of.shared, "parts": told}, "other_targets": {}}
    return replace(of, task=task, train_target=train, test_target=test, **more)


@source(shape=(1, 12, 12), serves=("digit_pair",))
@takes(count="int [10, inf)")
def digit_pairs(root: Path, seed: int, *, count: int = 2000) -> Source:
    """Pairs of 8x8 digits (scikit-learn) that overlap in 12x12: `count` to train, 500 fixed to test.

    The pairs of a part are of the digits of that part of `digits`.
    """
    return _pairs("digit_pairs", tables.digits(root, 0), seed, (count, 500), offset=4)


@source(shape=(1, 36, 36), serves=("digit_pair",))
@takes(count="int [10, inf)")
def mnist_pairs(root: Path, seed: int, *, count: int = 60_000) -> Source:
    """Pairs of digits of MNIST that overlap in 36x36: `count` to train, 10,000 fixed to test; as `digit_pairs`."""
    return _pairs("mnist_pairs", images.mnist(root, 0), seed, (count, 10_000), offset=8)


def _pairs(name: str, single: Source, seed: int, counts: tuple[int, int], offset: int) -> Source:
    streams = (numpy_stream(seed, name, "train"), numpy_stream(FIXED, name, "test"))
    both = ((single.train_inputs, single.train_target), (single.test_inputs, single.test_target))
    train, test = (
        pairs_of(inputs[:, 0].numpy(), target.numpy(), count, stream, offset)
        for (inputs, target), count, stream in zip(both, counts, streams, strict=True)
    )
    shown = (torch.from_numpy(train.images), torch.from_numpy(test.images))
    labels = (torch.from_numpy(train.labels), torch.from_numpy(test.labels))
    made = standardised("digit_pair", shown, labels)
    return with_parts(
        {side: (labels[0][:, k], labels[1][:, k], DIGITS) for k, side in enumerate(("left", "right"))},
        replace(made, train_extras={}, test_extras={}),
        "digit_pair",
    )


@source(shape=(3, 48, 48), serves=("scene_parts",))
@takes(digits="one of: embedded, mnist", kinds="int [1, 10]", count="int [10, inf)")
def scene_parts(root: Path, seed: int, *, digits: str = "embedded", kinds: int = 10, count: int = 800) -> Source:
    """Scenes as those of `digit_scenes`, but the nearer a digit the larger it is: 800 to train, 200 fixed to test.

    Parts are the class of each pixel (`mask`), the class of the digit that is in front (`front`), and the place of each
    pixel in depth (`order`): 1 in front, then 2 and so on, and 6, behind five digits, for the background.

    Parameters
    ----------
    root : Path
        The folder of the data files, for `digits="mnist"`.
    seed : int
        Of the training scenes.
    digits, kinds, count
        As for `digit_scenes`.

    """
    streams = (numpy_stream(seed, "scene_parts", "train"), numpy_stream(FIXED, "scene_parts", "test"))
    train, test = (
        pixels.scenes_of(digits, kinds, root, part, size, stream, nearer_is_larger=True)
        for part, size, stream in zip(("train", "test"), (count, 200), streams, strict=True)
    )
    names = DIGITS[:kinds]

    def both(of: Any) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(of(train)), torch.from_numpy(of(test))

    masks = both(lambda each: each.classes)
    made = standardised(
        "segmentation", both(lambda each: each.images), masks, ("background", *names),
        {"instances": both(lambda each: each.instances)},
    )  # fmt: skip
    return with_parts(
        {"mask": (*masks, ("background", *names)), "front": (*both(in_front), names), "order": (*both(order), ())},
        made,
        "scene_parts",
    )


def in_front(scenes: Scenes) -> Array:
    """Return the class (N,) of the object that was pasted last; 0 of a scene without one, which is none of ours."""
    last = np.maximum((scenes.box_labels >= 0).sum(1) - 1, 0)
    return np.maximum(scenes.box_labels[np.arange(len(last)), last], 0)


def order(scenes: Scenes) -> Array:
    """Return the place of each pixel (N, H, W) in depth: 1 in front, and one more than the most objects behind all."""
    present = (scenes.box_labels >= 0).sum(1)[:, None, None].astype(np.float32)
    behind = np.float32(scenes.box_labels.shape[1] + 1)
    return np.where(scenes.instances > 0, present - scenes.instances + 1, behind).astype(np.float32)
