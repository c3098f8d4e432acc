"""Pictures of the main metric: paired differences to the baseline, learning curves."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.histories import names_in
from lossbench.compare.numbers.statistics import PairedDifference
from lossbench.compare.report.figures.drawing import (
    OVERLAID,
    REFERENCE,
    Array,
    Picture,
    band_over_seeds,
    columns_of,
    curves_over_epochs,
    draw_band,
    label_axes,
    lines_legend,
    mean_and_half_width,
    name_epochs,
    one_panel,
    over_epochs,
    over_seeds,
    panels,
    title_panel,
)
from lossbench.compare.report.figures.in_numbers import curves_in_numbers, in_numbers, with_interval
from lossbench.compare.report.formatting import equals, words
from lossbench.tasks.loss_lines import line_of, thin_line_of

_CUT = "The axes leave out the worst tenth of the points, mostly first epochs."


def forest(analysis: Analysis) -> list[Picture]:
    """Draw the difference of each loss to the baseline with its interval."""
    against = {label: analysis.main.against[label] for label in analysis.order if label in analysis.main.against}
    if not against:
        return []
    figure, axes = one_panel(1.3 + 0.32 * len(against))
    far = _farthest([each.difference for each in against.values()])
    for row, (label, each) in enumerate(against.items()):
        difference = each.difference
        look = line_of(label)
        color = look["color"]
        if math.isfinite(difference.low):
            axes.plot([max(difference.low, -far), min(difference.high, far)], [row, row], color=color, linewidth=2.2)
            beyond = (difference.low < -far, -far, "<"), (difference.high > far, far, ">")
            for side, mark in ((side, mark) for is_beyond, side, mark in beyond if is_beyond):
                axes.plot(side, row, mark, color=color, markersize=6)
        alone = each.this_test_set
        if alone is not None and math.isfinite(alone.low):
            ends = [end for end in (alone.low, alone.high) if abs(end) <= far]
            axes.plot(ends, [row] * len(ends), "|", color=color, markersize=9, markeredgewidth=1.2)
        decided = each.p_t <= analysis.options.alpha
        axes.plot(difference.mean, row, look["marker"], color=color, markerfacecolor=color if decided else "white")
        known = equals(each.p_t) if math.isfinite(each.p_t) else difference.note
        told = f"{known}, n={difference.n}" if known else f"n={difference.n}"
        axes.text(1.01, row, told, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    margin = analysis.options.margin
    if margin is not None:
        axes.axvspan(-margin, margin, color=REFERENCE, alpha=0.12, linewidth=0, zorder=0)
    axes.axvline(0, color=REFERENCE, linewidth=1)
    axes.set_yticks(range(len(against)), list(against))
    axes.set_ylim(len(against) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    arrow = "better →" if analysis.comparison.task.higher_is_better(analysis.metric) else "← better"
    axes.set_xlabel(f"{words(analysis.metric)}: difference to {analysis.baseline}   ({arrow})")
    kinds = {each.difference.kind.replace("%", " %") for each in against.values()}
    caption = (
        f"Difference of each loss to {analysis.baseline} on {words(analysis.metric)} (test set, {analysis.epoch}) over "
        f"n pairs of runs with the same seed: mean and {' or '.join(sorted(kinds))} interval, filled where p is at "
        f"most {analysis.options.alpha:g}; both simultaneous over {analysis.family(analysis.metric)}."
    )
    if any(each.this_test_set for each in against.values()):
        caption += " Bars: for new seeds and new test data; upright strokes: for new seeds on this test set."
    if any(max(-each.difference.low, each.difference.high) > far for each in against.values()):
        caption += " Arrows: an interval that goes on, beyond four times the reach of the median one."
    if margin is not None:
        caption += f" Grey band: the margin of ±{margin:g}, within which a difference is none in practice."
    differences = {label: _in_words(each.difference, each.p_t) for label, each in against.items()}
    higher = analysis.comparison.task.higher_is_better(analysis.metric)
    alt = in_numbers(
        f"Difference of {words(analysis.metric)} to {analysis.baseline}, {'higher' if higher else 'lower'} is better",
        differences,
    )
    return [Picture("paired_differences", f"Differences to {analysis.baseline}", caption, figure, alt)]


def _farthest(differences: list[PairedDifference]) -> float:
    """Return how far from 0 intervals are drawn: one that is very wide would make points of all the others."""
    reaches = [max(-each.low, each.high) for each in differences if math.isfinite(each.low)]
    return max([4 * float(np.median(reaches)) if reaches else math.inf, *(abs(each.mean) for each in differences)])


def _in_words(difference: PairedDifference, p: float) -> str:
    return with_interval(difference) + (f" ({equals(p)})" if math.isfinite(p) else f" (n={difference.n})")


def learning_curves(analysis: Analysis) -> list[Picture]:
    """Draw the main metric over the epochs with bands over seeds; many losses get a panel each.

    For a metric that is computed only at the end of a run it is the first one of the task.
    """
    histories = (entry.get("history") for entry in analysis.comparison.all_entries)
    known = any(f"test/{analysis.metric}" in names_in(history) for history in histories)
    metric = analysis.metric if known else analysis.comparison.task.columns[0]
    name = f"test/{metric}"
    curves = curves_over_epochs(analysis, name)
    if not curves:
        return []
    band = band_over_seeds(analysis)
    alt = curves_in_numbers(f"Test {words(metric)}, mean over {over_seeds(analysis)}", curves)
    if len(curves) > OVERLAID:
        figure = _small_multiples(analysis, curves, metric)
        caption = f"Test {words(metric)} after each epoch, {band}; thin in each panel: {analysis.baseline}. {_CUT}"
        return [Picture("learning_curves", "Learning curves", caption, figure, alt)]
    monitor = analysis.comparison.any_entry["monitor"]
    parts = {"test set": name, "validation part, as it came": f"val/{monitor}"}
    shown = {
        title: {label: over_epochs(analysis.comparison.finished(label), key) for label in analysis.counted}
        for title, key in parts.items()
    }
    shown = {title: found for title, found in shown.items() if any(len(epochs) for epochs, _ in found.values())}
    figure, grid = panels(len(shown), 3.6)
    for axes, (title, found) in zip(grid, shown.items(), strict=True):
        for label, (epochs, values) in found.items():
            bounds = analysis.comparison.task.bounds(parts[title])
            look = line_of(label, analysis.baseline)
            draw_band(axes, epochs, values, analysis.options.confidence, look, label, bounds)
        name_epochs(axes)
        axes.set(ylabel=words(parts[title].partition("/")[2]), title=title)
        axes.grid(alpha=0.3)
        _keep_in_view(
            axes,
            [values for _, values in found.values()],
            analysis.comparison.task.higher_is_better(parts[title].partition("/")[2]),
        )
    lines_legend(figure, grid[0], curves, analysis.baseline)
    caption = f"Test and validation {words(metric)} after each epoch, {band}. {_CUT}"
    return [Picture("learning_curves", "Learning curves", caption, figure, alt)]


def _small_multiples(analysis: Analysis, curves: dict[str, tuple[Array, Array]], metric: str) -> Figure:
    figure, grid = panels(len(curves), 1.75, share_x=True, share_y=True)
    for axes, (label, (epochs, values)) in zip(grid, curves.items(), strict=True):
        if label != analysis.baseline and analysis.baseline in curves:
            x, other = curves[analysis.baseline]
            axes.plot(x, mean_and_half_width(other, analysis.options.confidence)[0], **thin_line_of(analysis.baseline))
        bounds = analysis.comparison.task.bounds(metric)
        look = line_of(label, analysis.baseline, marked=False)
        draw_band(axes, epochs, values, analysis.options.confidence, look, within=bounds)
        title_panel(axes, label, columns_of(grid))
        axes.grid(alpha=0.3)
    _keep_in_view(grid[0], [values for _, values in curves.values()], analysis.comparison.task.higher_is_better(metric))
    label_axes(grid, "epoch", words(metric))
    return figure


def _keep_in_view(axes: Axes, values: list[Array], higher: bool) -> None:
    """Keep to the runs without their worst tenth, the first epochs, and cut wide bands of few seeds off."""
    known = np.concatenate([each[np.isfinite(each)] for each in values])
    worst = (0.1, 1.0) if higher else (0.0, 0.9)
    low, high = np.quantile(known, worst)
    room = 0.15 * (high - low) or 0.1
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, low - room), min(top, high + room))
