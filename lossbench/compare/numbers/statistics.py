"""How sure a comparison of losses can be: intervals and paired tests.

All numbers here are over the seeds of one data set: they speak of new seeds, not of new data sets (`compare.ranks`).
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, nan, sqrt
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.signed_rank import signed_rank_ps

Array = NDArray[np.float64]
Method = Literal["t", "bca"]

BCA_FROM = 15
"""Runs from which on the bootstrap is offered: with fewer its interval does not cover what it says."""
TOO_COARSE = "no spread, too coarse to tell"
"""The note of a mean over runs that are all alike."""
NO_TEST = "no spread, no test"
"""The note of a paired difference that is the same for every seed."""


@dataclass(frozen=True)
class Interval:
    """A mean and the interval in which the mean of all possible runs is expected.

    Parameters
    ----------
    n : int
        Number of runs.
    mean, sd : float
        Of the runs; `sd` is the sample standard deviation (ddof 1), NaN for one run.
    low, high : float
        Bounds of the interval of the mean, NaN for one run and for runs without spread.
    kind : str
        What the bounds are, to be printed beside them: "95% Student t" or "95% BCa bootstrap".
    note : str
        Why several runs have no bounds: `TOO_COARSE`; else "".

    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    kind: str
    note: str = ""


@dataclass(frozen=True)
class PairedDifference:
    """How a loss differs from a baseline over the seeds that both have.

    Parameters
    ----------
    n : int
        Number of pairs.
    mean, low, high : float
        Mean of value - baseline and the bounds of its interval.
    p_t, p_wilcoxon : float
        Two-sided p-values of the paired t test and of the exact signed-rank test, not corrected for other comparisons.
    effect_size : float
        Cohen's d_z: mean over sample standard deviation of the differences.
    improvement : float
        Share of the pairs in which the loss is better than the baseline; a tie counts half.
    kind : str
        Kind of the interval, as in `Interval`.
    note : str
        Why several pairs have neither bounds nor `p_t`: `NO_TEST`; else "".

    """

    n: int
    mean: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float
    effect_size: float
    improvement: float
    kind: str
    note: str = ""


def mean_interval(
    values: ArrayLike,
    confidence: float = 0.95,
    method: Method = "t",
    *,
    among: int = 1,
    bounds: tuple[float, float] = (-inf, inf),
) -> Interval:
    r"""Give the mean of some runs with its confidence interval, over the seeds of one loss on one data set.

    "t" is :math:`\bar x \pm t_{n-1} s / \sqrt n`, exact for normal values. "bca" is the bias-corrected and accelerated
    bootstrap with a fixed seed, which follows skewed values. With few runs it is too narrow: of normal values a 95%
    interval covers 85% of the time at n = 5, 90% at 10 and 92% at 15 and at 20. So below `BCA_FROM` runs the interval
    is that of "t", and its kind says so.

    Runs that are all alike have no interval: with a coarse metric and few seeds that happens by chance, and an interval
    of width zero would claim certainty.

    Parameters
    ----------
    values : array_like, shape (n,)
        One number per run.
    confidence : float
        In (0, 1).
    method : str
        "t" or "bca".
    among : int
        Number of intervals that are to hold together with this confidence (Bonferroni): each has the confidence
        1 - (1 - confidence) / among, and its kind starts with "simultaneous".
    bounds : (float, float)
        The smallest and the largest value there can be: the interval is cut there, which costs no coverage.

    Returns
    -------
    Interval
        One run, and runs without spread (to single precision), have NaN bounds; the latter have a note.

    Raises
    ------
    ValueError
        If there are no values, a value isn't finite, or an argument is outside its range.

    References
    ----------
    Student, "The probable error of a mean", 1908. Efron, "Better bootstrap confidence intervals", 1987.

    Examples
    --------
    >>> result = mean_interval([1.0, 2.0, 3.0])
    >>> f"{result.mean:.1f} [{result.low:.2f}, {result.high:.2f}], n={result.n}, {result.kind}"
    '2.0 [-0.48, 4.48], n=3, 95% Student t'

    """
    sample = finite(values, "values")
    resolution = 4 * np.finfo(np.float32).eps * np.abs(sample).max()
    found = _interval(sample, confidence, method, among, TOO_COARSE if np.ptp(sample) <= resolution else "")
    low, high = np.clip([found.low, found.high], *bounds)  # NaN stays
    return replace(found, low=float(low), high=float(high))


