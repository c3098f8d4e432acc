"""The verdict of a comparison in plain words: which loss is best, how sure that is, and what would make it surer."""

import math

from lossbench.compare.numbers.analysis import Analysis, BaselineComparison, pair_difference
from lossbench.compare.numbers.statistics import PairedDifference, smallest_p
from lossbench.compare.report.formatting import bounds, counted, decimals, equals, listed, p_value, span, words


def verdict(analysis: Analysis) -> str:
    """Say in two sentences which loss is best and what can't be told; losses that diverged are named in a third one.

    With a margin a sentence between them names the losses that are equal in practice to the best one, and one those
    that are so to the baseline.
    """
    told = [_who_is_best(analysis), _who_is_equal(analysis), _who_ties(analysis), _who_diverged(analysis)]
    return " ".join(sentence for sentence in told if sentence)


def power(analysis: Analysis) -> str:
    """Say what the number of seeds can show at all, and how many would resolve the difference that was seen."""
    against = analysis.main.against.values()
    if not against:
        return ""
    pairs = min(each.difference.n for each in against)
    count, alpha = len(against), analysis.options.alpha
    reach = smallest_p(pairs)
    text = (
        f"Power: with {counted(pairs, 'pair')} of runs the signed-rank test can't give a p below {reach:.2g}, "
        f"{min(1.0, reach * count):.2g} after Holm over {counted(count, 'loss', 'losses')}; the t test has no such "
        "floor" + ("." if pairs > 1 else " from two pairs on.")
    )
    if reach * count > alpha:
        enough = next(n for n in range(2, 64) if smallest_p(n) * count <= alpha)
        text += f" Only from {enough} seeds on can it be below {alpha:g}."
    return text


def _who_is_best(analysis: Analysis) -> str:
    best, metric = analysis.counted[0] if analysis.counted else None, words(analysis.metric)
    if best is None:
        return f"There is no verdict: no run gave a {metric} on {analysis.comparison.title}."
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
    return f"{text}, {_difference(analysis, against)}."


def _has_best(analysis: Analysis) -> str:
    best = analysis.counted[0]
    against = analysis.main.against.get(best)
    decided = best == analysis.baseline or _decided(analysis, against)
    return "is best on" if decided and not _ties(analysis) and not _equal(analysis, best) else "has the best mean"


def _value(analysis: Analysis, label: str) -> str:
    interval, digits = analysis.main.intervals[label], decimals(analysis.main.intervals.values())
    shown = f" {bounds(interval, digits)}" if math.isfinite(interval.low) else ""
    return f"{interval.mean:.{digits}f}{shown}, {counted(interval.n, 'seed')}"


def _difference(analysis: Analysis, against: BaselineComparison) -> str:
    difference, baseline = against.difference, analysis.baseline
    digits = decimals([*analysis.main.intervals.values(), difference])
    side = "above" if difference.mean > 0 else "below"
    size = f"{abs(difference.mean):.{digits}f} {side} {baseline}" if difference.mean else f"the same as {baseline}"
    if not math.isfinite(difference.p_t):
        return f"{size}, but {counted(difference.n, 'seed')} can't say how sure that is"
    kind = difference.kind.replace("%", " %")
    how = f"{'paired' if against.paired else 'unpaired'} difference, {kind} interval"
    count = analysis.comparisons_with_baseline
    corrected = f" after Holm over {count} losses" if count > 1 else ""
    evidence = f"{how} {bounds(difference, digits, '+')}, {equals(against.p_t)}{corrected}"
    if _decided(analysis, against) or against.outcome == "equivalent":
        return f"{size} ({evidence})"
    return f"{size}, which does not decide it ({evidence}); {_plan(against.seeds, difference)}"


