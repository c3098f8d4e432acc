"""The numbers of a comparison: each loss's mean on each metric, and how it differs from the baseline, with how sure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from lossbench.compare.numbers.comparisons import Comparison, baseline_of
from lossbench.compare.numbers.equivalence import Outcome, outcome, p_equivalence
from lossbench.compare.numbers.ranks import letter_display
from lossbench.compare.numbers.selection import SELECTIONS, Metrics, test_metrics
from lossbench.compare.numbers.statistics import (
    Interval,
    Method,
    PairedDifference,
    holm,
    mean_interval,
    paired_difference,
    seeds_needed,
)
from lossbench.compare.numbers.unpaired import unpaired_difference
from lossbench.errors import ConfigError, nearest
from lossbench.ranges import contains, takes
from lossbench.tasks.task import NEITHER

Values = dict[int, float]
Pair = tuple[list[float], list[float], bool]


@takes(
    metric="text or null",
    select="one of: best_clean_val, best_val, last, oracle",
    baseline="text or null",
    confidence="number (0, 1)",
    interval="one of: bca, t",
    unpaired="bool",
    margin="number (0, inf) or null",
)
@dataclass(frozen=True)
class Options:
    """How a comparison is made; `conf/compare/default.yaml` holds the same names.

    Parameters
    ----------
    metric : str, optional
        What the losses are sorted and judged by; None: the first of the task.
    select : str
        The epoch that counts, one of `SELECTIONS`.
    baseline : str, optional
        The label or the loss that the others are compared with; None: the plain one of the task, else the first loss.
    confidence : float
        Of all intervals; 1 - confidence is the level of all tests.
    interval : str
        "t" (Student) or "bca" (bootstrap).
    unpaired : bool
        Whether losses that were run with other seeds than the baseline are compared without pairs.
    margin : float, optional
        Losses whose difference on `metric` is shown to be smaller are equal in practice; None: no loss is called equal.
    trust : tuple of str
        Losses, not lossbench's, that may be imported when a record names them.

    """

    metric: str | None = None
    select: str = "last"
    baseline: str | None = None
    confidence: float = 0.95
    interval: Method = "t"
    unpaired: bool = False
    margin: float | None = None
    trust: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what can be checked without runs."""
        if self.select not in SELECTIONS:
            raise ConfigError(f"compare.select={self.select} is not known. {nearest(str(self.select), SELECTIONS)}")
        if self.interval not in ("t", "bca"):
            raise ConfigError(f"compare.interval={self.interval} is not known. {nearest(self.interval, ['t', 'bca'])}")
        if not contains("(0, 1)", self.confidence):
            raise ConfigError(f"compare.confidence={self.confidence} is out of range: allowed is (0, 1).")
        if self.margin is not None and not contains("(0, inf)", self.margin):
            raise ConfigError(f"compare.margin={self.margin} is out of range: allowed is (0, inf) or null.")
        if self.margin is not None and self.confidence <= 0.5:
            raise ConfigError(f"compare.margin needs a compare.confidence above 0.5; it is {self.confidence}.")

    @property
    def alpha(self) -> float:
        """The level of the tests."""
        return round(1 - self.confidence, 12)


@dataclass(frozen=True)
class BaselineComparison:
    """A loss against the baseline on one metric.

    Parameters
    ----------
    difference : PairedDifference
        Loss minus baseline.
    paired : bool
        Whether over the seeds that both have; otherwise over all runs of both.
    p_t, p_wilcoxon : float
        Corrected after Holm over all losses that are compared with the baseline on this metric.
    seeds : int or None
        Estimated number of seeds that resolve the difference; None where it can't be said.
    p_equivalence : float
        That the difference lies within the margin, corrected as the others; NaN without a margin.
    outcome : str or None
        What the loss is by `lossbench.compare.numbers.equivalence`; None without a margin.

    """

    difference: PairedDifference
    paired: bool
    p_t: float
    p_wilcoxon: float
    seeds: int | None
    p_equivalence: float = nan
    outcome: Outcome | None = None


