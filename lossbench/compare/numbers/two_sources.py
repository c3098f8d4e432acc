r"""Two sources of chance: how sure a difference of two losses is for new seeds and new test data alike.

Intervals over seeds alone (`statistics`) speak of this test set. Here the difference :math:`d_{si}` of a loss and its
baseline at seed s and test sample i is taken as

.. math:: d_{si} = \mu + a_s + b_i + e_{si}

with chance in the seeds, in the samples and in the rest: how a seed does on a sample, beyond both. The mean over S
seeds and N samples has the variance :math:`\sigma_a^2 / S + \sigma_b^2 / N + \sigma_e^2 / (S N)`. All three come from
S values of a metric and their covariance by chance of the samples, (S, S): from the samples themselves where the metric
is a mean over them (`crossed`), from a bootstrap of the samples where it is not (`resampled`). With

.. math:: A = s^2 / S, \quad B = 1^T C 1 / S^2, \quad E = (\mathrm{tr}\, C / S - \overline{C}_{s \ne t}) / S

- the variance of the mean by the spread :math:`s^2` of the seeds, by the samples for these seeds, and what both count -
the variance is A + B - E. For means A, B and E are the mean squares of a two-way analysis of variance over S N.
A sum of differences can come out too small: A and B count as E where they are below it, so that the variance is never
below A nor B. Its degrees of freedom are Satterthwaite's, of the terms that count. With 5 seeds a 95 % interval covers
94.2 to 96.9 % of the time whatever the sizes of the three are, with 3 seeds 92.1 to 96.9 % (normal seeds, many
samples; most where there is nothing but the rest, least where the seeds have it all). Far out, as where many
comparisons are adjusted for, the degrees of freedom, estimated themselves, are now and then too many: with 3 seeds that
have the most of it p <= 0.0011 comes in 1.7 % of tables without a difference. So `pairs` takes the wider of this
interval and of Student's over the seeds.

References
----------
Satterthwaite, "An approximate distribution of estimates of variance components", 1946. Owen, "The pigeonhole
bootstrap", 2007. Bouthillier et al., "Accounting for variance in machine learning benchmarks", 2021 (the sources).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from lossbench.compare.numbers.statistics import check_fraction, smallest_p

Array = NDArray[np.float64]

LARGEST_BLOCK = 2**21
"""Numbers that are worked on at once."""
MOST_TOGETHER = 2000
"""Of more runs there is no table of runs by runs: what pairs need comes from the deviations, seed by seed."""
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
    variance : float
        Their sum; 0 where nothing spreads beyond rounding, NaN where it can't be known.
    degrees : float
        Degrees of freedom of the variance; NaN where there is no spread.
    n_seeds, n_samples : int
        S and N; N is the number of groups where samples are drawn in groups.

    """

    seeds: float
    samples: float
    rest: float
    variance: float
    degrees: float
    n_seeds: int
    n_samples: int

    @property
    def standard_error(self) -> float:
        """The standard deviation of the mean."""
        return float(np.sqrt(self.variance))

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
    if np.ptp(values) <= rounding and own / n <= noise:
        return Sources(0.0, 0.0, 0.0, 0.0, nan, n, n_samples)
    of_seeds, of_samples = values.var(ddof=1) / n, max(0.0, total / n**2)
    rest = max(0.0, (own - total / n) / (n * (n - 1)))
    seeds, samples = max(0.0, of_seeds - rest), max(0.0, of_samples - rest)
    variance, degrees = combined(seeds, samples, rest, n - 1, sample_degrees)
    return Sources(float(seeds), float(samples), float(rest), variance, degrees, n, n_samples)


def combined(seeds: float, samples: float, rest: float, of_seeds: float, of_samples: float) -> tuple[float, float]:
    """Return the variance and Satterthwaite's degrees of freedom: those of A, B and E, less what cancels out."""
    variance = seeds + samples + rest
    spread = (seeds + rest) ** 2 / of_seeds if seeds else 0.0
    spread += (samples + rest) ** 2 / of_samples if samples or not seeds else 0.0
    spread += rest**2 / (of_seeds * of_samples) if seeds and samples else 0.0
    return float(variance), float(variance**2 / spread) if spread else nan


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
    return Runs(mean, centred, lambda products: products / (n * max(1, n - 1)), n, n - 1, noise)


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


