"""Pictures of transduced lines: the same lines as each loss reads them."""

import math

from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays, load_arrays
from lossbench.compare.report.figures.drawing import WIDTH, Picture
from lossbench.compare.report.figures.first_runs import predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers
from lossbench.tasks.sequence.figures import draw_line
from lossbench.tasks.transduction.figures import title_reading, written

COLUMNS = 4
"""Losses beside each other: a reading and what stands there, when it is another, need that much room."""
KEYS = ["images", "target", "decoded"]


def readings(analysis: Analysis) -> list[Picture]:
    """Draw the first lines with what each loss reads of them, one seed each."""
    name, epoch = predictions_file(analysis)
    found = {
        label: arrays
        for label in analysis.counted
        for entry in analysis.comparison.finished(label)[:1]
        if (arrays := load_arrays(entry, name, KEYS)) is not None and len(arrays["images"])
    }
    if not found:
        return []
    rows = max(len(arrays["images"]) for arrays in found.values())
    columns, blocks = min(len(found), COLUMNS), math.ceil(len(found) / COLUMNS)
    figure = Figure(figsize=(WIDTH, blocks * (0.5 + 0.6 * rows)), layout="constrained")
    grid = figure.subplots(blocks * rows, columns, squeeze=False)
    for number, (label, arrays) in enumerate(found.items()):
        top, column = rows * (number // columns), number % columns
        for row, image in enumerate(arrays["images"]):
            axes = grid[top + row, column]
            draw_line(axes, image, image.shape[1], image.shape[1])
            title_reading(axes, written(arrays["target"][row]), written(arrays["decoded"][row]))
        above = {"xytext": (0, 15), "textcoords": "offset points", "annotation_clip": False}
        grid[top, column].annotate(label, (0, 1), xycoords="axes fraction", fontsize=9.5, **above)
    for axes in grid[rows * (blocks - 1) :, len(found) - columns * (blocks - 1) :].flat:
        axes.remove()
    caption = (
        f"Greedy reading of the first lines of the test set ({epoch}, the first seed of each loss); wrong ones red."
    )
    right = {label: sum(_right(arrays, row) for row in range(len(arrays["images"]))) for label, arrays in found.items()}
    lines = {label: f"{right[label]} of {len(arrays['images'])}" for label, arrays in found.items()}
    return [Picture("readings", "The same lines", caption, figure, in_numbers("Lines read without a mistake", lines))]


def _right(arrays: Arrays, row: int) -> bool:
    return written(arrays["target"][row]) == written(arrays["decoded"][row])


PICTURES = (readings,)
"""What the report shows of the task."""
