"""Pictures of single classes: recall, accuracy by the number of training samples, and what label noise does."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.figures.drawing import (
    OVERLAID,
    Array,
    Picture,
    columns_of,
    draw_band,
    ink,
    label_axes,
    lines_legend,
    mean_and_half_width,
    mean_of,
    name_epochs,
    name_rows,
    one_panel,
    over_epochs,
    over_seeds,
    panels,
    title_panel,
)
from lossbench.compare.report.figures.in_numbers import in_numbers, number, numbers, with_interval
from lossbench.tasks.loss_lines import line_of, thin_line_of
from lossbench.tasks.task import SHARE

MEMORY = {"memorised": "wrong labels reproduced", "clean_accuracy": "true labels predicted"}
SHOT_SIZES = {"many": "more than 100", "medium": "20 to 100", "few": "fewer than 20"}

Memory = dict[str, tuple[Array, Array]]
"""Epochs and values (runs, epochs) of each of `MEMORY`."""


def recall_by_class(analysis: Analysis) -> list[Picture]:
    """Draw the recall of each class, the classes in the order of their training samples."""
    counts = class_counts(analysis)
    if counts is None:
        return []
    classes = [k for k in np.argsort(counts, kind="stable")[::-1] if f"recall/{k}" in analysis.columns]
    if not classes:
        return []
    columns = [analysis.columns[f"recall/{k}"].intervals for k in classes]
    means = np.array(
        [[column[label].mean if label in column else np.nan for column in columns] for label in analysis.counted]
    )
    figure, axes = one_panel(1.5 + 0.3 * len(analysis.counted))
    image = axes.imshow(means, aspect="auto", cmap="viridis", vmax=1, vmin=min(0.5, np.nanmin(means)))
    name_rows(axes, analysis.counted, analysis.baseline)
    if len(classes) <= 20:
        axes.set_xticks(range(len(classes)), [f"{k}\n{counts[k]}" for k in classes])
        axes.set_xlabel("class, and its training samples below")
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"classes by their training samples, from {counts[classes[0]]} down to {counts[classes[-1]]}")
    if len(classes) <= 12:
        low, high = image.get_clim()
        for row, column in np.ndindex(*means.shape):
            shade = "black" if means[row, column] > low + 0.6 * (high - low) else "white"
            text = f"{means[row, column]:.2f}"
            axes.text(column, row, text, ha="center", va="center", color=shade, fontsize=8)
    figure.colorbar(image, ax=axes, label="recall", pad=0.01)
    caption = (
        f"Recall of each class on the test set ({analysis.epoch}), mean over {over_seeds(analysis)}; the most frequent "
        "class is on the left."
    )
    ends = {f"class {classes[0]} (most frequent)": 0, f"class {classes[-1]} (rarest)": -1}
    alt = in_numbers(
        f"Mean recall over {len(classes)} classes, of {' and of '.join(ends)}",
        {
            label: f"{number(_known_mean(row))}, {', '.join(number(row[k]) for k in ends.values())}"
            for label, row in zip(analysis.counted, means, strict=True)
        },
    )
    return [Picture("recall_by_class", "Recall by class", caption, figure, alt)]


def _known_mean(values: Array) -> float:
    return float(mean_of(values))


def accuracy_by_shots(analysis: Analysis) -> list[Picture]:
    """Draw the accuracy over classes with many, a medium number and few training samples."""
    groups = [group for group in SHOT_SIZES if f"accuracy_{group}" in analysis.columns]
    if class_counts(analysis) is None or len(groups) < 2:
        return []
    figure, grid = panels(len(groups), 1.2 + 0.27 * len(analysis.counted), columns=len(groups), share_y=True)
    for axes, group in zip(grid, groups, strict=True):
        intervals = analysis.columns[f"accuracy_{group}"].intervals
        for row, label in enumerate(analysis.counted):
            if label in intervals:
                each = intervals[label]
                known = math.isfinite(each.high)
                halves = [[each.mean - each.low], [each.high - each.mean]] if known else None
                color = line_of(label)["color"]
                axes.barh(row, each.mean, xerr=halves, color=color, ecolor="black", error_kw={"lw": 0.9})
                ground = color if each.mean > 0.3 else "#ffffff"
                shade = ink(ground) if ground == color else "black"  # beside its bar a number changes with the page
                text = axes.text(0.02, row, f"{each.mean:.3f}", va="center", color=shade, fontsize=8)
                text.set_path_effects([withStroke(linewidth=2.5, foreground=ground)])
        axes.set(xlim=(0, 1.02), xlabel="accuracy", title=f"{group}: {SHOT_SIZES[group]}\ntraining samples")
        axes.grid(axis="x", alpha=0.3)
    name_rows(grid[0], analysis.counted, analysis.baseline)
    grid[0].set_ylim(len(analysis.counted) - 0.4, -0.6)
    caption = (
        f"Accuracy on the test set ({analysis.epoch}) over classes with many, a medium number and few training "
        f"samples: mean and {100 * analysis.options.confidence:g} % interval over {over_seeds(analysis)}."
    )
    found = {group: analysis.columns[f"accuracy_{group}"].intervals for group in groups}
    told = {
        label: ", ".join(f"{group} {with_interval(each[label])}" for group, each in found.items() if label in each)
        for label in analysis.counted
    }
    alt = in_numbers("Accuracy over classes with many, a medium number (20 to 100) and few training samples", told)
    return [Picture("accuracy_by_shots", "Many, medium and few", caption, figure, alt)]


def memorised(analysis: Analysis) -> list[Picture]:
    """Draw the clean accuracy on the training samples against the share of wrong labels that is reproduced."""
    found = {
        label: {name: over_epochs(analysis.comparison.finished(label), f"train/{name}") for name in MEMORY}
        for label in analysis.counted
    }
    found = {label: each for label, each in found.items() if each["memorised"][0].size}
    if not found:
        return []
    band = f" and {100 * analysis.options.confidence:g} % Student-t band" if len(found) <= OVERLAID else ""
    figure = _overlaid_memory(analysis, found) if len(found) <= OVERLAID else _memory_panels(analysis, found)
    caption = (
        f"Training samples under label noise, mean{band} over {over_seeds(analysis)}: share of the flipped labels that "
        "the network reproduces, share of all samples whose true label it predicts, and the one against the other from "
        "the first epoch (open) to the last (filled); best is the upper left."
    )
    if len(found) > OVERLAID:
        caption = (
            f"Training samples under label noise, mean over {over_seeds(analysis)}: share of all samples whose true "
            "label the network predicts against the share of the flipped labels that it reproduces, from the first "
            f"epoch (open) to the last (filled); thin: {analysis.baseline}; best is the upper left."
        )
    last = {
        label: numbers({words: float(mean_of(each[name][1])[-1]) for name, words in MEMORY.items()})
        for label, each in found.items()
    }
    alt = in_numbers("Shares of the training samples in the last epoch", last)
    return [Picture("memorised", "Clean accuracy and memorised labels", caption, figure, alt)]


def _overlaid_memory(analysis: Analysis, found: dict[str, Memory]) -> Figure:
    figure, grid = panels(3, 3.6, columns=3)
    for label, each in found.items():
        look = line_of(label, analysis.baseline)
        for axes, name in zip(grid, MEMORY, strict=False):
            draw_band(axes, *each[name], analysis.options.confidence, look, label, SHARE)
            name_epochs(axes)
            axes.set(ylabel=MEMORY[name], ylim=(-0.02, 1.02))
            axes.grid(alpha=0.3)
        _draw_path(grid[2], analysis, each, line_of(label, analysis.baseline, marked=False))
    grid[2].set(xlabel=MEMORY["memorised"], ylabel=MEMORY["clean_accuracy"])
    grid[2].grid(alpha=0.3)
    lines_legend(figure, grid[0], found, analysis.baseline)
    return figure


def _memory_panels(analysis: Analysis, found: dict[str, Memory]) -> Figure:
    figure, grid = panels(len(found), 1.75, share_x=True, share_y=True)
    for axes, (label, each) in zip(grid, found.items(), strict=True):
        if label != analysis.baseline and analysis.baseline in found:
            _draw_path(axes, analysis, found[analysis.baseline], thin_line_of(analysis.baseline))
        _draw_path(axes, analysis, each, line_of(label, analysis.baseline, marked=False))
        title_panel(axes, label, columns_of(grid))
        axes.grid(alpha=0.3)
    label_axes(grid, "wrong labels reproduced", "true predicted")
    return figure


def _draw_path(axes: Axes, analysis: Analysis, each: Memory, look: dict[str, Any]) -> None:
    x, y = (mean_and_half_width(each[name][1], analysis.options.confidence)[0] for name in MEMORY)
    axes.plot(x, y, **look)
    axes.plot(x[0], y[0], "o", color=look["color"], markerfacecolor="white", markersize=4)
    axes.plot(x[-1], y[-1], "o", color=look["color"], markersize=5)


def class_counts(analysis: Analysis) -> list[int] | None:
    """Return the training samples of each class, if they are so unequal that it matters."""
    counts = analysis.comparison.any_entry.get("data", {}).get("train_class_counts")
    return counts if counts and analysis.counted and max(counts) >= 2 * max(1, min(counts)) else None
