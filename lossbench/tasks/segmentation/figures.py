"""The figure of a run of segmentation: image, truth, prediction and error of a few test images, and the worst."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from numpy.typing import NDArray

from lossbench.losses.labelled_pixels import IGNORED
from lossbench.tasks.drawing import save_first_and_worst

COLORS = ("#000000", *(f"C{number}" for number in range(10)))
Array = NDArray[Any]


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the first test images at the last epoch, and those with the most wrong pixels."""
    if last is None or "test" not in last:
        return []
    test = last["test"]
    predicted, target = test["log_odds"].argmax(-1).numpy(), test["target"].numpy()
    wrong, classes = (predicted != target) & (target != IGNORED), test["log_odds"].shape[-1]
    rows = {
        "truth": lambda axes, row: draw_classes(axes, target[row], classes),
        "predicted": lambda axes, row: draw_classes(axes, predicted[row], classes),
        "wrong": lambda axes, row: axes.imshow(wrong[row], cmap="Reds", vmin=0, vmax=1),
    }
    if "image" in test:
        rows = {"image": lambda axes, row: draw_image(axes, test["image"][row]), **rows}
    shares = wrong.mean((1, 2))
    return [save_first_and_worst(folder / "masks.png", shares, lambda share: f"worst: {100 * share:.0f} %", rows)]


def draw_image(axes: Axes, image: torch.Tensor | Array) -> None:
    """Draw an image (C, H, W): grey, or in its first three channels."""
    pixels = np.asarray(image)
    shown = pixels[0] if len(pixels) < 3 else pixels[:3].transpose(1, 2, 0)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255 if shown.dtype == np.uint8 else 1)


def draw_classes(axes: Axes, classes: Array, count: int) -> None:
    """Draw a class (H, W) for each pixel: the background black, what is left out white."""
    shown = np.where(classes == IGNORED, np.nan, classes.astype(float))
    colors: Colormap
    if count <= len(COLORS):
        colors, most = ListedColormap(COLORS[: max(2, count)]), max(2, count) - 1.0
    else:
        colors, most = colormaps["gnuplot2"], 1.25 * (count - 1)
    axes.imshow(shown, cmap=colors, vmin=0, vmax=most, interpolation="nearest")
