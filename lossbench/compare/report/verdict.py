"""The verdict of a comparison in plain words: which loss is best, how sure that is, and what would make it surer."""

import math

from lossbench.compare.numbers.analysis import Analysis, seeds_for
from lossbench.compare.numbers.far_runs import far_runs
from lossbench.compare.numbers.pairs import PairComparison
from lossbench.compare.numbers.seeds import SeedsNeeded
from lossbench.compare.numbers.statistics import NO_TEST, PairedDifference, smallest_p
from lossbench.compare.numbers.two_sources import Sources
from lossbench.compare.numbers.what_helps import what_helps
from lossbench.compare.report.formatting import (
    MOST_TOLD,
    bounds,
    decimals,
    equals,
    listed,
    p_value,
    seeds_range,
    span,
    told_far,
    words,
)
from lossbench.words import counted

MOST_COSTS = 3
"""So many metrics are named on which the best loss is worse than another one."""

SKEWED = (
    "Where one loss now and then fails, few runs tell little of how often: intervals of 95 % then held in 91 to 94 % "
    "(docs/statistics.md)."
)


def verdict(analysis: Analysis) -> str:
    """Say in a few sentences which loss is best, how sure that is, and what it costs.

    They name the losses that are shown to be better than the baseline, with a margin those that are equal in practice,
    those that can't be told from the best one, the metrics on which the best one is worse than another, and the runs
    that diverged.
    """
    if not analysis.counted:
        told = [f"There is no verdict: no run gave a {words(analysis.metric)} on {analysis.comparison.title}."]
    else:
        told = [
            _who_is_best(analysis), _who_beats_the_baseline(analysis), _who_is_equal(analysis), _who_ties(analysis),
            _what_it_costs(analysis), _where_chance_is(analysis),
        ]  # fmt: skip
    return " ".join(sentence for sentence in [*told, _who_fails(analysis), _who_diverged(analysis)] if sentence)


def power(analysis: Analysis) -> str:
    """Say what the number of seeds can show at all."""
    against = analysis.main.against.values()
    if not against:
        return ""
    pairs, size, alpha = min(each.difference.n for each in against), analysis.main.size, analysis.options.alpha
    reach = smallest_p(pairs)
    text = (
        f"Power: with {counted(pairs, 'pair')} of runs the signed-rank test can't give a p below {reach:.2g}, "
        f"{min(1.0, reach * size):.2g} adjusted over {analysis.family(analysis.metric)}; the t test has no such floor"
    ) + ("." if pairs > 1 else " from two pairs on.")
    if reach * size > alpha:
        enough = next(n for n in range(2, 64) if smallest_p(n) * size <= alpha)
        text += f" Only from {enough} seeds on can it be below {alpha:g}."
    return text


def _who_is_best(analysis: Analysis) -> str:
    best, metric = analysis.counted[0], words(analysis.metric)
    oracle = (
        "With the epochs picked on the test set (oracle, not a result) " if analysis.options.select == "oracle" else ""
    )
    text = f"{oracle}{best} {_has_best(analysis)} {metric} ({_value(analysis, best)})"
    if len(analysis.counted) == 1:
        return f"{text}; no other loss has results to compare it with."
    if best == analysis.baseline:
        worse = [label for label in analysis.counted if _decided(analysis, analysis.main.against.get(label))]
        return f"{text}, and is the baseline: {_shown_worse(analysis, worse)}."
    against = analysis.main.against.get(best)
    if against is None:
        return f"{text}; the baseline {analysis.baseline} has no results to compare it with."
    return f"{text}, {_difference(analysis, best, against)}."


def _has_best(analysis: Analysis) -> str:
    best = analysis.counted[0]
    against = analysis.main.against.get(best)
    decided = best == analysis.baseline or _decided(analysis, against)
    return "is best on" if decided and not _ties(analysis) and not _equal(analysis, best) else "has the best mean"


def _value(analysis: Analysis, label: str) -> str:
    interval, digits = analysis.main.intervals[label], decimals(analysis.main.intervals.values())
    shown = f" {bounds(interval, digits)}" if math.isfinite(interval.low) else ""
    return f"{interval.mean:.{digits}f}{shown}, {counted(interval.n, 'seed')}"


def _difference(analysis: Analysis, best: str, against: PairComparison) -> str:
    difference, baseline = against.difference, analysis.baseline
    digits = decimals([*analysis.main.intervals.values(), difference])
    side = "above" if difference.mean > 0 else "below"
    size = f"{abs(difference.mean):.{digits}f} {side} {baseline}" if difference.mean else f"the same as {baseline}"
    if not math.isfinite(difference.p_t):
        return f"{size}, but {_why_no_test(difference)}"
    kind = difference.kind.replace("%", " %")
    how = f"{'paired' if against.paired else 'unpaired'} difference, {kind} interval"
    evidence = f"{how} {bounds(difference, digits, '+')}, {_p(analysis, against.p_t)}"
    if _decided(analysis, against) or against.outcome == "equivalent":
        return f"{size} ({evidence})"
    return f"{size}, which does not decide it ({evidence}); {_plan(analysis, best, baseline)}"


