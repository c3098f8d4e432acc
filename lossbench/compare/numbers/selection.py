"""Which epoch of a run counts, chosen after the fact: every run records the metrics of all of its epochs."""

import math
from collections.abc import Sequence
from functools import lru_cache

from lossbench.compare.numbers.histories import column, names_in
from lossbench.records.schema import Record, task_of
from lossbench.tasks.task import Task

SELECTIONS = {
    "last": "last epoch",
    "best_val": "best validation epoch",
    "best_clean_val": "best epoch by clean validation targets, which nobody has in practice",
    "oracle": "ORACLE: best epoch on the test set itself, an upper bound and not a result",
}
"""The ways to choose the epoch of a run, and what a reader must know of each."""

Metrics = dict[str, float]


def test_metrics(entry: Record, select: str, metric: str) -> Metrics:
    """Return the test metrics of a run at the epoch that counts, without the prefix `test/`.

    Parameters
    ----------
    entry : dict
        The record of a finished run.
    select : str
        One of `SELECTIONS`.
    metric : str
        What the oracle picks its epoch by.

    Returns
    -------
    dict of str to float
        Only finite values; empty if the run has no such epoch, as without a validation part.

    """
    chosen = chosen_row(entry, select, metric)
    found = ((_of_test(name), value) for name, value in chosen.items())
    return {name: value for name, value in found if name and value is not None and math.isfinite(value)}


@lru_cache(maxsize=4096)
def _of_test(name: str) -> str:
    """Return the name of a test metric, the same object for all runs; "" of what is none."""
    return name.removeprefix("test/") if name.startswith("test/") else ""


def chosen_row(entry: Record, select: str, metric: str) -> Metrics:
    """Return all metrics of a run at the epoch that counts, as "part/name"; see `test_metrics` for the parameters."""
    if select in ("last", "best_val"):
        return entry["metrics"].get(select) or {}
    name = f"test/{metric}" if select == "oracle" else clean_monitor(entry, task_of(entry))
    return best_row(entry.get("history") or [], name, task_of(entry).higher_is_better(name))


def clean_monitor(entry: Record, task: Task) -> str:
    """Name the validation metric against clean targets; without corruption the validation targets are clean.

    Examples
    --------
    >>> from lossbench.tasks import task_named
    >>> noisy = {"monitor": "accuracy", "history": [{"val/accuracy": 0.5, "val/clean/accuracy": 0.7}]}
    >>> clean_monitor(noisy, task_named("multiclass"))
    'val/clean/accuracy'
    >>> contaminated = {"monitor": "mae_observed", "history": [{"val/mae_observed": 0.5, "val/mae": 0.3}]}
    >>> clean_monitor(contaminated, task_named("regression"))
    'val/mae'

    """
    return task.clean_monitor(entry["monitor"], names_in(entry.get("history")))


def best_row(history: Sequence[Metrics], name: str, higher_is_better: bool) -> Metrics:
    """Return the first epoch at which a metric is best; empty if no epoch has it.

    Examples
    --------
    >>> rows = [{"epoch": 0, "test/nll": 2.0}, {"epoch": 1, "test/nll": 1.0}, {"epoch": 2}]
    >>> best_row(rows, "test/nll", higher_is_better=False)["epoch"]
    1

    """
    values = column(history, name)
    places = [place for place, value in enumerate(values) if value is not None and math.isfinite(value)]
    if not places:
        return {}
    return history[(max if higher_is_better else min)(places, key=values.__getitem__)]
