"""Many losses at once: letters for those that can't be told apart, and mean ranks over several data sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from string import ascii_letters

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.statistics import check_fraction


@dataclass(frozen=True, eq=False)
class RankSummary:
    """The losses ranked on several data sets.

    Parameters
    ----------
    n : int
        Number of data sets.
    ranks : ndarray, shape (losses,)
        Mean rank over the data sets; 1 is best, ties share their mean rank.
    friedman_p : float
        That of the Friedman test: could all losses be equal?
    critical_difference : float
        Two mean ranks further apart than this differ at level `alpha` (Nemenyi).
    nemenyi_p : ndarray, shape (losses, losses)
        Two-sided p-value of each pair, already corrected for the number of pairs; 1 on the diagonal.
    alpha : float
        Level of the critical difference.

    """

    n: int
    ranks: NDArray[np.float64]
    friedman_p: float
    critical_difference: float
    nemenyi_p: NDArray[np.float64]
    alpha: float


def letter_display(count: int, different: Sequence[tuple[int, int]]) -> list[str]:
    """Turn pairs that differ into letters: two items share a letter exactly if their pair isn't listed.

    There is a letter for each group that `cliques` finds.

    Parameters
    ----------
    count : int
        Number of items, best first.
    different : sequence of (int, int)
        Positions of the items of each pair that differs.

    Returns
    -------
    list of str
        The letters of each item; groups are lettered in the order of their best items.

    References
    ----------
    Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", 2004.

    Examples
    --------
    >>> letter_display(3, [(0, 2)])
    ['a', 'ab', 'b']

    """
    ordered = cliques(count, different)
    return ["".join(_letter(k) for k, group in enumerate(ordered) if item in group) for item in range(count)]


def cliques(count: int, different: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Return the largest groups of items of which no two differ, in the order of their first items.

    They are the maximal cliques of the graph whose edges are the pairs that don't differ, found by Bron and Kerbosch's
    search with Tomita's pivot; a set of items is a whole number, one bit for each. The pairs need not be transitive: b
    may be like a and like c while a and c differ.

    Parameters
    ----------
    count : int
        Number of items.
    different : sequence of (int, int)
        Positions of the items of each pair that differs.

    References
    ----------
    Bron and Kerbosch, "Algorithm 457: finding all cliques of an undirected graph", 1973. Tomita, Tanaka and Takahashi,
    "The worst-case time complexity for generating all maximal cliques", 2006. Piepho, as in `letter_display`.

    Examples
    --------
    >>> cliques(3, [(0, 2)])
    [(0, 1), (1, 2)]

    """
    everything = (1 << count) - 1
    like = [everything & ~(1 << item) for item in range(count)]
    for first, second in different:
        like[first] &= ~(1 << second)
        like[second] &= ~(1 << first)
    found: list[tuple[int, ...]] = []

    def extend(group: int, open_: int, done: int) -> None:
        """Add to a group what is like all of it: `open_` has still to be tried, `done` is in groups found before."""
        if not open_ | done:
            found.append(tuple(_items(group)))
            return
        pivot = max(_items(open_ | done), key=lambda item: (like[item] & open_).bit_count())
        for item in _items(open_ & ~like[pivot]):
            extend(group | 1 << item, open_ & like[item], done & like[item])
            open_ &= ~(1 << item)
            done |= 1 << item

    extend(0, everything, 0)
    return sorted(found)


def _items(group: int) -> list[int]:
    return [item for item in range(group.bit_length()) if group >> item & 1]


def average_ranks(scores: ArrayLike, *, higher_is_better: bool, alpha: float = 0.05) -> RankSummary:
    r"""Rank the losses on each data set and test whether their mean ranks differ, over data sets.

    The seeds of a data set are averaged before: the data sets, not the seeds, are the sample here. Friedman's test
    (chi-square approximation, corrected for ties, rough below some 10 data sets) asks whether any loss differs;
    Nemenyi's test says which pairs do: if their mean ranks are further apart than

    .. math:: CD = \frac{q_\alpha}{\sqrt 2} \sqrt{\frac{k (k + 1)}{6 N}}

    with k losses, N data sets and :math:`q_\alpha` of the studentized range. A rank doesn't see how large a difference
    is, and Nemenyi's verdict on a pair depends on which other losses take part: `across.pairwise_signed_rank` has
    neither fault.

    Parameters
    ----------
    scores : array_like, shape (datasets, losses)
        One number per data set and loss, usually a mean over seeds.
    higher_is_better : bool
        Direction of the metric.
    alpha : float
        Level of the critical difference, in (0, 1).

    Returns
    -------
    RankSummary
        With one data set, or fewer than three losses, there are ranks but everything of the tests is NaN.

    Raises
    ------
    ValueError
        If the scores are not a filled table of finite numbers, or alpha is outside (0, 1).

    References
    ----------
    Demšar, "Statistical comparisons of classifiers over multiple data sets", 2006.

    Examples
    --------
    >>> summary = average_ranks([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.6, 0.7, 0.5]], higher_is_better=True)
    >>> summary.ranks.round(2).tolist(), round(summary.friedman_p, 3), round(summary.critical_difference, 2)
    ([1.33, 1.67, 3.0], 0.097, 1.91)

    """
    check_fraction(alpha, "alpha")
    table = filled_table(scores)
    n, k = table.shape
    each = scipy.stats.rankdata(-table if higher_is_better else table, axis=1)
    ranks = each.mean(axis=0)
    if n < 2 or k < 3:
        return RankSummary(n, ranks, nan, nan, np.full((k, k), nan), alpha)
    # where all tie on every data set the statistic is 0/0, and nothing speaks against equal losses
    friedman_p = 1.0 if np.ptp(each) == 0 else float(scipy.stats.friedmanchisquare(*each.T).pvalue)
    scale = np.sqrt(k * (k + 1) / (12 * n))
    critical_difference = float(scipy.stats.studentized_range.isf(alpha, k, np.inf) * scale)
    nemenyi_p = scipy.stats.studentized_range.sf(np.abs(ranks[:, None] - ranks) / scale, k, np.inf)
    return RankSummary(n, ranks, friedman_p, critical_difference, nemenyi_p, alpha)


def filled_table(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the scores as a float64 table (datasets, losses), or raise a ValueError that says what is wrong."""
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(
            f"scores must be a table (datasets, losses) of finite numbers; got shape {table.shape} with "
            f"{np.count_nonzero(~np.isfinite(table))} not finite. Leave out data sets or losses with missing results"
        )
    return table


def _letter(position: int) -> str:
    """Name a group: a ... z, A ... Z, then with primes, so that a name never looks like two."""
    return ascii_letters[position % 52] + "'" * (position // 52)
