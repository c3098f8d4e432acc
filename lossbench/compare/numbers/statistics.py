"""How sure a comparison of losses can be: intervals, paired tests and the number of seeds they need.

All numbers here are over the seeds of one data set: they speak of new seeds, not of new data sets (`compare.ranks`).
"""

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil, log2, nan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Method = Literal["t", "bca"]

MOST_SEEDS = 10_000
"""Where `seeds_needed` gives up: a difference that takes more seeds than this is no difference in practice."""


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
        Bounds of the interval of the mean, NaN for one run.
    kind : str
        What the bounds are, to be printed beside them: "95% Student t" or "95% BCa bootstrap".

    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    kind: str


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


def mean_interval(values: ArrayLike, confidence: float = 0.95, method: Method = "t") -> Interval:
    r"""Give the mean of some runs with its confidence interval, over the seeds of one loss on one data set.

    "t" is :math:`\bar x \pm t_{n-1} s / \sqrt n`, exact for normal values. "bca" is the bias-corrected and accelerated
    bootstrap with a fixed seed. It follows skewed values, but with few runs it is too narrow: at n = 5 and normal
    values a 95% interval covers about 85% of the time, at n = 20 about 93%.

    Parameters
    ----------
    values : array_like, shape (n,)
        One number per run.
    confidence : float
        In (0, 1).
    method : str
        "t" or "bca".

    Returns
    -------
    Interval
        One run has NaN bounds; equal runs have an interval of width zero.

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
    check_fraction(confidence, "confidence")
    if method not in ("t", "bca"):
        raise ValueError(f"method={method!r} is not known; allowed: 't' (Student), 'bca' (bootstrap)")
    kind = f"{100 * confidence:g}% {'Student t' if method == 't' else 'BCa bootstrap'}"
    n = len(sample)
    if n == 1:
        return Interval(1, float(sample[0]), nan, nan, nan, kind)
    if np.ptp(sample) == 0:
        same = float(sample[0])
        return Interval(n, same, 0.0, same, same, kind)
    mean, sd = sample.mean(), sample.std(ddof=1)
    if method == "t":
        half = stats.t.isf((1 - confidence) / 2, n - 1) * sd / np.sqrt(n)
        low, high = mean - half, mean + half
    else:
        rng = np.random.default_rng(0)
        found = stats.bootstrap((sample,), np.mean, confidence_level=confidence, method="BCa", rng=rng)
        low, high = found.confidence_interval
    return Interval(n, float(mean), float(sd), float(low), float(high), kind)


def paired_difference(
    values: ArrayLike,
    baseline: ArrayLike,
    *,
    higher_is_better: bool,
    confidence: float = 0.95,
    method: Method = "t",
) -> PairedDifference:
    """Compare a loss with a baseline over pairs of runs that share a seed, on one data set.

    The t test leans on normal differences; the signed-rank test only on symmetric ones, but with n pairs its p can't be
    below `smallest_p(n)`. It is exact for every n: pairs without a difference are dropped (as Wilcoxon did), equal
    sizes share their mean rank, and the p-value is that of all 2^n ways to sign those ranks. If all differences are the
    same and not zero, as happens with a coarse metric and few seeds, the t statistic would be infinite on the word of a
    standard deviation that can't be believed; `p_t` is then the p of the signs alone, `smallest_p(n)`. The effect size
    has no small-sample correction, so with few pairs it is too large on average.

    Parameters
    ----------
    values, baseline : array_like, shape (n,)
        Position i of both is the same seed. A difference below the single precision of the numbers counts as none.
    higher_is_better : bool
        Direction of the metric; it decides `improvement` and nothing else.
    confidence, method
        As in `mean_interval`, for the interval of the mean difference.

    Returns
    -------
    PairedDifference
        With one pair the bounds, `p_t` and `effect_size` are NaN. Without any difference both p are 1 and
        `effect_size` is 0; with differences that are all the same it is infinite.

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
    differences, steps = paired_steps(values, baseline)
    interval = mean_interval(differences, confidence, method)
    better = np.sign(steps) if higher_is_better else -np.sign(steps)
    return PairedDifference(
        n=interval.n,
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        p_t=_t_test(differences),
        p_wilcoxon=_signed_rank_test(steps),
        effect_size=_effect_size(differences),
        improvement=float((better + 1).mean() / 2),
        kind=interval.kind,
    )