def _shown_worse(analysis: Analysis, worse: list[str]) -> str:
    equal = len(_equal(analysis, analysis.baseline))
    others = len(analysis.counted) - 1 - equal
    count = analysis.comparisons_with_baseline
    corrected = f" after Holm over {count} losses" if count > 1 else ""
    if not others:
        return "every other loss is equal to it in practice"
    if not worse and equal:
        return f"no loss that is not equal to it in practice is shown to differ from it{corrected}"
    if not worse:
        return f"none of the {counted(others, 'other loss', 'other losses')} is shown to differ from it{corrected}"
    size = max(analysis.main.against[label].p_t for label in worse)
    return f"{listed(worse)} {'is' if len(worse) == 1 else 'are'} shown to be worse (each p ≤ {_ceil(size)}{corrected})"


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
                f"Equal in practice to {label}, within a margin of {analysis.options.margin:g} (two one-sided t tests "
                f"after Holm): {listed(equal)}{differ}."
            )
    return " ".join(sentences)


def _equal(analysis: Analysis, label: str) -> dict[str, bool]:
    """Return the losses that are equal to one in practice, best first, and whether they differ measurably."""
    pairs = analysis.main.equivalent
    return {other: pairs[pair] for other in analysis.counted if (pair := frozenset((label, other))) in pairs}


def _who_ties(analysis: Analysis) -> str:
    if len(analysis.counted) < 2:
        return ""
    best, *others = analysis.counted
    ties, equal, it = _ties(analysis), _equal(analysis, best), best if _who_is_equal(analysis) else "It"
    pairs = len(analysis.counted) * (len(analysis.counted) - 1) // 2
    if not ties:
        rest = [label for label in others if label not in equal]
        if rest == [analysis.baseline] or not rest or len(others) == 1:  # all is said
            return ""
        who = "every other loss" if not equal else "all the rest" if rest[1:] else rest[0]
        return f"{it} is better than {who} (t tests, Holm over {counted(pairs, 'pair')})."
    if ties == [analysis.baseline]:
        return ""
    closest = ties[0]
    difference, seeds = pair_difference(analysis, best, closest)
    who = "any other loss" if len(ties) == len(others) > 1 else listed(ties, "or")
    text = f"{it} can't be told apart from {who} (Holm over {counted(pairs, 'pair')} of losses)"
    return f"{text}; for {closest}, the closest, {_plan(seeds, difference)}."


def _ties(analysis: Analysis) -> list[str]:
    """Return the losses of which it is open whether they differ from the best one.

    The test against the baseline counts for the baseline.
    """
    letters, (best, *others) = analysis.main.letters, analysis.counted
    ties = [label for label in others if set(letters[label]) & set(letters[best])]
    decided = _decided(analysis, analysis.main.against.get(best))
    equal = _equal(analysis, best)
    return [label for label in ties if not (decided and label == analysis.baseline) and label not in equal]


def _plan(seeds: int | None, difference: PairedDifference) -> str:
    if difference.n < 2:
        return "more seeds are needed to say anything"
    if seeds is None:
        return "the difference seen is so small that no feasible number of seeds would resolve it"
    if seeds <= difference.n:
        return f"the {counted(difference.n, 'seed')} at hand should resolve a difference of this size 4 times out of 5"
    about = "more than 1000" if seeds > 1000 else f"about {seeds}"
    return f"{about} seeds are estimated to be needed to resolve it"


def _who_diverged(analysis: Analysis) -> str:
    diverged = {
        label: [seed for seed, reason in reasons.items() if reason.startswith("diverged")]
        for label, reasons in analysis.missing.items()
    }
    told = [
        f"{label} (seed{'s' if len(seeds) > 1 else ''} {span(seeds)})" for label, seeds in diverged.items() if seeds
    ]
    return f"Diverged and not in the numbers: {listed(told)}." if told else ""


def _decided(analysis: Analysis, against: BaselineComparison | None) -> bool:
    return against is not None and against.p_t <= analysis.options.alpha and against.outcome != "equivalent"


def _ceil(p: float) -> str:
    return "0.001" if p < 0.001 else p_value(math.ceil(p * 1000) / 1000)
