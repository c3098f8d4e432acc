r"""How two losses differ, in intervals for many looks at growing data: group sequential t tests, exact for small n.

A Student-t interval errs in 5 % of all looks of one who looks once; who looks after every seed and stops when it
excludes 0 errs far more often. The intervals here hold at all looks together: the chance that one side of any of them
ever misses the true mean difference is at most its level. So one may stop at any look.

A side of the interval after n seeds is :math:`\bar d \pm c_n s / \sqrt n`. Why the chance is right, in words:

- Let the differences be normal with mean 0 and any spread. Their direction :math:`d / |d|` is uniform on a sphere, and
  independent of their length. With :math:`u_n = \sum d / |d|`, which t is a function of, the next one is
  :math:`u_{n+1} = u_n \sqrt{1 - w^2} + w`, where w, the share of the next difference in the new length, has a known law
  and is independent of all that was. So u is a Markov chain that is known whole: no spread has to be guessed.
- The chance that t was below c at all looks so far, and of where u is then, follows from look to look by integration
  (Armitage, McPherson and Rowe 1969; for t by Jennison and Turnbull 1991). Each c is set so that the chance to pass it
  for the first time is what the level has for this look (Lan and DeMets 1983). The sum over all looks is the level.
- What holds for mean 0 holds for any mean m, with the differences less m. A mean on the far side is missed less often.
  Leaving out a look makes the chance smaller. Nothing is asked of the time at which one stops.

**How the level is spent.** All but `RESERVE` of it until the last planned look: equal parts for equal *ratios* of n, as
large effects are found after few seeds, and small ones after many, from :math:`2 - \log_{10}` level seeds on, before
which no t that occurs would be large enough. What is kept is for those who go on after the last planned look, half of
it until twice as many seeds, and so on: the bounds before stay as they are, and all of it holds for ever.

Normality is the assumption of the t test, too. `scripts/race_truth.py` measures what is left of it where differences
are skewed or have ties.

References: Armitage, McPherson and Rowe, "Repeated significance tests on accumulating data", 1969. Lan and DeMets,
"Discrete sequential boundaries for clinical trials", 1983. Jennison and Turnbull, "Exact calculations for sequential t,
chi-squared and F tests", 1991, and "Group Sequential Methods with Applications to Clinical Trials", 2000.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.statistics import check_fraction

RESERVE = 0.05
"""The share of a level that is kept for looks after the last planned one.

