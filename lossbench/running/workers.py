"""Warm workers: processes that have everything imported, one for each core, with a task at a time.

On Linux they are forked from a server that imports torch once; elsewhere that is not there or not safe, and each is
started by itself. A worker that dies, whatever kills it, takes no other along: its
cell is recorded as failed, and of a stack each cell that was not done is tried alone.
"""

import _thread
import gc
import importlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import psutil

from lossbench.config.engines import cores
from lossbench.errors import ConfigError, Killed
from lossbench.records import record
from lossbench.running import progress
from lossbench.running.plan import WorkItem
from lossbench.running.work_item import run_item

PRELOAD = ["lossbench.running.preloaded"]
START = "forkserver" if sys.platform == "linux" else "spawn"
"""How workers start: Windows can't fork, and on macOS system libraries don't survive it once torch is there."""
ORPHAN_SECONDS = 5.0
"""How long a worker lives on when its command has died."""
GRACE_SECONDS = 60.0
"""How long stopped workers may take to write their records."""

log = logging.getLogger(__name__)


@dataclass
class _Worker:
    number: int
    process: BaseProcess
    connection: Connection
    item: WorkItem | None = None


def start_forkserver() -> None:
    """Start the server from which workers are forked: it imports torch while this process does something else."""
    if START != "forkserver":
        return
    from multiprocessing import forkserver

    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch reads it once: big pages, 3 to 6 % of a stack of LeNets
    multiprocessing.set_forkserver_preload(PRELOAD)
    forkserver.ensure_running()


def stop_forkserver() -> None:
    """End the server at once, all workers being through: to put away what it has imported takes it two seconds.

    Until then whoever reads what the command prints waits for it.
    """
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any("multiprocessing.forkserver" in word for word in child.cmdline()):
                child.kill()


