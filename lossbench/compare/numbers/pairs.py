"""Pairs of losses on one metric: how far apart they are, how sure that is, adjusted over the whole family of pairs.

Interval, p and letters of a metric come from one family of comparisons, `compare.family`: all pairs of losses, or each
loss with the baseline. All are adjusted for its size m alike: p times m, intervals of confidence 1 - alpha / m
(Bonferroni). So they are simultaneous, and an interval leaves 0 out exactly if p is at most alpha. A step-down
correction such as Holm's would decide a little more, but has no intervals that always agree with it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import NamedTuple

import numpy as np

from lossbench.compare.numbers.equivalence import Outcome, outcome, p_equivalence
from lossbench.compare.numbers.statistics import PairedDifference, kind_of, paired_difference
from lossbench.compare.numbers.two_sources import Sources, interval, p_difference, p_within
from lossbench.compare.numbers.unpaired import unpaired_difference
from lossbench.tasks.task import Better

Pair = tuple[str, str]
"""Two labels; a difference is that of the first minus the second."""
TWO_SOURCES = "two-source t"
"""The kind of an interval for new seeds and new test data (`two_sources`)."""


class Runs(NamedTuple):
    """The values of two losses.

    Parameters
    ----------
    first, second : list of float
        One for each run; of pairs, position i of both is the same seed.
    paired : bool
        Whether they are pairs.
    seeds : list of int
        Of the pairs.

    """

    first: list[float]
    second: list[float]
    paired: bool
    seeds: list[int]


@dataclass(frozen=True)
class PairComparison:
    """A loss against another one on one metric.

    Parameters
    ----------
    difference : PairedDifference
        First minus second: its bounds are simultaneous over the family, its p-values are of this pair alone.
    paired : bool
        Whether over the seeds that both have; otherwise over all runs of both.
    p_t, p_wilcoxon : float
        Adjusted for the size of the family; NaN where there is no test.
    p_equivalence : float
        That the difference lies within the margin, adjusted alike; NaN without a margin.
    outcome : str or None
        What the first loss is by `lossbench.compare.numbers.equivalence`; None without a margin.
    this_test_set : PairedDifference or None
        Where `difference` is for new seeds and new test data: the same for new seeds alone; else None.
    sources : Sources or None
        What the difference owes to seeds and to samples, where `difference` is for both.

    """

    difference: PairedDifference
    paired: bool
    p_t: float
    p_wilcoxon: float
    p_equivalence: float = nan
    outcome: Outcome | None = None
    this_test_set: PairedDifference | None = None
    sources: Sources | None = None

    def decided(self, alpha: float) -> bool:
        """Tell whether the losses are shown to differ, by more than a margin if there is one."""
        return self.p_t <= alpha and self.outcome != "equivalent"


def compare_pairs(
    pairs: Mapping[Pair, Runs],
    *,
    size: int,
    better: Better,
    confidence: float,
    margin: float | None,
    sources: Callable[[Pair, Collection[int]], Sources | None] = lambda pair, seeds: None,
) -> dict[Pair, PairComparison]:
    """Compare the losses of each pair.

    Parameters
    ----------
    pairs : mapping
        The runs of each pair, at least one of each loss.
    size : int
        Number of comparisons of the family that the pairs are of.
    better : str
        Direction of the metric.
    confidence : float
        Of all intervals together; 1 - confidence is the level of all tests together.
    margin : float, optional
        Of equality in practice.
    sources : callable, optional
        What the difference of a pair over some seeds owes to seeds and samples, None where that isn't known. Without it
        all is for new seeds on this test set.

    """
    alpha, found = round(1 - confidence, 12), {}
    for pair, runs in pairs.items():
        known = sources(pair, runs.seeds) if runs.paired else None
        found[pair] = _compare(runs, size, alpha, better, margin, known if known and known.variance > 0 else None)
    return found


def turned(comparison: PairComparison) -> PairComparison:
    """Return what is said of the second loss against the first."""
    other, seeds = {"better": "worse", "worse": "better"}, comparison.this_test_set
    told: Outcome | None = other.get(comparison.outcome or "", comparison.outcome)  # type: ignore[assignment]
    difference, alone = _turned(comparison.difference), None if seeds is None else _turned(seeds)
    return replace(comparison, difference=difference, outcome=told, this_test_set=alone)


def _turned(found: PairedDifference) -> PairedDifference:
    return replace(
        found, mean=0.0 - found.mean, low=0.0 - found.high, high=0.0 - found.low, effect_size=0.0 - found.effect_size,
        improvement=1 - found.improvement,
    )  # fmt: skip


def _compare(
    runs: Runs, size: int, alpha: float, better: Better, margin: float | None, sources: Sources | None
) -> PairComparison:
    alone = _difference(runs, better, alpha, size)
    difference = alone if sources is None else _with_data(alone, sources, alpha, size)
    p_t, p_wilcoxon = _adjusted(difference.p_t, size), _adjusted(difference.p_wilcoxon, size)
    found = PairComparison(difference, runs.paired, p_t, p_wilcoxon)
    if sources is not None:
        found = replace(found, this_test_set=alone, sources=sources)
    if margin is None:
        return found
    p_equal = p_equivalence(runs.first, runs.second, margin, paired=runs.paired)
    if sources is not None:
        p_equal = max(p_equal, p_within(sources, difference.mean, margin))
    p_equal = _adjusted(p_equal, size)
    told = outcome(difference.mean, p_t, p_equal, higher_is_better=better == "higher", alpha=alpha)
    return replace(found, p_equivalence=p_equal, outcome=told)


def _with_data(alone: PairedDifference, sources: Sources, alpha: float, size: int) -> PairedDifference:
    """Widen a difference over seeds by what new test data would do: its interval is never narrower than that of seeds.

    The two-source t knows more degrees of freedom than the seeds have, and far out in its tails, where several
    comparisons are decided, it trusts them too much when the seeds have most of the chance.
    """
    low, high = interval(sources, alone.mean, 1 - alpha / size)
    p, kind = p_difference(sources, alone.mean), kind_of(TWO_SOURCES, 1 - alpha, size)
    low, high, p = np.fmin(low, alone.low), np.fmax(high, alone.high), np.fmax(p, alone.p_t)  # NaN gives way
    return replace(alone, low=float(low), high=float(high), p_t=float(p), kind=kind, note="")


def _difference(runs: Runs, better: Better, alpha: float, size: int) -> PairedDifference:
    compare = paired_difference if runs.paired else unpaired_difference
    higher = better == "higher"
    found = compare(runs.first, runs.second, higher_is_better=higher, confidence=1 - alpha, among=size)
    return replace(found, improvement=nan) if better == "neither" else found


def _adjusted(p: float, size: int) -> float:
    return p if isnan(p) else min(1.0, size * p)
