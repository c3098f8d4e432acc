"""A table of differences, seeds by samples, through the code that compares runs."""

import numpy as np
from numpy.typing import ArrayLike

from lossbench.compare.numbers.two_sources import Runs, Sources, half_widths, runs_by_draw, runs_by_sample, tails_beyond


def crossed(table: ArrayLike, groups: ArrayLike | None = None) -> Sources:
    """Find the sources of chance in the mean of a table (S, N), of a metric that is a mean over samples."""
    rows = np.asarray(table, dtype=float)
    return _against_none(runs_by_sample(np.concatenate([rows, np.zeros_like(rows)]), groups), len(rows))


def resampled(values: ArrayLike, replicates: ArrayLike, samples: int) -> Sources:
    """Do so for a metric (S,) that was computed on draws of the samples (S, B)."""
    own, drawn = np.asarray(values, dtype=float), np.asarray(replicates, dtype=float)
    both = np.concatenate([own, np.zeros_like(own)]), np.concatenate([drawn, np.zeros_like(drawn)])
    return _against_none(runs_by_draw(*both, samples), len(own))


def _against_none(runs: Runs, seeds: int) -> Sources:
    return runs.difference(np.arange(seeds), np.arange(seeds, 2 * seeds))[1]


def interval(sources: Sources, mean: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the bounds for new seeds and new samples."""
    half = float(half_widths([sources], (1 - confidence) / 2)[0])
    return mean - half, mean + half


def p_difference(sources: Sources, mean: float) -> float:
    """Return the two-sided p-value of no difference."""
    return float(2 * tails_beyond([sources], abs(mean))[0])
