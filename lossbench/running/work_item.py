"""What is done with a work item where it lands: in a worker, or on a node of a cluster."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from lossbench.config.cell import Cell, bring_own_task
from lossbench.errors import ConfigError, DiskFull
from lossbench.records import claims
from lossbench.running.plan import WorkItem

log = logging.getLogger(__name__)

FORMAT = logging.Formatter("[%(asctime)s][%(levelname)s] %(message)s", "%H:%M:%S")
"""As in `hydra.job_logging` of conf/config.yaml."""


def run_item(item: WorkItem, threads: int, told_to: logging.Handler) -> tuple[str, str | None]:
    """Run the cells of a work item that are not done.

    Parameters
    ----------
    item : WorkItem
        Checked cells.
    threads : int
        Threads of torch for a model that can use them, where the config does not say.
    told_to : logging.Handler
        Takes what is logged meanwhile.

    Returns
    -------
    str, str or None
        "done", "failed" with what went wrong, or "mistake" with what the user must mend: nothing is left of the cells
        then that had not begun.

    """
    from lossbench.running.run import run
    from lossbench.running.stacks import run_stack

    refused: list[Cell] = []
    with ExitStack() as folders:
        folders.callback(_forget, refused)
        folders.enter_context(_logging_to(told_to))
        try:
            for cell in item.cells:
                bring_own_task(cell.config)  # this process has not checked the cell
                folders.enter_context(job_folder(cell))
            if item.stacked:
                run_stack(item.cells, threads)
            else:
                run(item.cells[0], "packed", threads)
        except ConfigError as error:
            refused += item.cells
            return "mistake", str(error)
        except DiskFull as error:
            log.error("%s: %s", item.cells[0].name, error)
            return "failed", str(error)
        except Exception as error:
            log.exception("%s failed", item.cells[0].name)
            return "failed", str(error)
    return "done", None


def _forget(cells: Sequence[Cell]) -> None:
    for cell in cells:
        claims.forget_unless_begun(cell.path)


@contextmanager
def _logging_to(handler: logging.Handler) -> Iterator[None]:
    root = logging.getLogger()
    handler.setFormatter(FORMAT)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextmanager
def job_folder(cell: Cell) -> Iterator[None]:
    """Leave in the folder of a run what went wrong with it, as Hydra does: a log, where there is something to tell."""
    cell.path.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(cell.path / "lossbench.log", delay=True)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(FORMAT)
    handler.addFilter(lambda entry: entry.getMessage().startswith(cell.name))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
