"""Pictures of lines: the image, and below it the posteriors of the classes over its frames."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lossbench.tasks.drawing import save_figure

Array = NDArray[Any]
BLANK = "#9a9a9a"
_COLORS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17387a", "#bcbd22", "#17becf",
)  # fmt: skip


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the first lines of the test set at the last epoch, with the posteriors of their frames."""
    if last is None or "test" not in last:
        return []
    return [save_figure(folder / "posteriors.png", lambda axes: lines_with_posteriors(axes, last["test"]))]


def lines_with_posteriors(axes: Axes, test: Mapping[str, Any]) -> None:
    """Draw the first lines of a test set in place of a panel: each image with its posteriors below it."""
    images, posteriors, alignment = (test[name].numpy() for name in ("images", "posteriors", "alignment"))
    figure, lines = axes.get_figure(), range(min(2, len(images)))
    axes.remove()
    assert figure is not None
    figure.suptitle("posteriors of the frames, test set; dashed: blank", fontsize=9.5)
    margins = {"left": 0.1, "right": 0.97, "bottom": 0.07, "top": 0.92, "hspace": 0.3}
    grid = figure.subplots(4, 1, height_ratios=[1, 2, 1, 2], gridspec_kw=margins)
    for line in lines:
        frames = int((alignment[line] >= 0).sum())
        draw_line(grid[2 * line], images[line], frames, alignment.shape[1])
        draw_posteriors(grid[2 * line + 1], posteriors[line, :frames])


def draw_line(axes: Axes, image: Array, frames: int, of: int) -> None:
    """Draw the image of a line up to its end, over the axis of its frames, of which the whole image has so many."""
    columns = image.shape[1] * frames // of
    axes.imshow(image[:, :columns], cmap="Greys", aspect="auto", extent=(-0.5, frames - 0.5, 0, 1))
    axes.set_xlim(-0.5, frames - 0.5)
    axes.set_axis_off()


def draw_posteriors(axes: Axes, posteriors: Array) -> None:
    """Draw the probability of each class over the frames (T, K + 1), and above them what is read in each run."""
    frames, blank = np.arange(len(posteriors)), posteriors.shape[1] - 1
    axes.plot(frames, posteriors[:, blank], color=BLANK, linewidth=1, linestyle=(0, (3, 1.5)))
    for label in range(blank):
        if posteriors[:, label].max() > 0.02:
            axes.plot(frames, posteriors[:, label], color=_COLORS[label % 10], linewidth=1.3, marker=".", markersize=3)
    for label, run in groupby(frames, key=lambda frame: int(posteriors[frame].argmax())):
        if label != blank:
            middle = float(np.mean(list(run)))
            axes.text(middle, 1.06, str(label), color=_COLORS[label % 10], ha="center", fontsize=8, weight="bold")
    axes.set(xlim=(-0.5, len(frames) - 0.5), ylim=(0, 1.25), yticks=[0, 1])
    axes.tick_params(labelsize=7)