def _why_no_test(difference: PairedDifference) -> str:
    why = f" ({difference.note})" if difference.note else ""
    return f"{counted(difference.n, 'seed')} can't say how sure that is{why}"


def _p(analysis: Analysis, p: float) -> str:
    size = analysis.main.size
    return equals(p) + (f" adjusted over {analysis.family(analysis.metric)}" if size > 1 else "")


def _who_beats_the_baseline(analysis: Analysis) -> str:
    """Name the losses beside the best one that are shown to be better than the baseline."""
    higher = analysis.comparison.task.higher_is_better(analysis.metric)
    better = [
        label
        for label, each in analysis.main.against.items()
        if label != analysis.counted[0] and _decided(analysis, each) and (each.difference.mean > 0) == higher
    ]
    if not better:
        return ""
    sure = max(analysis.main.against[label].p_t for label in better)
    return f"Better than {analysis.baseline}, too: {listed(better)} ({'each ' * (len(better) > 1)}p ≤ {_ceil(sure)})."


def _what_it_costs(analysis: Analysis) -> str:
    """Name the shown metrics on which the best loss is shown to be worse than the one that is best there."""
    best, costs = analysis.counted[0], []
    for metric in analysis.shown:
        column, way = analysis.columns[metric], analysis.comparison.task.direction(metric)
        if metric == analysis.metric or way == "neither" or best not in column.intervals:
            continue
        means = {label: interval.mean for label, interval in column.intervals.items()}
        top = (max if way == "higher" else min)(means, key=means.__getitem__)
        other = top if column.pair(best, top) else analysis.baseline
        pair = column.pair(best, other)
        if (
            pair is not None
            and pair.decided(analysis.options.alpha)
            and (pair.difference.mean > 0) != (way == "higher")
        ):
            digits = decimals(column.intervals.values())
            costs.append(f"{words(metric)} ({means[best]:.{digits}f} against {means[other]:.{digits}f} of {other})")
    return f"It pays for that: {best} is worse on {listed(costs, most=MOST_COSTS)}." if costs else ""


def _shown_worse(analysis: Analysis, worse: list[str]) -> str:
    equal = len(_equal(analysis, analysis.baseline))
    others = len(analysis.counted) - 1 - equal
    over = f" (adjusted over {analysis.family(analysis.metric)})" if analysis.main.size > 1 else ""
    if not others:
        return "every other loss is equal to it in practice"
    if not worse and equal:
        return f"no loss that is not equal to it in practice is shown to differ from it{over}"
    if not worse and others == 1:
        (other,) = (label for label in analysis.counted if label != analysis.baseline)
        return f"{other} is not shown to differ from it{over}"
    if not worse:
        return f"none of the {others} other losses is shown to differ from it{over}"
    size = max(analysis.main.against[label].p_t for label in worse)
    each = "each " * (len(worse) > 1)
    sure = f"({each}p ≤ {_ceil(size)}{over.replace('(', ', ', 1).rstrip(')')})" if over else f"(p ≤ {_ceil(size)})"
    return f"{listed(worse)} {'is' if len(worse) == 1 else 'are'} shown to be worse {sure.replace(' ,', ',')}"


def _who_is_equal(analysis: Analysis) -> str:
    if not analysis.counted or analysis.options.margin is None:
        return ""
    best, sentences = analysis.counted[0], []
    for label in [best] if analysis.baseline in {best, *_equal(analysis, best)} else [best, analysis.baseline]:
        if equal := _equal(analysis, label):
            measurable = [other for other, differs in equal.items() if differs]
            who = ", which" if len(measurable) == len(equal) else f"; {listed(measurable)}"
            differ = f"{who} differ{'s' if len(measurable) == 1 else ''} measurably all the same" if measurable else ""
            sentences.append(
                f"Equal in practice to {label}, within a margin of {analysis.options.margin:g} (two one-sided "
                f"t tests): {listed(equal)}{differ}."
            )
    return " ".join(sentences)


def _equal(analysis: Analysis, label: str) -> dict[str, bool]:
    """Return the losses that are equal to one in practice, best first, and whether they differ measurably."""
    pairs = {other: analysis.main.pair(label, other) for other in analysis.counted if other != label}
    alpha = analysis.options.alpha
    return {other: each.p_t <= alpha for other, each in pairs.items() if each and each.outcome == "equivalent"}


def _who_ties(analysis: Analysis) -> str:
    """Say what all pairs of losses say of the best one; nothing where only the baseline was compared with."""
    if len(analysis.counted) < 2 or analysis.options.family == "baseline":
        return ""
    best, *others = analysis.counted
    ties, equal, it = _ties(analysis), _equal(analysis, best), best if _who_is_equal(analysis) else "It"
    if not ties:
        rest = [label for label in others if label not in equal]
        if rest == [analysis.baseline] or not rest or len(others) == 1:  # all is said
            return ""
        who = "every other loss" if not equal else "all the rest" if rest[1:] else rest[0]
        return f"{it} is better than {who}."
    if ties == [analysis.baseline]:
        return ""
    closest = ties[0]
    who = "any other loss" if len(ties) == len(others) > 1 else listed(ties, "or")
    if closest == analysis.baseline:  # what would resolve it is said with its difference
        return f"{it} can't be told apart from {who}."
    return f"{it} can't be told apart from {who}; for {closest}, the closest, {_plan(analysis, best, closest)}."


