"""The figure of a run of depth: image, true and predicted depth and the relative error of a few test images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lossbench.tasks.drawing import save_first_and_worst

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
    rows = {
        "truth": lambda axes, row: draw_depth(axes, test["target"][row], test["target"][row]),
        "predicted": lambda axes, row: draw_depth(axes, test["depth"][row], test["target"][row]),
        "relative error": lambda axes, row: axes.imshow(errors[row], cmap="Reds", vmin=0, vmax=LARGEST_ERROR),
    }
    if "image" in test:
        rows = {"image": lambda axes, row: axes.imshow(test["image"][row].transpose(1, 2, 0)), **rows}
    return [save_first_and_worst(folder / "depth.png", mean, lambda error: f"worst: {error:.2f}", rows)]


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