It takes 1 % more runs than none. Who goes on from 50 to 100 seeds needs a t of 3.7, who had planned 200 one of 3.0.
"""
ALIKE = 1e-3
"""Differences that spread by no more than this share of the largest have no spread to test with."""
_NODES, _DRAWS, _REACH = 600, 81, 7.0
"""Of the numerical integration: nodes for the state, values of the next difference, and standard deviations covered."""

Floats = NDArray[np.float64]


def spent(n: ArrayLike, level: float, planned: int) -> Floats:
    r"""Give the part of a level that may be spent until n seeds.

    With :math:`s = \min(2 - \log_{10} a, N / 2)` for a level a and N planned seeds it is
    :math:`a (1 - r) \log(n / s) / \log(N / s)` from s to N, and :math:`a (1 - r N / n)` after that.

    Examples
    --------
    >>> spent([3, 5, 20, 50, 100], 0.025, 50).round(4).tolist()
    [0.0, 0.003, 0.0155, 0.0238, 0.0244]

    """
    count = np.asarray(n, dtype=float)
    start = min(2 - np.log10(level), planned / 2)
    until = np.log(np.clip(count, start, planned) / start) / np.log(planned / start)
    return level * np.where(count <= planned, (1 - RESERVE) * until, 1 - RESERVE * planned / np.maximum(count, planned))


def critical_t(levels: Sequence[float], looks: Sequence[int], planned: int) -> Floats:
    r"""Give the t beyond which one side of an interval excludes 0, at each look, for several levels.

    Parameters
    ----------
    levels : sequence of float
        The chance that a side ever errs, each in (0, 1).
    looks : sequence of int
        After how many seeds one looks, in order; the first at 2 or later.
    planned : int
        The last look of the plan. Looks after it don't change those before.

    Returns
    -------
    ndarray, shape (levels, last look)
        Position i is after i + 1 seeds; infinite where there is no look, or nothing to spend.

    Raises
    ------
    ValueError
        If a level is outside (0, 1).

    References
    ----------
    As at the head of this file.

    Examples
    --------
    >>> critical_t([0.025], range(3, 51), 50)[0, [2, 4, 9, 49]].round(1).tolist()
    [inf, 5.7, 3.6, 2.9]

    One look at the end is the t test:

    >>> critical_t([0.025 / (1 - RESERVE)], [10], 10)[0, 9].round(2) == scipy.stats.t.isf(0.025, 9).round(2)
    np.True_

    """
    for level in levels:
        check_fraction(level, "level")
    return _critical_t(tuple(levels), tuple(looks), planned)


@lru_cache(maxsize=64)
def _critical_t(levels: tuple[float, ...], looks: tuple[int, ...], planned: int) -> Floats:
    critical = np.full((len(levels), looks[-1]), np.inf)
    before = np.zeros(len(levels))
    for n, angles, mass in _walk(len(levels), looks[-1]):
        if n not in looks:
            continue
        now = np.array([float(spent(n, level, planned)) for level in levels])
        for i, share in enumerate(now - before):
            if share > 0:
                critical[i, n - 1] = np.sqrt(n - 1) * np.tan(_cut(mass[:, i], angles, share))
        before = now
    critical.flags.writeable = False
    return critical


def _walk(levels: int, last: int) -> Iterator[tuple[int, Floats, Floats]]:
    r"""Yield n, the angles :math:`\arcsin(u_n / \sqrt n)`, and the mass at each for each level, which may be cut."""
    angles = _angles(2)
    mass = np.repeat(_weights(angles, 0)[:, None], levels, axis=1)
    yield 2, angles, mass
    for n in range(3, last + 1):
        angles = _angles(n)
        mass = _next(n - 1) @ mass
        yield n, angles, mass


def _angles(n: int, count: int = _NODES) -> Floats:
    reach = min(np.pi / 2, _REACH / np.sqrt(n))
    return np.linspace(-reach, reach, count)


def _weights(angles: Floats, power: int) -> Floats:
    """Return the law of an angle whose density is a power of its cosine, by the trapezoidal rule."""
    found: Floats = np.cos(angles) ** power
    found[[0, -1]] /= 2
    return found / found.sum()


def _next(n: int) -> scipy.sparse.csr_array:
    """Return how mass moves from the angles of n differences to those of n + 1; between two nodes it is divided."""
    draws = _angles(n + 1, _DRAWS)
    total = np.sqrt(n) * np.sin(_angles(n))[:, None] * np.cos(draws) + np.sin(draws)
    nodes = _angles(n + 1)
    moved = np.arcsin(np.clip(total / np.sqrt(n + 1), -1, 1))
    place = np.clip((moved - nodes[0]) / (nodes[1] - nodes[0]), 0, _NODES - 1 - 1e-9).ravel()
    node = place.astype(int)
    part, weight = place - node, np.tile(_weights(draws, n - 1), _NODES)
    source = np.repeat(np.arange(_NODES), _DRAWS)
    mass = np.concatenate([weight * (1 - part), weight * part])
    ends = np.concatenate([node, node + 1]), np.tile(source, 2)
    return scipy.sparse.csr_array((mass, ends), shape=(_NODES, _NODES))


def _cut(mass: Floats, angles: Floats, share: float) -> float:
    """Take the largest angles with this share of the mass away, and return where they begin."""
    above = np.cumsum(mass[::-1])[::-1]
    node = int(np.flatnonzero(above >= share)[-1])
    left, width = above[node] - share, angles[1] - angles[0]
    begin = angles[node] + width * (left / mass[node] - 0.5)
    mass[node] = left
    mass[node + 1 :] = 0
    return float(np.clip(begin, 0, np.pi / 2 - 1e-9))


def confidence_sequence(differences: ArrayLike, critical: Floats, level: float) -> tuple[Floats, Floats]:
    r"""Give the interval of the mean difference after each seed; all of them hold together.

    After n seeds it is :math:`\bar d \pm c_n s / \sqrt n`, and the whole line where :math:`c_n` is infinite. If the
    first n differences are all the same, their spread can't be believed: the interval is the whole line until n tosses
    of a coin would suffice, :math:`2^{-n} \le` level, and from then on that difference.

    Parameters
    ----------
    differences : array_like, shape (..., n)
        Value - value of runs that share a seed, in the order of the seeds; any number of pairs of losses before that.
    critical : ndarray, shape (at least n,)
        Of `critical_t`.
    level : float
        Its level: the chance that one side of an interval of a pair ever misses its mean.

    Returns
    -------
    low, high : ndarray, shape (..., n)
        Position i is after i + 1 seeds.

    References
    ----------
    As at the head of this file.

    Examples
    --------
    >>> critical = critical_t([0.025], range(3, 51), 50)[0]
    >>> low, high = confidence_sequence([1.0, 2.0, 1.5, 1.2, 1.8, 1.4], critical, 0.025)
    >>> low.round(1).tolist(), high.round(1).tolist()
    ([-inf, -inf, -inf, -0.8, 0.4, 0.8], [inf, inf, inf, 3.7, 2.6, 2.2])

    """
    found = np.asarray(differences, dtype=float)
    count = np.arange(1, found.shape[-1] + 1)
    mean, error = _mean_and_error(found, count)
    critical = critical[: found.shape[-1]]
    half = np.where(np.isinf(critical) | np.isinf(error), np.inf, error * np.where(np.isinf(critical), 1.0, critical))
    least, most = np.minimum.accumulate(found, axis=-1), np.maximum.accumulate(found, axis=-1)
    alike = most - least <= ALIKE * np.maximum(np.abs(least), np.abs(most))
    half = np.where(alike, np.where(2.0**-count <= level, 0.0, np.inf), half)
    return mean - half, mean + half


def _mean_and_error(found: Floats, count: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return mean and standard error after each seed; of one value the error is infinite."""
    start = found[..., :1]
    moved = found - start  # so that small differences of a large mean keep their digits
    total, squares = np.cumsum(moved, axis=-1), np.cumsum(moved**2, axis=-1)
    variance = np.maximum(squares - total**2 / count, 0) / np.maximum(count - 1, 1)
    return start + total / count, np.where(count > 1, np.sqrt(variance / count), np.inf)


