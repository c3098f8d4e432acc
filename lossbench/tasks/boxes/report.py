"""Pictures of regressed boxes: errors over the steps, and at the end by where a box started."""

import numpy as np

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import load_arrays
from lossbench.compare.report.figures.drawing import (
    Picture,
    band_over_seeds,
    draw_band,
    lines_legend,
    log_beyond,
    one_panel,
)
from lossbench.compare.report.figures.first_runs import predictions_file
from lossbench.compare.report.figures.in_numbers import in_numbers, mean_of, number
from lossbench.tasks.boxes.figures import BINS, by_distance, distances, errors
from lossbench.tasks.loss_lines import line_of
from lossbench.tasks.task import ERROR

KEYS = ["boxes", "start", "target"]


def errors_by_distance(analysis: Analysis) -> list[Picture]:
    """Draw the mean error at the end by the distance at the start."""
    name, epoch = predictions_file(analysis)
    figure, axes = one_panel(3.4)
    drawn = {}
    for label in analysis.counted:
        found = [load_arrays(entry, name, KEYS) for entry in analysis.comparison.finished(label)]
        curves = []
        for arrays in found:
            if arrays is not None:
                curves.append(by_distance(distances(arrays), errors(arrays))[1])
        if curves:
            middles = np.arange(BINS) + 0.5
            look = line_of(label, analysis.baseline)
            draw_band(axes, middles / BINS, np.stack(curves), analysis.options.confidence, look, label, ERROR)
            mean = mean_of(np.stack(curves))
            known = mean[np.isfinite(mean)]
            drawn[label] = f"{number(known[0])} to {number(known[-1])}"
    if not drawn:
        return []
    axes.set(xlabel="distance of the centres at the start, as a share of the largest", ylabel="error at the end")
    log_beyond(axes, 0.01)
    axes.grid(alpha=0.3)
    lines_legend(figure, axes, drawn, analysis.baseline)
    caption = (
        f"Error of centre, width and height ({epoch}) by how far the centres were apart at the start, "
        f"{band_over_seeds(analysis)}."
    )
    alt = in_numbers("Mean error of boxes that started near to those that started far away", drawn)
    return [Picture("errors_by_distance", "Which boxes were brought home", caption, figure, alt)]


PICTURES = (errors_by_distance,)
"""What the report shows of the task."""
