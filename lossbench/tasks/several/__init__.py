"""Several tasks of one network: each part is a task of its own, with its metrics under its name (`left_accuracy`)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isfinite

from lossbench.errors import ConfigError, nearest
from lossbench.tasks.classification import TASKS as _CLASSES
from lossbench.tasks.counts import TASKS as _COUNTS
from lossbench.tasks.depth import TASKS as _DEPTH
from lossbench.tasks.regression import TASKS as _NUMBERS
from lossbench.tasks.segmentation import TASKS as _PIXELS
from lossbench.tasks.task import Metric, Page, Task

KNOWN = {task.name: task for task in (*_CLASSES, *_NUMBERS, *_COUNTS, *_PIXELS, *_DEPTH)}
"""The tasks that can be a part, by name."""
ELSEWHERE = ("mae_balanced", "mae_many", "mae_medium", "mae_few")
"""Metrics of targets that were made imbalanced, which those of several tasks can't be."""
SUPPLIED = ("epoch", "features", "image", "index", "inputs")
"""What the learner supplies to the loss of each part at each step."""
EACH = 2
"""So many columns of each part has a printed table."""
_NAME = re.compile(r"several\(([^()]+)\)")


def several(name: str, title: str, parts: Mapping[str, str], pages: tuple[Page, ...] = ()) -> Task:
    """Make a task of several.

    The metric `METRIC` of the part `PART` is `PART_METRIC`. Where all parts have one that needs no unit among their
    first columns, such as the balanced accuracy or R2, `mean_METRIC`, its mean over the parts, picks the best epoch and
    sorts; else the monitor of the first part does.

    Parameters
    ----------
    name, title : str
        As for a `Task`.
    parts : mapping of str to str
        For each part, two at least, a name of letters, digits and `_`, and the name of its task: one of `KNOWN`.
    pages : tuple of Page
        As for a `Task`.

    Raises
    ------
    ConfigError
        If there is no such task, or a part can't be called so.

    Examples
    --------
    >>> task = several("two", "a digit and its size", {"digit": "multiclass", "size": "regression"})
    >>> task.monitor, task.direction("test/size_rmse"), task.per_pixel
    ('digit_balanced_accuracy', 'lower', False)

    """
    tasks = {part: _known(part, task) for part, task in parts.items()}
    if len(tasks) < 2:
        raise ConfigError(f"task {name}: several tasks are two at least, not {', '.join(parts) or 'none'}.")
    metrics = [_of_part(part, metric) for part, task in tasks.items() for metric in task.metrics if _is_there(metric)]
    means = _means(list(tasks.values()))
    columns = [f"{part}_{column}" for part, task in tasks.items() for column in task.columns[:EACH]]
    monitors = [f"{part}_{task.monitor}" for part, task in tasks.items()]
    supplied = {key for task in tasks.values() for key in task.context if key in SUPPLIED}
    return Task(
        name=name,
        title=title,
        package=__name__,
        target="maps" if any(task.per_pixel for task in tasks.values()) else "parts",
        baseline="several_tasks",
        link="identity",
        metrics=(*means, *metrics),
        columns=(*(mean.name for mean in means), *columns),
        monitor=[*(mean.name for mean in means), *monitors][0],
        served_by=("digit_pair",),
        data=("several",) if _NAME.fullmatch(name) else (name,),
        learner="several",
        context=tuple(sorted(supplied)),
        keeps=tuple(dict.fromkeys(key for task in tasks.values() for key in task.keeps)),
        stacked=False,
        pages=pages,
        parts=dict(parts),
    )


def _known(part: str, task: str) -> Task:
    if not re.fullmatch(r"\w+", part):
        raise ConfigError(f"part {part!r}: the name of a part has letters, digits and _ alone.")
    if task not in KNOWN:
        raise ConfigError(f"part {part}={task}: a task of this name can be no part. {nearest(task, KNOWN)}")
    return KNOWN[task]


def _is_there(metric: Metric) -> bool:
    """Tell whether a metric is there without label noise, imbalance of numbers and what is fitted to logits."""
    return not metric.part and metric.name not in ELSEWHERE


def _of_part(part: str, metric: Metric) -> Metric:
    return replace(
        metric,
        name=f"{part}_{metric.name}",
        meaning=f"of {part}: {metric.meaning}",
        group=f"{part}: {metric.group or 'further'}",
        truth=metric.truth and f"{part}_{metric.truth}",
    )


def _means(tasks: list[Task]) -> list[Metric]:
    """Return the mean over the parts of the first metric that all show, and that needs no unit."""
    for column in tasks[0].columns:
        metric = tasks[0].named[column]
        shared = all(column in task.columns for task in tasks)
        if shared and metric.sorts and metric.when == "epoch" and isfinite(metric.bounds[1]):
            meaning = f"mean over the parts of {column}: {metric.meaning}"
            return [replace(metric, name=f"mean_{column}", meaning=meaning, group="Over the parts")]
    return []


def of_name(name: str) -> Task | None:
    """Return the task of a name such as "several(price=regression,paid=binary)"; None of one that is none such.

    Tables and arrays with several targets have such a task, whose name says all: whoever reads their records makes it
    again.

    Raises
    ------
    ConfigError
        If a part can't be called so, or there is no such task.

    Examples
    --------
    >>> of_name("several(price=regression,paid=binary)").parts
    {'price': 'regression', 'paid': 'binary'}

    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    pairs = [pair.strip().partition("=") for pair in found[1].split(",")]
    if len({part for part, _, _ in pairs}) < len(pairs):
        raise ConfigError(f"data.task={name}: two parts have the same name.")
    return several(name, f"several targets: {', '.join(part for part, _, _ in pairs)}", {a: b for a, _, b in pairs})


def name_of(parts: Mapping[str, str]) -> str:
    """Return the name of the task of several parts; see `of_name`."""
    return f"several({','.join(f'{part}={task}' for part, task in parts.items())})"


def part_names(columns: Iterable[str]) -> dict[str, str]:
    """Return for each column of a table what its part is called: its name with `_` for all but letters and digits.

    Raises
    ------
    ConfigError
        If two would be called alike.

    Examples
    --------
    >>> part_names(["price in EUR", "size"])
    {'price in EUR': 'price_in_EUR', 'size': 'size'}

    """
    found: dict[str, str] = {}
    for column in columns:
        name = re.sub(r"\W", "_", column)
        if other := next((each for each, taken in found.items() if taken == name), None):
            raise ConfigError(f"targets {other!r} and {column!r} would both be the part {name}. Rename a column.")
        found[column] = name
    return found


_PAGE = Page("Several tasks", "Several targets of each sample, by one network with a head for each.")

TASKS = (
    several("digit_pair", "two digits", {"left": "multiclass", "right": "multiclass"}, (_PAGE,)),
    several(
        "scene_parts",
        "parts of scenes",
        {"mask": "segmentation", "front": "multiclass", "order": "depth"},
        (_PAGE,),
    ),
)
