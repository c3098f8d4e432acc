"""Pictures of the single labels, where a sample may have several."""

import math

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.figures.drawing import Picture, columns_of, name_rows, over_seeds, panels, title_panel
from lossbench.compare.report.figures.in_numbers import in_numbers, number, numbers
from lossbench.tasks.loss_lines import line_of

MOST_LABELS = 12


def precision_by_label(analysis: Analysis) -> list[Picture]:
    """Draw the average precision of each label by loss, with its interval; a panel for each label, rare ones first."""
    data = analysis.comparison.any_entry.get("data", {})
    counts = data.get("train_class_counts") or []
    labels = [k for k in range(len(counts)) if f"ap/{k}" in analysis.columns]
    if not labels:
        return []
    shown = sorted(labels, key=lambda k: counts[k])[:MOST_LABELS]
    names = data.get("class_names") or [f"label {k}" for k in range(len(counts))]
    figure, grid = panels(len(shown), 0.95 + 0.21 * len(analysis.counted), columns=min(3, len(shown)), share_y=True)
    means: dict[str, dict[str, float]] = {label: {} for label in analysis.counted}
    for axes, k in zip(grid, shown, strict=True):
        for row, label in enumerate(analysis.counted):
            interval = analysis.columns[f"ap/{k}"].intervals.get(label)
            if interval is None:
                continue
            color, marker = (line_of(label)[key] for key in ("color", "marker"))
            if math.isfinite(interval.low):
                axes.plot([interval.low, interval.high], [row, row], color=color, linewidth=2)
            axes.plot(interval.mean, row, marker, color=color, markersize=4.5)
            means[label][names[k]] = interval.mean
        title_panel(axes, names[k], columns_of(grid), f"{counts[k]} training samples")
        axes.grid(axis="x", alpha=0.3)
        axes.locator_params(axis="x", nbins=4)
    name_rows(grid[0], analysis.counted, analysis.baseline)
    grid[0].set_ylim(len(analysis.counted) - 0.5, -0.5)
    for axes in grid[-columns_of(grid) :]:
        axes.set_xlabel("average precision")
    which = f"the {len(shown)} rarest of {len(labels)} labels" if len(shown) < len(labels) else "each label"
    caption = (
        f"Average precision of {which} on the test set ({analysis.epoch}), rare labels first: mean and "
        f"{100 * analysis.options.confidence:g} % interval over {over_seeds(analysis)}. The panels have axes of their "
        "own."
    )
    told = {
        label: numbers(each) if len(each) <= 4 else f"{number(min(each.values()))} to {number(max(each.values()))}"
        for label, each in means.items()
        if each
    }
    alt = in_numbers(f"Average precision of {which}", told)
    return [Picture("precision_by_label", "Average precision by label", caption, figure, alt)]


PICTURES = (precision_by_label,)
"""What the report shows of the task."""
