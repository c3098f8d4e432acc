"""Pictures of the terms of a loss, or the tasks of a network, over the epochs: weights, conflict, sizes of gradients.

They are drawn of whatever runs have noted them (`train/weight/NAME`, `train/cosine/A/B`, `train/gradient_norm/NAME`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.histories import names_in
from lossbench.compare.report.figures.drawing import (
    OVERLAID,
    REFERENCE,
    Array,
    Picture,
    band_over_seeds,
    columns_of,
    draw_band,
    label_axes,
    lines_legend,
    over_epochs,
    panels,
    title_panel,
)
from lossbench.compare.report.formatting import listed
from lossbench.records.schema import Record
from lossbench.tasks.loss_lines import styled_line
from lossbench.tasks.loss_style import numbered_style
from lossbench.tasks.task import UNBOUNDED, Bounds

WEIGHT, COSINE, NORM = "train/weight/", "train/cosine/", "train/gradient_norm/"
MEAN, LOWEST = "mean over pairs", "lowest of pairs"
"""The lines of a panel with more pairs than can be told apart."""
MOST_TOLD = 6
"""Of so many methods an alt text has the numbers."""

Lines = dict[str, tuple[Array, Array]]
"""By name the epochs (E,) and the values of each run (n, E)."""


def weights(analysis: Analysis) -> list[Picture]:
    """Draw the weight of each term over the epochs, a panel for each method that has weights."""
    found = _of_methods(analysis, WEIGHT)
    if not found:
        return []
    caption = (
        "Weight that the sum of the terms has in a step, mean over each epoch; each method on a scale of its own; "
        f"{band_over_seeds(analysis)}."
    )
    alt = f"Weights of terms in the last epoch. {_told(found)}"
    return [Picture("term_weights", "Weights over epochs", caption, _drawn(analysis, found, "weight"), alt)]


def conflict(analysis: Analysis) -> list[Picture]:
    """Draw the cosine between the gradients of terms over the epochs; below 0 a step for one is against the other."""
    found = {label: _paired(lines) for label, lines in _of_methods(analysis, COSINE).items()}
    if any(len(lines) > OVERLAID for lines in found.values()):
        entries = {label: [_summary(entry) for entry in analysis.comparison.finished(label)] for label in found}
        found = {label: {name: over_epochs(of, name) for name in (MEAN, LOWEST)} for label, of in entries.items()}
    if not found:
        return []
    figure = _drawn(analysis, found, "cosine", share_y=True, within=(-1.0, 1.0))
    for axes in figure.axes:
        axes.axhline(0, color=REFERENCE, linewidth=1)
        axes.set_ylim(-1.05, 1.05)
    caption = (
        "Cosine between the gradients of two terms in the shared parameters, mean over the steps of each epoch at "
        f"which it was taken; below 0 (line) what helps one harms the other; {band_over_seeds(analysis)}."
    )
    below = "; ".join(f"{label}: {_below(lines)}" for label, lines in list(found.items())[:MOST_TOLD])
    alt = f"Cosine between gradients of terms in the last epoch. {_told(found)} Epochs with a mean below 0: {below}."
    return [Picture("term_conflict", "Conflict over epochs", caption, figure, alt)]


def gradient_norms(analysis: Analysis) -> list[Picture]:
    """Draw the norm of the gradient of each term over the epochs, on a logarithmic scale."""
    found = _of_methods(analysis, NORM)
    if not found:
        return []
    figure = _drawn(analysis, found, "gradient norm", share_y=True, within=(0.0, np.inf))
    positive = all((values[np.isfinite(values)] > 0).all() for lines in found.values() for _, values in lines.values())
    for axes in figure.axes if positive else ():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # powers would be formulas
        axes.yaxis.set_minor_formatter(NullFormatter())
    caption = (
        "Norm of the gradient of each term in the shared parameters, mean over the steps of each epoch at which it was "
        f"taken; {band_over_seeds(analysis)}."
    )
    alt = f"Gradient norms of terms in the last epoch. {_told(found)}"
    return [Picture("term_gradient_norms", "Gradients of the terms over epochs", caption, figure, alt)]


def _of_methods(analysis: Analysis, prefix: str) -> dict[str, Lines]:
    """Return what runs noted under a prefix, by label and by the rest of the key; nothing of what is never finite."""
    found = {}
    for label in analysis.counted:
        entries = analysis.comparison.finished(label)
        known = dict.fromkeys(key for entry in entries for key in names_in(entry.get("history")))
        names = [key.removeprefix(prefix) for key in known if key.startswith(prefix)]
        lines = {name: over_epochs(entries, prefix + name) for name in names}
        lines = {name: (epochs, values) for name, (epochs, values) in lines.items() if np.isfinite(values).any()}
        if lines:
            found[label] = lines
    return found


def _paired(lines: Lines) -> Lines:
    """Write the names of pairs as words."""
    return {name.replace("/", " and "): values for name, values in lines.items()}


def _summary(entry: Record) -> Any:
    """Return a record with mean and lowest cosine of the pairs in each row of its history."""
    rows = []
    for row in entry.get("history") or []:
        cosines = [value for key, value in row.items() if key.startswith(COSINE) and value is not None]
        known = [value for value in cosines if np.isfinite(value)]
        rows.append({"epoch": row["epoch"], **({MEAN: float(np.mean(known)), LOWEST: min(known)} if known else {})})
    return {"history": rows}


def _drawn(
    analysis: Analysis, found: Mapping[str, Lines], y_label: str, share_y: bool = False, within: Bounds = UNBOUNDED
) -> Figure:
    """Draw a panel for each method and a line with a band over seeds for each name."""
    figure, grid = panels(len(found), 2.4 if len(found) <= 4 else 1.9, share_x=True, share_y=share_y)
    names = dict.fromkeys(name for lines in found.values() for name in lines)
    look = {name: styled_line(numbered_style(k), marked=len(names) <= OVERLAID) for k, name in enumerate(names)}
    for name in names:  # of the legend: the first panel may lack some
        grid[0].plot([], [], label=name, **look[name])
    for axes, (label, lines) in zip(grid, found.items(), strict=True):
        for name, (epochs, values) in lines.items():
            draw_band(axes, epochs, values, analysis.options.confidence, look[name], within=within)
        title_panel(axes, label, columns_of(grid))
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    label_axes(grid, "epoch", y_label)
    lines_legend(figure, grid[0], names)
    return figure


def _told(found: Mapping[str, Lines]) -> str:
    """Write the mean of each line in its last epoch."""
    told = []
    for label, lines in list(found.items())[:MOST_TOLD]:
        means = (f"{name} {_means(values)[-1]:.3g}" for name, (_, values) in lines.items())
        told.append(f"{label}: {listed(means, most=8)}")
    more = len(found) - len(told)
    return "; ".join(told) + (f"; and {more} more methods." if more else ".")


def _below(lines: Lines) -> str:
    counts = (f"{name} {int((_means(values) < 0).sum())} of {len(epochs)}" for name, (epochs, values) in lines.items())
    return listed(counts, most=8)


def _means(values: Array) -> Array:
    """Return the mean over the runs of each epoch; NaN where none is finite."""
    known = np.isfinite(values)
    total: Array = np.where(known, values, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    return total
