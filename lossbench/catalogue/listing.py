"""Which losses there are, and which metrics a task has, for programs and notebooks; torch is not imported."""

from typing import TYPE_CHECKING

from lossbench.catalogue.facts import facts_of, loss_names
from lossbench.errors import ConfigError, nearest
from lossbench.locate import target_of
from lossbench.tasks import is_known, task_named, tasks
from lossbench.tasks.task import Task

if TYPE_CHECKING:
    from pandas import DataFrame


def list_losses(task: str | None = None, problem: str | None = None) -> list[str]:
    """Return the names of the losses that `load_loss` takes, in alphabetical order.

    Parameters
    ----------
    task : str, optional
        Only those that can train this task; a probabilistic one also has the plain losses that serve it.
    problem : str, optional
        Only those that were made for this problem, such as "noise" or "imbalance".

    Raises
    ------
    ConfigError
        If there is no such task, or no loss is made for such a problem.

    Examples
    --------
    >>> list_losses(task="energy")
    ['contrastive_divergence', 'noise_contrastive']
    >>> "gce" in list_losses(task="multiclass", problem="noise")
    True

    """
    served_by = None if task is None else _task(task).served_by
    found = {name: facts_of(target_of("loss", name)) for name in loss_names()}
    facts = {name: each for name, each in found.items() if each is not None}
    if problem is not None and problem not in (known := {each.problem for each in facts.values()} - {""}):
        raise ConfigError(f"problem={problem} is not known. {nearest(str(problem), known)}")
    return [
        name
        for name, each in facts.items()
        if (served_by is None or each.task in served_by) and problem in (None, each.problem)
    ]


def metrics(task: str) -> "DataFrame":
    """Return the metrics of a task as a frame of pandas, one row for each, in the order in which a report has them.

    Parameters
    ----------
    task : str
        The name of a task, such as "multiclass".

    Returns
    -------
    DataFrame
        By `metric`, in results `test/NAME`: better ("higher", "lower" or "neither"), meaning, group, when ("epoch":
        after each; "end": once), per ("class", "label" or "fifth": it has a value for each, `test/recall/0` and on,
        and its name ends in "/"), low and high (its bounds), shown (whether printed tables have it).

    Raises
    ------
    ConfigError
        If there is no such task.

    Examples
    --------
    >>> metrics("multiclass").loc[["accuracy", "nll"], "better"].to_dict()
    {'accuracy': 'higher', 'nll': 'lower'}

    """
    import pandas as pd

    chosen = _task(task)
    rows = [
        {
            "metric": key, "better": each.better, "meaning": each.meaning, "group": each.group, "when": each.when,
            "per": each.per, "low": each.bounds[0], "high": each.bounds[1], "shown": each.name in chosen.columns,
        }
        for key, each in chosen.named.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("metric")


def _task(name: str) -> Task:
    if not is_known(name):
        raise ConfigError(f"task={name} is not known. {nearest(str(name), tasks())}")
    return task_named(name)
