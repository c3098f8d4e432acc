"""Goals that compete: which losses no other one beats on all of them, and the volume that a swept weight reaches.

The goals are the parts of several tasks, the terms of a loss, or the metrics of `compare.front`. A method is what
losses share that differ in `loss.weights` alone: each weight is a point of it.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.several import is_alone, parts_of
from lossbench.compare.numbers.statistics import Interval, mean_interval
from lossbench.config.axes import AXES, additions
from lossbench.records.schema import Record

MOST_GOALS = 3
"""So many goals have a volume and a picture."""
TERM = "train/term_"

Array = NDArray[np.float64]
Scores = dict[int, Array]


@dataclass(frozen=True)
class Method:
    """The points of a method, and the volume that they reach together.

    Parameters
    ----------
    labels : list of str
        In the order of the comparison.
    hypervolume : Interval or None
        Over the seeds that all its points have; None where there is no such seed.

    """

    labels: list[str]
    hypervolume: Interval | None


@dataclass(frozen=True, eq=False)
class Front:
    """Losses as points of several goals.

    Parameters
    ----------
    goals : list of str
        Metrics of the test set, or keys of the history (`train/...`), of the last epoch.
    higher : list of bool
        Whether a goal is better where it is higher.
    points : dict
        By label the mean of each goal, shape (goals,), over the seeds that have all of them.
    intervals : dict
        By label the interval of each goal.
    best : list of str
        Those that no other one dominates.
    reference : ndarray, shape (goals,)
        Where volumes begin: the worst value of each goal among all runs.
    methods : dict of str to Method
        By name.
    alone : dict of str to ndarray
        The points of networks of each task's own, which are several networks and so not of the front.
    without : list of str
        Labels that have no run with all goals.

    """

    goals: list[str]
    higher: list[bool]
    points: dict[str, Array]
    intervals: dict[str, list[Interval]]
    best: list[str]
    reference: Array
    methods: dict[str, Method]
    alone: dict[str, Array]
    without: list[str]


def nondominated(points: ArrayLike, higher: Sequence[bool]) -> NDArray[np.bool_]:
    """Tell which points no other one dominates: is as good in every goal and better in one.

    Parameters
    ----------
    points : array_like, shape (n, goals)
        Finite numbers; equal points do not dominate each other.
    higher : sequence of bool
        Whether a goal is better where it is higher.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    ValueError
        If the points are no table of finite numbers with a column for each goal.

    References
    ----------
    Pareto, "Manuale di economia politica", 1906.

    Examples
    --------
    >>> nondominated([[0.9, 2.0], [0.8, 1.0], [0.7, 1.5]], [True, False]).tolist()
    [True, True, False]

    """
    table = _upwards(points, higher)
    dominates = (table[:, None] >= table).all(axis=2) & (table[:, None] > table).any(axis=2)
    best: NDArray[np.bool_] = np.logical_not(dominates.any(axis=0))
    return best


def hypervolume(points: ArrayLike, reference: ArrayLike, higher: Sequence[bool]) -> float:
    r"""Give the volume of what is worse than some point and better than the reference, exactly.

    .. math:: \lambda\left(\bigcup_i \prod_t [r_t, p_{it}]\right)

    Slices: with the points sorted by their last goal, between two neighbours the volume is that of the points above,
    without this goal, times the step. What is not better than the reference in every goal adds nothing. The number has
    the product of the units of the goals, so it compares methods on the same goals with the same reference only.

    Parameters
    ----------
    points : array_like, shape (n, goals)
        One to three goals.
    reference : array_like, shape (goals,)
        Such as the worst value of each goal.
    higher : sequence of bool
        Whether a goal is better where it is higher.

    Raises
    ------
    ValueError
        If there are more goals, or as in `nondominated`.

    References
    ----------
    Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms", 1998. While, Hingston, Barone and
    Huband, "A faster algorithm for calculating hypervolume", 2006 (slices).

    Examples
    --------
    >>> hypervolume([[3.0, 1.0], [1.0, 2.0], [2.0, 0.5]], [0.0, 0.0], [True, True])
    4.0
    >>> hypervolume([[1.0, 2.0], [2.0, 1.0]], [3.0, 3.0], [False, False])
    3.0

    """
    if len(higher) > MOST_GOALS:
        raise ValueError(f"{len(higher)} goals; a volume is computed of 1 to {MOST_GOALS}")
    gained = _upwards(points, higher) - _upwards(np.asarray(reference, dtype=float)[None], higher)
    return _volume(gained[(gained > 0).all(axis=1)])


def _volume(gained: Array) -> float:
    """Return the volume of the union of the boxes from 0 to each point (n, goals)."""
    if not len(gained):
        return 0.0
    if gained.shape[1] == 1:
        return float(gained.max())
    ordered = gained[np.argsort(-gained[:, -1], kind="stable")]
    heights = ordered[:, -1] - np.append(ordered[1:, -1], 0.0)
    return sum(float(height) * _volume(ordered[: k + 1, :-1]) for k, height in enumerate(heights) if height > 0)


def _upwards(points: ArrayLike, higher: Sequence[bool]) -> Array:
    """Return the points (n, goals), signed such that higher is better."""
    table = np.asarray(points, dtype=float)
    if table.ndim != 2 or table.shape[1] != len(higher) or not np.isfinite(table).all():
        raise ValueError(f"points of shape {table.shape} for {len(higher)} goals; give finite numbers (n, goals)")
    return table * np.where(higher, 1.0, -1.0)


def fronts(analysis: Analysis) -> list[Front]:
    """Return the fronts of a comparison: of `compare.front`, else of the parts of several tasks, else of the terms.

    The terms are those of a loss that is there with several weights, or methods: their raw values at the last epoch,
    without weights, a front for each loss with the same terms. A front has two points at least.
    """
    labels = list(analysis.comparison.entries)
    if analysis.options.front:
        found = [_front(analysis, labels, list(analysis.options.front))]
    elif parts := parts_of(analysis):
        found = [_front(analysis, labels, [part.metric for part in parts])]
    else:
        found = [_front(analysis, of, goals) for goals, of in _swept_terms(analysis)]
    return [each for each in found if each is not None]


def goal_values(analysis: Analysis, label: str, goal: str) -> dict[int, float]:
    """Return a goal of a loss by seed: a test metric at the epoch that counts, or of `train/...` the last epoch."""
    if not goal.startswith("train/"):
        return analysis.values(label, goal)
    rows = {entry["seed"]: (entry.get("history") or [{}])[-1] for entry in analysis.comparison.finished(label)}
    found = {seed: row.get(goal) for seed, row in rows.items()}
    return {seed: value for seed, value in found.items() if value is not None and np.isfinite(value)}


def _front(analysis: Analysis, labels: list[str], goals: list[str]) -> Front | None:
    if len(goals) < 2:
        return None
    higher = [_is_higher(analysis, goal) for goal in goals]
    scores = {label: _scores(analysis, label, goals) for label in labels}
    means = {label: np.mean(list(found.values()), axis=0) for label, found in scores.items() if found}
    alone = {label: mean for label, mean in means.items() if is_alone(analysis.comparison, label)}
    points = {label: mean for label, mean in means.items() if label not in alone}
    if len(points) < 2:
        return None
    on_front = nondominated(list(points.values()), higher)
    of_runs = np.array([each for label in points for each in scores[label].values()])
    reference = np.where(higher, of_runs.min(axis=0), of_runs.max(axis=0))
    methods = {
        name: Method(of, _volumes(analysis, [scores[label] for label in of], reference, higher))
        for name, of in _methods(analysis, list(points)).items()
    }
    intervals = {label: _intervals(analysis, goals, list(scores[label].values())) for label in points}
    return Front(
        goals, higher, points, intervals,
        [label for label, best in zip(points, on_front, strict=True) if best], reference, methods, alone,
        [label for label, found in scores.items() if not found],
    )  # fmt: skip


def _is_higher(analysis: Analysis, goal: str) -> bool:
    """Tell whether a goal is better where it is higher; a term of a loss is better where it is lower."""
    task = analysis.comparison.task
    return task.direction(goal) == "higher" if goal.startswith("train/") else task.higher_is_better(goal)


def _scores(analysis: Analysis, label: str, goals: list[str]) -> Scores:
    """Return the goals (goals,) of each run of a loss that has all of them, by seed."""
    values = [goal_values(analysis, label, goal) for goal in goals]
    seeds = [seed for seed in values[0] if all(seed in each for each in values)]
    return {seed: np.array([each[seed] for each in values]) for seed in seeds}


def _intervals(analysis: Analysis, goals: list[str], runs: list[Array]) -> list[Interval]:
    """Return the interval of each goal over the runs, cut at the bounds of the metric."""
    confidence, task = analysis.options.confidence, analysis.comparison.task
    columns = zip(goals, np.array(runs).T, strict=True)
    return [mean_interval(column, confidence, bounds=task.bounds(goal)) for goal, column in columns]


def _volumes(analysis: Analysis, scores: list[Scores], reference: Array, higher: list[bool]) -> Interval | None:
    """Return the volume of the points of a method over the seeds that all of them have."""
    seeds = [seed for seed in scores[0] if all(seed in each for each in scores)]
    if not seeds or len(higher) > MOST_GOALS:
        return None
    found = [hypervolume([each[seed] for each in scores], reference, higher) for seed in seeds]
    return mean_interval(found, analysis.options.confidence, bounds=(0.0, np.inf))


def _methods(analysis: Analysis, labels: list[str]) -> dict[str, list[str]]:
    """Group the labels that differ in `loss.weights` alone; a group of one is called as it is."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups[_but_weights(_of(analysis, label))].append(label)
    named: dict[str, list[str]] = {}
    for of in groups.values():
        entry = _of(analysis, of[0])
        name = of[0] if len(of) == 1 else entry["loss"] + additions(entry)
        taken = sum(each == name or each.startswith(f"{name} #") for each in named)
        named[f"{name} #{taken + 1}" if taken else name] = of
    return named