def paired_steps(values: ArrayLike, baseline: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return value - baseline of each pair, and the same in steps of the single precision that metrics come in.

    Below a step, equal differences would look different and break ties by chance: such a difference is 0.
    """
    first, second = finite(values, "values"), finite(baseline, "baseline")
    if len(first) != len(second):
        raise ValueError(f"values has {len(first)} runs and baseline {len(second)}; give the seeds that both have")
    differences = first - second
    resolution = 4 * np.finfo(np.float32).eps * max(np.abs(first).max(), np.abs(second).max())
    steps = np.round(differences / resolution) if resolution > 0 else differences
    return np.where(steps == 0, 0.0, differences), steps


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p-values for their number, so that the chance of any false finding among them stays below alpha.

    The i-th smallest of m is multiplied by m - i + 1, then made monotone and capped at 1. Holds whatever the
    dependence between the tests, as when all losses are compared with one baseline.

    Parameters
    ----------
    p_values : array_like, shape (m,)
        In [0, 1]. NaN (a test that couldn't be made) stays NaN and isn't counted. May be empty.

    Returns
    -------
    ndarray, shape (m,)
        Adjusted p-values, in the order given.

    Raises
    ------
    ValueError
        If a p-value is outside [0, 1] or the array isn't one-dimensional.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]

    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or ((p < 0) | (p > 1)).any():
        raise ValueError(f"p_values must be a list of numbers in [0, 1] or NaN; got {p.tolist()}")
    adjusted = np.full(p.shape, nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return adjusted


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


def seeds_needed(differences: ArrayLike, power: float = 0.8, alpha: float = 0.05) -> int | None:
    r"""Give the number of seeds with which a two-sided paired t test would find the difference seen.

    The smallest n with :math:`P(T > t_{1-\alpha/2, n-1}) \ge` `power`, where T is noncentral t with n - 1 degrees of
    freedom and noncentrality :math:`d_z \sqrt n`. It takes the effect size of the runs at hand for the true one: a plan
    for the next sweep, no proof, and too hopeful when the difference was picked because it was large. For a corrected
    comparison give the corrected alpha (alpha / number of comparisons).

    Parameters
    ----------
    differences : array_like, shape (n,)
        value - baseline of runs that share a seed, on one data set.
    power : float
        Chance to find the difference, in (0, 1).
    alpha : float
        Level of the test, in (0, 1).

    Returns
    -------
    int or None
        Total number of seeds, at least 2. None if the mean difference is 0, with fewer than 2 differences, or beyond
        `MOST_SEEDS`. For differences that are all the same, the number at which their signs alone are enough.

    Raises
    ------
    ValueError
        If there are no differences, one isn't finite, or an argument is outside its range.

    References
    ----------
    Cohen, "Statistical power analysis for the behavioral sciences", 1988.

    Examples
    --------
    >>> seeds_needed([0.0, 2.0, 1.0])  # d_z = 1
    10

    """
    sample = finite(differences, "differences")
    check_fraction(power, "power")
    check_fraction(alpha, "alpha")
    if len(sample) < 2 or sample.mean() == 0:
        return None
    if all_alike(sample):
        return max(2, ceil(1 - log2(alpha)))
    effect = abs(sample.mean()) / sample.std(ddof=1)

    def reached(n: int) -> float:
        return float(stats.nct.sf(stats.t.isf(alpha / 2, n - 1), n - 1, effect * np.sqrt(n)))

    found = 2 + bisect_left(range(2, MOST_SEEDS + 1), power, key=reached)
    return found if found <= MOST_SEEDS else None


def finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
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


def all_alike(differences: NDArray[np.float64]) -> bool:
    """Tell whether the spread is no more than the noise of single precision in a small difference of large numbers."""
    return bool(np.ptp(differences) <= 1e-3 * np.abs(differences).max())


def _t_test(differences: NDArray[np.float64]) -> float:
    if len(differences) < 2:
        return nan
    if not differences.any():
        return 1.0
    if all_alike(differences):
        return smallest_p(len(differences))
    return float(stats.ttest_1samp(differences, 0).pvalue)


def _signed_rank_test(differences: NDArray[np.float64]) -> float:
    """Give Wilcoxon's exact p. SciPy's is exact without ties only, and a metric such as accuracy has ties."""
    differences = differences[differences != 0]
    ranks = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)  # doubled: mean ranks become integers
    chance = np.ones(1)  # of each sum of the positive ranks, one rank after the other
    for rank in ranks:
        chance = (np.pad(chance, (0, rank)) + np.pad(chance, (rank, 0))) / 2
    seen = ranks[differences > 0].sum()
    return float(min(1, 2 * min(chance[: seen + 1].sum(), chance[seen:].sum())))


def _effect_size(differences: NDArray[np.float64]) -> float:
    if len(differences) < 2:
        return nan
    if not differences.any():
        return 0.0
    mean = float(differences.mean())
    return float(np.copysign(np.inf, mean)) if all_alike(differences) else mean / float(differences.std(ddof=1))
