"""The numbers of a comparison: each loss's mean on each metric, and how it differs from the baseline, with how sure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations, pairwise
from math import inf

from lossbench.compare.numbers.by_sample import BySample, by_sample
from lossbench.compare.numbers.comparisons import Comparison, baseline_of
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.packed_pairs import packed
from lossbench.compare.numbers.pairs import Pair, PairComparison, Runs, compare_pairs, turned
from lossbench.compare.numbers.ranks import letter_display
from lossbench.compare.numbers.seeds import SeedsNeeded, seeds_needed
from lossbench.compare.numbers.selection import SELECTIONS, Metrics, test_metrics
from lossbench.compare.numbers.statistics import Interval, mean_interval
from lossbench.config.tested_epochs import require_every_epoch
from lossbench.errors import ConfigError, nearest
from lossbench.tasks.task import NEITHER

Values = dict[int, float]


@dataclass(frozen=True)
class MetricSummary:
    """One metric: the mean of each loss, the pairs that were compared, and the letters of those that tie.

    Parameters
    ----------
    intervals : dict
        By label.
    pairs : mapping
        The family of comparisons, or of a metric that isn't shown only those with the baseline.
    against : dict
        Each loss against the baseline.
    letters : dict
        Two losses share one exactly if they are not shown to differ or are equal in practice; empty unless all pairs
        were compared.
    size : int
        Over so many comparisons p and intervals are adjusted.

    """

    intervals: dict[str, Interval]
    pairs: Mapping[Pair, PairComparison]
    against: dict[str, PairComparison]
    letters: dict[str, str]
    size: int

    def pair(self, label: str, other: str) -> PairComparison | None:
        """Return what is known of one loss against another; None where they were not compared."""
        if (label, other) in self.pairs:
            return self.pairs[label, other]
        found = self.pairs.get((other, label))
        return None if found is None else turned(found)


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
    samples : BySample
        What the test samples tell of the runs, for `population` "seeds_and_data".
    seeds_found : dict
        What `seeds_for` has found, which every format of the report asks for.

    """

    comparison: Comparison
    options: Options
    metric: str
    baseline: str
    scores: dict[str, dict[int, Metrics]]
    columns: dict[str, MetricSummary]
    order: list[str] = field(default_factory=list)
    samples: BySample = field(default_factory=BySample)
    seeds_found: dict[tuple[str, str, str], SeedsNeeded | None] = field(default_factory=dict)

    @property
    def main(self) -> MetricSummary:
        """The column that the losses are sorted by."""
        return self.columns[self.metric]

    @property
    def shown(self) -> list[str]:
        """The metrics on which all losses are compared pair by pair: what a verdict speaks of."""
        return [name for name in dict.fromkeys([self.metric, *self.comparison.task.columns]) if name in self.columns]

    @property
    def tabled(self) -> list[str]:
        """The metrics of the written tables: the one that the losses are judged by, then those asked for."""
        chosen = self.options.columns
        if chosen is None:
            return self.shown
        return [name for name in dict.fromkeys([self.metric, *chosen]) if name in self.columns]

    @property
    def counted(self) -> list[str]:
        """The labels that have numbers, best first."""
        return [label for label in self.order if label in self.main.intervals]

    @cached_property
    def missing(self) -> dict[str, dict[int, str]]:
        """Why a cell is not in the numbers, by label and seed."""
        reasons: dict[str, dict[int, str]] = {}
        for label, entries in self.comparison.entries.items():
            for seed in self.comparison.seeds:
                dropped = self.comparison.dropped.get(label, {}).get(seed)
                status = entries[seed]["status"] if seed in entries else dropped or "missing"
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

    @cached_property
    def _seeds(self) -> dict[str, frozenset[int]]:
        return {label: frozenset(entries) for label, entries in self.comparison.entries.items()}

    def are_pairs(self, label: str, other: str) -> bool:
        """Tell whether the runs of two losses are pairs: the seeds of one are among those of the other."""
        asked, beside = self._seeds[label], self._seeds[other]
        return asked <= beside or beside <= asked

    def margin(self, metric: str) -> float | None:
        """Return the margin of equality in practice; it has the unit of the main metric, so no other one has any."""
        return self.options.margin if metric == self.metric else None

    def family(self, metric: str) -> str:
        """Say over what p, intervals and letters of a metric are adjusted."""
        size = self.columns[metric].size
        if self.options.family == "baseline":
            return f"{size} comparison{'s' * (size != 1)} with {self.baseline}"
        return f"{size} pair{'s' * (size != 1)} of losses"

    def best_mean(self, metric: str) -> float | None:
        """Return the best mean of a column; None where neither high nor low values are better."""
        means = [interval.mean for interval in self.columns[metric].intervals.values()]
        way = self.comparison.task.direction(metric)
        return None if way == "neither" else max(means) if way == "higher" else min(means)


