"""What a run has predicted: one file that holds the test set at two epochs, and the validation part."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lossbench.records.files import replace

Array = NDArray[Any]
FILE = "predictions.npz"
"""The arrays of the test set at the last epoch by their names, those of the other parts with the part before it."""
BEFORE_NAMES = {"last": "", "best": "best_val/", "validation": "validation/"}
"""What stands before the names of a part: the test set at the last and at the best validation epoch, and validation."""
EARLIER = {"best": "predictions_best.npz", "validation": "validation.npz"}
"""The files that these parts had in runs of earlier versions."""

AT_ONE_GO = 2**20
"""Bytes; larger arrays are read piece by piece, so that none is held twice."""
VERSION_1 = b"\x93NUMPY\x01\x00"
"""What an array begins with, but for those with long names of columns."""


class Part(Mapping[str, Array]):
    """The arrays of a part, each read when it is first asked for."""

    def __init__(self, file: Any, before: str) -> None:
        others = tuple(other for other in BEFORE_NAMES.values() if other and other != before)
        own = (name for name in file.files if name.startswith(before) and not name.startswith(others))
        self._file, self._names = file, {name.removeprefix(before): name for name in own}
        self._read: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._read:
            self._read[name] = _array(self._file, self._names[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without reading it


def _array(file: Any, name: str) -> Array:
    """Read an array of a file as `file[name]` does: at one go, and what many arrays begin with is understood once."""
    about = file.zip.NameToInfo.get(f"{name}.npy")
    told = file.zip.read(about) if about is not None and about.file_size <= AT_ONE_GO else b""
    begins = 10 + int.from_bytes(told[8:10], "little")
    if told[:8] != VERSION_1 or len(told) < begins:
        return np.asarray(file[name])
    shape, by_columns, dtype = _header(told[:begins])
    if dtype.hasobject:
        return np.asarray(file[name])  # which refuses it
    found = np.frombuffer(told, dtype, offset=begins).reshape(shape, order="F" if by_columns else "C")
    return found.copy(order="K")  # that can be written to


@lru_cache(maxsize=256)
def _header(told: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    stream = BytesIO(told)
    npy.read_magic(stream)
    return npy.read_array_header_1_0(stream)


@contextmanager
def opened(folder: Path | str, part: str) -> Iterator[Part]:
    """Open what a run has predicted on a part: "last", "best" or "validation".

    Raises
    ------
    FileNotFoundError
        If the run has not kept it.
    OSError, ValueError, EOFError, BadZipFile
        If the file can't be read; so may reading its arrays.

    """
    earlier = Path(folder) / EARLIER.get(part, FILE)
    path, before = (earlier, "") if earlier.is_file() and part in EARLIER else (Path(folder) / FILE, BEFORE_NAMES[part])
    with np.load(path, allow_pickle=False) as file:
        found = Part(file, before)
        if not found:
            raise FileNotFoundError(f"{path} has nothing of {part}")
        yield found


def parts_in(folder: Path | str) -> list[str]:
    """Return the parts that a run has kept, readable or not."""
    return [part for part in BEFORE_NAMES if _is_there(folder, part)]


def _is_there(folder: Path | str, part: str) -> bool:
    try:
        with opened(folder, part):
            return True
    except FileNotFoundError:
        return False
    except Exception:  # of whatever a broken file raises
        return True


def write_predictions(folder: Path, parts: Mapping[str, Mapping[str, Array] | None]) -> None:
    """Write the parts that there are into one file; none: what an earlier attempt has left goes."""
    arrays: dict[str, Any] = {
        BEFORE_NAMES[part] + name: array for part, found in parts.items() if found for name, array in found.items()
    }
    if arrays:
        replace(folder / FILE, lambda half: np.savez_compressed(half, **arrays))
    for name in [*EARLIER.values(), *([] if arrays else [FILE])]:
        (folder / name).unlink(missing_ok=True)