@dataclass(frozen=True)
class MetricSummary:
    """One metric: the mean of each loss, each loss against the baseline, and the letters of those that tie.

    `equivalent` has the pairs that are equal in practice, and whether they differ measurably all the same.
    """

    intervals: dict[str, Interval]
    against: dict[str, BaselineComparison]
    letters: dict[str, str]
    equivalent: dict[frozenset[str], bool]


@dataclass(frozen=True, eq=False)
class Analysis:
    """The numbers of a comparison.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    options : Options
        How they are compared.
    metric : str
        What the losses are sorted by.
    baseline : str
        The label that the others are compared with.
    scores : dict
        The test metrics of each run that counts, by label and seed.
    columns : dict
        By metric; the first ones are those that are shown.
    order : list of str
        All labels, best first; those without numbers last.

    """

    comparison: Comparison
    options: Options
    metric: str
    baseline: str
    scores: dict[str, dict[int, Metrics]]
    columns: dict[str, MetricSummary]
    order: list[str] = field(default_factory=list)

    @property
    def main(self) -> MetricSummary:
        """The column that the losses are sorted by."""
        return self.columns[self.metric]

    @property
    def shown(self) -> list[str]:
        """The metrics of the written table."""
        return [name for name in dict.fromkeys([self.metric, *self.comparison.task.columns]) if name in self.columns]

    @property
    def counted(self) -> list[str]:
        """The labels that have numbers, best first."""
        return [label for label in self.order if label in self.main.intervals]

    @property
    def comparisons_with_baseline(self) -> int:
        """Over how many losses Holm corrects."""
        return len(self.main.against)

    @cached_property
    def missing(self) -> dict[str, dict[int, str]]:
        """Why a cell is not in the numbers, by label and seed."""
        reasons: dict[str, dict[int, str]] = {}
        for label, entries in self.comparison.entries.items():
            for seed in self.comparison.seeds:
                status = entries[seed]["status"] if seed in entries else "missing"
                if status == "diverged" and "diverged" in entries[seed]:
                    status += f" in epoch {entries[seed]['diverged']['epoch'] + 1}"
                elif status == "finished" and self.metric not in self.scores[label].get(seed, {}):
                    status = f"finished, but without a finite test/{self.metric} at the {self.epoch}"
                if status != "finished":
                    reasons.setdefault(label, {})[seed] = status
        return reasons

    @property
    def epoch(self) -> str:
        """Which epoch counts, in words."""
        chosen = SELECTIONS[self.options.select]
        return f"{chosen} (by {self.metric})" if self.options.select == "oracle" else chosen

    def values(self, label: str, metric: str) -> Values:
        """Return a metric of a loss by seed."""
        return {seed: found[metric] for seed, found in self.scores[label].items() if metric in found}

    def margin(self, metric: str) -> float | None:
        """Return the margin of equality in practice; it has the unit of the main metric, so no other one has any."""
        return self.options.margin if metric == self.metric else None

    def best_mean(self, metric: str) -> float | None:
        """Return the best mean of a column; None where neither high nor low values are better."""
        means = [interval.mean for interval in self.columns[metric].intervals.values()]
        way = self.comparison.task.direction(metric)
        return None if way == "neither" else max(means) if way == "higher" else min(means)