def analyse(comparison: Comparison, options: Options, samples: BySample | None = None) -> Analysis:
    """Compute the numbers of a comparison.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    options : Options
        How they are compared.
    samples : BySample, optional
        What the test samples tell of the runs; by default read from what they kept.

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
    if options.select == "oracle":
        require_every_epoch(comparison.all_entries)
    scores = {
        label: {entry["seed"]: test_metrics(entry, options.select, metric) for entry in comparison.finished(label)}
        for label in comparison.entries
    }
    baseline = baseline_of(comparison, options.baseline, {label for label in scores if any(scores[label].values())})
    if not options.unpaired:
        _require_pairs(comparison)
    known = dict.fromkeys(name for found in scores.values() for each in found.values() for name in each)
    if known and metric not in known:
        raise ConfigError(
            f"compare.metric={metric} was not recorded for {comparison.title}. {_instead(comparison, metric, known)}"
        )
    _require_goals(comparison, options.front or (), known)
    _require_columns(comparison, options.columns or (), known)
    shown = [name for name in dict.fromkeys([metric, *task.columns]) if name in known or name == metric]
    if options.population == "seeds" or len(comparison.entries) < 2:
        samples = BySample()
    elif samples is None:
        samples = by_sample(comparison, options.select, shown)
    without_order = Analysis(comparison, options, metric, baseline, scores, {}, samples=samples)
    columns = {name: _column(without_order, name, name in shown) for name in dict.fromkeys([*shown, *known])}
    sign = -1 if task.higher_is_better(metric) else 1
    means = {label: sign * interval.mean for label, interval in columns[metric].intervals.items()}
    order = sorted(comparison.entries, key=lambda label: (means.get(label, inf), label))
    return replace(without_order, columns=columns, order=order)


def at_another_epoch(analysis: Analysis, select: str, metrics: Iterable[str]) -> dict[str, MetricSummary]:
    """Return metrics of the same runs at another choice of the epoch, each loss against the baseline.

    Differences are for new seeds on this test set, whatever `population` is; they are adjusted over the same family.

    Parameters
    ----------
    analysis : Analysis
        The comparison.
    select : str
        One of `SELECTIONS`.
    metrics : iterable of str
        Those that are wanted.

    """
    scores = {
        label: {
            entry["seed"]: test_metrics(entry, select, analysis.metric) for entry in analysis.comparison.finished(label)
        }
        for label in analysis.comparison.entries
    }
    other = replace(analysis, scores=scores, samples=BySample(), columns={}, seeds_found={})
    return {name: _column(other, name, False) for name in metrics}


def pair_up(analysis: Analysis, label: str, other: str, metric: str) -> Runs:
    """Return the values of two losses; they are pairs if the seeds of one are among those of the other."""
    return _paired(analysis, (label, other), analysis.values(label, metric), analysis.values(other, metric))


def _paired(analysis: Analysis, pair: Pair, first: Values, second: Values) -> Runs:
    if not analysis.are_pairs(*pair):
        return Runs(list(first.values()), list(second.values()), False, [])
    common = [seed for seed in first if seed in second]
    return Runs([first[seed] for seed in common], [second[seed] for seed in common], True, common)


def _has_runs(analysis: Analysis, values: dict[str, Values], pair: Pair) -> bool:
    first, second = (values[label] for label in pair)
    return not first.keys().isdisjoint(second) if analysis.are_pairs(*pair) else bool(first and second)


def seeds_for(analysis: Analysis, label: str, other: str, metric: str) -> SeedsNeeded | None:
    """Estimate how many seeds would resolve what two losses differ by, at the level that the family leaves them."""
    known = analysis.seeds_found
    if (label, other, metric) not in known:
        runs = pair_up(analysis, label, other, metric)
        level = analysis.options.alpha / max(1, analysis.columns[metric].size)
        differences = [one - two for one, two in zip(runs.first, runs.second, strict=True)] if runs.paired else []
        known[label, other, metric] = seeds_needed(differences, alpha=level) if differences else None
    return known[label, other, metric]


def _require_goals(comparison: Comparison, goals: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a goal of `compare.front` that no run has, or that has no better way."""
    last = [(entry.get("history") or [{}])[-1] for entry in comparison.all_entries if entry["status"] == "finished"]
    noted = dict.fromkeys(name for row in last for name in row if name.startswith("train/"))
    for goal in goals if known else ():
        if goal not in (*known, *noted):
            told = nearest(goal, noted) if goal.startswith("train/") else _instead(comparison, goal, known)
            raise ConfigError(f"compare.front={goal} was not recorded for {comparison.title}. {told}")
        if goal in known and comparison.task.direction(goal) == "neither":
            raise ConfigError(f"compare.front={goal} {NEITHER}")


