"""One line of progress for the run and one for the sweep, on a terminal; nothing anywhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_progress: Progress | None = None
_sweep: TaskID | None = None
_run: TaskID | None = None


@contextmanager
def showing(cells: int) -> Iterator[None]:
    """Show progress while the cells of one command run in this process."""
    global _progress, _sweep, _run  # noqa: PLW0603
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as _progress:
        _sweep = _progress.add_task("sweep", total=cells) if cells > 1 else None
        _run = _progress.add_task("starting", total=None)
        try:
            yield
        finally:
            _progress = _sweep = _run = None


def run_started(name: str, epochs: int) -> None:
    """Show a new run."""
    if _progress is not None and _run is not None:
        _progress.reset(_run, total=epochs, description=name)


def epoch_done(epochs: int, shown: str) -> None:
    """Show how many epochs of the run are done, and its newest result."""
    if _progress is not None and _run is not None:
        name = str(_progress.tasks[_run].description).partition("  ")[0]
        _progress.update(_run, completed=epochs, description=f"{name}  {shown}")


def run_done() -> None:
    """Count one more cell of the sweep."""
    if _progress is not None and _sweep is not None:
        _progress.advance(_sweep)
