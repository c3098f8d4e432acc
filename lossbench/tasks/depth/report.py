"""Pictures of depth: what each loss makes of the same images."""

import numpy as np
from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.figures.drawing import WIDTH, Picture
from lossbench.compare.report.figures.first_runs import first_arrays, label_rows
from lossbench.compare.report.figures.in_numbers import in_numbers, number
from lossbench.tasks.depth.figures import LARGEST_ERROR, draw_depth, relative_errors

IMAGES = 4
MOST_LOSSES = 10
KEYS = ["depth", "target", "image"]


def depths(analysis: Analysis) -> list[Picture]:
    """Draw the first test images, their depth, and the depth and error of each loss."""
    shown, told, left_out = first_arrays(analysis, KEYS, MOST_LOSSES)
    if not shown:
        return []
    some = next(iter(shown.values()))
    columns = min(IMAGES, len(some["target"]))
    figure = Figure(figsize=(WIDTH, 0.3 + 0.95 * (len(shown) + 1)), layout="constrained")
    grid = figure.subplots(len(shown) + 1, 2 * columns, squeeze=False)
    for column in range(columns):
        truth, left, right = some["target"][column], 2 * column, 2 * column + 1
        grid[0, left].imshow(some["image"][column].transpose(1, 2, 0))
        draw_depth(grid[0, right], truth, truth)
        for row, arrays in enumerate(shown.values(), start=1):
            draw_depth(grid[row, left], arrays["depth"][column], truth)
            errors = relative_errors(arrays["depth"][column], truth)
            grid[row, right].imshow(errors, cmap="Reds", vmin=0, vmax=LARGEST_ERROR)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    label_rows(list(grid[:, 0]), ["image, truth", *shown])
    caption = (
        f"The first images of the test set and their depth; below, the depth that each loss predicts, in the same "
        f"colours, and its relative error, dark red from {LARGEST_ERROR:g} ({told}).{left_out}"
    )
    means = {
        label: number(float(np.nanmean(relative_errors(arrays["depth"][:columns], arrays["target"][:columns]))))
        for label, arrays in shown.items()
    }
    alt = in_numbers(f"Mean relative error of depth over {columns} images", means)
    return [Picture("depth", "The same images under each loss", caption, figure, alt)]


PICTURES = (depths,)
"""What the report shows of the task."""
