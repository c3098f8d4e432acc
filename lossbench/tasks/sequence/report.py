"""Pictures of lines: the posteriors of each loss for the same lines, and the share of blank frames."""

from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Arrays, load_arrays
from lossbench.compare.report.figures.drawing import (
    OVERLAID,
    WIDTH,
    Picture,
    band_over_seeds,
    columns_of,
    curves_over_epochs,
    draw_band,
    label_axes,
    lines_legend,
    panels,
    title_panel,
)
from lossbench.compare.report.figures.first_runs import predictions_file
from lossbench.compare.report.figures.in_numbers import curves_in_numbers, in_numbers, number
from lossbench.tasks.loss_lines import line_of
from lossbench.tasks.sequence.figures import draw_line, draw_posteriors
from lossbench.tasks.task import SHARE

LINES = 2
MOST_LOSSES = 12


def posteriors(analysis: Analysis) -> list[Picture]:
    """Draw the posteriors of each loss over the frames of the same test lines, one seed."""
    name, epoch = predictions_file(analysis)
    seed, found = _of_one_seed(analysis, name)
    if not found:
        return []
    shown = dict(list(found.items())[:MOST_LOSSES])
    figure = Figure(figsize=(WIDTH, 0.75 + 1.15 * len(shown)), layout="constrained")
    grid = figure.subplots(
        len(shown) + 1, LINES, sharex="col", sharey="row", squeeze=False, height_ratios=[0.55, *[1] * len(shown)]
    )
    first = next(iter(shown.values()))
    for line in range(LINES):
        frames = int((first["alignment"][line] >= 0).sum())
        draw_line(grid[0, line], first["images"][line], frames, first["alignment"].shape[1])
        for row, (label, arrays) in enumerate(shown.items(), start=1):
            draw_posteriors(grid[row, line], arrays["posteriors"][line, :frames])
            if line == 0:
                grid[row, line].set_title(label, fontsize=8.5, loc="left", pad=3)
        grid[-1, line].set_xlabel("frame")
    left_out = f" Not drawn: {', '.join(list(found)[MOST_LOSSES:])}." if len(found) > MOST_LOSSES else ""
    caption = (
        f"Probability of each class over the frames of the first {LINES} lines of the test set ({epoch}, seed {seed}); "
        f"dashed grey: the blank; the digits above are the most probable classes, run by run.{left_out}"
    )
    certain = {}
    for label, arrays in shown.items():
        known = arrays["alignment"][:LINES] >= 0
        certain[label] = number(float(arrays["posteriors"][:LINES].max(-1)[known].mean()))
    alt = in_numbers(f"Mean probability of the most probable class over the frames of {LINES} lines", certain)
    return [Picture("posteriors", "Posteriors of the same lines", caption, figure, alt)]


def _of_one_seed(analysis: Analysis, name: str) -> tuple[int, dict[str, Arrays]]:
    """Return the first seed that all losses have, or else the first one of any, and its arrays by loss."""
    entries = {
        label: {entry["seed"]: entry for entry in analysis.comparison.finished(label)} for label in analysis.counted
    }
    for seed in sorted(analysis.comparison.seeds, key=lambda seed: -sum(seed in each for each in entries.values())):
        found = {
            label: arrays
            for label, each in entries.items()
            if seed in each
            and (arrays := load_arrays(each[seed], name, ["images", "posteriors", "alignment"])) is not None
            and len(arrays["images"]) >= LINES
        }
        if found:
            return seed, found
    return 0, {}


def blank_share(analysis: Analysis) -> list[Picture]:
    """Draw the share of the frames that are read as blank over the epochs."""
    curves = curves_over_epochs(analysis, "test/blank_share")
    if not curves:
        return []
    overlaid = len(curves) <= OVERLAID
    figure, grid = panels(1, 3.4) if overlaid else panels(len(curves), 1.75, share_x=True, share_y=True)
    for k, (label, (epochs, values)) in enumerate(curves.items()):
        axes = grid[0] if overlaid else grid[k]
        look = line_of(label, analysis.baseline, marked=overlaid)
        draw_band(axes, epochs, values, analysis.options.confidence, look, label, SHARE)
        if not overlaid:
            title_panel(axes, label, columns_of(grid))
    for axes in grid:
        axes.set_ylim(-0.02, 1.02)
        axes.grid(alpha=0.3)
    label_axes(grid, "epoch", "share of blank frames")
    if overlaid:
        lines_legend(figure, grid[0], curves, analysis.baseline)
    caption = (
        "Part of the frames of the test lines whose most probable class is the blank, "
        f"{band_over_seeds(analysis)}. A loss that leaves the alignment free may read a digit in a single frame."
    )
    alt = curves_in_numbers("Share of blank frames", curves)
    return [Picture("blank_share", "Blank frames", caption, figure, alt)]


PICTURES = (posteriors, blank_share)
"""What the report shows of the task, in this order; each returns no picture where it has nothing to show."""
