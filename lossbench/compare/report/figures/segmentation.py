"""Pictures of segmentation: what each loss makes of the same images, and how large its regions are."""

import numpy as np
from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays
from lossbench.compare.report.figures.drawing import (
    WIDTH,
    Picture,
    colors,
    draw_band,
    lines_legend,
    one_panel,
    over_epochs,
    over_seeds,
)
from lossbench.compare.report.figures.first_runs import first_arrays, label_rows
from lossbench.losses.labelled_pixels import IGNORED
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
    return [Picture("masks", "The same images under each loss", caption + left_out, figure)]


def _predicted(arrays: Arrays, row: int) -> np.ndarray:
    """Return the predicted classes (H, W) of an image; nothing where the truth is left out."""
    predicted = arrays["log_odds"][row].argmax(-1)
    return np.where(arrays["target"][row] == IGNORED, IGNORED, predicted)


def areas(analysis: Analysis) -> list[Picture]:
    """Draw the predicted over the true area of the foreground over the epochs."""
    curves = {label: over_epochs(analysis.comparison.finished(label), "test/area_ratio") for label in analysis.counted}
    if not curves or max(len(epochs) for epochs, _ in curves.values()) < 2:
        return []
    figure, axes = one_panel(3.2)
    color = colors(analysis)
    for label, (epochs, values) in curves.items():
        draw_band(axes, epochs, values, analysis.options.confidence, color[label], label, ERROR)
    axes.axhline(1, color="#888888", linewidth=0.8, linestyle=":")
    axes.set(xlabel="epoch", ylabel="predicted over true area")
    axes.set_yscale("symlog", linthresh=2)
    axes.grid(alpha=0.3)
    lines_legend(figure, axes, curves)
    caption = (
        "Pixels of the test set that are predicted as foreground, over those that are, mean and "
        f"{100 * analysis.options.confidence:g} % Student-t band over {over_seeds(analysis)}. Losses of overlap predict"
        " larger regions than those of likelihood where it is not sure; 1 is as much as there is."
    )
    return [Picture("areas", "Predicted area", caption, figure)]


PICTURES = (masks, areas)
"""What the report shows of the task."""
