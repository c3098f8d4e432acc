"""Progress on a terminal: a line for the sweep and one for each worker; nothing anywhere else.

What runs tells here how far it is. In the command's own process that is shown, in a worker it is sent there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Event = tuple[Any, ...]

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


@contextmanager
def showing(cells: int) -> Iterator[None]:
    """Show progress while the cells of one command run."""
    global _receive  # noqa: PLW0603
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        _receive = Display(progress, cells).receive
        try:
            yield
        finally:
            _receive = None


def send_to(receive: Callable[[Event], None]) -> None:
    """Send what this process tells to another one, which shows it."""
    global _receive  # noqa: PLW0603
    _receive = receive


def tell(event: Event, **of: int) -> None:
    """Pass on what a worker, or this process itself, tells."""
    if _receive is not None:
        _receive(event, **of)


def run_started(name: str, epochs: int) -> None:
    """Show a new run, or a stack of them."""
    tell(("started", name, epochs))


def epoch_done(epochs: int, shown: str) -> None:
    """Show how many epochs are done, and the newest result."""
    tell(("epoch", epochs, shown))


def run_done() -> None:
    """Count one more cell of the sweep."""
    tell(("done",))
