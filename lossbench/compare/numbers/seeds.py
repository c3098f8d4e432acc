"""How many seeds would resolve a difference that a few seeds have shown: a rough number, with its range."""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.statistics import check_fraction, finite

MOST_SEEDS = 10_000
"""Where `seeds_needed` gives up: a difference that takes more seeds than this is no difference in practice."""
RANGE = 0.5
"""Confidence of the range of `seeds_needed`."""


NO_SPREAD = 1e-4
"""Differences that vary by a smaller share of their size vary by the rounding of single precision."""


@dataclass(frozen=True)
class SeedsNeeded:
    """How many seeds would resolve a difference.

    Parameters
    ----------
    estimate : int or None
        Total number of seeds, if the effect seen is the true one.
    low, high : int or None
        The range: the numbers at the ends of the confidence interval of the effect.

    None is a number beyond `MOST_SEEDS`.
    """

    estimate: int | None
    low: int | None
    high: int | None


def seeds_needed(differences: ArrayLike, power: float = 0.8, alpha: float = 0.05) -> SeedsNeeded | None:
    r"""Give the number of seeds with which a two-sided paired t test would find the difference seen, and its range.

    The smallest n with :math:`P(T > t_{1-\alpha/2, n-1}) \ge` `power`, where T is noncentral t with n - 1 degrees of
    freedom and noncentrality :math:`d_z \sqrt n`. The estimate takes the effect size of the runs at hand for the true
    one, and so is rough, and too hopeful when the difference was picked because it was large. The range has the numbers
    for both ends of the 50 % confidence interval of the effect size (those whose noncentral t distribution has the t
    seen at its quartiles). Half of all ranges hold the right number and about a quarter lie on either side of it.
    At a true :math:`d_z` of 0.5 (34 seeds) the range of a pilot of 5 is at the median 15 to 300 seeds, and
    in two of five pilots has no end; one of 80 % would have none in two of three pilots, which tells nothing.

    For a corrected comparison give the corrected alpha (alpha / number of comparisons).

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
    SeedsNeeded or None
        Numbers of at least 2. None where nothing can be said: of fewer than 2 differences, and of differences that are
        all the same.

    Raises
    ------
    ValueError
        If there are no differences, one isn't finite, or an argument is outside its range.

    References
    ----------
    Cohen, "Statistical power analysis for the behavioral sciences", 1988. Steiger and Fouladi, "Noncentrality interval
    estimation and the evaluation of statistical models", 1997.

    Examples
    --------
    >>> seeds_needed([0.0, 2.0, 1.0])  # d_z = 1
    SeedsNeeded(estimate=10, low=7, high=58)

    """
    sample = finite(differences, "differences")
    check_fraction(power, "power")
    check_fraction(alpha, "alpha")
    if len(sample) < 2 or np.ptp(sample) <= NO_SPREAD * np.abs(sample).max():
        return None
    n = len(sample)
    t = abs(sample.mean()) / sample.std(ddof=1) * sqrt(n)
    smallest, largest = (_noncentrality(t, n - 1, (1 + way * RANGE) / 2) for way in (1, -1))
    return SeedsNeeded(*_seeds(np.array([t / sqrt(n), largest / sqrt(n), smallest / sqrt(n)]), power, alpha))


def _noncentrality(t: float, degrees: int, level: float) -> float:
    """Return the noncentrality of which the t seen is the quantile of a level; 0 where it would be negative."""

    def beyond(noncentrality: float) -> float:
        return float(scipy.stats.nct.cdf(t, degrees, noncentrality)) - level

    return float(scipy.optimize.brentq(beyond, 0.0, 2 * t + 3)) if beyond(0.0) > 0 else 0.0


def _seeds(effects: NDArray[np.float64], power: float, alpha: float) -> list[int | None]:
    """Return the first number of seeds with the power for each effect, by bisection of all at once."""
    low = np.full(len(effects), 2)
    high = np.full(len(effects), MOST_SEEDS + 1)
    while (low < high).any():
        n = (low + high) // 2
        limits = np.array([_limit(alpha, int(each)) for each in n])
        enough = (scipy.stats.nct.sf(limits, n - 1, effects * np.sqrt(n)) >= power) | (low == high)
        low, high = np.where(enough, low, n + 1), np.where(enough, n, high)
    return [each if each <= MOST_SEEDS else None for each in low.tolist()]


@lru_cache(maxsize=4096)
def _limit(alpha: float, n: int) -> float:
    return float(scipy.stats.t.isf(alpha / 2, n - 1))
