"""Pictures of recorded metrics: paired differences, learning curves, recall of rare classes, memorised labels."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lossbench.compare.analysis import Analysis
from lossbench.compare.drawing import (
    BASELINE,
    OVERLAID,
    Array,
    Picture,
    colors,
    columns_of,
    draw_band,
    ink,
    label_axes,
    lines_legend,
    mean_and_half_width,
    one_panel,
    over_epochs,
    over_seeds,
    panels,
    title_panel,
)
from lossbench.compare.wording import equals, words
from lossbench.metric_names import COLUMNS, higher_is_better

_CUT = "The axes leave out the worst tenth of the points, mostly first epochs."
MEMORY = {"memorised": "wrong labels reproduced", "clean_accuracy": "true labels predicted"}
SHOTS = {"many": "more than 100", "medium": "20 to 100", "few": "fewer than 20"}

Memory = dict[str, tuple[Array, Array]]
"""Epochs and values (runs, epochs) of each of `MEMORY`."""


def forest(analysis: Analysis) -> list[Picture]:
    """Draw the difference of each loss to the baseline with its interval."""
    against = {label: analysis.main.against[label] for label in analysis.order if label in analysis.main.against}
    if not against:
        return []
    figure, axes = one_panel(1.3 + 0.32 * len(against))
    color = colors(analysis)
    for row, (label, each) in enumerate(against.items()):
        difference = each.difference
        if math.isfinite(difference.low):
            axes.plot([difference.low, difference.high], [row, row], color=color[label], linewidth=2.2)
        decided = each.p_t <= analysis.options.alpha
        axes.plot(difference.mean, row, "o", color=color[label], markerfacecolor=color[label] if decided else "white")
        told = f"{equals(each.p_t)}, n={difference.n}" if math.isfinite(each.p_t) else f"n={difference.n}"
        axes.text(1.01, row, told, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    axes.axvline(0, color=BASELINE, linewidth=1)
    axes.set_yticks(range(len(against)), list(against))
    axes.set_ylim(len(against) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    arrow = "better →" if higher_is_better(analysis.metric) else "← better"
    axes.set_xlabel(f"{words(analysis.metric)}: difference to {analysis.baseline}   ({arrow})")
    kinds = {each.difference.kind.replace("%", " %") for each in against.values()}
    count = analysis.comparisons_with_baseline
    caption = (
        f"Difference of each loss to {analysis.baseline} on {words(analysis.metric)} (test set, {analysis.epoch}) over "
        f"n pairs of runs with the same seed: mean and {' or '.join(sorted(kinds))} interval; filled where p (t test, "
        f"Holm over {count} loss{'es' if count > 1 else ''}) is at most {analysis.options.alpha:g}."
    )
    return [Picture("paired_differences", f"Differences to {analysis.baseline}", caption, figure)]


def learning_curves(analysis: Analysis) -> list[Picture]:
    """Draw the main metric over the epochs with bands over seeds; many losses get a panel each.

    For a metric that is computed only at the end of a run it is the first one of the task.
    """
    rows = [row for entry in analysis.comparison.all_entries for row in entry.get("history") or []]
    known = any(f"test/{analysis.metric}" in row for row in rows)
    metric = analysis.metric if known else COLUMNS[analysis.comparison.measured][0]
    name = f"test/{metric}"
    curves = {label: over_epochs(analysis.comparison.finished(label), name) for label in analysis.counted}
    if not curves or max(len(epochs) for epochs, _ in curves.values()) < 2:
        return []
    band = f"{100 * analysis.options.confidence:g} % Student-t band over {over_seeds(analysis)}"
    if len(curves) > OVERLAID:
        figure = _small_multiples(analysis, curves, metric)
        caption = f"Test {words(metric)} after each epoch, mean and {band}; grey: {analysis.baseline}. {_CUT}"
        return [Picture("learning_curves", "Learning curves", caption, figure)]
    monitor = analysis.comparison.any_entry["monitor"]
    parts = {"test set": name, "validation part, as it came": f"val/{monitor}"}
    shown = {
        title: {label: over_epochs(analysis.comparison.finished(label), key) for label in analysis.counted}
        for title, key in parts.items()
    }
    shown = {title: found for title, found in shown.items() if any(len(epochs) for epochs, _ in found.values())}
    figure, grid = panels(len(shown), 3.6)
    color = colors(analysis)
    for axes, (title, found) in zip(grid, shown.items(), strict=True):
        for label, (epochs, values) in found.items():
            draw_band(axes, epochs, values, analysis.options.confidence, color[label], label)
        axes.set(xlabel="epoch", ylabel=words(parts[title].partition("/")[2]), title=title)
        axes.grid(alpha=0.3)
        _keep_in_view(axes, [values for _, values in found.values()], parts[title].partition("/")[2])
    lines_legend(figure, grid[0], curves)
    caption = f"Test and validation {words(metric)} after each epoch, mean and {band}. {_CUT}"
    return [Picture("learning_curves", "Learning curves", caption, figure)]


def _small_multiples(analysis: Analysis, curves: dict[str, tuple[Array, Array]], metric: str) -> Figure:
    figure, grid = panels(len(curves), 1.75, share_x=True, share_y=True)
    color = colors(analysis)
    for axes, (label, (epochs, values)) in zip(grid, curves.items(), strict=True):
        if label != analysis.baseline and analysis.baseline in curves:
            x, other = curves[analysis.baseline]
            axes.plot(x, mean_and_half_width(other, analysis.options.confidence)[0], color="#aaaaaa", linewidth=1.2)
        draw_band(axes, epochs, values, analysis.options.confidence, color[label])
        title_panel(axes, label, columns_of(grid))
        axes.grid(alpha=0.3)
    _keep_in_view(grid[0], [values for _, values in curves.values()], metric)
    label_axes(grid, "epoch", words(metric))
    return figure


def _keep_in_view(axes: Axes, values: list[Array], metric: str) -> None:
    """Keep to the runs without their worst tenth, the first epochs, and cut wide bands of few seeds off."""
    known = np.concatenate([each[np.isfinite(each)] for each in values])
    worst = (0.1, 1.0) if higher_is_better(metric) else (0.0, 0.9)
    low, high = np.quantile(known, worst)
    room = 0.15 * (high - low) or 0.1
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, low - room), min(top, high + room))


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
    axes.set_yticks(range(len(analysis.counted)), analysis.counted)
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
    return [Picture("recall_by_class", "Recall by class", caption, figure)]


def accuracy_by_shots(analysis: Analysis) -> list[Picture]:
    """Draw the accuracy over classes with many, a medium number and few training samples."""
    groups = [group for group in SHOTS if f"accuracy_{group}" in analysis.columns]
    if class_counts(analysis) is None or len(groups) < 2:
        return []
    figure, grid = panels(len(groups), 1.2 + 0.27 * len(analysis.counted), columns=len(groups), share_y=True)
    color = colors(analysis)
    for axes, group in zip(grid, groups, strict=True):
        intervals = analysis.columns[f"accuracy_{group}"].intervals
        for row, label in enumerate(analysis.counted):
            if label in intervals:
                each = intervals[label]
                half = (each.high - each.low) / 2 if math.isfinite(each.high) else None
                axes.barh(row, each.mean, xerr=half, color=color[label], ecolor="black", error_kw={"lw": 0.9})
                axes.text(0.02, row, f"{each.mean:.3f}", va="center", color=ink(color[label]), fontsize=8)
        axes.set(xlim=(0, 1.02), xlabel="accuracy", title=f"{group}: {SHOTS[group]}\ntraining samples")
        axes.grid(axis="x", alpha=0.3)
    grid[0].set_yticks(range(len(analysis.counted)), analysis.counted)
    grid[0].set_ylim(len(analysis.counted) - 0.4, -0.6)
    caption = (
        f"Accuracy on the test set ({analysis.epoch}) over classes with many, a medium number and few training "
        f"samples: mean and {100 * analysis.options.confidence:g} % interval over {over_seeds(analysis)}."
    )
    return [Picture("accuracy_by_shots", "Many, medium and few", caption, figure)]


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
            f"epoch (open) to the last (filled); grey: {analysis.baseline}; best is the upper left."
        )
    return [Picture("memorised", "Clean accuracy and memorised labels", caption, figure)]


def _overlaid_memory(analysis: Analysis, found: dict[str, Memory]) -> Figure:
    figure, grid = panels(3, 3.6, columns=3)
    color = colors(analysis)
    for label, each in found.items():
        for axes, name in zip(grid, MEMORY, strict=False):
            draw_band(axes, *each[name], analysis.options.confidence, color[label], label)
            axes.set(xlabel="epoch", ylabel=MEMORY[name], ylim=(-0.02, 1.02))
            axes.grid(alpha=0.3)
        _draw_path(grid[2], analysis, each, color[label])
    grid[2].set(xlabel=MEMORY["memorised"], ylabel=MEMORY["clean_accuracy"])
    grid[2].grid(alpha=0.3)
    lines_legend(figure, grid[0], found)
    return figure


def _memory_panels(analysis: Analysis, found: dict[str, Memory]) -> Figure:
    figure, grid = panels(len(found), 1.75, share_x=True, share_y=True)
    color = colors(analysis)
    for axes, (label, each) in zip(grid, found.items(), strict=True):
        if label != analysis.baseline and analysis.baseline in found:
            _draw_path(axes, analysis, found[analysis.baseline], "#bbbbbb")
        _draw_path(axes, analysis, each, color[label])
        title_panel(axes, label, columns_of(grid))
        axes.grid(alpha=0.3)
    label_axes(grid, "wrong labels reproduced", "true predicted")
    return figure


def _draw_path(axes: Axes, analysis: Analysis, each: Memory, color: str) -> None:
    x, y = (mean_and_half_width(each[name][1], analysis.options.confidence)[0] for name in MEMORY)
    axes.plot(x, y, color=color, linewidth=1.2)
    axes.plot(x[0], y[0], "o", color=color, markerfacecolor="white", markersize=4)
    axes.plot(x[-1], y[-1], "o", color=color, markersize=5)


def class_counts(analysis: Analysis) -> list[int] | None:
    """Return the training samples of each class, if they are so unequal that it matters."""
    counts = analysis.comparison.any_entry.get("data", {}).get("train_class_counts")
    return counts if counts and analysis.counted and max(counts) >= 2 * max(1, min(counts)) else None
