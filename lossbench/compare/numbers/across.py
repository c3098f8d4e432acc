"""Losses over several data sets, pair by pair: the signed-rank test after Holm, and its Bayesian counterpart.

The seeds of a data set are averaged before: the data sets, not the seeds, are the sample here.
"""

from dataclasses import dataclass
from itertools import combinations
from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.ranks import cliques, filled_table
from lossbench.compare.numbers.signed_rank import signed_rank_p
from lossbench.compare.numbers.statistics import check_fraction, finite, smallest_p

PRIOR = 0.5
"""Weight of the prior of the Bayesian signed-rank test: that of half a data set without a difference."""
DRAWS = 20_000
"""Draws from the posterior; a probability is so known to about 0.004."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairwiseSummary:
    """Each pair of losses over several data sets.

    Parameters
    ----------
    n : int
        Number of data sets.
    p : ndarray, shape (losses, losses)
        Two-sided p of the exact signed-rank test, after Holm over all pairs; 1 on the diagonal, NaN with one data set.
    cliques : list of tuple of int
        The largest groups of losses of which no two differ, by position.
    smallest : float
        No p can be below it with so many data sets and losses, whatever the differences.
    enough : int
        The number of data sets from which on a p can be at most `alpha`.
    alpha : float
        Level at which two losses differ.

    """

    n: int
    p: Array
    cliques: list[tuple[int, ...]]
    smallest: float
    enough: int
    alpha: float


@dataclass(frozen=True)
class Posterior:
    """What the Bayesian signed-rank test says of a loss against another.

    Parameters
    ----------
    n : int
        Number of data sets.
    better, equal, worse : float
        Probability that on the whole the loss is better, equal in practice, or worse: that this is the likeliest of the
        three for the mean of two differences.
    margin : float
        Differences within it are equal in practice.

    """

    n: int
    better: float
    equal: float
    worse: float
    margin: float


def pairwise_signed_rank(scores: ArrayLike, alpha: float = 0.05) -> PairwiseSummary:
    """Compare each pair of losses by the signed-rank test over data sets, with Holm's correction over all pairs.

    Unlike Nemenyi's test, that of a pair doesn't depend on which other losses take part, but for their number, and it
    sees how large the differences are. It takes those of different data sets as of one scale: for a metric that has
    other units on each (an error in metres and one in dollars) the largest ones rule. With N data sets the p of a pair
    can't be below `smallest_p(N)`. A difference below the single precision of its data set counts as none.

    Parameters
    ----------
    scores : array_like, shape (datasets, losses)
        One number per data set and loss, usually a mean over seeds.
    alpha : float
        Chance of any false difference among all pairs, in (0, 1).

    Returns
    -------
    PairwiseSummary
        With one data set all p are NaN, and all losses are one clique.

    Raises
    ------
    ValueError
        If the scores are not a filled table of finite numbers, or alpha is outside (0, 1).

    References
    ----------
    Benavoli, Corani and Mangili, "Should we really use post-hoc tests based on mean-ranks?", JMLR 17, 2016. Demšar,
    "Statistical comparisons of classifiers over multiple data sets", 2006.

    Examples
    --------
    >>> scores = [[0.90, 0.88, 0.70], [0.80, 0.81, 0.65], [0.95, 0.94, 0.90], [0.70, 0.66, 0.60], [0.85, 0.84, 0.70]]
    >>> scores += [[0.60, 0.63, 0.50], [0.75, 0.70, 0.55], [0.65, 0.64, 0.61]]
    >>> summary = pairwise_signed_rank(scores)
    >>> summary.p.round(3).tolist()[0], summary.cliques
    ([1.0, 0.211, 0.023], [(0, 1), (2,)])

    """
    check_fraction(alpha, "alpha")
    table = filled_table(scores)
    n, k = table.shape
    pairs = list(combinations(range(k), 2))
    found = holm([signed_rank_p(_steps(table[:, i], table[:, j])) if n > 1 else nan for i, j in pairs])
    p = np.eye(k)
    for (i, j), value in zip(pairs, found, strict=True):
        p[i, j] = p[j, i] = value
    count = max(1, len(pairs))
    return PairwiseSummary(
        n=n,
        p=p,
        cliques=cliques(k, [pair for pair, value in zip(pairs, found, strict=True) if value <= alpha]),
        smallest=min(1.0, count * smallest_p(n)),
        enough=next(size for size in range(2, 2000) if count * smallest_p(size) <= alpha),
        alpha=alpha,
    )


def bayesian_signed_rank(
    values: ArrayLike, baseline: ArrayLike, *, higher_is_better: bool, margin: float = 0.0, seed: int = 0
) -> Posterior:
    r"""Say how probable it is that a loss is on the whole better than, equal in practice to, or worse than another.

    The differences :math:`z_1 \dots z_N` and a prior one, :math:`z_0 = 0`, get weights w drawn from the Dirichlet
    distribution of :math:`(s, 1, \dots, 1)`, s being `PRIOR`. Each draw gives

    .. math:: \theta_{better} = \sum_{ij} w_i w_j [z_i + z_j > 2 margin], \quad
              \theta_{equal} = \sum_{ij} w_i w_j [|z_i + z_j| \le 2 margin]

    and the like for worse; the probabilities are the shares of the draws in which each is the largest. Unlike a
    p-value they say something with few data sets too, and can say that losses are equal. They are of one pair, without
    a correction for others. With few data sets they are a hint only: of two equal losses three data sets are all on one
    side in a quarter of all cases, and then the probability is 0.99.

    Parameters
    ----------
    values, baseline : array_like, shape (datasets,)
        Position i of both is the same data set, usually a mean over seeds.
    higher_is_better : bool
        Direction of the metric.
    margin : float
        At least 0; smaller differences are none in practice (the region of practical equivalence). What is above it
        only by single precision counts as within.
    seed : int
        Of the draws.

    Raises
    ------
    ValueError
        If the lengths differ, a value isn't finite or the margin is negative.

    References
    ----------
    Benavoli, Mangili, Corani, Zaffalon and Ruggeri, "A Bayesian Wilcoxon signed-rank test based on the Dirichlet
    process", ICML 2014. Benavoli, Corani, Demšar and Zaffalon, "Time for a change: a tutorial for comparing multiple
    classifiers through Bayesian analysis", JMLR 18, 2017.

    Examples
    --------
    >>> found = bayesian_signed_rank([0.9, 0.8, 0.7], [0.8, 0.7, 0.65], higher_is_better=True, margin=0.01)
    >>> found.better > 0.9 > found.equal > found.worse
    True

    """
    first, second = finite(values, "values"), finite(baseline, "baseline")
    if len(first) != len(second):
        raise ValueError(f"values has {len(first)} data sets and baseline {len(second)}; give those that both have")
    if not margin >= 0:
        raise ValueError(f"margin={margin} is not allowed; give a number of at least 0")
    z, precision = (np.append(0.0, each) for each in _differences(first, second))
    z = z if higher_is_better else -z
    reach = 2 * margin + (precision[:, None] + precision) / 2
    weights = np.random.default_rng(seed).dirichlet([PRIOR, *np.ones(len(first))], DRAWS)
    sums = z[:, None] + z
    better, worse = (np.einsum("di,di->d", weights @ (way * sums > reach), weights) for way in (1, -1))
    largest = np.argmax([1 - better - worse, better, worse], axis=0)
    equal, up, down = (float(np.mean(largest == which)) for which in range(3))
    return Posterior(len(first), up, equal, down, margin)


def _differences(first: Array, second: Array) -> tuple[Array, Array]:
    """Return the differences, 0 where they are below the single precision of their data set, and that precision."""
    resolution = 4 * float(np.finfo(np.float32).eps) * np.maximum(np.abs(first), np.abs(second))
    differences = first - second
    return np.where(np.abs(differences) <= resolution, 0.0, differences), resolution


def _steps(first: Array, second: Array) -> Array:
    """Return numbers of the order and signs of the differences; those that differ by rounding only are the same."""
    differences, resolution = _differences(first, second)
    order = np.argsort(np.abs(differences), kind="stable")
    new = np.diff(np.abs(differences)[order], prepend=0.0) > resolution[order]
    steps = np.empty(len(order))
    steps[order] = 1 + np.cumsum(new)
    return steps * np.sign(differences)


def holm(p_values: ArrayLike) -> Array:
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
