"""Pictures of the user's own, from folders."""

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Array, choose_per_class, part_of
from lossbench.data.files import DataError
from lossbench.data.mapped import MappedRows, content_of, mapped
from lossbench.data.own_files import pairs_of, pictures_of_classes
from lossbench.data.sources.pictures import standardised
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.losses.labelled_pixels import IGNORED
from lossbench.ranges import takes
from lossbench.seeding import numpy_stream


@source(shape=(), serves=("segmentation",))
@takes(path="text", size="list of 2 int [1, inf) or null", test="number (0, 1)")
def masks(root: Path, seed: int, *, path: str, size: Sequence[int] | None = None, test: float = 0.2) -> Source:
    """Images and masks of the user's own, by the same names in two folders; kept in memory as bytes.

    A mask holds the number of the class of each pixel, 0 for the background and 255 where it is not known: a grey
    picture, or one with a palette, whose indices are read.

    Parameters
    ----------
    root : Path
        Not looked at.
    seed : int
        Not looked at.
    path : str
        The folder with `images/` and `masks/`; a test part of its own lies in `test/images/` and `test/masks/`.
    size : list of 2 int, optional
        Height and width to which all are brought; by default they must have one size.
    test : float
        Without a test part, the share of the pictures that is drawn for it, the same under every seed.

    Raises
    ------
    DataError
        If there are no pictures, an image has no mask, or their sizes differ.

    """
    folder = Path(path).expanduser()
    images, labels = _read_pairs(folder, size)
    if (folder / "test").is_dir():
        test_images, test_labels = _read_pairs(folder / "test", size or [*images.shape[-2:]])
    else:
        order = numpy_stream(FIXED, "masks", "test").permutation(len(images))
        chosen, rest = (np.sort(each) for each in np.split(order, [max(1, part_of(len(images), test))]))
        test_images, test_labels = images[chosen], labels[chosen]
        images, labels = images[rest], labels[rest]
    highest = max(int(part[part != IGNORED].max(initial=0)) for part in (labels.numpy(), test_labels.numpy()))
    names = ("background", *(f"class {number}" for number in range(1, max(2, highest + 1))))
    return standardised("segmentation", (images, test_images), (labels, test_labels), names)


@source(shape=(), serves=("multiclass", "images"))
@takes(
    path="text",
    size="list of 2 int [1, inf) or null",
    test="number (0, 1)",
    memory_limit="number [0, inf)",
)
def images(
    root: Path,
    seed: int,
    *,
    path: str,
    size: Sequence[int] | None = None,
    test: float = 0.2,
    memory_limit: float = 0.5,
) -> Source:
    """Images of the user's own, a folder of them for each class; in colours, kept as bytes.

    Parameters
    ----------
    root : Path
        The folder of the data sets: those beyond the limit are kept in a file there; see `mapped.mapped`.
    seed : int
        Not looked at.
    path : str
        The folder with a folder for each class, which gives its name; or with `train/` and `test/`, which have these.
    size : list of 2 int, optional
        Height and width to which all are brought; by default they must have one size.
    test : float
        Without `train/` and `test/` the share of each class that is drawn for the test part, the same under every seed,
        at least one image and never all.
    memory_limit : float
        Gigabytes (10^9 bytes) of all images up to which they are kept in memory, some six times as much while they are
        divided; beyond that they stay in a file that is mapped into memory. It changes no number.

    Raises
    ------
    DataError
        If there are fewer than two classes, one has no images, an image can't be read, or their sizes differ.

    """
    found = pictures_of_classes(Path(path).expanduser())
    names = sorted({name for part in found.values() for name in part})
    paths = [path for part in found.values() for of_class in part.values() for path in of_class]
    target = torch.tensor(
        [names.index(name) for part in found.values() for name, of_class in part.items() for _ in of_class]
    )
    pictures = _read_all(paths, size, root, memory_limit)
    if "all" in found:
        counts = np.bincount(target, minlength=len(names))
        sizes = [min(max(1, part_of(int(count), test)), int(count) - 1) for count in counts]
        tested = torch.from_numpy(choose_per_class(target.numpy(), sizes, numpy_stream(FIXED, "images", "test")))
        trained = torch.from_numpy(np.setdiff1d(np.arange(len(target)), tested))
    else:
        trained, tested = torch.arange(len(target)).split([sum(map(len, part.values())) for part in found.values()])
    parts = (pictures[trained], pictures[tested])
    return standardised("multiclass", parts, (target[trained], target[tested]), tuple(names))


def _read_all(paths: Sequence[Path], size: Sequence[int] | None, root: Path, memory_limit: float) -> Any:
    """Read images (N, 3, H, W), uint8, into memory, or beyond a limit of gigabytes into a file."""
    shape = (len(paths), *_read(paths[0], size, colour=True).shape)

    def read() -> Iterator[Array]:
        for path in paths:
            picture = _read(path, size, colour=True)
            if picture.shape != shape[1:]:
                raise DataError(
                    f"data.path: {path} has shape {picture.shape}, but {paths[0]} has {shape[1:]}. Bring all "
                    "to one size with data.size=[HEIGHT,WIDTH]."
                )
            yield picture

    if prod(shape) > memory_limit * 1e9:
        return MappedRows(mapped(root, content_of(paths, shape), shape, read()), torch.arange(len(paths)))
    pictures = np.empty(shape, dtype=np.uint8)
    for row, picture in enumerate(read()):
        pictures[row] = picture
    return torch.from_numpy(pictures)


def _read_pairs(folder: Path, size: Sequence[int] | None) -> tuple[Tensor, Tensor]:
    """Read images (N, C, H, W) and masks (N, H, W), both uint8, in the order of their names."""
    pairs = pairs_of(folder)
    images = [_read(image, size, colour=True) for image, _ in pairs]
    masks = [_read(mask, size, colour=False) for _, mask in pairs]
    names = [image.stem for image, _ in pairs]
    for name, image, mask in zip(names, images, masks, strict=True):
        if image.shape[-2:] != mask.shape or image.shape != images[0].shape:
            raise DataError(
                f"data.path: image {name} has shape {image.shape} and its mask {mask.shape}, but the first image has "
                f"{images[0].shape}. Bring all to one size with data.size=[HEIGHT,WIDTH]."
            )
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(masks))


def _read(path: Path, size: Sequence[int] | None, colour: bool) -> Array:
    """Read a picture as bytes: (3, H, W) in colours, or the numbers (H, W) of a mask."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            made: Any = opened.convert("RGB") if colour else opened
            if not colour and made.mode not in ("L", "P", "1"):
                raise DataError(
                    f"data.path: the mask {path} is a picture of mode {made.mode}; a mask is grey, or has a palette."
                )
            if size is not None:
                made = made.resize(size[::-1], Image.Resampling.BILINEAR if colour else Image.Resampling.NEAREST)
            pixels = np.asarray(made).astype(np.uint8)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"data.path: {path} can't be read: {error}") from error
    return pixels.transpose(2, 0, 1) if colour else pixels
