"""Made-up pictures with a class for each pixel."""

from pathlib import Path
from typing import Any

import torch

from lossbench.data import scenes
from lossbench.data.corruptions import Rng
from lossbench.data.files import ensure_files
from lossbench.data.sources import images, tables
from lossbench.data.sources.pictures import standardised
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.ranges import takes
from lossbench.seeding import numpy_stream


@source(shape=(1, 32, 32), serves=("segmentation",))
@takes(beta="list of 2 number (0, inf)")
def field(root: Path, seed: int, *, beta: tuple[float, ...] = (1.0, 1.0)) -> Source:
    """Pixels x, each by itself, that are of class 1 with probability x: 64 pictures to train, 64 fixed to test.

    x is Beta distributed, by default uniform. The posterior is known, and so is what each loss makes of it.
    """
    train, test = (scenes.field(64, rng, 32, (beta[0], beta[1])) for rng in _streams("field", seed))
    pictures = (torch.from_numpy(train.images), torch.from_numpy(test.images))
    return standardised(
        "segmentation", pictures, (torch.from_numpy(train.masks), torch.from_numpy(test.masks)), ("no", "yes")
    )


@source(shape=(1, 32, 32), serves=("segmentation",))
@takes(share="number (0, 0.2]")
def lesions(root: Path, seed: int, *, share: float = 0.02) -> Source:
    """Few small bright blobs on a grey texture, with distractors: 800 pictures to train, 200 fixed to test.

    `share` is the mean share of the pixels that are lesion.
    """
    streams = _streams("lesions", seed)
    train, test = (scenes.lesions(count, rng, 32, share) for count, rng in zip((800, 200), streams, strict=True))
    pictures = (torch.from_numpy(train.images), torch.from_numpy(test.images))
    masks = (torch.from_numpy(train.masks), torch.from_numpy(test.masks))
    return standardised("segmentation", pictures, masks, ("background", "lesion"))


@source(shape=(3, 48, 48), serves=("segmentation", "detection"))
@takes(digits="one of: embedded, mnist", kinds="int [1, 10]", count="int [10, inf)")
def digit_scenes(root: Path, seed: int, *, digits: str = "embedded", kinds: int = 10, count: int = 800) -> Source:
    """Digits on textures, up to five, one over another: 800 scenes of 48x48 to train, 200 fixed to test.

    Parameters
    ----------
    root : Path
        The folder of the data files, for `digits="mnist"`.
    seed : int
        Of the training scenes.
    digits : str
        "embedded": those of scikit-learn, on colour noise. "mnist": MNIST's, on images of CIFAR-10.
    kinds : int
        Which digits there are: those below it.
    count : int
        Training scenes.

    """
    train_stream, test_stream = _streams("digit_scenes", seed)
    train = scenes_of(digits, kinds, root, "train", count, train_stream)
    test = scenes_of(digits, kinds, root, "test", 200, test_stream)
    pairs = {
        name: (torch.from_numpy(getattr(train, name)), torch.from_numpy(getattr(test, name))) for name in train._fields
    }
    names = tuple(str(digit) for digit in range(kinds))
    return standardised(
        "segmentation",
        pairs["images"],
        pairs["classes"],
        ("background", *names),
        {name: pairs[name] for name in ("instances", "boxes")},
        {"detection": (*pairs["box_labels"], names)},
    )


def scenes_of(
    digits: str, kinds: int, root: Path, part: str, count: int, rng: Rng, *, nearer_is_larger: bool = False
) -> scenes.Scenes:
    """Draw scenes of the first digits of one part of a data set, on textures or on images of that part of another."""
    grounds, scales = None, (1.0, 2.0)
    if digits == "mnist":
        for name in ("mnist", "cifar10"):
            ensure_files(name, root)
        single, scales = images.mnist(root, 0), (0.5, 1.0)
        grounds = getattr(images.cifar10(root, 0), f"{part}_inputs").numpy()
    else:
        single = tables.digits(root, 0)
    ink, labels = getattr(single, f"{part}_inputs")[:, 0].numpy(), getattr(single, f"{part}_target").numpy()
    ink, labels = ink[labels < kinds], labels[labels < kinds]
    settings: dict[str, Any] = {"scales": scales, "nearer_is_larger": nearer_is_larger}
    return scenes.digit_scenes(ink, labels, count, rng, backgrounds=grounds, size=48, **settings)


def _streams(name: str, seed: int) -> tuple[Rng, Rng]:
    """Return the streams of the training and of the test part, which is the same under every seed."""
    return numpy_stream(seed, name, "train"), numpy_stream(FIXED, name, "test")
