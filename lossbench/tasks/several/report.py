"""Pictures of several tasks: loss and metric of each part over the epochs, and what one part costs another."""

from itertools import combinations

import numpy as np

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.figures.drawing import (
    Picture,
    band_over_seeds,
    draw_band,
    lines_legend,
    mean_of,
    name_epochs,
    over_epochs,
    over_seeds,
    panels,
)
from lossbench.compare.report.figures.in_numbers import in_numbers, numbers
from lossbench.tasks import task_named
from lossbench.tasks.loss_lines import line_of

MOST_PAIRS = 3
"""So many pairs of parts are held against each other."""


def monitors(analysis: Analysis) -> dict[str, str]:
    """Return the metric of each part by which its own task picks an epoch."""
    task = analysis.comparison.task
    return {part: f"{part}_{task_named(kind).monitor}" for part, kind in task.parts.items()}


def parts_over_epochs(analysis: Analysis) -> list[Picture]:
    """Draw for each part its metric on the test set over the epochs."""
    keys = {part: f"test/{metric}" for part, metric in monitors(analysis).items()}
    what = "The metric by which each task alone would pick an epoch, on the test set"
    return _over_epochs(analysis, keys, "parts", "Each part over the epochs", what)


def terms_over_epochs(analysis: Analysis) -> list[Picture]:
    """Draw for each part its loss in training over the epochs."""
    keys = {part: f"train/{part}" for part in analysis.comparison.task.parts}
    what = "The mean loss of each part in training, without its weight; different losses have different scales"
    return _over_epochs(analysis, keys, "terms", "The loss of each part in training", what)


def _over_epochs(analysis: Analysis, keys: dict[str, str], name: str, title: str, what: str) -> list[Picture]:
    found = {
        part: {label: over_epochs(analysis.comparison.finished(label), key) for label in analysis.counted}
        for part, key in keys.items()
    }
    drawn = {part: each for part, each in found.items() if any(len(epochs) > 1 for epochs, _ in each.values())}
    if not drawn:
        return []
    figure, grid = panels(len(drawn), 3.0)
    for axes, (part, curves) in zip(grid, drawn.items(), strict=True):
        bounds = analysis.comparison.task.bounds(keys[part])
        for label, (epochs, values) in curves.items():
            if len(epochs):
                look = line_of(label, analysis.baseline)
                draw_band(axes, epochs, values, analysis.options.confidence, look, label, bounds)
        name_epochs(axes)
        axes.set(title=keys[part].partition("/")[2].replace("_", " "))
        axes.grid(alpha=0.3)
    lines_legend(figure, grid[0], analysis.counted, analysis.baseline)
    last = {
        label: numbers({part: mean_of(each[label][1])[-1] for part, each in drawn.items() if len(each[label][0])})
        for label in analysis.counted
    }
    alt = in_numbers(f"{title}, in the last epoch", last)
    return [Picture(name, title, f"{what}: {band_over_seeds(analysis)}.", figure, alt)]


def one_part_against_another(analysis: Analysis) -> list[Picture]:
    """Draw the metrics of two parts against each other: a point for each run, a larger one for the mean of a loss."""
    keys = monitors(analysis)
    pairs = list(combinations(keys, 2))[:MOST_PAIRS]
    selection = "best_val" if analysis.options.select == "best_val" else "last"
    figure, grid = panels(len(pairs), 3.4, columns=len(pairs))
    drawn: dict[str, dict[str, float]] = {}
    for axes, (one, other) in zip(grid, pairs, strict=True):
        for label in analysis.counted:
            runs = [run["metrics"][selection] or {} for run in analysis.comparison.finished(label)]
            points = [(run.get(f"test/{keys[one]}"), run.get(f"test/{keys[other]}")) for run in runs]
            known = np.array([point for point in points if None not in point], dtype=float)
            if len(known):
                look = line_of(label)
                axes.scatter(known[:, 0], known[:, 1], s=10, alpha=0.5, color=look["color"], marker=look["marker"])
                axes.plot(*known.mean(0), look["marker"], markersize=8, color=look["color"], label=label)
                x, y = known.mean(0)
                drawn.setdefault(label, {}).update({one: float(x), other: float(y)})
        axes.set(xlabel=keys[one].replace("_", " "), ylabel=keys[other].replace("_", " "))
        axes.grid(alpha=0.3)
    if not drawn:
        return []
    lines_legend(figure, grid[0], drawn, analysis.baseline)
    caption = (
        f"Each small point is a run, each large one the mean of a loss over {over_seeds(analysis)}, on the test set "
        f"({analysis.epoch}). Of two losses neither is better where each wins one of the parts."
    )
    alt = in_numbers("Mean of the parts on the test set", {label: numbers(each) for label, each in drawn.items()})
    return [Picture("trade_off", "One part against another", caption, figure, alt)]


PICTURES = (parts_over_epochs, terms_over_epochs, one_part_against_another)
"""What the report shows of several tasks."""
