"""What a record holds: its fields, the one place where one is made, and how those of earlier versions are read."""

from collections.abc import Mapping
from typing import Any, TypedDict

from lossbench.tasks import is_known, own_tasks, task_named
from lossbench.tasks.task import Task, task_from

SCHEMA = 2
"""The number of this schema; a record without one is of schema 1. Raise it when a field changes its meaning.

2: `task` is the whole task; before, "generation" stood for three, which the learner told apart.
"""


class Record(TypedDict, total=False):
    """The record of a run, as in `record.json`: all have the fields up to `metrics`, the others as far as they came."""

    schema: int
    key: str
    """Of the run: the hash of everything that can change its numbers."""
    problem: str
    """The hash of what the runs of one comparison share."""
    name: str
    status: str
    """running, finished, diverged, failed, killed or missing."""
    loss: str
    weighting: str
    sampler: str
    mixup: str
    posthoc: str
    combine: str
    learner: str
    seed: int
    task: str
    choices: dict[str, str]
    """What was chosen in each group of the config."""
    config: dict[str, Any]
    """The whole config, resolved."""
    monitor: str
    variant: str | None
    """The name under which it was made in a sweep; the key does not depend on it."""
    warm_start: dict[str, Any] | None
    """The run whose last weights it started from: folder, name, key, method, and its epochs and seconds."""
    metrics: dict[str, dict[str, float] | None]
    """By selection, "last" and "best_val", each metric as "part/name"."""

    task_facts: dict[str, Any]
    """Of a task that is not lossbench's; see `Task.facts`."""
    teacher: dict[str, str] | None
    config_dir: str
    """The user's own folder of configs, where Hydra has composed the run."""
    head: str
    hidden: list[int]
    """The widths that `model.hidden=auto` has become."""
    protocol: dict[str, Any]
    data: dict[str, Any]
    """What the data came out as: sizes, counts, realised rates."""
    hashes: dict[str, str]
    """Of what must be equal in paired runs."""
    parameters: int
    engine: dict[str, Any]
    calibration: dict[str, Any] | None
    process: dict[str, Any]
    """Who runs it: pid, host, start of the process."""
    threads: int
    versions: dict[str, str]
    metrics_version: int
    git: dict[str, Any] | None
    mlflow_run_id: str | None
    tracked: dict[str, Any]
    """The store of MLflow that has all of the run as it has ended."""
    started: float
    """Seconds since the epoch, as `ended`."""
    ended: float
    cost: dict[str, float]
    test_every: int
    """Every how many epochs it evaluated the test set, beside the last and those at which validation was best so far.

    The rows of `history` lack its metrics elsewhere. A record without it has them all.
    """
    epochs: dict[str, int | None]
    """Epochs done, and which one is the last and the best."""
    history: list[dict[str, float]]
    """A row for each epoch."""
    confusion_matrix: list[list[int]]
    error: str
    traceback: str
    diverged: dict[str, int]
    """Epoch and step."""
    signal: int
    folder: str
    """Where its files are, for those who read it; not in the file."""


def new_record(
    task: Task,
    *,
    key: str,
    problem: str,
    name: str,
    status: str,
    loss: str,
    axes: Mapping[str, str],
    learner: str,
    seed: int,
    choices: Mapping[str, str],
    config: dict[str, Any],
    monitor: str,
    variant: str | None = None,
    warm_start: dict[str, Any] | None = None,
) -> Record:
    """Make a record with the fields that every record has; a task that is not lossbench's is described in it."""
    made: Any = {
        "schema": SCHEMA, "key": key, "problem": problem, "name": name, "status": status, "loss": loss, **axes,
        "learner": learner, "seed": seed, "task": task.name, "choices": dict(choices), "config": config,
        "monitor": monitor, "variant": variant, "warm_start": warm_start, "metrics": {"last": None, "best_val": None},
    }  # fmt: skip
    record: Record = made
    if task.name not in own_tasks():
        record["task_facts"] = task.facts()
    return record


def brought_up_to_date(record: dict[str, Any]) -> Record:
    """Return a record of this or an earlier version in this schema; what it says of a run stays."""
    made: Any = {"learner": "supervised", **record}
    if record.get("schema", 1) < 2 and record["task"] == "generation":
        made["task"] = made["learner"]
    found: Record = made
    return found


def task_of(record: Record) -> Task:
    """Return the task of a record: one that is known, or what the record says of another, as plain values.

    Raises
    ------
    ConfigError
        If it is neither.

    """
    facts = record.get("task_facts")
    return task_from(facts) if facts and not is_known(record["task"]) else task_named(record["task"])
