"""The figure of a run of depth: image, true and predicted depth and the relative error of a few test images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

SHOWN = 4
"""First images, and as many worst ones."""
LARGEST_ERROR = 0.5
"""Relative errors from here on have one colour."""
Array = NDArray[Any]


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the first test images at the last epoch, and those with the largest relative errors."""
    if last is None or "test" not in last:
        return []
    test = {name: tensor.numpy() for name, tensor in last["test"].items()}
    errors = relative_errors(test["depth"], test["target"])
    known = np.isfinite(errors)
    mean = np.where(known, errors, 0).sum((1, 2)) / np.maximum(1, known.sum((1, 2)))
    rows = [*range(min(SHOWN, len(mean))), *np.argsort(-mean, kind="stable")[:SHOWN].tolist()]
    figure = Figure(figsize=(1.25 * len(rows) + 0.6, 5.4))
    grid = figure.subplots(
        4, len(rows), squeeze=False, gridspec_kw={"left": 0.07, "right": 0.99, "bottom": 0.02, "top": 0.93}
    )
    for column, row in enumerate(rows):
        name = f"image {row}" if column < SHOWN else f"worst: {mean[row]:.2f}"
        grid[0, column].set_title(name, fontsize=8)
        if "image" in test:
            grid[0, column].imshow(test["image"][row].transpose(1, 2, 0))
        for place, depth in ((1, test["target"][row]), (2, test["depth"][row])):
            draw_depth(grid[place, column], depth, test["target"][row])
        grid[3, column].imshow(errors[row], cmap="Reds", vmin=0, vmax=LARGEST_ERROR)
    for row, name in enumerate(("image", "truth", "predicted", "relative error")):
        grid[row, 0].set_ylabel(name, fontsize=8)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    path = folder / "depth.png"
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
    return [path]


def relative_errors(depth: Array, target: Array) -> Array:
    """Return |predicted - true| / true of each pixel, NaN where the truth is not known."""
    known = np.isfinite(target) & (target > 0)
    return np.where(known, np.abs(depth - target) / np.where(known, target, 1), np.nan)


def draw_depth(axes: Axes, depth: Array, target: Array) -> None:
    """Draw depth in the colours of the range of the truth; what is not known, there, is white."""
    known = np.isfinite(target) & (target > 0)
    low, high = (np.log(target[known].min()), np.log(target[known].max())) if known.any() else (0, 1)
    positive = np.isfinite(depth) & (depth > 0)
    shown = np.where(positive, np.log(np.where(positive, depth, 1)), np.nan)
    axes.imshow(shown, cmap="viridis_r", vmin=low, vmax=max(high, low + 1e-6))