def _interval(sample: Array, confidence: float, method: Method, among: int, note: str) -> Interval:
    check_fraction(confidence, "confidence")
    if method not in ("t", "bca"):
        raise ValueError(f"method={method!r} is not known; allowed: 't' (Student), 'bca' (bootstrap)")
    kind, level, n = kind_of("Student t", confidence, among), 1 - (1 - confidence) / among, len(sample)
    if n == 1:
        return Interval(1, float(sample[0]), nan, nan, nan, kind)
    if note:  # the mean of three 0.1 isn't 0.1 in floating point
        return Interval(n, float(np.median(sample)), 0.0, nan, nan, kind, note)
    mean, sd = sample.mean(), sample.std(ddof=1)
    if method == "bca" and n >= BCA_FROM:
        rng = np.random.default_rng(0)
        found = scipy.stats.bootstrap((sample,), np.mean, confidence_level=level, method="BCa", rng=rng)
        low, high = found.confidence_interval
        return Interval(n, float(mean), float(sd), float(low), float(high), kind_of("BCa bootstrap", confidence, among))
    kind += f" (BCa needs {BCA_FROM} runs)" if method == "bca" else ""
    half = _quantile((1 - level) / 2, n - 1) * sd / sqrt(n)
    return Interval(n, float(mean), float(sd), float(mean - half), float(mean + half), kind)


def _intervals(rows: Array, confidence: float, method: Method, among: int, alike: NDArray[np.bool_]) -> list[Interval]:
    """Return `_interval` of each row of differences, at once where that is Student's."""
    n, notes = rows.shape[1], np.where(alike, NO_TEST, "").tolist()
    if method != "t" or n == 1:
        return [_interval(row, confidence, method, among, note) for row, note in zip(rows, notes, strict=True)]
    check_fraction(confidence, "confidence")
    kind, level = kind_of("Student t", confidence, among), 1 - (1 - confidence) / among
    mean, sd = rows.mean(axis=1), rows.std(axis=1, ddof=1)
    half = _quantile((1 - level) / 2, n - 1) * sd / sqrt(n)
    told = np.stack([mean, sd, mean - half, mean + half], axis=1).tolist()
    return [
        _interval(row, confidence, method, among, note) if note else Interval(n, middle, spread, low, high, kind)
        for row, note, (middle, spread, low, high) in zip(rows, notes, told, strict=True)
    ]


@lru_cache
def _quantile(tail: float, degrees: int) -> float:
    return float(scipy.stats.t.isf(tail, degrees))


def kind_of(name: str, confidence: float, among: int = 1) -> str:
    """Name an interval: "95% Student t", and of several that hold together "simultaneous 95% Student t".

    Raises
    ------
    ValueError
        If `among` is below 1.

    """
    if among < 1:
        raise ValueError(f"among={among} intervals; at least 1 is needed")
    return f"{'simultaneous ' * (among > 1)}{100 * confidence:g}% {name}"


def paired_difference(
    values: ArrayLike,
    baseline: ArrayLike,
    *,
    higher_is_better: bool,
    confidence: float = 0.95,
    method: Method = "t",
    among: int = 1,
) -> PairedDifference:
    """Compare a loss with a baseline over pairs of runs that share a seed, on one data set.

    The t test leans on normal differences; the signed-rank test only on symmetric ones, but with n pairs its p can't be
    below `smallest_p(n)`. It is exact for every n: pairs without a difference are dropped (as Wilcoxon did), equal
    sizes share their mean rank, and the p-value is that of all 2^n ways to sign those ranks. If all differences are the
    same, as happens with a coarse metric and few seeds, their standard deviation can't be believed: there is neither
    interval nor t test nor effect size, and a note says so; the signed-rank test stays. The effect size has no
    small-sample correction, so with few pairs it is too large on average.

    Intervals that hold together over m comparisons (`among`) are Bonferroni's.

    Parameters
    ----------
    values, baseline : array_like, shape (n,)
        Position i of both is the same seed. A difference below the single precision of the numbers counts as none.
    higher_is_better : bool
        Direction of the metric; it decides `improvement` and nothing else.
    confidence, method, among
        As in `mean_interval`, for the interval of the mean difference.

    Returns
    -------
    PairedDifference
        With one pair, and with differences that are all the same, the bounds, `p_t` and `effect_size` are NaN.

    Raises
    ------
    ValueError
        If the lengths differ, or as in `mean_interval`.

    References
    ----------
    Wilcoxon, "Individual comparisons by ranking methods", 1945. Cohen, "Statistical power analysis", 1988 (d_z).
    Agarwal et al., "Deep RL at the edge of the statistical precipice", 2021 (probability of improvement; here by pair).

    Examples
    --------
    >>> result = paired_difference([5, 7, 9, 8], [4, 5, 6, 8], higher_is_better=True)
    >>> result.mean, round(result.p_t, 4), result.p_wilcoxon, result.improvement
    (1.5, 0.1027, 0.25, 0.875)

    """
    first, second = _same_seeds(values, baseline)
    found = paired_differences(
        first[None], second[None], higher_is_better=higher_is_better, confidence=confidence, method=method, among=among
    )
    return found[0]


