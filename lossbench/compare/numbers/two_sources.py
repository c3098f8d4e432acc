r"""Two sources of chance: how sure a difference of two losses is for new seeds and new test data alike.

Intervals over seeds alone (`statistics`) speak of this test set. Here the difference :math:`d_{si}` of a loss and its
baseline at seed s and test sample i is taken as

.. math:: d_{si} = \mu + a_s + b_i + e_{si}

with chance in the seeds, in the samples and in the rest: how a seed does on a sample, beyond both. The mean over S
seeds and N samples has the variance :math:`\sigma_a^2 / S + \sigma_b^2 / N + \sigma_e^2 / (S N)`. All three come from
S values of a metric and their covariance by chance of the samples, (S, S): from the samples themselves where the metric
is a mean over them (`of_centred`), from a bootstrap of the samples where it is not (`runs_by_draw`). With

.. math:: A = s^2 / S, \quad B = 1^T C 1 / S^2, \quad E = (\mathrm{tr}\, C / S - \overline{C}_{s \ne t}) / S

- the variance of the mean by the spread :math:`s^2` of the seeds, by the samples for these seeds, and what both count -
the variance is A + B - E. For means A, B and E are the mean squares of a two-way analysis of variance over S N.
A sum of differences can come out too small: A and B count as E where they are below it, so that the variance is never
below A nor B.

**The interval** is :math:`\bar d \pm \sqrt{t_{S-1}^2 A + t_{N-1}^2 \max(0, B - E)}`: the variance of each part is
multiplied by the square of its own t quantile (Cochran's way to test with two estimated variances, which errs less than
it says whatever their sizes are: Mickey and Brown). So it is never narrower than Student's over the seeds, and is that
one where new samples would add nothing. It takes no degrees of freedom from the data: those of Satterthwaite, estimated
themselves, are now and then far too many out in the tails, where many comparisons are decided. With normal chance and
500 samples a 95 % interval covers 95.0 to 96.7 % of the time from 5 seeds on, whatever the sizes of the three are, and
95 to 97.5 % with 3 seeds (most where seeds and samples have the same share, least where either or the rest has it all).

References
----------
Cochran, "Approximate significance levels of the Behrens-Fisher test", 1964. Mickey and Brown, "Bounds on the
distribution functions of the Behrens-Fisher statistic", 1966. Owen, "The pigeonhole bootstrap", 2007. Bouthillier et
al., "Accounting for variance in machine learning benchmarks", 2021 (the sources).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from lossbench.compare.numbers.statistics import smallest_p

Array = NDArray[np.float64]

LARGEST_BLOCK = 2**21
"""Numbers that are worked on at once."""
MOST_TOGETHER = 2000
"""Of more runs there is no table of runs by runs: what pairs need comes from the deviations, seed by seed."""
SMALLEST_TAIL = 1e-140
"""No chance of a tail is told to be smaller."""
_STEPS = 12
NOISE = 4 * float(np.finfo(np.float32).eps)
"""Differences below this share of the values are the rounding of single precision, in which they are kept."""


@dataclass(frozen=True)
class Sources:
    """What a mean difference owes to chance.

    Parameters
    ----------
    seeds, samples, rest : float
        Contributions to the variance of the mean, none below 0: of the seeds, of the samples, and of how seeds do on
        samples. NaN for a single seed or sample.
    spread : float
        A, the variance of the mean by the spread of the seeds; 0 where they don't spread beyond rounding.
    sample_degrees : float
        Degrees of freedom of what the samples contribute.
    n_seeds, n_samples : int
        S and N; N is the number of groups where samples are drawn in groups.

    """

    seeds: float
    samples: float
    rest: float
    spread: float
    sample_degrees: float
    n_seeds: int
    n_samples: int

    @property
    def variance(self) -> float:
        """Of the mean; 0 where nothing spreads beyond rounding, NaN where it can't be known."""
        return self.seeds + self.samples + self.rest

    @property
    def dominant(self) -> Literal["seeds", "samples", "either"]:
        """What has most of the variance; "either" is the rest, which more seeds and more samples both shrink."""
        if self.rest >= max(self.seeds, self.samples):
            return "either"
        return "seeds" if self.seeds > self.samples else "samples"


