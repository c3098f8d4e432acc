"""Pairs of losses on one metric: how far apart they are, how sure that is, adjusted over the whole family of pairs.

Interval, p and letters of a metric come from one family of comparisons, `compare.family`: all pairs of losses, or each
loss with the baseline. All are adjusted for its size m alike: p times m, intervals of confidence 1 - alpha / m
(Bonferroni). So they are simultaneous, and an interval leaves 0 out exactly if p is at most alpha. A step-down
correction such as Holm's would decide a little more, but has no intervals that always agree with it.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import NamedTuple

import numpy as np

from lossbench.compare.numbers.equivalence import Outcome, outcome, p_equivalence
from lossbench.compare.numbers.statistics import PairedDifference, kind_of, paired_differences
from lossbench.compare.numbers.two_sources import Sources, half_widths, p_within, tails_beyond
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
    sources: Callable[[Mapping[Pair, Runs]], Mapping[Pair, Sources | None]] = lambda pairs: {},
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
        What the differences of pairs with common seeds owe to seeds and samples, None where that isn't known. Without
        it all is for new seeds on this test set.

    """
    alpha = round(1 - confidence, 12)
    alone = _differences(pairs, better, alpha, size)
    paired = {pair: runs for pair, runs in pairs.items() if runs.paired}
    known = {pair: each for pair, each in sources(paired).items() if each is not None and each.variance > 0}
    both = _with_data(alone, known, alpha, size)
    return {
        pair: _compared(runs, alone[pair], both.get(pair), known.get(pair), size, alpha, better, margin)
        for pair, runs in pairs.items()
    }


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


def _compared(
    runs: Runs, alone: PairedDifference, both: PairedDifference | None, sources: Sources | None,
    size: int, alpha: float, better: Better, margin: float | None,
) -> PairComparison:  # fmt: skip
    difference = alone if both is None else both
    p_t, p_wilcoxon = _adjusted(difference.p_t, size), _adjusted(difference.p_wilcoxon, size)
    p_equal, told = nan, None
    if margin is not None:
        p_equal = p_equivalence(runs.first, runs.second, margin, paired=runs.paired)
        if sources is not None:
            p_equal = max(p_equal, p_within(sources, difference.mean, margin))
        p_equal = _adjusted(p_equal, size)
        told = outcome(difference.mean, p_t, p_equal, higher_is_better=better == "higher", alpha=alpha)
    on_these = None if both is None else alone
    return PairComparison(difference, runs.paired, p_t, p_wilcoxon, p_equal, told, on_these, sources)


def _with_data(
    alone: Mapping[Pair, PairedDifference], known: Mapping[Pair, Sources], alpha: float, size: int
) -> dict[Pair, PairedDifference]:
    """Widen differences over seeds by what new test data would do: no interval is narrower than that of seeds."""
    if not known:
        return {}
    over_seeds, sources = [alone[pair] for pair in known], list(known.values())
    mean, low, high, p_seeds = np.array([(each.mean, each.low, each.high, each.p_t) for each in over_seeds]).T
    half = half_widths(sources, alpha / size / 2)
    p = 2 * tails_beyond(sources, np.abs(mean))
    told = np.array([np.fmin(mean - half, low), np.fmax(mean + half, high), np.fmax(p, p_seeds)])  # NaN gives way
    kind = kind_of(TWO_SOURCES, 1 - alpha, size)
    return {
        pair: replace(each, low=low, high=high, p_t=p, kind=kind, note="")
        for pair, each, (low, high, p) in zip(known, over_seeds, told.T.tolist(), strict=True)
    }


def _differences(pairs: Mapping[Pair, Runs], better: Better, alpha: float, size: int) -> dict[Pair, PairedDifference]:
    """Compare pair by pair, those with equally many common seeds at once."""
    alike: dict[int, list[Pair]] = defaultdict(list)
    found, higher = {}, better == "higher"
    for pair, runs in pairs.items():
        if runs.paired:
            alike[len(runs.first)].append(pair)
        else:
            found[pair] = unpaired_difference(
                runs.first, runs.second, higher_is_better=higher, confidence=1 - alpha, among=size
            )
    for together in alike.values():
        first, second = (np.array([pairs[pair][side] for pair in together], dtype=float) for side in (0, 1))
        told = paired_differences(first, second, higher_is_better=higher, confidence=1 - alpha, among=size)
        found |= dict(zip(together, told, strict=True))
    if better == "neither":
        found = {pair: replace(each, improvement=nan) for pair, each in found.items()}
    return found


def _adjusted(p: float, size: int) -> float:
    return p if isnan(p) else min(1.0, size * p)
