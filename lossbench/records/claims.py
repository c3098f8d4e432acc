"""Which process is at a run: claims that end with their process, on this machine and on others.

A claim is two things. The lock `.claim` ends with its process, but other machines may not see it: on many network disks
file locks hold for one machine only. The lease `.lease` is a file that is made by exactly one process, names it, and is
touched every minute; one that has been silent for ten minutes is taken over. Whoever has slept longer than that, and
comes back, finds another name in it and leaves the run alone.
"""

import json
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from lossbench.errors import TakenOver
from lossbench.records.files import move, sweep_up
from lossbench.records.record import FILE

PROBED_SECONDS = 0.1
"""How long a claim is tried: whoever asks whether a run is claimed holds its lock for a moment."""
CLAIM, LEASE = ".claim", ".lease"
BEAT_SECONDS = 60.0
"""How often a process touches the leases of the runs that it has claimed."""
SILENT_SECONDS = 600.0
"""After so long without a sign the process of another machine counts as dead."""
UNKNOWN = {"host": ""}
"""Stands for the process of a lease that is just being written."""
_held: dict[Path, str] = {}
"""What this process has claimed, and the name of itself that it has written there."""


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
        mine = _take_lease(folder)
        if mine is None:
            yield False
            return
        sweep_up(folder)
        _held[folder] = mine
        _start_heart()
        yield True
    finally:
        if (name := _held.pop(folder, None)) is not None and _holder(folder).get("name") == name:
            with suppress(OSError):
                (folder / LEASE).unlink(missing_ok=True)
        with suppress(OSError):  # whoever has opened it meanwhile locks a file without a name, and needs the lease
            (folder / CLAIM).unlink(missing_ok=True)
        lock.release()


def _take_lease(folder: Path) -> str | None:
    """Write this process into the lease of a run; None if another one has it.

    To make a file that is not there succeeds for one process only, on network disks too. So one at a time takes a lease
    over, and looks at it again before it does.
    """
    name, path, taking = uuid.uuid4().hex, folder / LEASE, folder / f"{LEASE}-taking"
    if _made(path, name):
        return name
    if is_alive(_holder(folder) or UNKNOWN, folder):
        return None
    if not _made(taking, name):
        with suppress(OSError):
            if _time_of_disk(folder) - taking.stat().st_mtime > BEAT_SECONDS:  # its process died over it
                taking.unlink()
        return None
    try:
        if is_alive(_holder(folder) or UNKNOWN, folder):
            return None
        own = folder / f"{LEASE}-{name}"
        _made(own, name)
        move(own, path)
        return name
    finally:
        taking.unlink(missing_ok=True)


def _made(path: Path, name: str) -> bool:
    """Make a file that names this process; False if it is there."""
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump({**this_process(), "name": name}, file)
    except FileExistsError:
        return False
    return True


def _read(lease: Path) -> dict[str, Any]:
    """Return what a lease says; {} where there is none, or where it is being written."""
    try:
        found = json.loads(lease.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _holder(folder: Path) -> dict[str, Any]:
    return _read(folder / LEASE)


def require_held(folder: Path) -> None:
    """Raise `TakenOver` if this process has claimed a run, and another one has it now."""
    name = _held.get(folder)
    if name is not None and _holder(folder).get("name") != name:
        raise TakenOver(folder)


@cache
def _start_heart() -> None:
    """Start the thread that touches the leases, one for all runs of this process."""
    threading.Thread(target=_beat, name="heartbeat", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        for folder, name in tuple(_held.items()):
            with suppress(OSError):
                if _holder(folder).get("name") == name:
                    (folder / LEASE).touch()


def silent_seconds(folder: Path) -> float | None:
    """Return how long the process at a run has shown nothing of itself; None where nothing of the run is to be seen.

    What it shows is the record that it writes at its beginning, and its lease. Both have the time of the disk that they
    lie on, and are held against that: machines may differ in their clocks.
    """
    seen = []
    for name in (FILE, LEASE):
        with suppress(OSError):
            seen.append((folder / name).stat().st_mtime)
    return _time_of_disk(folder) - max(seen) if seen else None


def _is_silent(folder: Path) -> bool:
    silent = silent_seconds(folder)
    return silent is None or silent >= SILENT_SECONDS


def _time_of_disk(folder: Path) -> float:
    """Return the time as the disk of a folder has it, by this machine's clock and what they differ."""
    return time.time() + _difference(folder.parent, int(time.monotonic() / BEAT_SECONDS))


@cache
def _difference(folder: Path, _minute: int) -> float:
    """Return by how many seconds the clock of a folder's disk is ahead of this machine's, asked once a minute."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime - time.time()
    except OSError:
        return 0.0
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def forget_unless_begun(folder: Path) -> None:
    """Remove the folder of a run that was refused; not if it has a record, or another process has claimed it."""
    with claimed(folder) as mine:
        if mine and not (folder / FILE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()  # unless other runs are there


def is_claimed(folder: Path) -> bool:
    """Tell whether a process, this one included, has claimed a run."""
    holder = _holder(folder)
    if holder and is_of_another_machine(holder):
        return not _is_silent(folder)
    if holder and is_alive(holder):
        return True
    lock = FileLock(folder / CLAIM)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def break_claim(folder: Path) -> None:
    """Take away the claim of a process that is known to be dead."""
    for name in (CLAIM, LEASE):  # a file system may keep a lock for a machine that is gone
        (folder / name).unlink(missing_ok=True)


def is_alive(process: Mapping[str, Any] | None, folder: Path | None = None) -> bool:
    """Tell whether the process that a record names still runs.

    One of this machine is told by its number and the time when it started, one of another machine by the lease in the
    folder of its run. Without a folder that can be seen from here it is taken to run.
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