@dataclass(frozen=True, eq=False)
class Runs:
    """A metric of R runs on the same samples: enough for the sources of any difference between them.

    Parameters
    ----------
    values : ndarray, shape (R,)
        The metric of each run.
    deviations : ndarray, shape (R, N)
        What each sample, or draw of the samples, adds around it.
    scaled : callable
        Makes of sums of products of deviations the covariance of the values by chance of the samples.
    n_samples : int
        N, or the number of groups.
    sample_degrees : float
        Degrees of freedom of the covariance.
    noise : float
        Variances of a value by chance of the samples up to this are rounding.

    """

    values: Array
    deviations: NDArray[Any]
    scaled: Callable[[Array], Array]
    n_samples: int
    sample_degrees: float
    noise: float

    @cached_property
    def covariance(self) -> Array:
        """The covariance (R, R) of the values by chance of the samples."""
        deviations = self.deviations.astype(np.float64, copy=False)
        return self.scaled(deviations @ deviations.T)

    @cached_property
    def _rounding(self) -> float:
        return NOISE * float(np.abs(self.values).max(initial=0))

    def difference(self, one: ArrayLike, other: ArrayLike) -> tuple[float, Sources]:
        """Return the mean difference of runs and its sources.

        Parameters
        ----------
        one, other : array_like of int, shape (S,)
            Places of runs; position s of both is the same seed.

        """
        rows, columns = np.asarray(one, dtype=int), np.asarray(other, dtype=int)
        difference = float((self.values[rows] - self.values[columns]).mean())
        return difference, self.differences(rows[None], columns[None])[0]

    def differences(self, one: NDArray[np.int_], other: NDArray[np.int_]) -> list[Sources]:
        """Return the sources of the mean difference of each pair, from places of runs (P, S)."""
        told = self._of_all(one, other) if len(self.values) <= MOST_TOGETHER else self._of_each_seed(one, other)
        return [
            _sources(values, total, own, self.n_samples, self.sample_degrees, self._rounding, self.noise)
            for values, (total, own) in zip(self.values[one] - self.values[other], told, strict=True)
        ]

    def _of_all(self, one: NDArray[np.int_], other: NDArray[np.int_]) -> Iterator[tuple[float, float]]:
        """Yield the sum and the trace of the covariance (S, S) of each pair."""
        pairs, seeds = one.shape
        at_once = max(1, LARGEST_BLOCK // seeds**2)
        for start in range(0, pairs, at_once):
            rows, columns = one[start : start + at_once], other[start : start + at_once]
            cross = self.covariance[rows[:, :, None], columns[:, None, :]]
            own, others = (self.covariance[each[:, :, None], each[:, None, :]] for each in (rows, columns))
            covariances = own + others - cross - cross.swapaxes(1, 2)
            yield from ((each.sum(), each.trace()) for each in covariances)

    def _of_each_seed(self, one: NDArray[np.int_], other: NDArray[np.int_]) -> Iterator[tuple[float, float]]:
        """Yield what `_of_all` does: the sum is that of deviations added over seeds, the trace is of equal seeds."""
        losses, place = np.unique(np.concatenate([one, other]), axis=0, return_inverse=True)
        first, second = place.reshape(2, -1)
        summed, own = 0.0, np.zeros(len(first))
        for rows in losses.T:
            deviations = self.deviations[rows].astype(np.float64)
            own += _squared(deviations, first, second)
            summed = summed + deviations
        total = _squared(np.asarray(summed), first, second)
        yield from zip(self.scaled(total), self.scaled(own), strict=True)


def _squared(points: Array, first: NDArray[np.int_], second: NDArray[np.int_]) -> Array:
    """Return the squared distances of pairs of points (L, N), given by their places (P,)."""
    products = points @ points.T
    squares = products.diagonal()
    return np.asarray(squares[first] + squares[second] - 2 * products[first, second])


def _sources(
    values: Array, total: float, own: float, n_samples: int, sample_degrees: float, rounding: float, noise: float
) -> Sources:
    """Decompose by the formulas at the head of this file, from the sum and the trace of the covariance C."""
    n = len(values)
    if n < 2 or n_samples < 2:
        return Sources(nan, nan, nan, nan, nan, n, n_samples)
    alike = np.ptp(values) <= rounding
    if alike and own / n <= noise:
        return Sources(0.0, 0.0, 0.0, 0.0, sample_degrees, n, n_samples)
    of_seeds, of_samples = values.var(ddof=1) / n, max(0.0, total / n**2)
    rest = max(0.0, (own - total / n) / (n * (n - 1)))
    seeds, samples = max(0.0, of_seeds - rest), max(0.0, of_samples - rest)
    spread = 0.0 if alike else float(of_seeds)
    return Sources(float(seeds), float(samples), float(rest), spread, sample_degrees, n, n_samples)


def half_widths(found: Sequence[Sources], tail: ArrayLike) -> Array:
    """Return how far each interval reaches to both sides of its mean, for the chance of each tail; NaN if not known.

    Examples
    --------
    >>> of_seeds = Sources(0.01, 0.0, 0.0, spread=0.01, sample_degrees=99.0, n_seeds=5, n_samples=100)
    >>> half_widths([of_seeds], 0.025).round(3).tolist()  # 2.776 * 0.1
    [0.278]

    """
    return np.sqrt(_squared_half(_parts(found), np.asarray(tail, dtype=float))[0])


def tails_beyond(found: Sequence[Sources], distance: ArrayLike) -> Array:
    """Return the tail whose interval reaches as far as a distance: half of the p-value of that difference.

    By Newton's method, of the logarithm of the squared half-width by that of the tail; it starts where one t quantile
    for both parts puts it.

    Parameters
    ----------
    found : sequence of Sources
        With spread.
    distance : array_like, shape (P,)
        From the mean; below 0 it gives more than a half.

    Examples
    --------
    >>> of_both = Sources(0.01, 0.01, 0.0, spread=0.01, sample_degrees=99.0, n_seeds=5, n_samples=100)
    >>> tails_beyond([of_both], half_widths([of_both], 0.003)).round(6).tolist()
    [0.003]

    """
    parts, signed = _parts(found), np.asarray(distance, dtype=float)
    square = np.maximum(signed**2, np.finfo(float).tiny)
    ends = [-special.stdtr(degrees, -np.sqrt(square / parts[:2].sum(0))) for degrees in parts[2:]]
    most, least = (np.log(np.clip(-edge(*ends), SMALLEST_TAIL, 0.5)) for edge in (np.minimum, np.maximum))
    place = most
    for _ in range(_STEPS):
        half, slope = _squared_half(parts, np.exp(place))
        with np.errstate(divide="ignore", invalid="ignore"):
            step = (np.log(half) - np.log(square)) / slope
        place = np.clip(np.where(np.isfinite(step), place - step, place), least, most)
    tail = np.where(np.isnan(square + parts.sum(0)), nan, np.exp(place))
    return np.where(signed < 0, 1 - tail, tail)


def _parts(found: Sequence[Sources]) -> Array:
    """Return two variances and their degrees of freedom (4, P); where seeds don't spread the first is the rest."""
    rows = [
        (each.spread, each.samples, each.n_seeds - 1, each.sample_degrees)
        if each.spread > 0
        else (each.rest, each.samples, each.sample_degrees, each.sample_degrees)
        for each in found
    ]
    return np.array(rows, dtype=float).reshape(-1, 4).T


def _squared_half(parts: Array, tail: Array) -> tuple[Array, Array]:
    """Return the squared half-width, and by how much its logarithm changes with that of the tail."""
    variances, degrees = parts[:2], parts[2:]
    t = -special.stdtrit(degrees, tail)
    half = (t**2 * variances).sum(0)
    log_density = -(degrees + 1) * np.log(np.hypot(1, t / np.sqrt(degrees)))
    log_density -= np.log(degrees) / 2 + special.betaln(0.5, degrees / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (-2 * t * tail * np.exp(-log_density) * variances).sum(0) / half
    return half, slope


def runs_by_sample(values: ArrayLike, groups: ArrayLike | None = None) -> Runs:
    """Gather runs whose metric is a mean over samples.

    Parameters
    ----------
    values : array_like, shape (R, N)
        Of each run and sample.
    groups : array_like, shape (N,), optional
        Samples of one group are drawn together: a run's metric is then a ratio, the sum over groups over their sizes.

    Examples
    --------
    >>> runs = runs_by_sample([[1.0, 0.0, 2.0], [2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> mean, sources = runs.difference([0, 1], [2, 3])
    >>> mean, round(sources.samples, 4), round(sources.rest, 4), sources.seeds
    (1.0, 0.1667, 0.0833, 0.0)

    """
    table = _table(values)
    mean = table.mean(axis=1)
    centred = table - mean[:, None]
    if groups is not None:
        centred = in_groups(centred, groups)
    return of_centred(mean, centred, float(np.abs(table).max(initial=0)))


def of_centred(mean: Array, centred: NDArray[Any], largest: float) -> Runs:
    """Gather runs by their means (R,), what each sample adds around it (R, N) and the largest value."""
    n = centred.shape[1]
    noise = (NOISE * largest) ** 2 / max(1, n)
    return Runs(mean, centred, lambda products: products / (n * max(1, n - 1)), n, float(n - 1), noise)


def in_groups(centred: NDArray[Any], groups: ArrayLike) -> Array:
    """Sum deviations (R, N) from the mean of a run by group, (R, G), in units whose mean is that of the samples."""
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    count = int(place.max(initial=-1)) + 1
    summed = np.stack([np.bincount(place, row, count) for row in centred])
    return np.asarray(summed * count / centred.shape[1])


def runs_by_draw(values: ArrayLike, replicates: ArrayLike, samples: int) -> Runs:
    """Gather runs whose metric was computed on B bootstrap draws of the samples, the same for all runs.

    Parameters
    ----------
    values : array_like, shape (R,)
        The metric of each run on all samples.
    replicates : array_like, shape (R, B)
        The same on each draw; a draw on which a run has no value (NaN) is left out for all.
    samples : int
        N, or the number of groups.

    """
    own, drawn = np.asarray(values, dtype=float), np.asarray(replicates, dtype=float)
    if own.ndim != 1 or drawn.ndim != 2 or len(drawn) != len(own):
        raise ValueError(f"values has shape {own.shape} and replicates {drawn.shape}; give (R,) and (R, B)")
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    draws = drawn.shape[1]
    if draws < 2:
        raise ValueError("replicates has fewer than 2 draws on which all runs have a value")
    deviations = drawn - drawn.mean(axis=1, keepdims=True)
    degrees, noise = float(draws - 1), (NOISE * float(np.abs(own).max(initial=0))) ** 2
    if samples < 2:
        return Runs(own, deviations, lambda products: products / (draws - 1), samples, degrees, noise)
    degrees = 1 / (1 / degrees + 1 / (samples - 1))

    def scaled(products: Array) -> Array:  # a bootstrap of N has (N - 1) / N of their variance
        return products / (draws - 1) * samples / (samples - 1)

    return Runs(own, deviations, scaled, samples, degrees, noise)


def p_within(sources: Sources, mean: float, margin: float) -> float:
    """Return the p-value of two one-sided tests that the difference lies within a margin; see `equivalence`.

    Raises
    ------
    ValueError
        If the margin isn't above 0.

    """
    if not margin > 0:
        raise ValueError(f"margin={margin} is not allowed; give a number above 0")
    if sources.variance == 0:
        return smallest_p(sources.n_seeds) / 2 if abs(mean) < margin else 1.0
    return float(tails_beyond([sources], margin - abs(mean))[0])


def _table(values: ArrayLike) -> Array:
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"the table has shape {table.shape}; give one number for each seed and sample")
    if not np.isfinite(table).all():
        raise ValueError("the table has numbers that are not finite")
    return table
