"""Pictures of a regression: residuals on clean and contaminated points, and the fitted function over the true one."""

import numpy as np
from matplotlib.axes import Axes

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays, load_arrays
from lossbench.compare.numbers.reliability import Array
from lossbench.compare.report.figures.drawing import (
    OVERLAID,
    Picture,
    band_over_seeds,
    columns_of,
    draw_band,
    label_axes,
    lines_legend,
    name_rows,
    over_seeds,
    panels,
    title_panel,
)
from lossbench.compare.report.figures.first_runs import predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers, number
from lossbench.tasks.loss_lines import line_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def residual_quantiles(analysis: Analysis) -> list[Picture]:
    """Draw quantiles of target minus prediction: test points, and validation points that came contaminated."""
    name, epoch = predictions_file(analysis)
    clean, dirty = _test_residuals(analysis, name), _contaminated_residuals(analysis)
    if not clean:
        return []
    titles = {"test points, against the truth": clean}
    if dirty:
        titles["contaminated validation points,\nagainst the target as observed"] = dirty
    figure, grid = panels(len(titles), 1.6 + 0.27 * len(analysis.counted), columns=len(titles), share_y=True)
    for axes, (title, residuals) in zip(grid, titles.items(), strict=True):
        for row, label in enumerate(analysis.counted):
            if label in residuals:
                lowest, low, middle, high, highest = np.quantile(residuals[label], QUANTILES)
                color, marker = (line_of(label)[key] for key in ("color", "marker"))
                axes.plot([lowest, highest], [row, row], color=color, linewidth=1.2)
                axes.plot([low, high], [row, row], color=color, linewidth=5, solid_capstyle="butt", alpha=0.7)
                axes.plot(middle, row, marker, color=color, markerfacecolor="white", markersize=5)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(xlabel="target − prediction", title=title)
        axes.grid(axis="x", alpha=0.3)
    name_rows(grid[0], analysis.counted, analysis.baseline)
    grid[0].set_ylim(len(analysis.counted) - 0.5, -0.5)
    more = (
        "; right: the contaminated points of the validation part (last epoch), where a robust loss leaves the residual "
        "that the contamination made"
        if dirty
        else ""
    )
    caption = (
        f"Residuals of the runs of {over_seeds(analysis)} together: 5 to 95 % (thin), 25 to 75 % (thick) and median; "
        f"test set against the truth ({epoch}){more}."
    )
    quantiles = {label: _medians([part[label] for part in (clean, dirty) if label in part]) for label in clean}
    second = ", on contaminated validation points" if dirty else ""
    alt = in_numbers(
        f"Median residual [5 %, 95 %] on test points{second}",
        quantiles,
    )
    return [Picture("residuals", "Residuals", caption, figure, alt)]


def _medians(parts: list[Array]) -> str:
    """Write the median of each part, with the 5 and 95 % quantiles."""
    ends = [map(number, np.quantile(residuals, (0.5, 0.05, 0.95))) for residuals in parts]
    return ", ".join(f"{middle} [{low}, {high}]" for middle, low, high in ends)


def _test_residuals(analysis: Analysis, name: str) -> dict[str, Array]:
    found = {}
    for label in analysis.counted:
        parts = [
            arrays["target_clean"] - arrays["prediction"]
            for entry in analysis.comparison.finished(label)
            if (arrays := load_arrays(entry, name, ["target_clean", "prediction"])) is not None
        ]
        if parts:
            found[label] = np.concatenate(parts)
    return found


def _contaminated_residuals(analysis: Analysis) -> dict[str, Array]:
    found = {}
    for label in analysis.counted:
        parts = []
        for entry in analysis.comparison.finished(label):
            arrays = load_arrays(entry, "validation.npz", ["target", "prediction", "contaminated"])
            if arrays is not None:
                parts.append((arrays["target"] - arrays["prediction"])[arrays["contaminated"]])
        together = np.concatenate(parts) if parts else np.zeros(0)
        if len(together) >= 5:
            found[label] = together
    return found


def fitted_function(analysis: Analysis) -> list[Picture]:
    """Draw the prediction of each loss over the single input, with the true function and the contaminated points."""
    name, epoch = predictions_file(analysis)
    runs = {}
    for label in analysis.counted:
        loaded = [
            load_arrays(entry, name, ["inputs", "prediction", "target_clean"])
            for entry in analysis.comparison.finished(label)
        ]
        runs[label] = [arrays for arrays in loaded if arrays is not None]
    runs = {label: found for label, found in runs.items() if found}
    if not runs:
        return []
    inputs = [arrays["inputs"] for found in runs.values() for arrays in found]
    x = np.linspace(max(each.min() for each in inputs), min(each.max() for each in inputs), 300)
    overlaid = len(runs) <= OVERLAID
    figure, grid = panels(1, 4.4) if overlaid else panels(len(runs), 1.9, share_x=True, share_y=True)
    errors = {}
    truth = _along(x, *(next(iter(runs.values()))[0][name] for name in ("inputs", "target_clean")))
    for k, (label, found) in enumerate(runs.items()):
        axes = grid[0] if overlaid else grid[k]
        fitted = np.array([_along(x, arrays["inputs"], arrays["prediction"]) for arrays in found])
        look = line_of(label, analysis.baseline, marked=overlaid)
        draw_band(axes, x, fitted, analysis.options.confidence, look, label)
        errors[label] = number(float(np.abs(fitted.mean(0) - truth).mean()))
        if not overlaid:
            title_panel(axes, label, columns_of(grid))
    for axes in grid:
        axes.plot(x, truth, "--", color="black", linewidth=1.0, label="true function", zorder=5)
        axes.grid(alpha=0.3)
    grid[0].set_xlim(x[0], x[-1])  # of all panels
    told = ""
    if overlaid:
        told = _draw_points(analysis, grid[0], runs)
        grid[0].set(xlabel="input, standardised", ylabel="target")
        lines_legend(figure, grid[0], [*runs, "true function"], analysis.baseline)
    else:
        label_axes(grid, "input, standardised", "target")
    caption = f"Prediction over the input ({epoch}), {band_over_seeds(analysis)}, and the true function (dashed){told}."
    alt = in_numbers("Mean distance of the mean prediction to the true function, along the input", errors)
    return [Picture("fitted_function", "Fitted and true function", caption, figure, alt)]


def _along(x: Array, inputs: Array, values: Array) -> Array:
    order = np.argsort(inputs)
    along: Array = np.interp(x, inputs[order], values[order])
    return along


def _draw_points(analysis: Analysis, axes: Axes, runs: dict[str, list[Arrays]]) -> str:
    """Draw the validation points of one run; return what they are."""
    entry = analysis.comparison.finished(next(iter(runs)))[0]
    points = load_arrays(entry, "validation.npz", ["inputs", "target", "contaminated"])
    if points is None:
        return ""
    far = points["contaminated"]
    axes.scatter(points["inputs"][~far], points["target"][~far], s=5, color="#999999", zorder=1)
    axes.scatter(points["inputs"][far], points["target"][far], s=12, marker="x", color="#555555", zorder=1)
    crosses = "; crosses: the contaminated ones among them" if far.any() else ""
    return f"; dots: validation points of seed {entry['seed']}{crosses}"


PICTURES = (residual_quantiles, fitted_function)
"""What the report shows of the task, in this order; each returns no picture where it has nothing to show."""
