r"""How two losses differ, in intervals that may be looked at after every seed: a confidence sequence of a mean.

A Student-t interval errs in 5 % of all looks of one who looks once; who looks after every seed and stops when it
excludes 0 errs far more often. The intervals here hold at all looks together: the chance that any one of them, of any
number of seeds, misses the true mean difference is at most alpha. So one may stop, go on, or add seeds as one likes.

The method is ours, since the packages for Python (confseq, expectation) want bounded values, a known variance or many
values; R's `safestats` has a like one. Why it holds, in words:

- Let the differences be normal with mean mu and any spread sigma, and delta = mu / sigma. The values divided by the
  first one don't depend on sigma, and t_1, ..., t_n can be computed from them. If mu = 0 their law is known whole.
- :math:`e_n` is the likelihood of these ratios where delta is drawn from N(0, g), over that where delta = 0. A ratio of
  likelihoods of growing data is a martingale where the denominator is true: its mean stays 1, whatever was seen before.
- A nonnegative martingale that starts at 1 ever reaches 1 / alpha with a chance of at most alpha (Ville 1939).
- What holds for mean 0 holds for any mean m, with the differences less m. The interval holds each m that has never
  been refused so: it misses the true one with a chance of at most alpha, over all n together.

Normality is the assumption of the t test, too. `scripts/race_truth.py` measures what is left of it where differences
are skewed or have ties.

References: Lai, "On confidence sequences", 1976. Rouder et al., "Bayesian t tests for accepting and rejecting the null
hypothesis", 2009. Hendriksen, de Heide and Grünwald, "Optional stopping with Bayes factors", 2021. Wang and Ramdas,
"Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance", 2025.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.statistics import check_fraction

SPREAD = 3.0
"""g, the variance of the effect sizes d_z that the test is best at.

Chosen once, by simulation before any result was seen, of 0.1 to 80: over d_z from 0.5 to 4 and levels of 0.05 to 0.001
it takes at most 15 % more seeds than the best g for each of them, where 0.3 takes up to 90 % and 40 up to 39 % more.
"""
ALIKE = 1e-3
"""Differences that spread by no more than this share of the largest have no spread to test with."""

Floats = NDArray[np.float64]


def log_e_value(t: ArrayLike, n: ArrayLike, g: float = SPREAD) -> Floats:
    r"""Give the logarithm of the evidence of n differences against a mean of 0.

    .. math:: e_n = (1 + n g)^{-1/2} \left(\frac{1 + t^2 / \nu}{1 + t^2 / (\nu (1 + n g))}\right)^{n/2}, \nu = n - 1

    Parameters
    ----------
    t : array_like
        The t statistic of n differences.
    n : array_like
        Their number. One difference is no evidence.
    g : float
        Variance of the effect sizes under the alternative.

    Returns
    -------
    ndarray
        Shape of t and n, broadcast.

    References
    ----------
    As at the head of this file.

    Examples
    --------
    >>> np.exp(log_e_value([0.0, 4.0], 10)).round(2).tolist()
    [0.18, 22.48]

    """
    count, square = np.asarray(n, dtype=float), np.asarray(t, dtype=float) ** 2
    degrees, ratio = np.maximum(count - 1, 1), 1 + count * g
    grown = count / 2 * (np.log1p(square / degrees) - np.log1p(square / degrees / ratio)) - np.log(ratio) / 2
    return np.where(count > 1, grown, 0.0)


def critical_t(n: ArrayLike, alpha: float, g: float = SPREAD) -> Floats:
    r"""Give the size of t at which the evidence of n differences reaches 1 / alpha; infinite where it never does.

    With r = 1 + n g and :math:`q = (r / \alpha^2)^{1/n}` it is :math:`t^2 = (n - 1)(q - 1) / (1 - q / r)`.

    Raises
    ------
    ValueError
        If alpha is outside (0, 1).

    Examples
    --------
    >>> critical_t([2, 3, 5, 10, 50], 0.05).round(2).tolist()
    [inf, inf, 5.46, 3.92, 3.49]

    """
    check_fraction(alpha, "alpha")
    count = np.asarray(n, dtype=float)
    ratio = 1 + count * g
    least = np.exp((np.log(ratio) - 2 * np.log(alpha)) / count)
    reached = (least < ratio) & (count > 1)
    square = (count - 1) * (least - 1) / np.where(reached, 1 - least / ratio, 1.0)
    return np.where(reached, np.sqrt(np.abs(square)), np.inf)


def confidence_sequence(differences: ArrayLike, alpha: float = 0.05, g: float = SPREAD) -> tuple[Floats, Floats]:
    r"""Give the interval of the mean difference after each seed; all of them hold together.

    After n seeds it is :math:`\bar d \pm c_n s / \sqrt n` with :math:`c_n` of `critical_t`, and the whole line where
    that is infinite. If the first n differences are all the same, their spread can't be believed: the interval is the
    whole line until n tosses of a coin would suffice, :math:`2^{1-n} \le \alpha`, and from then on that difference.

    Parameters
    ----------
    differences : array_like, shape (..., n)
        Value - value of runs that share a seed, in the order of the seeds; any number of pairs of losses before that.
    alpha : float
        Chance that an interval of a pair ever misses its mean, in (0, 1).
    g : float
        As in `log_e_value`.

    Returns
    -------
    low, high : ndarray, shape (..., n)
        Position i is after i + 1 seeds.

    Raises
    ------
    ValueError
        If alpha is outside (0, 1).

    References
    ----------
    As at the head of this file.

    Examples
    --------
    >>> low, high = confidence_sequence([1.0, 2.0, 1.5, 1.2, 1.8, 1.4])
    >>> low.round(2).tolist(), high.round(2).tolist()
    ([-inf, -inf, -inf, -0.33, 0.49, 0.77], [inf, inf, inf, 3.18, 2.51, 2.2])

    """
    found = np.asarray(differences, dtype=float)
    count = np.arange(1, found.shape[-1] + 1)
    mean, half = _mean_and_error(found, count)
    critical = critical_t(count, alpha, g)
    half = np.where(np.isinf(critical) | np.isinf(half), np.inf, half * np.where(np.isinf(critical), 1.0, critical))
    least, most = np.minimum.accumulate(found, axis=-1), np.maximum.accumulate(found, axis=-1)
    alike = most - least <= ALIKE * np.maximum(np.abs(least), np.abs(most))
    by_signs = np.where(2.0 ** (1 - count) <= alpha, 0.0, np.inf)
    half = np.where(alike, by_signs, half)
    return mean - half, mean + half


def _mean_and_error(found: Floats, count: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return mean and standard error after each seed; of one value the error is infinite."""
    start = found[..., :1]
    moved = found - start  # so that small differences of a large mean keep their digits
    total, squares = np.cumsum(moved, axis=-1), np.cumsum(moved**2, axis=-1)
    variance = np.maximum(squares - total**2 / count, 0) / np.maximum(count - 1, 1)
    return start + total / count, np.where(count > 1, np.sqrt(variance / count), np.inf)
