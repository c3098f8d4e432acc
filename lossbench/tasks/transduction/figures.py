"""Pictures of transduced lines: the image, what is written there and what was read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from numpy.typing import NDArray

from lossbench.tasks.drawing import save_figure
from lossbench.tasks.sequence.figures import draw_line

WRONG = "#b3261e"


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the first lines of the test set with their readings at the last epoch."""
    if last is None or "test" not in last:
        return []
    return [save_figure(folder / "readings.png", lambda axes: lines_with_readings(axes, last["test"]))]


def lines_with_readings(axes: Axes, test: Mapping[str, Any]) -> None:
    """Draw the first lines of a test set in place of a panel, each with what was read of it."""
    images, target, decoded = (test[name].numpy() for name in ("images", "target", "decoded"))
    figure = axes.get_figure()
    axes.remove()
    assert figure is not None
    figure.suptitle("greedy reading, test set; wrong ones red", fontsize=9.5)
    grid = figure.subplots(len(images), 1, squeeze=False, gridspec_kw={"top": 0.88, "bottom": 0.03, "hspace": 0.9})
    for row, image in enumerate(images):
        draw_line(grid[row, 0], image, image.shape[1], image.shape[1])
        title_reading(grid[row, 0], written(target[row]), written(decoded[row]))


def title_reading(axes: Axes, true: str, read: str) -> None:
    """Write above a line what was read of it, and in red beside what stands there if it is not that."""
    right = true == read
    axes.set_title(
        read if right else f"{read} for {true}", fontsize=8.5, loc="left", pad=2, color="k" if right else WRONG
    )


def written(classes: NDArray[Any]) -> str:
    """Write classes up to the first -1.

    Examples
    --------
    >>> import numpy as np
    >>> written(np.array([3, 1, -1]))
    '3 1'

    """
    return " ".join(str(label) for label in classes if label >= 0)