def _ties(analysis: Analysis) -> list[str]:
    """Return the losses of which it is open whether they differ from the best one."""
    best, *others = analysis.counted
    equal, pairs = _equal(analysis, best), {label: analysis.main.pair(best, label) for label in others}
    return [label for label, each in pairs.items() if each and not _decided(analysis, each) and label not in equal]


def _plan(analysis: Analysis, label: str, other: str) -> str:
    pair = analysis.main.pair(label, other)
    if pair is not None and pair.difference.note == NO_TEST and pair.difference.mean == 0:
        return "both have the same value under every seed"
    seeds = seeds_for(analysis, label, other, analysis.metric)
    if pair is not None and pair.sources is not None:
        return _plan_of_both(analysis, pair.sources, pair.difference.mean, seeds)
    if pair is None or seeds is None:
        return "more seeds are needed to say anything" + (
            f" ({pair.difference.note})" if pair and pair.difference.note else ""
        )
    if seeds.estimate is None:
        return "the difference seen is so small that no feasible number of seeds would resolve it"
    if seeds.estimate <= (n := pair.difference.n):
        return f"the {counted(n, 'seed')} at hand should resolve a difference of this size 4 times out of 5"
    about = f"more than {MOST_TOLD}" if seeds.estimate > MOST_TOLD else f"roughly {seeds.estimate}"
    return f"{about} seeds (as likely as not {seeds_range(seeds)}) would be needed to resolve it"


def _plan_of_both(analysis: Analysis, sources: Sources, mean: float, alone: SeedsNeeded | None) -> str:
    """Say how many seeds or test samples would resolve a difference; no fewer seeds than on this test set alone."""
    found = what_helps(sources, mean, alpha=analysis.options.alpha / analysis.main.size)
    least = None if alone is None else alone.estimate
    enough = None if found.seeds is None or least is None else max(found.seeds, least)
    if enough is not None and enough <= sources.n_seeds:
        return f"the {sources.n_seeds} seeds at hand should resolve a difference of this size 4 times out of 5"
    now = f"({sources.n_seeds} and {sources.n_samples} now)"
    of_samples = found.samples if least is not None and least <= sources.n_seeds else None
    seeds, samples = (None if many is None else f"{many:,}" for many in (enough, of_samples))
    if seeds and samples:
        return f"roughly {seeds} seeds, or {samples} test samples, would be needed to resolve it {now}"
    if samples:
        return f"roughly {samples} test samples would be needed to resolve it, and no number of seeds alone would {now}"
    if seeds:
        return f"roughly {seeds} seeds would be needed to resolve it, and no number of test samples alone would {now}"
    return f"neither more seeds nor more test samples alone would resolve it {now}"


def _where_chance_is(analysis: Analysis) -> str:
    """Say which source of chance dominates the difference that is told first, and so what would help."""
    if len(analysis.counted) < 2:
        return ""
    best, second = analysis.counted[:2]
    other = second if best == analysis.baseline else analysis.baseline
    pair = analysis.main.pair(best, other)
    if pair is None or pair.sources is None:
        return ""
    sources, variance = pair.sources, pair.sources.variance
    helps = {
        "seeds": "more seeds would narrow it most", "samples": "more test data would narrow it most",
        "either": "more seeds or more test data would narrow it alike",
    }  # fmt: skip
    seeds, samples, rest = (100 * part / variance for part in (sources.seeds, sources.samples, sources.rest))
    return (
        f"Of the chance in the difference of {best} and {other} {seeds:.0f} % is in the seeds, {samples:.0f} % in the "
        f"test samples and {rest:.0f} % in how seeds do on samples, which both reduce: {helps[sources.dominant]}."
    )


def _who_fails(analysis: Analysis) -> str:
    """Warn where runs of a loss are far from its others: differences are skewed then."""
    if len(analysis.counted) < 2:
        return ""
    far = far_runs({label: analysis.values(label, analysis.metric) for label in analysis.counted})
    runs = {label: interval.n for label, interval in analysis.main.intervals.items()}
    return f"{told_far(far, runs)} {SKEWED}" if far else ""


def _who_diverged(analysis: Analysis) -> str:
    diverged = {
        label: [seed for seed, reason in reasons.items() if reason.startswith("diverged")]
        for label, reasons in analysis.missing.items()
    }
    told = [
        f"{label} (seed{'s' if len(seeds) > 1 else ''} {span(seeds)})" for label, seeds in diverged.items() if seeds
    ]
    return f"Diverged and not in the numbers: {listed(told)}." if told else ""


def _decided(analysis: Analysis, against: PairComparison | None) -> bool:
    return against is not None and against.decided(analysis.options.alpha)


def _ceil(p: float) -> str:
    return "0.001" if p < 0.001 else p_value(math.ceil(p * 1000) / 1000)
