"""What all pictures of a report share: how a loss is drawn, panels, bands over seeds, and files."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import NDArray

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.histories import column
from lossbench.compare.report.figures.inner_axes import simplify_inner_axes
from lossbench.config.tested_epochs import is_sparse
from lossbench.records.schema import Record
from lossbench.tasks.loss_lines import alike, marked_sparsely, name_ends
from lossbench.tasks.task import UNBOUNDED

DOTS = 140
"""An inch, of the PNG."""
ROW = 0.18
"""Inches that a row of a legend takes."""
WIDTH = 8.0
"""Inches, of every picture."""
OVERLAID = 6
"""So many losses share one panel; more get a panel each."""
REFERENCE = "#3d3d3d"
"""The colour of what is no loss: zero lines and margins."""
STYLE: dict[str, Any] = {
    "font.size": 9.5, "axes.titlesize": 9.5, "axes.labelsize": 9.5, "axes.spines.top": False,
    "axes.spines.right": False, "axes.edgecolor": "#888888", "svg.hashsalt": "lossbench", "legend.frameon": False,
    "text.parse_math": False,  # a name is no formula
    "text.hinting": "no_hinting",  # letters are as wide in the PNG, by which the layout measures, as in SVG and PDF
    "lines.scale_dashes": False,  # they are in points, whatever the width
}  # fmt: skip
"""Settings of matplotlib under which the pictures are drawn and saved."""

Array = NDArray[np.float64]
Curves = dict[str, tuple[Array, Array]]
"""By loss the epochs (E,) and the values of each run (n, E)."""


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Parameters
    ----------
    name : str
        Of its files, without ending.
    title, caption : str
        The heading, and one sentence that says what is shown and over what.
    figure : Figure or None
        None if the files are there already.
    alt : str
        What stands for it where it can't be seen, with its numbers; the title if none is given.

    """

    name: str
    title: str
    caption: str
    figure: Figure | None
    alt: str = ""


def name_of(label: str, baseline: str) -> str:
    """Return what stands beside the line or row of a loss: its label, and that it is the baseline.

    Examples
    --------
    >>> name_of("focal", "mse"), name_of("mse", "mse")
    ('focal', 'mse (baseline)')

    """
    return f"{label} (baseline)" if label == baseline else label


def name_rows(axes: Axes, labels: Iterable[str], baseline: str) -> None:
    """Write the names of losses at the rows 0, 1, 2 ... of a panel."""
    names = [name_of(label, baseline) for label in labels]
    axes.set_yticks(range(len(names)), names)


def one_panel(height: float) -> tuple[Figure, Axes]:
    """Make a figure with one panel."""
    figure, axes = panels(1, height)
    return figure, axes[0]


