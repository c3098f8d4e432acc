"""Several data sets, or problems: mean ranks, the tests of Friedman and Nemenyi, the critical-difference picture."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.ranks import RankSummary, average_ranks
from lossbench.compare.report.formatting import counted, equals, listed, words
from lossbench.compare.report.tables import Table

if TYPE_CHECKING:
    from lossbench.compare.report.figures.drawing import Picture


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
        Ranks and tests, in the order of the labels.

    """

    metric: str
    analyses: list[Analysis]
    labels: list[str]
    summary: RankSummary

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
    scores = [[analysis.main.intervals[label].mean for label in labels] for analysis in analyses]
    higher = analyses[0].comparison.task.higher_is_better(metric)
    first = average_ranks(scores, higher_is_better=higher, alpha=analyses[0].options.alpha)
    order = list(np.argsort(first.ranks, kind="stable"))
    ordered = [[row[k] for k in order] for row in scores]
    summary = average_ranks(ordered, higher_is_better=higher, alpha=analyses[0].options.alpha)
    return DatasetRanking(metric, analyses, [labels[k] for k in order], summary)


def told(across: DatasetRanking) -> str:
    """Say in words what the ranks say."""
    summary, titles = across.summary, [analysis.comparison.title for analysis in across.analyses]
    data = "; ".join(titles) if across.repeated else listed(titles)
    text = (
        f"Over {counted(summary.n, across.noun)} ({data}), ranked by the mean {words(across.metric)} of each "
        f"{across.noun}: "
        f"{across.labels[0]} has the best mean rank ({summary.ranks[0]:.2f} of {len(across.labels)})"
    )
    if not np.isfinite(summary.friedman_p):
        return f"{text}; with two losses there is no Friedman test."
    decided = summary.friedman_p <= summary.alpha
    judged = "the losses differ" if decided else "no loss is shown to differ from another"
    return (
        f"{text}; {judged} (Friedman, {equals(summary.friedman_p)}); mean ranks further apart than "
        f"{summary.critical_difference:.2f} differ (Nemenyi at {summary.alpha:g}).{_dependence(across)}"
    )


def _dependence(across: DatasetRanking) -> str:
    if not across.repeated:
        return ""
    return (
        f" Several of the problems are of {listed(across.repeated)}: the tests take them as independent, so that they "
        "tell losses apart too easily."
    )


def ranks_table(across: DatasetRanking) -> Table:
    """Make the table of mean ranks and of the mean on each data set."""
    heading = ["loss", "mean rank", *(analysis.comparison.title for analysis in across.analyses)]
    rows = [
        [
            label,
            f"{rank:.2f}",
            *(f"{each.main.intervals[label].mean:.3f} (n={each.main.intervals[label].n})" for each in across.analyses),
        ]
        for label, rank in zip(across.labels, across.summary.ranks, strict=True)
    ]
    caption = (
        f"Mean rank over {across.noun}s (1 is best), and the mean {words(across.metric)} over n seeds on each, test "
        f"set, {across.analyses[0].epoch}."
    )
    return Table(caption, heading, rows, set())


def critical_difference(across: DatasetRanking) -> "Picture | None":
    """Draw the mean ranks on a line, with bars over losses that Nemenyi's test can't tell apart."""
    from lossbench.compare.report.figures.drawing import Picture, colors, one_panel

    summary, labels = across.summary, across.labels
    if not np.isfinite(summary.critical_difference):
        return None
    half = (len(labels) + 1) // 2
    bars = tied_runs(summary.ranks, summary.critical_difference)
    depth = 0.35 * len(bars) + 0.6
    figure, axes = one_panel(1.5 + 0.28 * half + 0.18 * len(bars))
    color = colors(across.analyses[0])
    low, high = 1.0, float(len(labels))
    axes.set(xlim=(low - 0.35 * (high - low), high + 0.35 * (high - low)), ylim=(-depth - half - 0.2, 1.6))
    axes.plot([low, high], [0, 0], color="black", linewidth=1)
    for tick in range(1, len(labels) + 1):
        axes.plot([tick, tick], [0, 0.12], color="black", linewidth=1)
        axes.text(tick, 0.25, str(tick), ha="center", fontsize=8.5)
    for k, (label, rank) in enumerate(zip(labels, summary.ranks, strict=True)):
        left = k < half
        y = -depth - (k if left else len(labels) - 1 - k)
        edge = low - 0.03 * (high - low) if left else high + 0.03 * (high - low)
        axes.plot([rank, rank, edge], [0, y, y], color=color.get(label, "black"), linewidth=1.1)
        text = f"{label}  {rank:.2f}" if left else f"{rank:.2f}  {label}"
        axes.text(
            edge, y, f"{text} " if left else f" {text}", ha="right" if left else "left", va="center", fontsize=8.5
        )
    for k, (start, end) in enumerate(bars):
        y = -0.35 * (k + 1)
        axes.plot([summary.ranks[start] - 0.04, summary.ranks[end] + 0.04], [y, y], color="black", linewidth=3.2)
    width = min(summary.critical_difference, high - low)
    axes.plot([low, low + width], [1.0, 1.0], color="black", linewidth=1.6)
    axes.text(low, 1.15, f"critical difference {summary.critical_difference:.2f}", fontsize=8.5)
    axes.axis("off")
    caption = (
        f"Mean rank of each loss over {counted(summary.n, across.noun)} by {words(across.metric)} (1 is best); losses "
        f"under a common bar can't be told apart (Nemenyi at {summary.alpha:g})."
    )
    return Picture("critical_difference", f"Mean ranks over {across.noun}s", caption, figure)


def tied_runs(ranks: np.ndarray, reach: float) -> list[tuple[int, int]]:
    """Return the longest runs of sorted ranks that lie within `reach`, as first and last position.

    Examples
    --------
    >>> tied_runs(np.array([1.0, 1.5, 2.4, 4.0]), 1.0)
    [(0, 1), (1, 2)]

    """
    runs: list[tuple[int, int]] = []
    for start, rank in enumerate(ranks):
        end = int(np.flatnonzero(ranks <= rank + reach)[-1])
        if end > start and (not runs or end > runs[-1][1]):
            runs.append((start, end))
    return runs
