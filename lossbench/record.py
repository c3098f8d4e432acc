"""What a run leaves behind: files that are whole or not there, and the record that says how the run ended."""

import errno
import json
import logging
import math
import os
import platform
import shutil
import socket
import subprocess
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock, Timeout

from lossbench import progress
from lossbench.errors import ConfigError, DiskFull, Diverged, Killed, first_line
from lossbench.metric_names import COLUMNS, measured_as

if TYPE_CHECKING:
    from lossbench.cells import Cell

log = logging.getLogger(__name__)

FILE = "record.json"
PROBED_SECONDS = 0.1
"""How long a claim is tried: whoever asks whether a run is claimed holds its lock for a moment."""
DONE = ("finished", "diverged")
"""How a run ends that need not run again."""
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("key", "problem", "name", "status", "loss", "task"), str), "seed": int, "choices": dict,
    "config": dict, "metrics": dict,
}  # fmt: skip
HALF = ".half-"
"""How the name of a file begins that is being written."""
_PACKAGES = (
    "lossbench", "torch", "torchvision", "torchmetrics", "pytorch-lightning", "hydra-core", "mlflow", "numpy",
    "scikit-learn",
)  # fmt: skip

Record = dict[str, Any]


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
            half.replace(path)
        finally:
            with suppress(OSError):
                half.unlink(missing_ok=True)


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


def write(folder: Path, record: Record) -> None:
    """Write the record of a run into its folder; numbers that JSON lacks (nan, inf) become null."""
    write_text(folder / FILE, json.dumps(_without_nan(record), indent=2, allow_nan=False) + "\n")


def write_or_remove(folder: Path, record: Record) -> None:
    """Write a record, or where the disk is full, remove the one that says that the run goes on."""
    try:
        write(folder, record)
    except DiskFull:
        (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> Record | None:
    """Read the record of a run, or None where there is none; one that is broken is told and left out."""
    path = folder / FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _tell_broken(path, f"it can't be read ({first_line(error)})")
        return None
    if wrong := _what_is_wrong(record):
        _tell_broken(path, wrong)
        return None
    found: Record = record
    return found


def _what_is_wrong(record: Any) -> str:
    """Say what a record lacks of what is read of every one, "" if nothing."""
    if not isinstance(record, dict):
        return "it is no record"
    for name, kind in _KINDS.items():
        if not isinstance(record.get(name), kind):
            return f"{name!r} is {'missing' if name not in record else 'not what it should be'}"
    parts = [record["config"].get("loss"), *record["metrics"].values(), *record.get("history", [])]
    if not all(part is None or isinstance(part, dict) for part in parts) or "data" not in record["choices"]:
        return "its 'config', 'choices', 'metrics' or 'history' are not what they should be"
    return ""


@cache
def _tell_broken(path: Path, wrong: str) -> None:
    log.warning("%s is broken: %s. It is left out; the command that made the run trains it again.", path, wrong)


def is_done(record: Record | None) -> bool:
    """Tell whether a run has ended in a way that need not be repeated."""
    return record is not None and record["status"] in DONE


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Claim a run for this process; False if another process has it. A claim ends with its process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".claim")
    try:
        lock.acquire(timeout=PROBED_SECONDS, poll_interval=PROBED_SECONDS / 20)
    except Timeout:
        yield False
        return
    try:
        sweep_up(folder)
        yield True
    finally:
        lock.release()


def forget_unless_begun(folder: Path) -> None:
    """Remove the folder of a run that was refused; not if it has a record, or another process has claimed it."""
    with claimed(folder) as mine:
        if mine and not (folder / FILE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()  # unless other runs are there


def is_claimed(folder: Path) -> bool:
    """Tell whether a process, this one included, has claimed a run."""
    lock = FileLock(folder / ".claim")
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def reusable(cell: "Cell") -> Record | None:
    """Return the record of a claimed cell that need not run; of any other, forget what can't be gone on from."""
    earlier = read(cell.path)
    changed = [] if earlier is None else changes(earlier)
    if not cell.config.rerun and earlier is not None and is_done(earlier):
        log.info("%s: %s; reused (rerun=true trains it again)", cell.name, summary(earlier))
        if changed:
            log.warning("%s was made with another version: %s", cell.name, "; ".join(changed))
        progress.run_done()
        return earlier
    if changed and not cell.config.rerun:
        log.warning("%s starts again, since versions have changed: %s", cell.name, "; ".join(changed))
    if changed or cell.config.rerun:
        shutil.rmtree(cell.path / "checkpoints", ignore_errors=True)
    return None


def changes(record: Record) -> list[str]:
    """Say which packages have another version now than when a run was made, e.g. "torch 2.13.0, now 2.14.1"."""
    now = versions()
    return [
        f"{name} {then}, now {now.get(name)}"
        for name, then in record.get("versions", {}).items()
        if then != now.get(name)
    ]


def read_all(output_dir: Path) -> Iterator[tuple[Path, Record]]:
    """Read the record of every run of an output folder, in the order of their paths."""
    broken = 0
    for path in sorted(output_dir.glob(f"*/*/{FILE}")):
        record = read(path.parent)
        broken += record is None
        if record is not None:
            yield path.parent, record
    if broken:
        log.warning("%d records under %s/ are broken and left out.", broken, output_dir)


def summary(record: Record) -> str:
    """Say in one line how a run ended."""
    seconds = record.get("cost", {}).get("seconds")
    metric = COLUMNS[measured_as(record["task"], record.get("learner", "supervised"))][0]
    value = (record["metrics"]["last"] or {}).get(f"test/{metric}")
    shown = [f"test/{metric} {value:.4f} at the last epoch"] if value is not None else []
    return ", ".join([record["status"], *shown, *([f"{seconds:.1f} s"] if seconds is not None else [])])


def ending_of(error: BaseException) -> Record:
    """Say in the words of a record how a run ended that raised an error."""
    if isinstance(error, Diverged):
        return {
            "status": "diverged",
            "error": str(error),
            "diverged": {"epoch": error.epoch, "step": error.step},
        }
    if isinstance(error, Killed):
        return {"status": "killed", "error": str(error), "signal": error.exit_code - 128}
    if isinstance(error, ConfigError | DiskFull):
        return {"status": "failed", "error": str(error)}
    told = "".join(traceback.format_exception(error))
    return {"status": "failed", "error": f"{type(error).__name__}: {error}", "traceback": told}


def is_alive(process: Mapping[str, Any] | None) -> bool:
    """Tell whether the process that a record names still runs; that of another machine is taken to run."""
    if not process:
        return False
    if process.get("host") != socket.gethostname():
        return True
    try:
        return abs(psutil.Process(process["pid"]).create_time() - process["started"]) < 2.0
    except psutil.NoSuchProcess:
        return False


def this_process() -> dict[str, Any]:
    """Name this process, so that another one can tell whether it still runs."""
    process = psutil.Process()
    return {"pid": process.pid, "host": socket.gethostname(), "started": process.create_time()}


@cache
def versions() -> dict[str, str]:
    """Return the version of Python and of each package that can change a number."""
    installed = {name: metadata.version(name) for name in _PACKAGES if _is_installed(name)}
    return {"python": platform.python_version(), **installed}


@cache
def git_state() -> dict[str, Any] | None:
    """Return the commit of the code that runs and whether it has been changed since; None outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(_git(here, "status", "--porcelain", "--", "."))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _without_nan(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): _without_nan(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_without_nan(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node
