"""Progress: on a terminal a line for the sweep and one for each worker, anywhere else a plain line every so often.

What runs tells here how far it is. In the command's own process that is shown, in a worker it is sent there.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Event = tuple[Any, ...]
MOST_OFTEN = 60.0
"""So many seconds are between two plain lines, and before the first."""
PARTS = 10
"""Plain lines are at least a tenth of all apart."""

_receive: Callable[[Event], None] | None = None


class Display:
    """The lines on the terminal."""

    def __init__(self, progress: Progress, cells: int) -> None:
        self._progress = progress
        self._sweep = progress.add_task("sweep", total=cells) if cells > 1 else None
        self._lines: dict[int, TaskID] = {}

    def receive(self, event: Event, worker: int = 0) -> None:
        """Show what a worker tells."""
        kind, *told = event
        if kind == "done":
            if self._sweep is not None:
                self._progress.advance(self._sweep)
            return
        line = self._lines.get(worker)
        if line is None:
            line = self._lines[worker] = self._progress.add_task("starting", total=None)
        if kind == "started":
            self._progress.reset(line, total=told[1], description=told[0])
        else:
            name = str(self._progress.tasks[self._progress.task_ids.index(line)].description).partition("  ")[0]
            self._progress.update(line, completed=told[0], description=f"{name}  {told[1]}")


class Lines:
    """Plain lines for a log: how much is done, and how long the rest will take.

    Parameters
    ----------
    cells : int
        Of the command.
    now : callable
        The clock, in seconds.

    """

    def __init__(self, cells: int, now: Callable[[], float] = time.monotonic) -> None:
        self._cells, self._now = cells, now
        self._began = self._told = now()
        self._part = self._done = self._reused = 0
        self._running: dict[int, tuple[int, int, int]] = {}  # by worker: runs, epochs, and how many of them are done

    def receive(self, event: Event, worker: int = 0) -> None:
        """Take what a worker tells; write a line where one is due."""
        kind, *told = event
        runs, epochs, completed = self._running.get(worker, (0, 1, 0))
        if kind == "started":
            self._running[worker] = (told[2], max(told[1], 1), 0)
        elif kind == "epoch":
            self._running[worker] = (runs, epochs, told[0])
        else:
            self._done += 1
            self._reused += runs == 0
            self._running[worker] = (max(runs - 1, 0), epochs, completed)
        self._write()

    def _write(self) -> None:
        """Write a line unless it is too early for one, or all is done."""
        now = self._now()
        under_way = sum(runs * min(completed / epochs, 1) for runs, epochs, completed in self._running.values())
        share = min(self._done + under_way, self._cells)
        part = int(PARTS * share / self._cells)
        if now - self._told < MOST_OFTEN or not self._part < part < PARTS:
            return
        self._told, self._part = now, part
        made = share - self._reused
        rest = (now - self._began) * (self._cells - share) / made if made > 0 else 0.0
        about = f", {in_words(rest)} left" if made > 0 else ""
        print(f"lossbench: {self._done} of {self._cells} done{about}", file=sys.stderr, flush=True)


def in_words(seconds: float) -> str:
    """Say roughly how long something takes.

    Examples
    --------
    >>> in_words(20), in_words(100), in_words(8000), in_words(200_000)
    ('less than a minute', 'about 2 min', 'about 2 h 13 min', 'about 56 h')

    """
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"about {minutes} min"
    if minutes >= 600:
        return f"about {round(minutes / 60)} h"
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min" if rest else f"about {hours} h"


@contextmanager
def showing(cells: int) -> Iterator[None]:
    """Show progress while the cells of one command run."""
    console = Console(stderr=True)
    if not console.is_terminal:
        with _receiving(Lines(cells).receive):
            yield
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress, _receiving(Display(progress, cells).receive):
        yield


@contextmanager
def _receiving(receive: Callable[[Event], None]) -> Iterator[None]:
    send_to(receive)
    try:
        yield
    finally:
        send_to(None)


def send_to(receive: Callable[[Event], None] | None) -> None:
    """Send what this process tells to another one, which shows it; None: to nobody."""
    global _receive  # noqa: PLW0603
    _receive = receive


def tell(event: Event, **of: int) -> None:
    """Pass on what a worker, or this process itself, tells."""
    if _receive is not None:
        _receive(event, **of)


def run_started(name: str, epochs: int, runs: int = 1) -> None:
    """Show a new run, or a stack of several."""
    tell(("started", name, epochs, runs))


def epoch_done(epochs: int, shown: str) -> None:
    """Show how many epochs are done, and the newest result."""
    tell(("epoch", epochs, shown))


def run_done() -> None:
    """Count one more cell of the sweep."""
    tell(("done",))