def panels(
    count: int, height: float, columns: int | None = None, share_x: bool = False, share_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel for each of `count` things, `height` inches a row; return only the used panels."""
    columns = columns or (count if count <= 3 else 2 if count == 4 else 3 if count <= 9 else 4)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(WIDTH, rows * height), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=share_x, sharey=share_y, squeeze=False)
    unused = grid.flat[count:]
    for axes in unused:
        axes.remove()
    for k in range(count):
        grid[k // columns, k % columns].tick_params(labelbottom=not share_x or k + columns >= count)
    return figure, list(grid.flat[:count])


def name_epochs(axes: Axes) -> None:
    """Name the axis of epochs, which are whole numbers; axes that share it have the same numbers."""
    axes.set_xlabel("epoch")
    axes.locator_params(axis="x", integer=True)


def label_axes(grid: list[Axes], x_label: str, y_label: str) -> None:
    """Name the axes of panels that share them, which have their titles: below the last row and before each row.

    The layout need not measure the panels between, nor a drawing look for a place for names that they don't have.
    """
    columns = columns_of(grid)
    last = (len(grid) - 1) // columns
    for position, axes in enumerate(grid):
        if position // columns == last and x_label == "epoch":
            name_epochs(axes)
        elif position // columns == last:
            axes.set_xlabel(x_label)
        if position % columns == 0:
            axes.set_ylabel(y_label)
        else:
            axes.yaxis.set_label_coords(0, 0.5)
        if position // columns < last:
            axes.xaxis.set_label_coords(0.5, 0)
        alike = axes.get_shared_x_axes().joined(axes, grid[0]) and axes.get_shared_y_axes().joined(axes, grid[0])
        inside = alike and position % columns and position + columns < len(grid)
        axes.set_in_layout(not inside or "\n" in axes.get_title())


def title_panel(axes: Axes, label: str, columns: int, below: str = "") -> None:
    """Write the name of a loss over its panel, on two lines where it is too long for one."""
    fits = int(88 / columns)
    cut = max(label.rfind(mark, 1, fits) for mark in "+(_ ") if len(label) > fits else -1
    name = f"{label[:cut]}\n{label[cut:]}" if cut > 0 else label
    axes.set_title(f"{name}\n{below}" if below else name, fontsize=8.5, y=1.0)  # else it is looked for in each drawing


def log_beyond(axes: Axes, start: float) -> None:
    """Scale heights by logarithm beyond `start`, with numbers at 1, 2, 5, 10 ...: powers would be formulas."""
    decades = 10.0 ** np.arange(-6, 7)
    steps = np.outer(decades, (1, 2, 5)).ravel()
    axes.set_yscale("symlog", linthresh=start)
    axes.yaxis.set_major_locator(FixedLocator([0.0, start / 2, *steps[steps > 0.99 * start].tolist()]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def columns_of(grid: list[Axes]) -> int:
    """Return the number of columns of panels."""
    spec = grid[0].get_subplotspec()
    return 1 if spec is None else int(spec.get_gridspec().ncols)


def ink(color: str) -> str:
    """Return the colour of text that can be read on a colour: all but black or white, so that no page changes it."""
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return "#010101" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#fefefe"


def lines_legend(figure: Figure, axes: Axes, labels: Iterable[str], baseline: str = "") -> None:
    """Put one legend below all panels, in as many columns as fit; lines that look alike are named at their ends too.

    The picture grows with the legend, so that its panels don't shrink.
    """
    labels = list(labels)
    names = [name_of(label, baseline) for label in labels]
    columns = max(1, min(6, int(WIDTH * 11 / (max(map(len, names)) + 8))))
    handles, drawn = axes.get_legend_handles_labels()
    drawn = [name_of(label, baseline) for label in drawn]
    rows = math.ceil(len(drawn) / columns)
    figure.set_figheight(figure.get_figheight() + ROW * max(0, rows - 2))
    figure.legend(handles, drawn, loc="outside lower center", ncols=columns, fontsize=8.5, handlelength=3.4)
    name_ends(axes, alike(labels))


def over_epochs(entries: list[Record], name: str) -> tuple[Array, Array]:
    """Return the epochs (E,), counted from 1, and a metric of the history of each run (n, E), NaN where it is not.

    An epoch that some run has reached without evaluating what has the metric is left out: means are over the same runs.
    """
    told = [entry.get("history") for entry in entries]
    rows = [dict(zip((k + 1 for k in column(each, "epoch")), column(each, name), strict=True)) for each in told]
    epochs = sorted({epoch for row in rows for epoch, value in row.items() if value is not None})
    if any(map(is_sparse, entries)):
        lacking = {row["epoch"] + 1 for entry in entries for row in entry.get("history") or [] if name not in row}
        epochs = [epoch for epoch in epochs if epoch not in lacking]
    values = [[np.nan if row.get(epoch) is None else row[epoch] for epoch in epochs] for row in rows]
    return np.array(epochs, dtype=float), np.array(values, dtype=float).reshape(len(rows), len(epochs))


def curves_over_epochs(analysis: Analysis, name: str) -> Curves:
    """Return a metric of each loss `over_epochs`; of none, where none has two epochs."""
    curves = {label: over_epochs(analysis.comparison.finished(label), name) for label in analysis.counted}
    return curves if any(len(epochs) > 1 for epochs, _ in curves.values()) else {}


def mean_of(values: Array) -> Array:
    """Return the mean over the first axis; NaN is left out, and stays where nothing is known."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    mean: Array = np.where(known, values, 0.0).sum(axis=0) / np.where(count, count, np.nan)
    return mean


def mean_and_half_width(values: Array, confidence: float) -> tuple[Array, Array]:
    """Return mean and half-width of the Student-t interval over the first axis; NaN is left out."""
    n, mean = np.isfinite(values).sum(axis=0), mean_of(values)
    squares = np.where(np.isfinite(values), (values - mean) ** 2, 0.0).sum(axis=0)
    sd = np.sqrt(squares / np.where(n > 1, n - 1, np.nan))
    return mean, scipy.stats.t.isf((1 - confidence) / 2, np.maximum(n - 1, 1)) * sd / np.sqrt(np.maximum(n, 1))


def draw_band(
    axes: Axes,
    x: Array,
    values: Array,
    confidence: float,
    look: Mapping[str, Any],
    label: str | None = None,
    within: tuple[float | Array, float | Array] = UNBOUNDED,
) -> None:
    """Draw the mean over the first axis as a line, and its interval as a band, cut at the bounds of the values.

    `look` is that of the line, such as `line_of(label)`.
    """
    mean, half = mean_and_half_width(values, confidence)
    axes.plot(x, mean, label=label, **marked_sparsely(look, len(x)))
    if np.isfinite(half).any():
        low, high = np.clip(mean - half, *within), np.clip(mean + half, *within)
        fitted = axes.get_autoscalex_on(), axes.get_autoscaley_on()
        axes.set_autoscale_on(False)  # else the limits of all panels that share them are sought at each band
        axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axes.set_autoscalex_on(fitted[0])
        axes.set_autoscaley_on(fitted[1])


def over_seeds(analysis: Analysis) -> str:
    """Say over how many seeds, for captions."""
    counts = {len(analysis.comparison.finished(label)) for label in analysis.counted}
    return f"{counts.pop()} seeds" if len(counts) == 1 else f"{min(counts)} to {max(counts)} seeds"


def band_over_seeds(analysis: Analysis) -> str:
    """Say what `draw_band` draws of the seeds, for captions."""
    return f"mean and {100 * analysis.options.confidence:g} % Student-t band over {over_seeds(analysis)}"


def save(picture: Picture, folder: Path) -> None:
    """Write a picture as PNG and SVG: laid out once and drawn once for each, where `savefig` does both twice."""
    figure = picture.figure
    if figure is None:
        return
    figure.set_dpi(DOTS)
    canvas = FigureCanvasAgg(figure)
    canvas.get_renderer()  # by which the layout measures
    _lay_out(figure)
    simplify_inner_axes(figure)
    canvas.print_png(folder / f"{picture.name}.png")
    FigureCanvasSVG(figure).print_svg(folder / f"{picture.name}.svg", metadata={"Date": None})


def _lay_out(figure: Figure) -> None:
    """Lay out a figure for good; a panel that is not measured takes its place from those beside and below.

    A panel of fixed proportions is laid out as if it had none: shrunk, it would leave its names too little room.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    fixed = [(axes, aspect) for axes in figure.axes if (aspect := axes.get_aspect()) != "auto"]
    for axes, _ in fixed:
        axes.set_aspect("auto")
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes, aspect in fixed:
        axes.set_aspect(aspect)
    placed = [(axes, spec) for axes in figure.axes if (spec := axes.get_subplotspec()) is not None]
    measured = [(axes.get_position(), spec) for axes, spec in placed if axes.get_in_layout()]
    rows = {spec.rowspan.start: place for place, spec in measured}
    columns = {spec.colspan.start: place for place, spec in measured}
    for axes, spec in placed:
        if not axes.get_in_layout():
            row, column = rows[spec.rowspan.start], columns[spec.colspan.start]
            axes.set_position((column.x0, row.y0, column.width, row.height))
