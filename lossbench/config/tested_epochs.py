"""At which epochs the test set is evaluated. Nothing here imports torch.

What a comparison says is of the last epoch, or of the best one by validation. So the test set is evaluated there, that
is, wherever validation has become better, and beside that every so many epochs, for the curves.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from lossbench.config.check_trainer import callbacks_of
from lossbench.errors import ConfigError
from lossbench.ranges import takes

if TYPE_CHECKING:
    from lossbench.config.cell import Cell

ORACLE = "compare.select=oracle"
CURVE, STEPS = 10, 50
"""A curve of the test set has about so many points; and at most so many epochs of a run are in MLflow by default."""


@takes(test_every="int [1, inf) or one of: auto")
def test_every(cell: "Cell") -> int:
    """Return every how many evaluations the test set is evaluated too, beside the last and those that count."""
    given = cell.config.data.get("test_every", "auto")
    if given != "auto":
        return int(given)
    return 1 if _asks_for_all(cell) else spacing(evaluations(cell.config.trainer))


def evaluations(trainer: Mapping[str, Any]) -> int:
    """Count the evaluations of a training."""
    return int(trainer["max_epochs"]) // int(trainer.get("check_val_every_n_epoch") or 1)


def spacing(count: int) -> int:
    """Return the distance of about ten of so many evaluations; of many a multiple of that of the curves in MLflow.

    Examples
    --------
    >>> [spacing(count) for count in (1, 10, 20, 50, 60, 200)]
    [1, 1, 2, 5, 10, 20]

    """
    in_mlflow = -(-count // STEPS)
    return max(1, -(-count // CURVE)) if in_mlflow <= 1 else in_mlflow * (STEPS // CURVE)


def check_test_every(cell: "Cell") -> None:
    """Raise a `ConfigError` if something waits for the test set at each epoch that is evaluated only at some."""
    given = cell.config.data.get("test_every", "auto")
    asked = _asks_for_all(cell)
    if given not in ("auto", 1) and asked:
        raise ConfigError(
            f"data.test_every={given}, but {asked} needs the test set at each epoch. Use data.test_every=1, or auto."
        )


def _asks_for_all(cell: "Cell") -> str:
    """Name what needs the test set at each epoch, "" if nothing does."""
    if OmegaConf.select(cell.config, "compare.select") == "oracle":
        return ORACLE
    waiting = {"trainer.callbacks": callbacks_of(cell.config.trainer), "scheduler": [cell.config.scheduler]}
    found = [
        f"the monitor {node['monitor']} of {key}"
        for key, nodes in waiting.items()
        for node in nodes
        if str(node.get("monitor")).startswith("test/")
    ]
    return found[0] if found else ""


def is_sparse(entry: Mapping[str, Any]) -> bool:
    """Tell whether a run has evaluated the test set at some of its epochs only."""
    return bool(entry.get("test_every", 1) > 1)


def require_every_epoch(entries: Iterable[Mapping[str, Any]], said: str = ORACLE) -> None:
    """Raise a `ConfigError` if what needs the test set at each epoch meets runs that lack some."""
    sparse = [entry for entry in entries if is_sparse(entry)]
    if sparse:
        first = sparse[0]
        runs = f"{len(sparse)} runs" if len(sparse) > 1 else "a run"
        raise ConfigError(
            f"{said} needs the test set at each epoch, but {runs}, such as {first['name']}, evaluated it where "
            f"validation was best so far, at the end, and every {first['test_every']} epochs. The command that made "
            "them trains them again, to the same numbers, with data.test_every=1 rerun=true."
        )


def lacking(cells: Iterable["Cell"], entries: Iterable[Mapping[str, Any] | None]) -> Iterator[Mapping[str, Any]]:
    """Yield the records of cells that need the test set at each epoch, and whose run has it only at some."""
    for cell, entry in zip(cells, entries, strict=True):
        if entry is not None and not cell.config.rerun and is_sparse(entry) and test_every(cell) == 1:
            yield entry
