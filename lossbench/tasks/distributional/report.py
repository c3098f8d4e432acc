"""Pictures of predicted distributions: calibration curves, and intervals over a single input."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays, load_arrays
from lossbench.compare.report.figures.drawing import (
    OVERLAID,
    Array,
    Picture,
    band_over_seeds,
    columns_of,
    draw_band,
    label_axes,
    lines_legend,
    mean_of,
    over_seeds,
    panels,
    title_panel,
)
from lossbench.compare.report.figures.first_runs import predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers, number
from lossbench.tasks.loss_lines import line_of

POINTS = 60
"""Into so many parts of equal size the inputs are divided, over which intervals are averaged."""


def calibration_curves(analysis: Analysis) -> list[Picture]:
    """Draw for each level how much more than this share of the targets lies below the predicted quantile."""
    name, epoch = predictions_file(analysis)
    runs = _runs(analysis, name, ["target", "quantiles"])
    if not runs:
        return []
    overlaid = len(runs) <= OVERLAID
    figure, grid = panels(1, 3.6) if overlaid else panels(len(runs), 1.9, share_x=True, share_y=True)
    furthest = {}
    for k, (label, found) in enumerate(runs.items()):
        axes = grid[0] if overlaid else grid[k]
        levels = _levels(found[0])
        below = np.array([(each["target"][:, None] <= each["quantiles"]).mean(0) for each in found])
        possible = (-levels, 1 - levels)
        look = line_of(label, analysis.baseline, marked=overlaid)
        draw_band(axes, levels, below - levels, analysis.options.confidence, look, label, possible)
        off = mean_of(below - levels)
        furthest[label] = f"{number(off[np.abs(off).argmax()])} at {number(levels[np.abs(off).argmax()])}"
        if not overlaid:
            title_panel(axes, label, columns_of(grid))
    for axes in grid:
        axes.axhline(0, color="black", linewidth=0.8, linestyle="--")
        axes.grid(alpha=0.3)
    label_axes(grid, "level of the quantile", "targets below − level")
    if overlaid:
        lines_legend(figure, grid[0], runs, analysis.baseline)
    caption = (
        f"Calibration on the test set ({epoch}): the share of targets below each predicted quantile, minus its level; "
        f"{band_over_seeds(analysis)}. Right ones lie on the dashed line. Above it at low and below it at high levels: "
        "intervals are too narrow; the other way round: too wide."
    )
    alt = in_numbers("Targets below the quantile minus its level, where this is furthest from 0", furthest)
    return [Picture("calibration_curves", "Calibration of the predicted distributions", caption, figure, alt)]


def interval_bands(analysis: Analysis) -> list[Picture]:
    """Draw the predicted median and intervals of each loss over the single input, and the test points."""
    name, epoch = predictions_file(analysis)
    runs = _runs(analysis, name, ["inputs", "target", "quantiles"])
    if not runs:
        return []
    figure, grid = panels(len(runs), 2.4 if len(runs) <= 3 else 1.9, share_x=True, share_y=True)
    widths = {}
    for axes, (label, found) in zip(grid, runs.items(), strict=True):
        at = _draw_intervals(axes, found, line_of(label, analysis.baseline, marked=False))
        widths[label] = ", ".join(number(float((at[1 - low] - at[low]).mean())) for low in (0.25, 0.05))
        title_panel(axes, label, columns_of(grid))
    targets = np.concatenate([found[0]["target"] for found in runs.values()])
    low, high = np.quantile(targets, [0.001, 0.999])
    grid[0].set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    label_axes(grid, "input, standardised", "target")
    caption = (
        f"Predicted median, 50 % and 90 % interval over the input ({epoch}): quantiles are averaged over "
        f"{over_seeds(analysis)} and over {POINTS} parts of the input. Dots: test points."
    )
    alt = in_numbers("Mean width of the 50 % and the 90 % interval over the input", widths)
    return [Picture("interval_bands", "Predicted intervals", caption, figure, alt)]


def _draw_intervals(axes: Axes, found: list[Arrays], look: dict[str, Any]) -> dict[float, Array]:
    """Draw the intervals of the runs of a loss; return the quantiles along the input by level."""
    first = found[0]
    levels = _levels(first)
    axes.scatter(first["inputs"], first["target"], s=2, color="#999999", zorder=1)
    lines = []
    for each in found:
        parts = np.array_split(np.argsort(each["inputs"]), POINTS)
        columns = [each["inputs"][:, None], each["quantiles"]]
        lines.append([np.concatenate([column[part].mean(0) for column in columns]) for part in parts])
    x, *quantiles = np.mean(lines, axis=0).T
    at = {round(float(level), 3): quantile for level, quantile in zip(levels, quantiles, strict=True)}
    axes.fill_between(x, at[0.05], at[0.95], color=look["color"], alpha=0.2, linewidth=0, zorder=2)
    axes.fill_between(x, at[0.25], at[0.75], color=look["color"], alpha=0.3, linewidth=0, zorder=2)
    axes.plot(x, at[0.5], **{**look, "zorder": 3})
    axes.grid(alpha=0.3)
    return at


def _runs(analysis: Analysis, name: str, wanted: list[str]) -> dict[str, list[Arrays]]:
    runs = {}
    for label in analysis.counted:
        loaded = [load_arrays(entry, name, wanted) for entry in analysis.comparison.finished(label)]
        runs[label] = [arrays for arrays in loaded if arrays is not None]
    return {label: found for label, found in runs.items() if found}


def _levels(arrays: Arrays) -> Array:
    count = arrays["quantiles"].shape[1]
    levels: Array = np.arange(1, count + 1) / (count + 1)
    return levels


PICTURES = (interval_bands, calibration_curves)
"""What the report shows of the task, in this order; each returns no picture where it has nothing to show."""