def analyse(comparison: Comparison, options: Options) -> Analysis:
    """Compute the numbers of a comparison.

    Raises
    ------
    ConfigError
        If there is no such metric or baseline, or losses were run with different seeds and `unpaired` is not set.

    """
    task = comparison.task
    metric = options.metric or task.columns[0]
    if metric in task.named and task.direction(metric) == "neither":
        raise ConfigError(f"compare.metric={metric} {NEITHER}")
    task.require_every_epoch(metric, options.select)
    scores = {
        label: {entry["seed"]: test_metrics(entry, options.select, metric) for entry in comparison.finished(label)}
        for label in comparison.entries
    }
    baseline = baseline_of(comparison, options.baseline, {label for label in scores if any(scores[label].values())})
    if not options.unpaired:
        _require_same_seeds(comparison)
    known = dict.fromkeys(name for found in scores.values() for each in found.values() for name in each)
    if known and metric not in known:
        raise ConfigError(
            f"compare.metric={metric} was not recorded for {comparison.title}. {_instead(comparison, metric, known)}"
        )
    shown = [name for name in dict.fromkeys([metric, *task.columns]) if name in known or name == metric]
    without_order = Analysis(comparison, options, metric, baseline, scores, {})
    columns = {name: _column(without_order, name, name in shown) for name in [*shown, *known]}
    sign = -1 if task.higher_is_better(metric) else 1
    means = {label: sign * interval.mean for label, interval in columns[metric].intervals.items()}
    order = sorted(comparison.entries, key=lambda label: means.get(label, inf))
    return Analysis(comparison, options, metric, baseline, scores, columns, order)


def pair_up(analysis: Analysis, label: str, other: str, metric: str) -> Pair:
    """Return the values of two losses, and whether they are pairs: position i of both is then the same seed."""
    first, second = analysis.values(label, metric), analysis.values(other, metric)
    entries = analysis.comparison.entries
    if set(entries[label]) != set(entries[other]):
        return list(first.values()), list(second.values()), False
    common = [seed for seed in first if seed in second]
    return [first[seed] for seed in common], [second[seed] for seed in common], True


def _instead(comparison: Comparison, metric: str, known: Iterable[str]) -> str:
    """Say what can be asked for instead; the metrics of each class are listed only to whom asks for one of them."""
    task = comparison.task
    if metric in task.same_as:
        return f"Where each sample has one class it is the {task.same_as[metric]}: use that name."
    return nearest(metric, [name for name in known if task.is_numbered(metric) or not task.is_numbered(name)])


def _column(analysis: Analysis, metric: str, shown: bool) -> MetricSummary:
    options = analysis.options
    values = {label: list(analysis.values(label, metric).values()) for label in analysis.comparison.entries}
    intervals = {
        label: mean_interval(found, options.confidence, options.interval) for label, found in values.items() if found
    }
    against = _against(analysis, [label for label in intervals if label != analysis.baseline], metric, shown)
    letters, equivalent = _letters(analysis, list(intervals), metric, against) if shown else ({}, {})
    return MetricSummary(intervals, against, letters, equivalent)


def _against(analysis: Analysis, labels: Iterable[str], metric: str, shown: bool) -> dict[str, BaselineComparison]:
    pairs = {label: pair_up(analysis, label, analysis.baseline, metric) for label in labels}
    pairs = {label: found for label, found in pairs.items() if found[0] and found[1]}
    differences = {label: _difference(analysis, found, metric) for label, found in pairs.items()}
    p_t = holm([difference.p_t for difference in differences.values()])
    p_wilcoxon = holm([difference.p_wilcoxon for difference in differences.values()])
    p_equal = _equivalence(analysis, list(pairs.values()), metric)
    level = analysis.options.alpha
    alpha, higher = level / max(1, len(pairs)), analysis.comparison.task.direction(metric) == "higher"
    return {
        label: BaselineComparison(
            difference,
            pairs[label][2],
            float(p_t[i]),
            float(p_wilcoxon[i]),
            _seeds(pairs[label], alpha) if shown else None,
            float(p_equal[i]),
            outcome(difference.mean, p_t[i], p_equal[i], higher_is_better=higher, alpha=level)
            if analysis.margin(metric)
            else None,
        )
        for i, (label, difference) in enumerate(differences.items())
    }


