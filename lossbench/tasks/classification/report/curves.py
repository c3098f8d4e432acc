"""Pictures of how the probabilities order the samples: ROC, precision and recall, error rate of the most confident."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import load_classes
from lossbench.compare.report.figures.drawing import (
    OVERLAID,
    Array,
    Picture,
    columns_of,
    draw_band,
    label_axes,
    lines_legend,
    over_seeds,
    panels,
    title_panel,
)
from lossbench.compare.report.figures.first_runs import predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers, mean_of, numbers
from lossbench.tasks.loss_lines import line_of, thin_line_of
from lossbench.tasks.task import SHARE

GRID = np.linspace(0.0, 1.0, 201)
"""The places at which the curves of runs and classes are averaged."""
KINDS = {
    "roc": ("ROC curves", "false positive rate", "true positive rate"),
    "precision_recall": ("Precision and recall", "recall", "precision"),
    "risk_coverage": ("Risk and coverage", "coverage", "error rate"),
}
"""By the name of the picture: its title and the names of its axes."""

Curves = dict[str, dict[str, Array]]
"""By kind and label the curve of each run on the grid, shape (runs, grid)."""


def curves(analysis: Analysis) -> list[Picture]:
    """Draw the three curves of each loss side by side; with many losses, a picture for each kind of curve."""
    name, epoch = predictions_file(analysis)
    found: Curves = {kind: {} for kind in KINDS}
    for label in analysis.counted:
        runs = [
            curves_of(arrays["log_odds"], arrays["target"], binary=analysis.comparison.task.classes == 2)
            for entry in analysis.comparison.finished(label)
            if (arrays := load_classes(entry, name)) is not None
        ]
        for kind in KINDS if runs else ():
            found[kind][label] = np.array([run[kind] for run in runs])
    labels = list(found["roc"])
    if not labels:
        return []
    overlaid = len(labels) <= OVERLAID
    captions = _captions(analysis, epoch, bands=overlaid)
    if overlaid:
        text = " ".join(captions.values())
        alt = _areas(found, list(KINDS))
        title = "ROC, precision and recall, risk and coverage"
        return [Picture("curves", title, text, _overlaid(analysis, found), alt)]
    figures = {kind: _small_multiples(analysis, found[kind], kind) for kind in KINDS}
    return [
        Picture(f"{kind}_curves", title, captions[kind], figures[kind], _areas(found, [kind]))
        for kind, (title, _, _) in KINDS.items()
    ]


def _areas(found: Curves, kinds: list[str]) -> str:
    """Write the area under the mean curves of each loss."""
    areas = {
        label: {KINDS[kind][0]: float(np.trapezoid(mean_of(found[kind][label]), GRID)) for kind in kinds}
        for label in found[kinds[0]]
    }
    if len(kinds) == 1:
        of_kind = {label: f"{area[KINDS[kinds[0]][0]]:.3f}" for label, area in areas.items()}
        return in_numbers(f"{KINDS[kinds[0]][0]}: area under the mean curve", of_kind)
    return in_numbers("Area under the mean curves", {label: numbers(area) for label, area in areas.items()})


def curves_of(scores: NDArray[Any], target: NDArray[Any], binary: bool) -> dict[str, Array]:
    """Return the three curves of a run on `GRID`, those of the classes as the mean over the classes that are there.

    Parameters
    ----------
    scores : ndarray, shape (N, K)
        What orders the samples, one class against the rest: log-odds, which don't saturate, or probabilities.
    target : ndarray, shape (N,)
        True classes.
    binary : bool
        Whether only class 1 is looked for.

    """
    present = [1] if binary else np.unique(target)

    def mean(curve: Callable[[NDArray[Any], NDArray[np.bool_]], Array]) -> Array:
        drawn: Array = np.mean([curve(scores[:, label], target == label) for label in present], axis=0)
        return drawn

    correct = scores.argmax(axis=1) == target
    return {
        "roc": mean(roc),
        "precision_recall": mean(precision_recall),
        "risk_coverage": risk_coverage(scores.max(axis=1), correct),
    }


def roc(score: NDArray[Any], positive: NDArray[np.bool_]) -> Array:
    """Return the true positive rate at each false positive rate of the grid; NaN where one of the kinds is missing.

    Examples
    --------
    >>> roc(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False]))[[0, 99, 101, 200]]
    array([0.5, 0.5, 1. , 1. ])

    """
    hits, alarms = _thresholds(score, positive)
    if not hits[-1] or not alarms[-1]:
        return np.full(len(GRID), np.nan)
    return np.interp(GRID, np.append(0, alarms) / alarms[-1], np.append(0, hits) / hits[-1])


def precision_recall(score: NDArray[Any], positive: NDArray[np.bool_]) -> Array:
    """Return the precision at the highest threshold that reaches each recall of the grid; NaN without positives.

    Examples
    --------
    >>> precision_recall(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False]))[[0, 100, 101]].round(2)
    array([1.  , 1.  , 0.67])

    """
    hits, alarms = _thresholds(score, positive)
    if not hits[-1]:
        return np.full(len(GRID), np.nan)
    reached = np.searchsorted(hits, np.maximum(GRID * hits[-1] - 1e-9, 1e-9))
    precision: Array = hits[reached] / (hits[reached] + alarms[reached])
    return precision


def risk_coverage(confidence: NDArray[Any], correct: NDArray[np.bool_]) -> Array:
    """Return the error rate among the most confident samples, at each share of the grid; equal confidences are mixed.

    Examples
    --------
    >>> risk_coverage(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, False]))[[50, 100, 200]]
    array([0. , 0. , 0.5])

    """
    hits, wrong = _thresholds(confidence, correct)
    covered, mistakes = np.append(0, hits + wrong), np.append(0, wrong)
    share = np.maximum(GRID * covered[-1], 1.0)
    risk: Array = np.interp(share, covered, mistakes) / share
    return risk


def _thresholds(score: NDArray[Any], positive: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the positives and the others at or above each distinct score, from the highest on."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    return np.cumsum(positive[order])[last].astype(float), np.cumsum(~positive[order])[last].astype(float)


def _captions(analysis: Analysis, epoch: str, bands: bool) -> dict[str, str]:
    binary = analysis.comparison.task.classes == 2
    whose = "of class 1" if binary else "of each class against the rest, mean over the classes"
    band = f" and {100 * analysis.options.confidence:g} % Student-t band" if bands else ""
    over = f"mean{band} over {over_seeds(analysis)}"
    thin = "" if bands else f"; thin in each panel: {analysis.baseline}"
    return {
        "roc": f"True against false positive rate {whose} (test set, {epoch}; {over}{thin}).",
        "precision_recall": f"Precision against recall {whose} (test set, {epoch}; {over}{thin}).",
        "risk_coverage": (
            "Error rate among the most confident predictions against the share of all samples that they are "
            f"(test set, {epoch}; {over}{thin}): it should fall to the left."
        ),
    }


def _overlaid(analysis: Analysis, found: Curves) -> Figure:
    figure, grid = panels(len(KINDS), 3.2, columns=len(KINDS))
    for axes, (kind, (_, x_label, y_label)) in zip(grid, KINDS.items(), strict=True):
        for label, values in found[kind].items():
            look = line_of(label, analysis.baseline)
            draw_band(axes, GRID, values, analysis.options.confidence, look, label, SHARE)
        axes.set(xlabel=x_label, ylabel=y_label)
        _frame(axes, kind, list(found[kind].values()))
    lines_legend(figure, grid[0], found["roc"], analysis.baseline)
    return figure


def _small_multiples(analysis: Analysis, values: dict[str, Array], kind: str) -> Figure:
    figure, grid = panels(len(values), 1.75, share_x=True, share_y=True)
    for axes, (label, each) in zip(grid, values.items(), strict=True):
        if label != analysis.baseline and analysis.baseline in values:
            axes.plot(GRID, values[analysis.baseline].mean(axis=0), **thin_line_of(analysis.baseline))
        axes.plot(GRID, each.mean(axis=0), **line_of(label, analysis.baseline, marked=False))
        title_panel(axes, label, columns_of(grid))
        _frame(axes, kind, list(values.values()))
    label_axes(grid, KINDS[kind][1], KINDS[kind][2])
    return figure


def _frame(axes: Axes, kind: str, values: list[Array]) -> None:
    """Set the limits of a panel, the highest error rate being that of the worst loss, and draw the line of chance."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    if kind == "roc":
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.9)
    if kind == "risk_coverage":
        highest = max(float(np.nanmax(each.mean(axis=0))) for each in values)
        axes.set_ylim(-0.02 * highest, 1.1 * highest + 1e-3)
