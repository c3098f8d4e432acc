"""The picture of mean ranks over several data sets, with bars over the losses that can't be told apart."""

from lossbench.compare.report.across import DatasetRanking
from lossbench.compare.report.figures.drawing import Picture, name_of, one_panel
from lossbench.compare.report.figures.in_numbers import in_numbers
from lossbench.compare.report.formatting import words
from lossbench.tasks.loss_lines import line_of
from lossbench.words import counted


def critical_difference(across: DatasetRanking) -> Picture:
    """Draw the mean ranks on a line, with a bar for each clique: losses of which no two differ pair by pair.

    A clique may leave out a loss of a rank between: each bar has a dot at the losses that it is of.
    """
    ranks, labels = across.summary.ranks, across.labels
    half = (len(labels) + 1) // 2
    bars = [clique for clique in across.pairwise.cliques if len(clique) > 1]
    depth = 0.35 * len(bars) + 0.6
    figure, axes = one_panel(1.3 + 0.28 * half + 0.18 * len(bars))
    baseline = across.analyses[0].baseline
    low, high = 1.0, float(len(labels))
    axes.set(xlim=(low - 0.35 * (high - low), high + 0.35 * (high - low)), ylim=(-depth - half - 0.2, 0.8))
    axes.plot([low, high], [0, 0], color="black", linewidth=1)
    for tick in range(1, len(labels) + 1):
        axes.plot([tick, tick], [0, 0.12], color="black", linewidth=1)
        axes.text(tick, 0.25, str(tick), ha="center", fontsize=8.5)
    for k, (label, rank) in enumerate(zip(labels, ranks, strict=True)):
        left = k < half
        y = -depth - (k if left else len(labels) - 1 - k)
        edge = low - 0.03 * (high - low) if left else high + 0.03 * (high - low)
        axes.plot([rank, rank, edge], [0, y, y], **line_of(label, baseline), markevery=[0])
        name = name_of(label, baseline)
        text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        axes.text(
            edge, y, f"{text} " if left else f" {text}", ha="right" if left else "left", va="center", fontsize=8.5
        )
    for k, clique in enumerate(bars):
        members = [float(ranks[position]) for position in clique]
        y = -0.35 * (k + 1)
        axes.plot([min(members) - 0.01 * high, max(members) + 0.01 * high], [y, y], color="black", linewidth=2.4)
        axes.plot(members, [y] * len(members), "o", color="black", markersize=5)
    axes.axis("off")
    caption = (
        f"Mean rank of each loss over {counted(across.summary.n, across.noun)} by {words(across.metric)} (1 is best); "
        f"losses with a dot on a common bar can't be told apart (signed-rank tests over {across.noun}s at "
        f"{across.pairwise.alpha:g}, after Holm over all pairs)."
    )
    groups = [", ".join(labels[position] for position in clique) for clique in bars]
    alt = in_numbers(
        f"Mean rank over {counted(across.summary.n, across.noun)} by {words(across.metric)}, 1 is best",
        {label: f"{rank:.2f}" for label, rank in zip(labels, ranks, strict=True)},
        f"Not told apart: {'; '.join(groups[:2])}{f' and {len(groups) - 2} more groups' if len(groups) > 2 else ''}."
        if groups and sum(map(len, groups[:2])) < 250
        else f"{len(groups)} groups of losses can't be told apart."
        if groups
        else "",
    )
    return Picture("critical_difference", f"Mean ranks over {across.noun}s", caption, figure, alt)
