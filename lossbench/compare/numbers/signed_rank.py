"""Wilcoxon's exact signed-rank test of many rows of differences at once."""

from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]


def signed_rank_p(differences: Array) -> float:
    """Give Wilcoxon's exact two-sided p. SciPy's is exact without ties only, and a metric such as accuracy has ties.

    Parameters
    ----------
    differences : ndarray, shape (n,)
        Those that are to tie are equal to the last bit; zeros are dropped.

    References
    ----------
    Wilcoxon, "Individual comparisons by ranking methods", 1945.

    Examples
    --------
    >>> signed_rank_p(np.array([1.0, 1.0, 2.0, -1.0, 0.0]))
    0.5

    """
    return signed_rank_ps(np.asarray(differences)[None])[0]


def signed_rank_ps(differences: Array) -> list[float]:
    """Give `signed_rank_p` of each row of differences (P, n).

    Examples
    --------
    >>> signed_rank_ps(np.array([[1.0, 2.0, 3.0], [1.0, -2.0, 0.0]]))
    [0.25, 1.0]

    """
    zeros = np.count_nonzero(differences == 0, axis=1)[:, None]  # they would have the lowest ranks
    ranks = np.rint(2 * (scipy.stats.rankdata(np.abs(differences), axis=1) - zeros)).astype(
        int
    )  # doubled: whole numbers
    ranks = np.where(differences == 0, 0, ranks)
    seen = np.where(differences > 0, ranks, 0).sum(axis=1)
    found = []
    for row, place in zip(np.sort(ranks, axis=1).tolist(), seen.tolist(), strict=True):
        below, above = _tails(tuple(row))
        found.append(min(1.0, 2 * float(min(below[place], above[place]))))
    return found


@lru_cache(maxsize=128)
def _tails(ranks: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the chance that the positive ranks sum up to at most, and to at least, each whole number.

    Signs are tossed, a zero has none. Up to 53 ranks all chances are whole multiples of 2^-53, so nothing is rounded.
    """
    chance = np.ones(1)  # of each sum, one rank after the other
    for rank in filter(None, ranks):
        longer = np.zeros(len(chance) + rank)
        longer[: len(chance)] = chance
        longer[rank:] += chance
        chance = longer / 2
    return np.cumsum(chance), np.cumsum(chance[::-1])[::-1]