def _equivalence(analysis: Analysis, pairs: list[Pair], metric: str) -> NDArray[np.float64]:
    """Return the p of equality in practice of each pair, after Holm; NaN without a margin for this metric."""
    margin = analysis.margin(metric)
    if margin is None:
        return np.full(len(pairs), nan)
    return holm([p_equivalence(*pair[:2], margin, paired=pair[2]) if pair[0] and pair[1] else 1.0 for pair in pairs])


def _difference(analysis: Analysis, pair: Pair, metric: str, method: Method | None = None) -> PairedDifference:
    first, second, paired = pair
    way, confidence = analysis.comparison.task.direction(metric), analysis.options.confidence
    better = way == "higher"
    if paired:
        kind = method or analysis.options.interval
        found = paired_difference(first, second, higher_is_better=better, confidence=confidence, method=kind)
    else:
        found = unpaired_difference(first, second, higher_is_better=better, confidence=confidence)
    return replace(found, improvement=nan) if way == "neither" else found


def _seeds(pair: Pair, alpha: float) -> int | None:
    first, second, paired = pair
    return seeds_needed([a - b for a, b in zip(first, second, strict=True)], alpha=alpha) if paired else None


def pair_difference(analysis: Analysis, label: str, other: str) -> tuple[PairedDifference, int | None]:
    """Compare any two losses on the main metric; return the difference and the seeds that would resolve it.

    The number of seeds is for the level that the first step of Holm's correction over all pairs of losses asks for.
    """
    pair = pair_up(analysis, label, other, analysis.metric)
    count = len(analysis.counted)
    alpha = analysis.options.alpha / (count * (count - 1) / 2)
    return _difference(analysis, pair, analysis.metric, "t"), _seeds(pair, alpha)


def _letters(
    analysis: Analysis, labels: list[str], metric: str, against: dict[str, BaselineComparison]
) -> tuple[dict[str, str], dict[frozenset[str], bool]]:
    """Letter the losses, best mean first, and return the pairs that are equal in practice: they share a letter.

    Each pair is tested over the seeds that both have, after Holm over all pairs. A loss that is equal to the baseline
    after Holm over the losses, which asks for less, is so here too.
    """
    means = {label: mean_interval(list(analysis.values(label, metric).values())).mean for label in labels}
    names = sorted(means, key=means.__getitem__, reverse=analysis.comparison.task.direction(metric) == "higher")
    pairs = list(combinations(range(len(names)), 2))
    values = [pair_up(analysis, names[i], names[j], metric) for i, j in pairs]
    p_values = [_difference(analysis, pair, metric, "t").p_t if pair[0] and pair[1] else 1.0 for pair in values]
    alpha, named = analysis.options.alpha, [frozenset((names[i], names[j])) for i, j in pairs]
    differ = dict(zip(named, (holm(p_values) <= alpha).tolist(), strict=True))
    p_equal = _equivalence(analysis, values, metric)
    equal = {pair: differ[pair] for pair, p in zip(named, p_equal, strict=True) if p < alpha}
    equal |= {
        frozenset((label, analysis.baseline)): each.p_t <= alpha
        for label, each in against.items()
        if each.outcome == "equivalent"
    }
    different = [pair for pair, key in zip(pairs, named, strict=True) if differ[key] and key not in equal]
    return dict(zip(names, letter_display(len(names), different), strict=True)), equal


def _require_same_seeds(comparison: Comparison) -> None:
    seeds = {label: sorted(entries) for label, entries in comparison.entries.items()}
    if len({tuple(found) for found in seeds.values()}) <= 1:
        return
    told = "; ".join(f"{label}: {span(found)}" for label, found in seeds.items())
    raise ConfigError(
        f"{comparison.heading}: the losses were not run with the same seeds ({told}), so they can't be paired. Run the "
        "missing ones (the command with all seeds makes only those), or compare without pairs: compare.unpaired=true."
    )


def span(seeds: list[int]) -> str:
    """Write seeds in short.

    Examples
    --------
    >>> span([0, 1, 2, 3]), span([0, 2])
    ('0 to 3', '0, 2')

    """
    consecutive = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))
