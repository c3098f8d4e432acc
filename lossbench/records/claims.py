"""Which process is at a run: claims that end with their process, and a heartbeat that other machines can see."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from lossbench.records.files import sweep_up
from lossbench.records.record import FILE

PROBED_SECONDS = 0.1
"""How long a claim is tried: whoever asks whether a run is claimed holds its lock for a moment."""
CLAIM, HEARTBEAT = ".claim", ".heartbeat"
BEAT_SECONDS = 60.0
"""How often a process touches the heartbeat of the runs that it has claimed."""
SILENT_SECONDS = 600.0
"""After so long without a heartbeat the process of another machine counts as dead."""
_held: set[Path] = set()
"""What this process has claimed."""


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Claim a run for this process; False if another process has it. A claim ends with its process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / CLAIM)
    try:
        lock.acquire(timeout=PROBED_SECONDS, poll_interval=PROBED_SECONDS / 20)
    except Timeout:
        yield False
        return
    try:
        sweep_up(folder)
        _held.add(folder)
        _start_heart()
        yield True
    finally:
        _held.discard(folder)
        with suppress(OSError):
            (folder / HEARTBEAT).unlink(missing_ok=True)
        lock.release()


@cache
def _start_heart() -> None:
    """Start the thread that touches the heartbeats, one for all runs of this process."""
    threading.Thread(target=_beat, name="heartbeat", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        for folder in tuple(_held):
            with suppress(OSError):
                (folder / HEARTBEAT).touch()


def silent_seconds(folder: Path) -> float | None:
    """Return how long the process at a run has shown nothing of itself; None where nothing of the run is to be seen.

    What it shows is the record that it writes at its beginning, and then the heartbeat.
    """
    seen = []
    for name in (FILE, HEARTBEAT):
        with suppress(OSError):
            seen.append((folder / name).stat().st_mtime)
    return time.time() - max(seen) if seen else None


def forget_unless_begun(folder: Path) -> None:
    """Remove the folder of a run that was refused; not if it has a record, or another process has claimed it."""
    with claimed(folder) as mine:
        if mine and not (folder / FILE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()  # unless other runs are there


def is_claimed(folder: Path) -> bool:
    """Tell whether a process, this one included, has claimed a run."""
    lock = FileLock(folder / CLAIM)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def is_alive(process: Mapping[str, Any] | None, folder: Path | None = None) -> bool:
    """Tell whether the process that a record names still runs.

    One of this machine is told by its number and the time when it started, one of another machine by the heartbeat in
    the folder of its run. Without a folder that can be seen from here it is taken to run.
    """
    if not process:
        return False
    if is_of_another_machine(process):
        silent = silent_seconds(folder) if folder is not None else None
        return silent is None or silent < SILENT_SECONDS
    try:
        return abs(psutil.Process(process["pid"]).create_time() - process["started"]) < 2.0
    except psutil.NoSuchProcess:
        return False


def is_of_another_machine(process: Mapping[str, Any]) -> bool:
    """Tell whether a process is of another machine."""
    return process.get("host") != socket.gethostname()


def this_process() -> dict[str, Any]:
    """Name this process, so that another one can tell whether it still runs."""
    process = psutil.Process()
    return {"pid": process.pid, "host": socket.gethostname(), "started": process.create_time()}