def paired_differences(
    values: Array,
    baselines: Array,
    *,
    higher_is_better: bool,
    confidence: float = 0.95,
    method: Method = "t",
    among: int = 1,
) -> list[PairedDifference]:
    """Do what `paired_difference` does for each row of values and of baselines, finite and of shape (P, n), at once.

    Examples
    --------
    >>> table = np.array([[5.0, 7.0, 9.0, 8.0], [4.0, 5.0, 6.0, 8.0]])
    >>> [each.mean for each in paired_differences(table, table[::-1], higher_is_better=True)]
    [1.5, -1.5]

    """
    differences, steps = _steps(values, baselines)
    pairs, n = differences.shape
    alike = np.ptp(steps, axis=1) <= 1 if n > 1 else np.zeros(pairs, dtype=bool)
    intervals = _intervals(differences, confidence, method, among, alike)
    p_t, testable = np.full(pairs, nan), ~alike & (n > 1)
    if testable.any():
        p_t[testable] = scipy.stats.ttest_1samp(differences[testable], 0, axis=1).pvalue
    better = (np.sign(steps if higher_is_better else -steps) + 1).mean(axis=1) / 2
    columns = intervals, p_t.tolist(), signed_rank_ps(steps), testable.tolist(), better.tolist()
    found = []
    for interval, p, p_ranks, tested, improvement in zip(*columns, strict=True):
        effect = interval.mean / interval.sd if tested else nan
        bounds = interval.mean, interval.low, interval.high
        found.append(
            PairedDifference(interval.n, *bounds, p, p_ranks, effect, improvement, interval.kind, interval.note)
        )
    return found


def paired_steps(values: ArrayLike, baseline: ArrayLike) -> tuple[Array, Array]:
    """Return value - baseline of each pair, and the same in steps of the single precision that metrics come in.

    Below a step, equal differences would look different and break ties by chance: such a difference is 0.
    """
    return _steps(*_same_seeds(values, baseline))


def _same_seeds(values: ArrayLike, baseline: ArrayLike) -> tuple[Array, Array]:
    first, second = finite(values, "values"), finite(baseline, "baseline")
    if len(first) != len(second):
        raise ValueError(f"values has {len(first)} runs and baseline {len(second)}; give the seeds that both have")
    return first, second


def _steps(first: Array, second: Array) -> tuple[Array, Array]:
    """Return `paired_steps` of finite numbers (..., n)."""
    differences = first - second
    largest = np.maximum(np.abs(first).max(axis=-1, keepdims=True), np.abs(second).max(axis=-1, keepdims=True))
    resolution = 4 * np.finfo(np.float32).eps * largest
    steps = np.where(resolution > 0, np.round(differences / np.where(resolution > 0, resolution, 1.0)), differences)
    return np.where(steps == 0, 0.0, differences), steps


def smallest_p(n: int, test: Literal["wilcoxon", "t"] = "wilcoxon") -> float:
    """Give the smallest two-sided p-value that a paired test can reach with n pairs of runs.

    All n differences on one side have probability 2 / 2^n if the sides are equally likely. So five seeds can't give a
    signed-rank p below 0.0625, however large the difference. The t test has no such floor from two pairs on.

    Raises
    ------
    ValueError
        If n is below 1 or the test isn't known.

    Examples
    --------
    >>> smallest_p(5), smallest_p(6), smallest_p(5, "t")
    (0.0625, 0.03125, 0.0)

    """
    if n < 1:
        raise ValueError(f"n={n} pairs; at least 1 is needed")
    if test not in ("wilcoxon", "t"):
        raise ValueError(f"test={test!r} is not known; allowed: 'wilcoxon', 't'")
    return 0.0 if test == "t" and n > 1 else 2.0 ** (1 - n)


def finite(values: ArrayLike, name: str) -> Array:
    """Return the values as a float64 array (n,), or raise a ValueError that says which of them can't be used."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; give a list with one number per run")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"{name}[{bad[0]}] is {array[bad[0]]}; leave out the runs that have no finite result")
    return array


def check_fraction(value: float, name: str) -> None:
    """Raise a ValueError unless the value lies in (0, 1)."""
    if not 0 < value < 1:
        raise ValueError(f"{name}={value} is not allowed; give a number between 0 and 1, such as 0.95 or 0.05")


def all_alike(steps: Array) -> bool:
    """Tell whether differences, in steps of the single precision of their numbers, have no spread but its rounding."""
    return bool(np.ptp(steps) <= 1)