def _require_columns(comparison: Comparison, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a metric of `compare.columns` that no run has."""
    for name in names if known else ():
        if name not in known:
            told = _instead(comparison, name, known)
            raise ConfigError(f"compare.columns={name} was not recorded for {comparison.title}. {told}")


def _instead(comparison: Comparison, metric: str, known: Iterable[str]) -> str:
    """Say what can be asked for instead; the metrics of each class are listed only to whom asks for one of them."""
    task = comparison.task
    if metric in task.same_as:
        return f"Where each sample has one class it is the {task.same_as[metric]}: use that name."
    return nearest(metric, [name for name in known if task.is_numbered(metric) or not task.is_numbered(name)])


def _column(analysis: Analysis, metric: str, shown: bool) -> MetricSummary:
    options, way = analysis.options, analysis.comparison.task.direction(metric)
    values = {label: analysis.values(label, metric) for label in analysis.comparison.entries}
    bounds = analysis.comparison.task.bounds(metric)
    intervals = {
        label: mean_interval(list(found.values()), options.confidence, options.interval, bounds=bounds)
        for label, found in values.items()
        if found
    }
    names = sorted(intervals, key=lambda label: intervals[label].mean, reverse=way == "higher")
    family = [pair for pair in _family(analysis, names) if _has_runs(analysis, values, pair)]
    size = len(family)
    wanted = {
        pair: _paired(analysis, pair, *(values[label] for label in pair))
        for pair in family
        if shown or analysis.baseline in pair
    }
    pairs = compare_pairs(
        wanted, size=size, better=way, confidence=options.confidence, margin=analysis.margin(metric),
        sources=lambda paired: analysis.samples.of_pairs(metric, {pair: runs.seeds for pair, runs in paired.items()}),
    )  # fmt: skip
    found = MetricSummary(intervals, pairs, {}, {}, size)
    against = {
        label: each for label in names if label != analysis.baseline and (each := found.pair(label, analysis.baseline))
    }
    letters = _letters(names, pairs, options.alpha) if shown and options.family == "all" else {}
    return replace(found, pairs=packed(pairs), against=against, letters=letters)


def _family(analysis: Analysis, names: list[str]) -> list[Pair]:
    """Return the pairs that are compared, of losses best mean first."""
    if analysis.options.family == "all":
        return list(combinations(names, 2))
    return [(label, analysis.baseline) for label in names if label != analysis.baseline and analysis.baseline in names]


def _letters(names: list[str], pairs: dict[Pair, PairComparison], alpha: float) -> dict[str, str]:
    """Letter the losses, best mean first: a pair shares no letter exactly if it is shown to differ."""
    place = {label: k for k, label in enumerate(names)}
    different = [(place[one], place[other]) for (one, other), each in pairs.items() if each.decided(alpha)]
    return dict(zip(names, letter_display(len(names), different), strict=True))


def _require_pairs(comparison: Comparison) -> None:
    """Let losses with fewer seeds pass, as a race leaves them: they are compared over the seeds that both have."""
    seeds = {label: sorted(entries) for label, entries in comparison.entries.items()}
    by_number = sorted(map(set, seeds.values()), key=len)
    if all(fewer <= more for fewer, more in pairwise(by_number)):
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