def _swept_terms(analysis: Analysis) -> list[tuple[list[str], list[str]]]:
    """Return terms and labels of each loss with several terms of which there are several methods or weights."""
    groups: dict[str, list[str]] = defaultdict(list)
    goals: dict[str, list[str]] = {}
    for label in analysis.comparison.entries:
        finished = analysis.comparison.finished(label)
        last = (finished[0].get("history") or [{}])[-1] if finished else {}
        terms = [name for name in last if name.startswith(TERM)]
        if len(terms) > 1:
            key = json.dumps(_loss_but_weights(finished[0]), sort_keys=True, default=str)
            groups[key].append(label)
            goals[key] = terms
    return [(goals[key], of) for key, of in groups.items() if len(of) > 1]


def _of(analysis: Analysis, label: str) -> Record:
    return next(iter(analysis.comparison.entries[label].values()))


def _loss_but_weights(entry: Record) -> dict[str, object]:
    return {name: value for name, value in entry["config"]["loss"].items() if name not in ("weights", "search")}


def _but_weights(entry: Record) -> str:
    """Return what makes the method of a run, its weights apart, as a text."""
    axes = dict.fromkeys([*AXES, "combine"])
    more = [(entry.get(axis), entry["config"].get(axis)) for axis in axes]
    own = [entry["loss"], _loss_but_weights(entry), more, entry.get("head"), entry.get("warm_start")]
    return json.dumps(own, sort_keys=True, default=str)