def crossed(table: ArrayLike, groups: ArrayLike | None = None, scale: float | None = None) -> Sources:
    """Find the sources of chance in the mean of a table of differences, seed by sample.

    Parameters
    ----------
    table : array_like, shape (S, N)
        Loss minus baseline.
    groups : array_like, shape (N,), optional
        Samples of one group are drawn together, as the crops of an image.
    scale : float, optional
        Size of the values whose differences these are: what is below their single precision is no spread. By default
        the largest difference.

    Raises
    ------
    ValueError
        If the table has another shape or a number that isn't finite.

    Examples
    --------
    >>> same_on_all_seeds = crossed([[1.0, 0.0, 2.0], [1.0, 0.0, 2.0]])
    >>> round(same_on_all_seeds.samples, 4), same_on_all_seeds.seeds, round(same_on_all_seeds.degrees)
    (0.3333, 0.0, 2)
    >>> crossed([[0.5, 0.5], [0.5, 0.5]]).variance
    0.0

    """
    rows = _table(table)
    runs = runs_by_sample(rows, groups)
    largest = float(np.abs(rows).max(initial=0)) if scale is None else scale
    noise = (NOISE * largest) ** 2 / max(1, runs.n_samples)
    total, own = runs.covariance.sum(), runs.covariance.trace()
    return _sources(runs.values, total, own, runs.n_samples, runs.sample_degrees, NOISE * largest, noise)


def resampled(values: ArrayLike, replicates: ArrayLike, samples: int, scale: float | None = None) -> Sources:
    """Find the sources of chance in the mean of differences of a metric that is no mean over samples.

    The samples are drawn, the seeds are not: the spread of the seeds is that of the values, and the covariance of the
    replicates of two seeds tells what they share by the samples. To draw both, as in Owen's bootstrap, does not serve
    few seeds: drawing S of S seeds again gives (S - 1) / S of their variance, 80 % with five, its percentiles know of
    no degrees of freedom, and the chance of a seed on a sample, which is in the draws of seeds, of samples and of both,
    is counted up to three times: as a whole the interval is too narrow where the seeds matter and too wide where the
    rest does.

    Parameters
    ----------
    values : array_like, shape (S,)
        Loss minus baseline, at each seed.
    replicates : array_like, shape (S, B)
        The same on B bootstrap draws of the samples, each the same for all runs.
    samples : int
        N, the number of samples that were drawn from.
    scale : float, optional
        As in `crossed`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = np.array([0.1, 0.2, 0.3])
    >>> found = resampled(values, values[:, None] + rng.normal(size=500), samples=1000)  # seeds share all of it
    >>> round(found.seeds, 4), round(found.samples, 1), round(found.rest, 4)
    (0.0033, 1.0, 0.0)

    """
    runs = runs_by_draw(values, replicates, samples)
    largest = float(np.abs(runs.values).max(initial=0)) if scale is None else scale
    noise = (NOISE * largest) ** 2
    total, own = runs.covariance.sum(), runs.covariance.trace()
    return _sources(runs.values, total, own, runs.n_samples, runs.sample_degrees, NOISE * largest, noise)


def interval(sources: Sources, mean: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the bounds in which the difference is expected for new seeds and new samples; NaN where not known.

    Examples
    --------
    >>> low, high = interval(Sources(0.01, 0.0, 0.0, 0.01, 4.0, 5, 100), 0.5)
    >>> round(low, 3), round(high, 3)  # 0.5 -+ 2.776 * 0.1
    (0.222, 0.778)

    """
    check_fraction(confidence, "confidence")
    if sources.variance == 0:
        return mean, mean
    half = float(scipy.stats.t.isf((1 - confidence) / 2, sources.degrees)) * sources.standard_error
    return mean - half, mean + half


def p_difference(sources: Sources, mean: float) -> float:
    """Return the two-sided p-value of "no difference"; without spread that of the signs alone, as without samples."""
    if sources.variance == 0:
        return 1.0 if mean == 0 else smallest_p(sources.n_seeds)
    return float(2 * scipy.stats.t.sf(abs(mean) / sources.standard_error, sources.degrees))


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
    return float(scipy.stats.t.sf((margin - abs(mean)) / sources.standard_error, sources.degrees))


def _table(values: ArrayLike) -> Array:
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"the table has shape {table.shape}; give one number for each seed and sample")
    if not np.isfinite(table).all():
        raise ValueError("the table has numbers that are not finite")
    return table
