"""Several tasks of one network: how each method changes them against a network of each task's own (`combine=alone`).

One number for a method hides that tasks have other metrics, and that one may pay for another: so the mean relative
change stands beside the number of parts that got worse, each with how sure it is. Runs are pairs by seed.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Comparison
from lossbench.compare.numbers.statistics import Interval, PairedDifference, mean_interval, paired_difference
from lossbench.tasks import tasks

ALONE = "alone"
"""The choice of `combine` that trains a network for each task."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """A task among several: its name, and the metric by which it is judged.

    Parameters
    ----------
    name : str
        As in `Task.parts`.
    metric : str
        The monitor of the part's own task, of the test set: against the truth where it is known.
    higher : bool
        Whether the metric is better where it is higher.

    """

    name: str
    metric: str
    higher: bool


@dataclass(frozen=True)
class Change:
    """What a method does to the parts, against `combine=alone` of the same seeds.

    Parameters
    ----------
    seeds : list of int
        Those that count.
    unpaired : list of int
        Seeds that only one of both has all parts of.
    mean : Interval or None
        Of the mean relative change, in percent, simultaneous over the methods; None without seeds, and where every part
        is left out.
    parts : dict of str to PairedDifference
        By part method minus alone, simultaneous over methods and parts.
    worse, shown_worse : list of str
        The parts whose mean is worse, and of these those whose interval says so.

    """

    seeds: list[int]
    unpaired: list[int]
    mean: Interval | None
    parts: dict[str, PairedDifference]
    worse: list[str]
    shown_worse: list[str]


@dataclass(frozen=True)
class SeveralTasks:
    """The parts of a comparison, and how each method changes them.

    Parameters
    ----------
    parts : list of Part
        All parts that have a metric.
    alone : str
        The label of the reference; "" where no run with `combine=alone` is there.
    others_alone : list of str
        Further labels with `combine=alone`, which are rows like those of methods.
    changes : dict of str to Change
        By label, of all but the reference, largest mean first; those without one last.
    zero : list of str
        The parts that the reference has a value of 0 of: they are not in the mean relative change.

    """

    parts: list[Part]
    alone: str
    others_alone: list[str]
    changes: dict[str, Change]
    zero: list[str]


def relative_change(values: ArrayLike, baseline: ArrayLike, higher: ArrayLike) -> Array:
    r"""Give the mean relative change of several tasks against their baselines, in percent; above 0 is better.

    .. math:: \Delta = \frac{100}{T} \sum_t s_t \frac{M_t - A_t}{|A_t|}

    :math:`s_t` is 1 where higher is better and -1 where lower is. The paper divides by :math:`A_t`; for metrics that
    are never below 0 that is the same, and for others (a log-likelihood, an R2) it would turn the sign round. It
    depends on the choice of the metric: from 0.99 to 0.98 accuracy falls by 1 %, while its error doubles.

    Parameters
    ----------
    values, baseline : array_like, shape (runs, tasks)
        Row i of both has the same seed.
    higher : array_like of bool, shape (tasks,)
        Whether a metric is better where it is higher.

    Returns
    -------
    ndarray, shape (runs,)

    Raises
    ------
    ValueError
        If the shapes differ, a value isn't finite, or a baseline is 0, which nothing can be relative to.

    References
    ----------
    Maninis, Radosavovic and Kokkinos, "Attentive single-tasking of multiple tasks", 2019, arXiv:1904.08918.

    Examples
    --------
    >>> relative_change([[0.88, 0.45]], [[0.80, 0.50]], [True, False]).round(3).tolist()  # both are 10 % better
    [10.0]

    """
    method, single, up = np.asarray(values, float), np.asarray(baseline, float), np.asarray(higher, bool)
    if method.ndim != 2 or method.shape != single.shape or up.shape != method.shape[1:] or not up.size:
        raise ValueError(f"values {method.shape}, baseline {single.shape}, higher {up.shape}; give (runs, tasks) twice")
    if not (np.isfinite(method).all() and np.isfinite(single).all()):
        raise ValueError("a value isn't finite; leave out the runs that have no finite result")
    if (single == 0).any():
        raise ValueError("a baseline is 0, and no change is relative to it; leave out its task")
    change: Array = 100 * (np.where(up, 1.0, -1.0) * (method - single) / np.abs(single)).mean(axis=1)
    return change


def parts_of(analysis: Analysis) -> list[Part]:
    """Return the parts of several tasks that have a metric with a better way; none where there is one task."""
    task, known = analysis.comparison.task, tasks()
    found = []
    for name, of in task.parts.items():
        own = known.get(of)
        monitor = own.metric(own.monitor) if own else None
        wanted = [monitor.truth, monitor.name] if monitor else []
        candidates = [f"{name}_{metric}" for metric in wanted if metric]
        candidates += [column for column in task.columns if column.startswith(f"{name}_")]
        metric = next((each for each in candidates if each in analysis.columns), None)
        if metric is not None and task.direction(metric) != "neither":
            found.append(Part(name, metric, task.higher_is_better(metric)))
    return found


def is_alone(comparison: Comparison, label: str) -> bool:
    """Tell whether a label trains a network for each task."""
    return any(entry.get("combine") == ALONE for entry in comparison.entries[label].values())


def several_tasks(analysis: Analysis) -> SeveralTasks | None:
    """Return how each method changes the parts; None where the task has none.

    The reference is the label with `combine=alone`; of several the one with the loss of the comparison's baseline, else
    the first that has numbers.
    """
    parts = parts_of(analysis)
    if not parts:
        return None
    scores = {label: _scores(analysis, label, parts) for label in analysis.comparison.entries}
    all_alone = [label for label in scores if is_alone(analysis.comparison, label)]
    alone = _reference(analysis, [label for label in all_alone if scores[label]])
    if not alone:
        return SeveralTasks(parts, "", all_alone, {}, [])
    zeros = (np.array(list(scores[alone].values())) == 0).any(axis=0)
    kept = np.flatnonzero(~zeros)
    others = [label for label in scores if label != alone]
    methods = sum(bool(scores[label].keys() & scores[alone].keys()) for label in others)
    changes = {label: _change(analysis, parts, scores[label], scores[alone], kept, methods) for label in others}
    order = sorted(changes, key=lambda label: -_mean(changes[label]) if changes[label].mean else np.inf)
    return SeveralTasks(
        parts,
        alone,
        [label for label in all_alone if label != alone],
        {label: changes[label] for label in order},
        [part.name for part, zero in zip(parts, zeros, strict=True) if zero],
    )


def _mean(change: Change) -> float:
    return change.mean.mean if change.mean else nan


def _reference(analysis: Analysis, labels: list[str]) -> str:
    def loss(label: str) -> object:
        return next(iter(analysis.comparison.entries[label].values()))["config"].get("loss")

    same = [label for label in labels if loss(label) == loss(analysis.baseline)]
    return [*same, *labels, ""][0]


def _scores(analysis: Analysis, label: str, parts: list[Part]) -> dict[int, Array]:
    """Return the metrics (parts,) of each run that has all of them, by seed."""
    values = [analysis.values(label, part.metric) for part in parts]
    seeds = [seed for seed in values[0] if all(seed in each for each in values)]
    return {seed: np.array([each[seed] for each in values]) for seed in seeds}


def _change(
    analysis: Analysis,
    parts: list[Part],
    own: dict[int, Array],
    alone: dict[int, Array],
    kept: NDArray[np.int64],
    methods: int,
) -> Change:
    seeds, unpaired = [seed for seed in own if seed in alone], sorted(own.keys() ^ alone.keys())
    if not seeds:
        return Change([], unpaired, None, {}, [], [])
    values, baseline = np.array([own[seed] for seed in seeds]), np.array([alone[seed] for seed in seeds])
    higher, confidence = np.array([part.higher for part in parts]), analysis.options.confidence
    mean = None
    if len(kept):
        changes = relative_change(values[:, kept], baseline[:, kept], higher[kept])
        mean = mean_interval(changes, confidence, analysis.options.interval, among=methods)
    found = {
        part.name: paired_difference(
            values[:, k], baseline[:, k], higher_is_better=part.higher, confidence=confidence,
            among=methods * len(parts),
        )
        for k, part in enumerate(parts)
    }  # fmt: skip
    losses = {part.name: _loss(found[part.name], part.higher) for part in parts}
    return Change(
        seeds, unpaired, mean, found,
        [name for name, (mean_loss, _) in losses.items() if mean_loss > 0],
        [name for name, (_, least) in losses.items() if least > 0],
    )  # fmt: skip


def _loss(difference: PairedDifference, higher: bool) -> tuple[float, float]:
    """Return how much worse a part got, and how much at least; above 0 is worse, NaN is not known."""
    return (-difference.mean, -difference.high) if higher else (difference.mean, difference.low)
