"""What a task is: its facts, and those of its metrics. Nothing here imports torch.

A task is a package with the facts in its `__init__.py` (a `Task` for each name, in `TASKS`), and beside them
`evaluate.py` and `figures.py`, which are imported when they are used.

`evaluate.py` has four functions, and a fifth where there is something to do:

- `example(loss, num_classes, samples, generator)` makes up outputs, target and step context of the shapes of training;
- `check_link(linked, samples, num_classes)` asserts that the link has turned such outputs into what is measured;
- `predict(loss, kept, problem)` turns what a learner keeps of a whole part into what is predicted, a typed dict;
- `measure(part, predictions, problem)` measures it after every epoch;
- `measure_final(part, predictions, problem)` measures what is measured only once, at the end of a run.

`sample.py` has `sample(task, good, part)`: made-up predictions, good or bad on every metric, and their problem. The
contract of tasks is tested by them.

`figures.py` has `of_run(folder, entry, last, snapshots)`, which draws one run and returns the paths. What the report of
a comparison shows of a task is `PICTURES`, functions of an analysis, in `report.py`: it alone imports what reads and
draws comparisons, and nothing but another task's `report.py` imports it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from math import inf, isfinite
from typing import Any, Literal

from lossbench.errors import ConfigError, nearest

METRICS_VERSION = 2
"""Of what the metrics mean, in each record; a record without it has 1. Raise it when a number changes its meaning.

