"""What would resolve a difference that is open: more seeds, more test samples, or neither alone."""

from bisect import bisect_left
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import scipy

from lossbench.compare.numbers.seeds import MOST_SEEDS
from lossbench.compare.numbers.statistics import check_fraction
from lossbench.compare.numbers.two_sources import Sources, half_widths

MOST_SAMPLES = 100_000_000
"""Where `what_helps` gives up on test samples."""


@dataclass(frozen=True)
class Help:
    """What would resolve a difference.

    Parameters
    ----------
    dominant : str
        "seeds", "samples" or "either", as in `Sources.dominant`; "" where nothing spreads.
    seeds : int or None
        Number of seeds, in all, that find the difference on as many samples; None if no number does.
    samples : int or None
        Number of samples, in all, that find it with as many seeds; None if no number does.

    """

    dominant: str
    seeds: int | None
    samples: int | None


def predicted(sources: Sources, n_seeds: int, n_samples: int) -> Sources:
    """Return the sources that other numbers of seeds and samples would give on average."""
    by_seeds, by_samples = sources.n_seeds / n_seeds, sources.n_samples / n_samples
    seeds, samples = sources.seeds * by_seeds, sources.samples * by_samples
    rest = sources.rest * by_seeds * by_samples
    return Sources(seeds, samples, rest, seeds + rest, n_samples - 1, n_seeds, n_samples)


def power_of(sources: Sources, mean: float, alpha: float, n_seeds: int, n_samples: int) -> float:
    """Return the chance that a two-sided test finds the difference with other numbers of seeds and samples.

    By the noncentral t, with the degrees of freedom that Satterthwaite gives the sum of the two estimated variances.
    """
    then = predicted(sources, n_seeds, n_samples)
    error = np.sqrt(then.variance)
    shift, bound = abs(mean) / error, float(half_widths([then], alpha / 2)[0] / error)
    spread = then.spread**2 / (n_seeds - 1) + then.samples**2 / then.sample_degrees
    degrees = float(then.variance**2 / spread)
    if degrees > 1000 or shift > 30:  # where the noncentral t is slow, or has no value
        return float(scipy.stats.norm.sf((bound - shift) / np.sqrt(1 + bound**2 / (2 * degrees))))
    return float(scipy.stats.nct.sf(bound, degrees, shift))


def what_helps(sources: Sources, mean: float, alpha: float = 0.05, power: float = 0.8) -> Help:
    """Say which source dominates, and how many seeds or samples alone would find the difference seen.

    It takes the difference and the sources at hand for the true ones, as `seeds_needed` does: a plan, no proof.

    Examples
    --------
    >>> of_samples = Sources(1e-6, 1e-4, 0.0, spread=1e-6, sample_degrees=999.0, n_seeds=5, n_samples=1000)
    >>> what_helps(of_samples, 0.02)  # no number of seeds is enough on this test set
    Help(dominant='samples', seeds=None, samples=2033)

    """
    check_fraction(alpha, "alpha")
    check_fraction(power, "power")
    if not sources.variance > 0:
        return Help("", None, None)

    def first(most: int, reached: Any) -> int | None:
        found = 2 + bisect_left(range(2, most + 1), power, key=reached)
        return found if found <= most else None

    if mean == 0 or isnan(mean):
        return Help(sources.dominant, None, None)
    seeds = first(MOST_SEEDS, lambda n: power_of(sources, mean, alpha, n, sources.n_samples))
    samples = first(MOST_SAMPLES, lambda n: power_of(sources, mean, alpha, sources.n_seeds, n))
    return Help(sources.dominant, seeds, samples)
