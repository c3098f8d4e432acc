"""Pictures of transduced lines: the same lines as each loss reads them."""

from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays, load_arrays
from lossbench.compare.report.figures.drawing import WIDTH, Picture
from lossbench.compare.report.figures.first_runs import predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers
from lossbench.tasks.sequence.figures import draw_line
from lossbench.tasks.transduction.figures import title_reading, written

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
    figure = Figure(figsize=(WIDTH, 0.5 + 0.6 * rows), layout="constrained")
    grid = figure.subplots(rows, len(found), squeeze=False)
    for column, (label, arrays) in enumerate(found.items()):
        for row, image in enumerate(arrays["images"]):
            axes = grid[row, column]
            draw_line(axes, image, image.shape[1], image.shape[1])
            title_reading(axes, written(arrays["target"][row]), written(arrays["decoded"][row]))
        grid[0, column].set_title(label, fontsize=9.5, loc="right")
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
