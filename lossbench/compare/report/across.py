"""Several data sets, or problems: mean ranks, which pairs of losses differ, and what few data sets can say at all.

Pairs are told apart by signed-rank tests after Holm; Nemenyi's test of mean ranks stands beside them, as it is known.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from lossbench.compare.numbers.across import PairwiseSummary, Posterior, bayesian_signed_rank, pairwise_signed_rank
from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.ranks import RankSummary, average_ranks, letter_display
from lossbench.compare.report.formatting import equals, in_short, listed, p_value, words
from lossbench.compare.report.tables import Table
from lossbench.words import counted


@dataclass(frozen=True)
class DatasetRanking:
    """The losses that several problems have in common, ranked.

    Parameters
    ----------
    metric : str
        What they are ranked by.
    analyses : list of Analysis
        One for each problem.
    labels : list of str
        The losses, best mean rank first.
    summary : RankSummary
        Ranks and tests of them, in the order of the labels.
    pairwise : PairwiseSummary
        Each pair of losses, in the order of the labels.
    reference : str
        The baseline of all problems, if they share it and it is among the labels; else the best.
    against : dict of str to Posterior
        What the Bayesian signed-rank test says of each other loss against the reference.

    """

    metric: str
    analyses: list[Analysis]
    labels: list[str]
    summary: RankSummary
    pairwise: PairwiseSummary
    reference: str
    against: dict[str, Posterior]

    @property
    def repeated(self) -> list[str]:
        """The data sets that several of the problems are of."""
        counts = Counter(analysis.comparison.data for analysis in self.analyses)
        return [data for data, count in counts.items() if count > 1]

    @property
    def noun(self) -> str:
        """What the losses are ranked on: data sets, unless several problems are of one."""
        return "problem" if self.repeated else "data set"


def rank_across(analyses: list[Analysis]) -> list[DatasetRanking]:
    """Rank the losses that all problems of a task and metric have results of.

    Several problems of one data set (another learning rate, another model) all count, told apart by their titles; what
    is said of them then tells that the tests take them as independent.
    """
    groups: dict[tuple[str, str], list[Analysis]] = defaultdict(list)
    for analysis in analyses:
        groups[analysis.comparison.task.name, analysis.metric].append(analysis)
    found = []
    for (_, metric), together in groups.items():
        common = [label for label in together[0].counted if all(label in each.counted for each in together)]
        if len(together) > 1 and len(common) > 1:
            found.append(_ranked(metric, together, common))
    return found


def _ranked(metric: str, analyses: list[Analysis], labels: list[str]) -> DatasetRanking:
    scores = np.array([[analysis.main.intervals[label].mean for label in labels] for analysis in analyses])
    options, higher = analyses[0].options, analyses[0].comparison.task.higher_is_better(metric)
    order = np.argsort(average_ranks(scores, higher_is_better=higher).ranks, kind="stable")
    labels, scores = [labels[k] for k in order], scores[:, order]
    baselines = {analysis.baseline for analysis in analyses}
    reference = baselines.pop() if len(baselines) == 1 and baselines <= set(labels) else labels[0]
    base = scores[:, labels.index(reference)]
    return DatasetRanking(
        metric,
        analyses,
        labels,
        average_ranks(scores, higher_is_better=higher, alpha=options.alpha),
        pairwise_signed_rank(scores, options.alpha),
        reference,
        {
            label: bayesian_signed_rank(values, base, higher_is_better=higher, margin=options.margin or 0.0)
            for label, values in zip(labels, scores.T, strict=True)
            if label != reference
        },
    )


def told(across: DatasetRanking) -> str:
    """Say in words what ranks and tests say, and what so many data sets can show at all."""
    summary, titles = across.summary, [analysis.comparison.title for analysis in across.analyses]
    data = "; ".join(titles) if across.repeated else listed(titles)
    text = (
        f"Over {counted(summary.n, across.noun)} ({data}), ranked by the mean {words(across.metric)} of each "
        f"{across.noun}: "
        f"{across.labels[0]} has the best mean rank ({summary.ranks[0]:.2f} of {len(across.labels)})"
    )
    if np.isfinite(summary.friedman_p):
        decided = summary.friedman_p <= summary.alpha
        judged = "the losses differ" if decided else "no loss is shown to differ from another"
        text += f"; {judged} (Friedman, {equals(summary.friedman_p)})"
    return " ".join([f"{text}.", *_pairs(across), *_by_nemenyi(across), *_dependence(across)])


def _pairs(across: DatasetRanking) -> list[str]:
    """Say which losses the best one differs from, the power of that test, and in its place what is probable."""
    pairwise, (best, *others) = across.pairwise, across.labels
    count = len(across.labels) * len(others) // 2
    differ = [label for label, p in zip(others, pairwise.p[0, 1:], strict=True) if p <= pairwise.alpha]
    whom = listed(differ) if len(differ) < len(others) else "every other loss" if others[1:] else others[0]
    corrected = f", Holm over {count} pairs" if count > 1 else ""
    tests = f"signed-rank tests over {across.noun}s at {pairwise.alpha:g}{corrected}"
    text = (
        f"Pair by pair {best} {f'differs from {whom}' if differ else 'is not shown to differ from any loss'} ({tests})."
    )
    after = " after Holm" if count > 1 else ""
    power = f"Power: with {counted(pairwise.n, across.noun)} no p can be below {pairwise.smallest:.2g}{after}"
    if pairwise.smallest <= pairwise.alpha:
        return [text, f"{power}."]
    power += f", only from {pairwise.enough} {across.noun}s on at most {pairwise.alpha:g}."
    label = best if best != across.reference else others[0]
    found = across.against[label]
    equal = f"equal within ±{found.margin:g}" if found.margin else "equal"
    return [
        text,
        power,
        f"A hint that so few can give: on the whole {label} is better than {across.reference} with a probability of "
        f"{_chance(found.better)}, {equal} with {_chance(found.equal)}, worse with {_chance(found.worse)} (Bayesian "
        "signed-rank test).",
    ]


def _chance(probability: float) -> str:
    """Write a probability that is a share of draws, which is neither 0 nor 1."""
    return ">0.99" if probability > 0.99 else "<0.01" if probability < 0.01 else f"{probability:.2f}"


def _by_nemenyi(across: DatasetRanking) -> list[str]:
    summary = across.summary
    if not np.isfinite(summary.critical_difference):
        return []
    return [
        f"By Nemenyi's test, where a pair depends on which other losses take part, mean ranks further apart than "
        f"{summary.critical_difference:.2f} differ."
    ]


def _dependence(across: DatasetRanking) -> list[str]:
    if not across.repeated:
        return []
    return [
        f"Several of the problems are of {listed(across.repeated)}: the tests take them as independent, so that they "
        "tell losses apart too easily."
    ]


def ranks_table(across: DatasetRanking) -> Table:
    """Make the table of mean ranks, of what the tests say of each loss, and of its mean on each data set."""
    pairwise, reference, margin = across.pairwise, across.reference, across.analyses[0].options.margin
    heading = ["loss", "mean rank", "group", f"p vs {reference}", "P(better)", "P(equal)", "P(worse)"]
    base, letters = across.labels.index(reference), dict(zip(across.labels, _letters(across), strict=True))
    rows = []
    for k, (label, rank) in enumerate(zip(across.labels, across.summary.ranks, strict=True)):
        found = across.against.get(label)
        rows.append(
            [
                label,
                f"{rank:.2f}",
                in_short(letters[label]),
                *(["–"] * 4 if found is None else [p_value(pairwise.p[k, base])]),
                *([] if found is None else map(_chance, (found.better, found.equal, found.worse))),
                *(
                    f"{each.main.intervals[label].mean:.3f} (n={each.main.intervals[label].n})"
                    for each in across.analyses
                ),
            ]
        )
    equal = f"equal within ±{margin:g}" if margin else "equal"
    caption = (
        f"Mean rank over {across.noun}s (1 is best); losses that share a letter can't be told apart, and p: "
        f"signed-rank tests over {across.noun}s at {pairwise.alpha:g} after Holm over all pairs (Benavoli et al. "
        f"2016). P: probability that a loss is on the whole better than, {equal} to or worse than {reference} "
        "(Bayesian signed-rank test, Benavoli et al. 2014), of each pair alone and with few "
        f"{across.noun}s only a hint. Then the mean {words(across.metric)} over n seeds on each, test set, "
        f"{across.analyses[0].epoch}."
    )
    title = f"Mean rank of each loss over {counted(across.summary.n, across.noun)} by {words(across.metric)}"
    heading += [analysis.comparison.title for analysis in across.analyses]
    return Table(caption, heading, rows, set(), "ranks-over-data", title)


def _letters(across: DatasetRanking) -> list[str]:
    pairwise = across.pairwise
    different = [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(pairwise.p <= pairwise.alpha)), strict=True)]
    return letter_display(len(across.labels), different)