def chance_to_decide(differences: ArrayLike, last: int, beyond: float, within: float, margin: float) -> float:
    r"""Give the chance that the interval of N seeds leaves out 0, or lies within a margin, by the first n differences.

    With the mean :math:`\bar d` and the spread s of these, and each true mean and spread taken for as likely as another
    before, the mean of N is expected as :math:`\bar d + s \sqrt{1/n - 1/N} \, t_{n-1}`. The spread is taken to stay.

    Parameters
    ----------
    differences : array_like, shape (n,)
        So far, of 2 seeds or more.
    last : int
        N, above n.
    beyond, within : float
        The critical t of N for 0, and for the margin; infinite where it can't decide.
    margin : float
        The interval shall lie within -margin and margin.

    References
    ----------
    Spiegelhalter, Freedman and Blackburn, "Monitoring clinical trials: conditional or predictive power?", 1986.

    Examples
    --------
    >>> round(chance_to_decide([1.0, -1.0, 1.5, -1.4, 0.3, -0.2], 50, 2.9, np.inf, 0.0), 2)
    0.33

    """
    found = np.asarray(differences, dtype=float)
    n, mean, spread = len(found), abs(float(found.mean())), float(found.std(ddof=1))
    if not spread:
        return 1.0
    error, moves = spread / np.sqrt(last), spread * np.sqrt(1 / n - 1 / last)
    chance = scipy.special.stdtr(n - 1, (np.array([mean, -mean]) - beyond * error) / moves).sum()
    room = margin - within * error
    if room > 0:
        low, high = scipy.special.stdtr(n - 1, (np.array([-room, room]) - mean) / moves)
        chance += high - low
    return float(min(chance, 1.0))