2: calibration errors of right-closed bins, one for confidence 1 no more; metrics of order and likelihoods of log-odds.
"""
NEITHER = "is neither better where it is higher nor where it is lower: no loss and no epoch can be chosen by it."
Better = Literal["higher", "lower", "neither"]
Target = Literal[
    "class", "labels", "number", "count", "sequence", "sample", "mask", "map", "boxes", "passages", "tokens",
    "parts", "maps",
]  # fmt: skip
Bounds = tuple[float, float]
UNBOUNDED, SHARE, ERROR, CORRELATION, EXPLAINED = (-inf, inf), (0.0, 1.0), (0.0, inf), (-1.0, 1.0), (-inf, 1.0)
"""Bounds of metrics: any number, a share, an error, a correlation, a share of variance that is explained."""


@dataclass(frozen=True)
class Metric:
    """A metric of a task.

    Parameters
    ----------
    name : str
        Its key; that of one value for each class is `name/0`, `name/1` ...
    better : str
        Which way it is better: "higher", "lower" or "neither", which sorts nothing.
    meaning : str
        What it is, in a line.
    group : str
        The heading under which the report has it.
    when : str
        "epoch": after every epoch; "end": once, at the end of a run.
    per : str
        What it has a value for: "class", "label" or "fifth" of the samples; "" if it is one number.
    truth : str
        Of one against the target as it was observed: the same against the truth.
    part : str
        The only part of the data that it is measured on; "" if it is measured on the evaluated parts alike.
    bounds : (float, float)
        The smallest and the largest value it can take, whatever the data: no interval is drawn or written beyond them.

    """

    name: str
    better: Better
    meaning: str = ""
    group: str = ""
    when: Literal["epoch", "end"] = "epoch"
    per: Literal["", "class", "label", "fifth"] = ""
    part: Literal["", "train", "val"] = ""
    truth: str = ""
    bounds: Bounds = UNBOUNDED

    @property
    def sorts(self) -> bool:
        """Whether losses and epochs can be sorted by it: it is one number, of every part, and has a better way."""
        return self.better != "neither" and not self.per and not self.part


@dataclass(frozen=True)
class Page:
    """A page of the gallery: the losses of a task that were made for a problem; None is any problem."""

    title: str
    use: str
    problem: str | None = None


@dataclass(frozen=True)
class Task:
    """What is predicted, and how that is judged.

    Parameters
    ----------
    name : str
        Its name, in losses, data and records.
    title : str
        What it is called in texts.
    package : str
        The package of `evaluate.py` and `figures.py`.
    target : str
        What a sample's target is: "class", "labels", "number", "count", "sequence", "sample" (new ones are drawn),
        "mask" (a class for each pixel), "map" (a number for each pixel), "boxes", "passages" (numbers of those that
        answer), "tokens", or that of several tasks: "parts", or "maps" where one of them is of each pixel.
    metrics : tuple of Metric
        All that is measured, in the order in which a report has it.
    columns : tuple of str
        The metrics that a printed table shows; losses are sorted by the first.
    viewed : tuple of str
        The metrics that MLflow's table of runs shows; the first four of `columns` if none is given.
    monitor : str
        The metric that picks the best validation epoch.
    baseline : str
        The plain loss of the task, which takes the outputs and targets of all its others.
    link : str
        The link, of `lossbench.losses.links`, of a loss that declares none; "" if it must declare one.
    shapes : str
        Of outputs, target and values of a loss that does not say its own, as `@loss(shapes=...)` has them; "" if each
        says them, or else only the number of samples is compared.
    served_by : tuple of str
        The tasks of losses that can train it; itself if none is given.
    data : tuple of str
        What the sources of its data serve; itself if none is given.
    learner : str
        The way of learning: a choice of the group `learner`.
    context : tuple of str
        What the learner supplies to a loss at each step, by name.
    keeps : tuple of str
        What an evaluation keeps of what else is known of the samples, by name, for metrics and figures.
    axes : frozenset of str
        What may be combined with a loss: "weighting", "sampler", "mixup", "posthoc", "calibrate", "cosine" (the head);
        and of corruptions "noise", "imbalance" (of classes), "label_density" (imbalance of numbers), "contamination",
        of masks "boundary", "missing", "rare", "less_foreground"; and of data "disjoint" (classes) and "views".
    weighed_by : str
        What a weighting asks for: "class_counts" or "bin_counts".
    stacked : bool
        Whether runs can train as a stack.
    curves : str
        Over what its losses can be drawn: "residual" or "margin"; "" if they can't.
    classes : int or None
        The number of classes, where the task fixes it.
    references : tuple of str
        What stands below the losses in every table, such as an order that nobody trained; the metric `NAME_METRIC` is
        what `METRIC` is of it.
    same_as : mapping
        Names of metrics that are another one here.
    pages : tuple of Page
        Where the gallery has its losses.
    parts : mapping of str to str
        Of several tasks of one network the name of each part, and of its task; see `tasks.several`.
    advice : mapping
        By axis what stands in for it where it does not fit, as the end of a sentence; by "link" what a loss must say if
        the task has none.

    """

    name: str
    title: str
    package: str
    target: Target
    metrics: tuple[Metric, ...]
    columns: tuple[str, ...]
    monitor: str
    baseline: str
    link: str = "identity"
    shapes: str = ""
    viewed: tuple[str, ...] = ()
    served_by: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    learner: str = "supervised"
    context: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    axes: frozenset[str] = frozenset()
    weighed_by: str = ""
    stacked: bool = True
    curves: Literal["", "residual", "margin"] = ""
    classes: int | None = None
    references: tuple[str, ...] = ()
    same_as: Mapping[str, str] = field(default_factory=dict)
    pages: tuple[Page, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    advice: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in what is the task itself unless something else is said."""
        object.__setattr__(self, "served_by", self.served_by or (self.name,))
        object.__setattr__(self, "data", self.data or (self.name,))
        object.__setattr__(self, "viewed", self.viewed or self.columns[:4])

    @property
    def has_classes(self) -> bool:
        """Whether each sample has one class."""
        return self.target == "class"

    @property
    def per_pixel(self) -> bool:
        """Whether a prediction is made for each pixel, by a model that has features of each."""
        return self.target in ("mask", "map", "maps")

    @cached_property
    def named(self) -> dict[str, Metric]:
        """The metrics by name; those of one value for each class, label or fifth by `name/`."""
        return {metric.name + "/" * bool(metric.per): metric for metric in self.metrics}

    def is_of_reference(self, name: str) -> bool:
        """Tell whether a metric is that of a reference, where there is the same of the losses."""
        return any(
            name.removeprefix(f"{each}_") in self.named for each in self.references if name.startswith(f"{each}_")
        )

    @property
    def evaluate(self) -> Any:
        """The module that evaluates it; imports torch."""
        return import_module(f"{self.package}.evaluate")

    @property
    def sample(self) -> Any:
        """The function that makes up predictions; imports torch."""
        return import_module(f"{self.package}.sample").sample

    @property
    def figures(self) -> Any:
        """The module that draws it; imports matplotlib."""
        return import_module(f"{self.package}.figures")

    @property
    def pictures(self) -> Sequence[Callable[[Any], list[Any]]]:
        """What draws it in the report of a comparison: `PICTURES` of its `report`, if there is one."""
        name = f"{self.package}.report"
        if not self.package or find_spec(name) is None:
            return ()
        drawn: Sequence[Callable[[Any], list[Any]]] = import_module(name).PICTURES
        return drawn

    def metric(self, key: str) -> Metric:
        """Return the metric of a key of a record.

        Parameters
        ----------
        key : str
            A name, with or without the part before it (`test/`, `val/clean/`) and the number behind it.

        Raises
        ------
        ConfigError
            If the task has no such metric.

        """
        found = self._found(key)
        if found is None:
            last = key.rpartition("/")[2]
            raise ConfigError(f"metric {key} is not known, nor which way it is better. {nearest(last, self.named)}")
        return found

    def _found(self, key: str) -> Metric | None:
        name, _, last = key.rpartition("/")
        return self.named.get(f"{name.rpartition('/')[2]}/" if last.isdigit() else last)

    def direction(self, key: str) -> Better:
        """Tell which way a metric is better; see `metric` for the errors.

        What a learner notes of its training (`train/loss`, the terms of a loss) has no better way.
        """
        if key.startswith("train/") and key.removeprefix("train/") not in self.named:
            return "neither"
        return self.metric(key).better

    def bounds(self, key: str) -> Bounds:
        """Return the smallest and the largest value that a metric can take; infinite of what is no metric."""
        found = self._found(key)
        return UNBOUNDED if found is None else found.bounds

    def higher_is_better(self, key: str) -> bool:
        """Tell whether a metric that sorts or picks is better where it is higher.

        Raises
        ------
        ConfigError
            If neither is better, or there is no such metric.

        """
        way = self.direction(key)
        if way == "neither":
            raise ConfigError(f"{key} {NEITHER}")
        return way == "higher"

    def clean_monitor(self, monitor: str, known: Collection[str]) -> str:
        """Name what `monitor` is against clean targets, as one of the known metrics of an epoch.

        Where neither is known, validation targets are clean, or there are none.
        """
        monitor = monitor.removeprefix("clean/")
        candidates = (f"val/clean/{monitor}", f"val/{self.metric(monitor).truth or monitor}")
        return next((name for name in candidates if name in known), candidates[-1])

    def is_numbered(self, key: str, when: Literal["", "epoch"] = "") -> bool:
        """Tell whether a key is that of one class, label or fifth; with `when`, of those that every epoch has."""
        metric = self.named.get(f"{key.partition('/')[0]}/") if "/" in key else None
        return metric is not None and when in ("", metric.when)

    def names(self, when: Literal["epoch", "end"]) -> list[str]:
        """Return the names of the metrics that losses can be sorted by, of each epoch or of the end of a run."""
        return sorted(metric.name for metric in self.metrics if metric.when == when and metric.sorts)

    def require_every_epoch(self, key: str, select: str) -> None:
        """Raise a `ConfigError` if an epoch is to be chosen by its history, which lacks metrics of the end of a run."""
        name, of, _ = key.partition("/")
        metric = self.named.get(name + of)
        if metric is not None and metric.when == "end" and select not in ("last", "best_val"):
            raise ConfigError(
                f"compare.metric={key} is computed only at the last and at the best validation epoch of a run, not at "
                f"every epoch as compare.select={select} needs. Use compare.select=last or best_val, or another metric."
            )

    def facts(self) -> dict[str, Any]:
        """Return what reading a record takes, as plain values: for the records of tasks that are not lossbench's."""
        return {
            **{name: getattr(self, name) for name in ("name", "title", "target", "monitor", "baseline")},
            "columns": list(self.columns),
            "served_by": list(self.served_by),
            "metrics": [
                {**vars(metric), "bounds": [bound if isfinite(bound) else None for bound in metric.bounds]}
                for metric in self.metrics
            ],
        }


