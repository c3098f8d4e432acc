"""How often the 95 % intervals of `lossbench.compare.numbers.two_sources` cover the true difference, by simulation.

Run as `python scripts/coverage_two_sources.py [tables of each kind]`. Owen's bootstrap is there to compare.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lossbench.compare.numbers.two_sources import crossed, interval, resampled

Array = NDArray[np.float64]
Rng = np.random.Generator

SHARES = {"seeds": (10.0, 1.0, 1.0), "samples": (1.0, 10.0, 1.0), "mixed": (1.0, 1.0, 1.0), "rest": (0.0, 0.0, 1.0)}
"""Contributions of seeds, samples and rest to the variance of the mean, in proportion."""


def additive(draw: Callable[[Rng, Any], Array]) -> Callable[..., tuple[Array, float]]:
    """Make tables of mean 0 whose samples and rest are drawn from a distribution; seeds are normal."""

    def table(rng: Rng, seeds: int, samples: int, shares: tuple[float, float, float]) -> tuple[Array, float]:
        a, b, e = np.sqrt(np.multiply(shares, [1 / samples, 1 / seeds, 1.0]))
        drawn = a * rng.normal(size=(seeds, 1)) + b * draw(rng, (1, samples)) + e * draw(rng, (seeds, samples))
        return drawn, 0.0

    return table


def discrete(edge: float) -> Callable[..., tuple[Array, float]]:
    """Make tables of -1, 0 and 1: which of two losses is right alone. The higher the edge, the more are 0."""

    def table(rng: Rng, seeds: int, samples: int, shares: tuple[float, float, float]) -> tuple[Array, float]:
        slope = 2 * stats.norm.pdf(edge)  # of the mean with the latent number; 2 sf(edge) is its variance
        of_rest = 2 * stats.norm.sf(edge) / slope**2
        a = np.sqrt(shares[0] / shares[2] * of_rest / samples)
        b = np.sqrt(min(1.0, shares[1] / shares[2] * of_rest / seeds))
        shape = (seeds, samples)
        latent = 0.1 + a * rng.normal(size=(seeds, 1)) + b * rng.normal(size=(1, samples)) + rng.normal(size=shape)
        total = np.sqrt(1 + a**2 + b**2)
        mean = stats.norm.sf((edge - 0.1) / total) - stats.norm.sf((edge + 0.1) / total)
        return (latent > edge) - 1.0 * (latent < -edge), float(mean)

    return table


TABLES = {
    "normal": additive(lambda rng, size: rng.normal(size=size)),
    "skewed": additive(lambda rng, size: rng.exponential(size=size) - 1),
    "discrete": discrete(1.0),
    "tied": discrete(2.2),  # 97 % zeros
}


def covers(low: float, high: float, truth: float) -> bool:
    """Tell whether an interval holds the truth."""
    return low <= truth <= high


def coverage(kind: str, shares: str, seeds: int, samples: int, tables: int) -> float:
    """Return the share of tables whose interval holds the truth."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(tables):
        table, truth = TABLES[kind](rng, seeds, samples, SHARES[shares])
        found += covers(*interval(crossed(table), float(table.mean())), truth)
    return found / tables


def rmse(table: Array, weights: Array) -> Array:
    """Return the root of the weighed mean square (S, B) of errors (S, N): a metric that is no mean."""
    return np.asarray(np.sqrt(table**2 @ weights.T / weights.sum(1)))


def owen(table: Array, rng: Rng, draws: int) -> tuple[float, float]:
    """Return the percentile interval of the mean RMSE if seeds and samples are both drawn."""
    seeds, samples = table.shape
    of_samples = rng.multinomial(samples, np.full(samples, 1 / samples), draws).astype(float)
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    low, high = np.quantile((of_seeds.T * rmse(table, of_samples)).sum(0), [0.025, 0.975])
    return float(low), float(high)


def coverage_of_draws(shares: str, seeds: int, samples: int, tables: int, draws: int = 200) -> tuple[float, float]:
    """Return the coverage of the interval of an RMSE by `resampled`, and by Owen's bootstrap."""
    rng, ours, owens = np.random.default_rng(0), 0, 0
    a, b, e = np.multiply(
        SHARES[shares], [0.25 / samples, 1 / seeds, 1.0]
    )  # a variance v of squares is v / 4 of a root
    weights_of, truth = np.full(samples, 1 / samples), float(np.exp(a / 2))
    for _ in range(tables):
        shape = (seeds, samples)
        of_seed = np.exp(np.sqrt(a) * rng.normal(size=(seeds, 1)))
        of_sample = rng.gamma(1 / b, b, size=(1, samples)) if b else 1.0
        table = of_seed * np.sqrt(of_sample * rng.gamma(1 / e, e, size=shape))
        values = rmse(table, np.ones((1, samples)))[:, 0]
        weights = rng.multinomial(samples, weights_of, draws).astype(float)
        bounds = interval(resampled(values, rmse(table, weights), samples), float(values.mean()))
        ours += covers(*bounds, truth)
        owens += covers(*owen(table, rng, draws), truth)
    return ours / tables, owens / tables


def main(tables: int) -> None:
    """Print both tables."""
    print("metric that is a mean: coverage in per cent")
    for kind in TABLES:
        for shares in SHARES:
            row = [
                f"{seeds}x{samples}: {100 * coverage(kind, shares, seeds, samples, tables):.1f}"
                for seeds in (3, 5, 10, 20)
                for samples in (200, 500, 2000, 10_000)
                if seeds * samples <= 100_000
            ]
            print(f"{kind:9} {shares:8}", *row, flush=True)
    print("root mean squared error: coverage by resampled, and by Owen's bootstrap")
    for shares in SHARES:
        for seeds in (3, 5, 10):
            ours, owens = coverage_of_draws(shares, seeds, 500, tables)
            print(f"{shares:8} {seeds}x500: {100 * ours:.1f} {100 * owens:.1f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
