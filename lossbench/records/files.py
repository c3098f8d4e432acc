"""Files that are whole or not there, whenever a process or a disk ends."""

import errno
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from lossbench.errors import ConfigError, DiskFull

HALF = ".half-"
"""How the name of a file begins that is being written."""
ATTEMPTS, ATTEMPT_SECONDS = 40, 0.05


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    write : callable
        Writes the whole content to the path that it is given.

    Raises
    ------
    DiskFull
        If the content does not fit on the disk; the old file stays.

    """
    half = path.with_name(f"{HALF}{os.getpid()}-{path.name}")
    with telling_a_full_disk(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(half)
            move(half, path)
        finally:
            with suppress(OSError):
                half.unlink(missing_ok=True)


def move(half: Path, path: Path) -> None:
    """Put a file in the place of another. Windows refuses that while somebody reads the other: it is tried again."""
    for left in reversed(range(ATTEMPTS)):
        try:
            half.replace(path)
            return
        except PermissionError:
            if sys.platform != "win32" or not left:
                raise
            time.sleep(ATTEMPT_SECONDS)


@contextmanager
def telling_a_full_disk(folder: Path | str) -> Iterator[None]:
    """Raise `DiskFull` where a disk, or what a user may have of it, is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(Path(error.filename).parent if error.filename else folder) from error
        raise


def sweep_up(folder: Path) -> None:
    """Remove what processes that are gone have half written into a folder and the folders in it."""
    for half in folder.rglob(f"{HALF}*"):
        with suppress(OSError):
            if not _is_being_written(half):
                half.unlink()


def _is_being_written(half: Path) -> bool:
    """Tell whether the process that a half file names still runs, and is not a younger one with the same number."""
    number = half.name.removeprefix(HALF).partition("-")[0]
    if not number.isdecimal() or int(number) == os.getpid():
        return False
    try:
        return psutil.Process(int(number)).create_time() < half.stat().st_mtime
    except psutil.Error:
        return False


def write_text(path: Path, text: str) -> None:
    """Write a text file as `replace` does."""
    replace(path, lambda half: half.write_text(text, encoding="utf-8"))


LEAST_ROOM = 2**21
"""Bytes that must be free for results: an empty database of MLflow has one MiB."""


def check_writable(folder: Path) -> None:
    """Raise a `ConfigError` unless files can be written into the folder, which need not exist yet.

    Raises
    ------
    DiskFull
        If there is no room for what a run writes before it trains; Hydra and MLflow tell of that in tracebacks.

    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        with (
            telling_a_full_disk(existing),
            tempfile.NamedTemporaryFile(dir=existing, prefix=".lossbench-", buffering=0) as file,
        ):
            file.write(bytes(LEAST_ROOM))
            writable = os.access(existing, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise ConfigError(f"output_dir={folder}: can't write there. Choose another folder: output_dir=DIR.")