def task_from(facts: Mapping[str, Any]) -> Task:
    """Make a task of what `Task.facts` returned: it can be read, sorted and shown; of its code nothing is known."""
    plain = {name: facts[name] for name in ("name", "title", "target", "monitor", "baseline")}
    metrics = tuple(Metric(**{**metric, "bounds": _bounds(metric)}) for metric in facts["metrics"])
    return Task(
        **plain, package="", columns=tuple(facts["columns"]), served_by=tuple(facts["served_by"]), metrics=metrics
    )


def _bounds(metric: Mapping[str, Any]) -> Bounds:
    """Return the bounds of a metric in a record, where none is infinite; records of earlier versions have no bounds."""
    low, high = metric.get("bounds") or (None, None)
    return -inf if low is None else low, inf if high is None else high


def metrics(
    better: Better,
    group: str = "",
    when: Literal["epoch", "end"] = "epoch",
    *,
    bounds: Bounds = UNBOUNDED,
    **meanings: str,
) -> list[Metric]:
    """Declare metrics that have a direction, a group and bounds in common, each with its meaning."""
    return [Metric(name, better, meaning, group, when, bounds=bounds) for name, meaning in meanings.items()]


def observed(of: Iterable[Metric]) -> list[Metric]:
    """Declare the twins `NAME_observed` of metrics: against the target as it was observed, not against the truth."""
    return [
        replace(
            metric,
            name=f"{metric.name}_observed",
            meaning=f"as `{metric.name}`, against the target as it was observed",
            group="Against the target as observed",
            truth=metric.name,
        )
        for metric in of
    ]
