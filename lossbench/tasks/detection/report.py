"""Pictures of detection: what each loss finds in the same images."""

from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.figures.drawing import WIDTH, Picture
from lossbench.compare.report.figures.first_runs import first_arrays, label_rows
from lossbench.compare.report.figures.in_numbers import in_numbers
from lossbench.tasks.detection.figures import LEAST, draw_scene, found_right

IMAGES = 6
MOST_LOSSES = 12
KEYS = ["boxes", "scores", "labels", "target_boxes", "target", "image"]


def detections(analysis: Analysis) -> list[Picture]:
    """Draw the first test images with their true boxes, and with those that each loss finds."""
    shown, told, left_out = first_arrays(analysis, KEYS, MOST_LOSSES)
    if not shown:
        return []
    some = next(iter(shown.values()))
    columns = min(IMAGES, len(some["image"]))
    figure = Figure(figsize=(WIDTH, 0.2 + 1.2 * (len(shown) + 1)), layout="constrained")
    grid = figure.subplots(len(shown) + 1, columns, squeeze=False)
    for column in range(columns):
        draw_scene(grid[0, column], some, column, found=False)
        for row, arrays in enumerate(shown.values(), start=1):
            draw_scene(grid[row, column], arrays, column, found=True)
    label_rows(list(grid[:, 0]), ["truth", *shown])
    caption = (
        f"The first images of the test set with their objects; below, what each loss finds with a score of at least "
        f"{LEAST:g}, with class and score in percent: blue is the right class with an IoU of at least one half, orange "
        f"is not ({told}).{left_out}"
    )
    right = {label: [found_right(arrays, row) for row in range(columns)] for label, arrays in shown.items()}
    objects = int((some["target"][:columns] >= 0).sum())
    alt = in_numbers(
        f"Boxes found with a score of at least {LEAST:g} in {columns} images with {objects} objects",
        {label: f"{sum(map(len, each))}, {sum(map(sum, each))} of them right" for label, each in right.items()},
    )
    return [Picture("detections", "The same images under each loss", caption, figure, alt)]


PICTURES = (detections,)
"""What the report shows of the task."""
