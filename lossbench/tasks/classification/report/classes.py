"""Pictures of predicted classes: reliability before and after temperature scaling, confusion matrices."""

from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import load_classes
from lossbench.compare.numbers.reliability import fit_temperature, temper
from lossbench.compare.report.figures.drawing import (
    Picture,
    columns_of,
    label_axes,
    over_seeds,
    panels,
    title_panel,
)
from lossbench.compare.report.figures.first_runs import LAST, predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers, number
from lossbench.records.schema import Record
from lossbench.tasks.classification.confidence_bins import Array, Bins, bin_confidence
from lossbench.tasks.classification.confusion import confusion_matrix, shares
from lossbench.tasks.loss_lines import line_of

MOST_NUMBERS = 12
"""Confusion matrices of up to so many classes have their numbers written in, where the panels are large enough."""


@dataclass
class Predicted:
    """The predictions of a loss on the test set, summed up run by run: the arrays of many runs would not fit."""

    confusion: list[Array] = field(default_factory=list)
    before: list[Bins] = field(default_factory=list)
    after: list[Bins] = field(default_factory=list)
    temperatures: list[float] = field(default_factory=list)

    def add(self, entry: Record, name: str) -> None:
        """Add a run: the confusion of the file `name`, and the calibration at the last epoch."""
        test = load_classes(entry, name)
        last = test if name == LAST else load_classes(entry, LAST)
        validation = load_classes(entry, "validation.npz")
        if test is not None:
            predicted, classes = test["probabilities"].argmax(axis=1), test["probabilities"].shape[1]
            self.confusion.append(shares(confusion_matrix(predicted, test["target"], classes)))
        if last is not None and np.isfinite(last["probabilities"]).all():
            self.before.append(bin_confidence(last["probabilities"], last["target"]))
            if validation is not None and len(validation["target"]):
                temperature = fit_temperature(validation["log_odds"], validation["target"])
                self.temperatures.append(temperature)
                self.after.append(bin_confidence(temper(last["log_odds"], temperature), last["target"]))


FEWEST = 10
"""A bin with fewer predictions says nothing."""


def class_pictures(analysis: Analysis) -> list[Picture]:
    """Draw reliability and confusion of each loss; the files of each run are read once."""
    name, epoch = predictions_file(analysis)
    found = {}
    for label in analysis.counted:
        found[label] = Predicted()
        for entry in analysis.comparison.finished(label):
            found[label].add(entry, name)
    drawn = [_reliability(analysis, found), _confusions(analysis, found, epoch)]
    return [picture for picture in drawn if picture is not None]


def _reliability(analysis: Analysis, found: dict[str, Predicted]) -> Picture | None:
    known = {label: each for label, each in found.items() if each.before}
    if not known:
        return None
    figure, grid = panels(len(known), 2.9 if len(known) <= 4 else 2.3, share_x=True, share_y=True)
    errors = {}
    for axes, (label, each) in zip(grid, known.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.9)
        before = sum(each.before[1:], each.before[0])
        color = line_of(label)["color"]
        _draw_bins(axes, before, "--", color, "before")
        told = f"ECE {_mean([bins.error for bins in each.before]):.3f}"
        if each.after:
            _draw_bins(axes, sum(each.after[1:], each.after[0]), "-", color, "after temperature scaling")
            told += f" → {_mean([bins.error for bins in each.after]):.3f}, T = {_mean(each.temperatures):.2f}"
        title_panel(axes, label, columns_of(grid), told)
        errors[label] = told.removeprefix("ECE ")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
        axes.grid(alpha=0.25)
    handles = grid[0].get_legend_handles_labels()
    legend = figure.legend(*handles, loc="outside lower center", ncols=2, fontsize=8.5)
    for line in legend.get_lines():
        line.set_color("black")
    label_axes(grid, "confidence", "accuracy")
    noise = analysis.comparison.any_entry["config"].get("data", {}).get("noise") or {}
    wrong = ", whose labels are noisy" if noise.get("kind", "none") != "none" else ""
    fitted = any(each.after for each in known.values())
    scaled = f"; T is fitted for each run on its validation part{wrong}" if fitted else ""
    caption = (
        "Accuracy on the test set (last epoch) against confidence in 15 equal bins, the predictions of "
        f"{over_seeds(analysis)} together (bins with fewer than {FEWEST} are not drawn); ECE and T are means over the "
        f"seeds{scaled}; on the diagonal confidence is deserved."
    )
    alt = in_numbers(f"Calibration error (ECE){' → after temperature scaling, T' if fitted else ''}", errors)
    return Picture("reliability", "Reliability", caption, figure, alt)


def _draw_bins(axes: Axes, bins: Bins, style: str, color: str, label: str) -> None:
    filled = bins.count >= FEWEST
    x, y = bins.confidence[filled] / bins.count[filled], bins.correct[filled] / bins.count[filled]
    axes.plot(x, y, style, color=color, linewidth=1.4, marker="o", markersize=2.8, label=label)


def _confusions(analysis: Analysis, found: dict[str, Predicted], epoch: str) -> Picture | None:
    known = {label: np.mean(each.confusion, axis=0) for label, each in found.items() if each.confusion}
    if not known:
        return None
    figure, grid = panels(len(known), 3.4 if len(known) in (2, 4) else 2.6 if len(known) <= 9 else 2.1)
    classes = len(next(iter(known.values())))
    roomy = len(known) <= 4 and len(known) != 3
    for axes, (label, share) in zip(grid, known.items(), strict=True):
        image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
        title_panel(axes, label, columns_of(grid))
        if classes <= MOST_NUMBERS:
            axes.set_xticks(range(classes))
            axes.set_yticks(range(classes))
        axes.tick_params(labelsize=7)
        if classes <= 3 or (roomy and classes <= MOST_NUMBERS):
            _write_shares(axes, share)
    label_axes(grid, "predicted class", "true class")
    figure.colorbar(image, ax=grid, label="share of the true class", pad=0.01, shrink=0.6)
    unwritten = "; shares below 0.005 are not written" if roomy else ""
    caption = (
        f"Share of each predicted class among the test samples of each true class ({epoch}), mean over "
        f"{over_seeds(analysis)}{unwritten}."
    )
    alt = in_numbers(f"Recall of {classes} classes, and the most frequent confusion", _mistaken(known))
    return Picture("confusion", "Confusion matrices", caption, figure, alt)


def _mistaken(known: dict[str, Array]) -> dict[str, str]:
    """Write of each loss the mean recall, and which class is most often taken for which other."""
    found = {}
    for label, share in known.items():
        others = np.where(np.eye(len(share), dtype=bool), -1.0, np.nan_to_num(share))
        true, predicted = np.unravel_index(others.argmax(), share.shape)
        worst = f"{true} taken for {predicted}: {number(float(others[true, predicted]))}"
        found[label] = f"{number(float(np.nanmean(share.diagonal())))} ({worst})"
    return found


def _write_shares(axes: Axes, share: Array) -> None:
    for row, column in np.ndindex(*share.shape):
        if share[row, column] >= 0.005:
            shade = "white" if share[row, column] > 0.5 else "black"
            text = f"{share[row, column]:.2f}".lstrip("0")
            axes.text(column, row, text, ha="center", va="center", color=shade, fontsize=6.5)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
