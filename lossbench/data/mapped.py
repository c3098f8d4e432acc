"""Pictures that are too many for memory: bytes in a file that is mapped into it, of which each batch reads its rows."""

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.data.corruptions import Array
from lossbench.data.files import DataError

log = logging.getLogger(__name__)
FOLDER = "pictures"
"""In the folder of the data sets."""
UNDONE = ".part"


@dataclass(frozen=True)
class MappedRows:
    """Some rows of what lies in a file. Choosing rows of them reads nothing, `held` does.

    Parameters
    ----------
    whole : Tensor, shape (N, ...)
        All that the file holds.
    rows : Tensor of int64, shape (M,)
        Which of them these are.

    Examples
    --------
    >>> some = MappedRows(torch.arange(12).view(4, 3), torch.tensor([3, 1, 0]))[torch.tensor([2, 0])]
    >>> some.shape, held(some).tolist()
    (torch.Size([2, 3]), [[0, 1, 2], [9, 10, 11]])

    """

    whole: Tensor
    rows: Tensor

    def __getitem__(self, chosen: Any) -> "MappedRows":
        return MappedRows(self.whole, self.rows[chosen])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """The shape that a tensor of these rows has."""
        return torch.Size((len(self.rows), *self.whole.shape[1:]))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.whole.ndim

    @property
    def dtype(self) -> torch.dtype:
        """The type of the numbers."""
        return self.whole.dtype

    def is_floating_point(self) -> bool:
        """Tell whether they are floats, as of a tensor."""
        return self.whole.is_floating_point()


def held(values: Any) -> Tensor:
    """Return values in memory: what lies in a file is read."""
    return values.whole[values.rows] if isinstance(values, MappedRows) else values


def joined(first: Any, second: Any) -> Any:
    """Return the rows of both, one after the other; of one file without reading them."""
    if isinstance(first, MappedRows) and isinstance(second, MappedRows) and first.whole is second.whole:
        return MappedRows(first.whole, torch.cat([first.rows, second.rows]))
    return torch.cat([held(first), held(second)])


def mapped(root: Path, name: str, shape: Sequence[int], pictures: Iterable[Array]) -> Tensor:
    """Return pictures as a tensor that is mapped from a file, which is made where it is not there.

    One process makes a file at a time. It gets its name when it is whole; what a killed process has left half-written
    is swept by the next one that makes a file.

    Parameters
    ----------
    root : Path
        The folder of the data sets, in which `pictures/` has the files.
    name : str
        What tells the contents, such as their hash.
    shape : sequence of int
        (N, C, H, W).
    pictures : iterable of array of uint8, shape (C, H, W)
        Read only if the file is not there.

    Raises
    ------
    DataError
        If there can't be a file.

    """
    from filelock import FileLock

    folder, size = root / FOLDER, prod(shape)
    place = folder / f"{name}.uint8"
    try:
        if not _is_whole(place, size):
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".lock"):
                if not _is_whole(place, size):
                    _make(place, pictures, size)
    except OSError as error:
        raise DataError(
            f"data.memory_limit: {size / 1e9:.1f} GB of pictures are to be kept in {place}, which can't be written: "
            f"{error}. Name another folder, data.root=DIR, or keep them in memory: data.memory_limit={size / 1e9:.1f}."
        ) from error
    return torch.from_file(str(place), shared=False, size=size, dtype=torch.uint8).view(*shape)


def content_of(paths: Iterable[Path], *more: object) -> str:
    """Hash the contents of files in their order, and what else makes a difference."""
    found = hashlib.sha256(repr(more).encode())
    for path in paths:
        contents = path.read_bytes()
        found.update(f"{len(contents)}\0".encode() + contents)
    return found.hexdigest()[:24]


def _is_whole(place: Path, size: int) -> bool:
    return place.is_file() and place.stat().st_size == size


def _make(place: Path, pictures: Iterable[Array], size: int) -> None:
    for left in place.parent.glob(f"*{UNDONE}"):
        left.unlink()
    log.info("%.1f GB of pictures are put into %s", size / 1e9, place)
    undone = place.with_suffix(UNDONE)
    with undone.open("wb") as opened:
        for picture in pictures:
            opened.write(picture.tobytes())
    os.replace(undone, place)  # noqa: PTH105