def run_items(items: Sequence[WorkItem], workers: int) -> None:
    """Run work items in workers, each as soon as one is free.

    Raises
    ------
    ConfigError
        If parts of a cell do not fit together; after the others have run.
    Killed
        After the workers have recorded what they were at.

    """
    left, mistakes, pool = deque(items), list[str](), list[_Worker]()
    try:
        while left or any(worker.item for worker in pool):
            while left and len(pool) < workers:
                pool.append(_start(len(pool), max(1, cores() // workers)))
            for worker in pool:
                if worker.item is None and left:
                    worker.item = left.popleft()
                    worker.connection.send(worker.item)
            for ready in wait([worker.connection for worker in pool if worker.item is not None]):
                worker = next(worker for worker in pool if worker.connection is ready)
                try:
                    mistakes += _handle(worker, *worker.connection.recv())
                except EOFError:
                    left.extendleft(_record_dead(worker))
                    pool.remove(worker)
    except Killed as killed:
        for worker in pool:
            _pass_on(killed.exit_code - 128, worker)
        for worker in pool:
            _drain(worker)
        raise
    finally:
        for worker in pool:
            worker.connection.close()
            worker.process.join(GRACE_SECONDS)
            worker.process.kill()
    if mistakes:
        raise ConfigError(mistakes[0])


def call(place: str, *arguments: Any) -> Any:
    """Call a function, given as "module:name", in a warm worker; return what it returns, or raise what it raises."""
    return call_each(place, [arguments], 1)[0]


def call_each(place: str, calls: Sequence[Sequence[Any]], at_once: int) -> list[Any]:
    """Call a function with several lists of arguments, each in a warm worker; return what each call returns.

    The first error is raised, and whatever ends this ends the workers.
    """
    context: Any = multiprocessing.get_context(START)
    left, answers = deque(enumerate(calls)), dict[int, Any]()
    running: dict[Any, tuple[int, BaseProcess]] = {}
    error: Exception | None
    try:
        while left or running:
            while left and len(running) < at_once:
                number, arguments = left.popleft()
                here, there = context.Pipe()
                called = context.Process(target=_answer, args=(there, place, arguments), name="lossbench-call")
                called.start()
                there.close()
                running[here] = number, called
            ready: Any
            for ready in wait(list(running)):
                try:
                    value, error = ready.recv()
                except EOFError:
                    raise RuntimeError(f"the process of {place} died") from None
                if error is not None:
                    raise error
                number, through = running.pop(ready)
                answers[number] = value
                _end(ready, through)
    finally:
        for left_over, (_, unfinished) in running.items():
            _end(left_over, unfinished)
    return [answers[number] for number in range(len(calls))]


def _end(connection: Any, process: BaseProcess) -> None:
    connection.close()
    process.terminate()
    process.join()


def _answer(connection: Connection, place: str, arguments: Sequence[Any]) -> None:
    module, _, name = place.partition(":")
    answer: tuple[Any, Exception | None]
    try:
        answer = getattr(importlib.import_module(module), name)(*arguments), None
    except Exception as error:
        answer = None, error
    sys.stdout.flush()
    connection.send(answer)


def _handle(worker: _Worker, kind: str, told: Any) -> list[str]:
    """Take what a worker says; return what the user must mend."""
    if kind == "progress":
        progress.tell(told, worker=worker.number)
    elif kind == "log":
        print(told, flush=True)
    else:
        worker.item = None
    return [told] if kind == "mistake" else []


def _pass_on(number: int, worker: _Worker) -> None:
    """Send a worker a signal. On Windows that would end it before its record; Ctrl-C reaches it there by itself."""
    if sys.platform != "win32" and worker.process.pid is not None:
        os.kill(worker.process.pid, number)


def _drain(worker: _Worker) -> None:
    """Take what a worker that has been stopped still says, until it ends."""
    with suppress(EOFError, OSError):
        while worker.connection.poll(GRACE_SECONDS):
            _handle(worker, *worker.connection.recv())


def _tell(connection: Connection, kind: str, told: Any) -> None:
    """Say something to the command, which may be gone: that must not harm what runs here."""
    with suppress(OSError):
        connection.send((kind, told))


def _start(number: int, threads: int) -> _Worker:
    context: Any = multiprocessing.get_context(START)
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, dict(os.environ), threads), name=f"lossbench-{number}")
    process.start()
    there.close()
    return _Worker(number, process, here)


def _record_dead(worker: _Worker) -> list[WorkItem]:
    """Record what a dead worker was at; return what can be tried again: of a stack each cell alone."""
    worker.process.join()
    code = worker.process.exitcode or 0
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    assert worker.item is not None
    if len(worker.item.cells) > 1:
        cells = [cell for cell in worker.item.cells if not record.is_done(record.read(cell.path))]
        log.warning("the worker of a stack died (%s): %d runs are tried alone", how, len(cells))
        return [WorkItem([cell], stacked=False) for cell in cells]
    (cell,) = worker.item.cells
    log.warning("%s: failed: its worker died (%s)", cell.name, how)
    entry = record.read(cell.path)
    if entry is not None and entry["status"] == "running":
        record.write(cell.path, entry | {"status": "failed", "error": f"the process died: {how}"})
    progress.run_done()
    return []


def _work(connection: Connection, environment: Mapping[str, str], threads: int) -> None:
    """Run work items as they come, until the connection closes."""
    os.environ.update(environment)
    try:
        _die_by_signals()
        threading.Thread(target=_follow_parent, daemon=True).start()
        progress.send_to(lambda event: _tell(connection, "progress", event))
        from lossbench.running.job import keep_freed_memory

        logging.raiseExceptions = False  # a log on a full disk: what is to be told is told by the command
        keep_freed_memory()
        gc.freeze()  # what was imported is here to stay: no need to look through it again and again
        while True:
            try:
                item = connection.recv()
            except EOFError:
                return
            _tell(connection, *run_item(item, threads, _ToCommand(connection)))
    except Killed:
        return


def _die_by_signals() -> None:
    def kill(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)  # once is enough: Ctrl-C reaches all processes, and the command too
        raise Killed(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, kill)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        if sys.platform == "win32":
            _thread.interrupt_main(signal.SIGTERM)  # os.kill would end this process before its record
        else:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)  # for the record of the run; a step or a picture may be long
        os._exit(128 + signal.SIGTERM)


class _ToCommand(logging.Handler):
    """Sends what is logged to the command, which prints it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.INFO)
        self._connection = connection

    def emit(self, entry: logging.LogRecord) -> None:
        """Send one entry."""
        _tell(self._connection, "log", self.format(entry))
