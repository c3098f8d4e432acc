"""Pictures of detection: what each loss finds in the same images."""

from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import load_arrays
from lossbench.compare.report.figures.classes import predictions_file
from lossbench.compare.report.figures.drawing import WIDTH, Picture
from lossbench.compare.report.figures.first_runs import first_runs
from lossbench.tasks.detection.figures import LEAST, draw_scene

IMAGES = 6
MOST_LOSSES = 12
KEYS = ["boxes", "scores", "labels", "target_boxes", "target", "image"]


def detections(analysis: Analysis) -> list[Picture]:
    """Draw the first test images with their true boxes, and with those that each loss finds."""
    name, epoch = predictions_file(analysis)
    runs = first_runs(analysis)
    found = {label: each for label, run in runs.items() if (each := load_arrays(run, name, KEYS)) is not None}
    if not found:
        return []
    shown = dict(list(found.items())[:MOST_LOSSES])
    some = next(iter(shown.values()))
    columns = min(IMAGES, len(some["image"]))
    figure = Figure(figsize=(WIDTH, 0.2 + 1.2 * (len(shown) + 1)), layout="constrained")
    grid = figure.subplots(len(shown) + 1, columns, squeeze=False)
    for column in range(columns):
        draw_scene(grid[0, column], some, column, found=False)
        for row, arrays in enumerate(shown.values(), start=1):
            draw_scene(grid[row, column], arrays, column, found=True)
    for row, label in enumerate(("truth", *shown)):
        grid[row, 0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    left_out = f" Not drawn: {', '.join(list(found)[MOST_LOSSES:])}." if len(found) > MOST_LOSSES else ""
    caption = (
        f"The first images of the test set with their objects; below, what each loss finds with a score of at least "
        f"{LEAST:g}, with class and score in percent: green is the right class with an IoU above one half, red is not "
        f"({epoch}, seed {next(iter(runs.values()))['seed']}).{left_out}"
    )
    return [Picture("detections", "The same images under each loss", caption, figure)]


PICTURES = (detections,)
"""What the report shows of the task."""
