"""Pictures of segmentation: what each loss makes of the same images, and how large its regions are."""

import numpy as np
from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays
from lossbench.compare.report.figures.drawing import (
    WIDTH,
    Picture,
    band_over_seeds,
    curves_over_epochs,
    draw_band,
    lines_legend,
    log_beyond,
    name_epochs,
    one_panel,
)
from lossbench.compare.report.figures.first_runs import first_arrays, label_rows
from lossbench.compare.report.figures.in_numbers import curves_in_numbers, in_numbers, number
from lossbench.losses.labelled_pixels import IGNORED
from lossbench.tasks.loss_lines import line_of
from lossbench.tasks.segmentation.figures import draw_classes, draw_image
from lossbench.tasks.task import ERROR

IMAGES = 8
MOST_LOSSES = 12
KEYS = ["log_odds", "target", "image"]


def masks(analysis: Analysis) -> list[Picture]:
    """Draw the first test images, their truth, and what each loss predicts."""
    shown, told, left_out = first_arrays(analysis, KEYS, MOST_LOSSES)
    if not shown:
        return []
    some = next(iter(shown.values()))
    columns = min(IMAGES, len(some["target"]))
    figure = Figure(figsize=(WIDTH, 0.3 + 0.95 * (len(shown) + 2)), layout="constrained")
    grid = figure.subplots(len(shown) + 2, columns, squeeze=False)
    classes = some["log_odds"].shape[-1]
    for column in range(columns):
        draw_image(grid[0, column], some["image"][column])
        draw_classes(grid[1, column], some["target"][column], classes)
        for row, arrays in enumerate(shown.values(), start=2):
            draw_classes(grid[row, column], _predicted(arrays, column), classes)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    label_rows(list(grid[:, 0]), ["image", "truth", *shown])
    caption = (
        f"The first images of the test set, and the classes that each loss predicts, black for the background ({told})."
    )
    alt = in_numbers(
        f"Share of right pixels of {columns} images",
        {label: number(_right_share(arrays, columns)) for label, arrays in shown.items()},
    )
    return [Picture("masks", "The same images under each loss", caption + left_out, figure, alt)]


def _right_share(arrays: Arrays, count: int) -> float:
    """Return the share of right pixels of the first images, those left out that have no truth."""
    target = arrays["target"][:count]
    known = target != IGNORED
    return float((arrays["log_odds"][:count].argmax(-1) == target)[known].mean())


def _predicted(arrays: Arrays, row: int) -> np.ndarray:
    """Return the predicted classes (H, W) of an image; nothing where the truth is left out."""
    predicted = arrays["log_odds"][row].argmax(-1)
    return np.where(arrays["target"][row] == IGNORED, IGNORED, predicted)


def areas(analysis: Analysis) -> list[Picture]:
    """Draw the predicted over the true area of the foreground over the epochs."""
    curves = curves_over_epochs(analysis, "test/area_ratio")
    if not curves:
        return []
    figure, axes = one_panel(3.2)
    for label, (epochs, values) in curves.items():
        draw_band(axes, epochs, values, analysis.options.confidence, line_of(label, analysis.baseline), label, ERROR)
    axes.axhline(1, color="#888888", linewidth=0.8, linestyle=":")
    name_epochs(axes)
    axes.set_ylabel("predicted over true area")
    log_beyond(axes, 2.0)
    axes.grid(alpha=0.3)
    lines_legend(figure, axes, curves, analysis.baseline)
    caption = (
        "Pixels of the test set that are predicted as foreground, over those that are, "
        f"{band_over_seeds(analysis)}. Losses of overlap predict larger regions than those of likelihood where it is "
        "not sure; 1 is as much as there is."
    )
    alt = curves_in_numbers("Predicted over true area", curves)
    return [Picture("areas", "Predicted area", caption, figure, alt)]


PICTURES = (masks, areas)
"""What the report shows of the task."""
