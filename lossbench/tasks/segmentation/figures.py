"""The figure of a run of segmentation: image, truth, prediction and error of a few test images, and the worst."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lossbench.losses.labelled_pixels import IGNORED

SHOWN = 4
"""First images, and as many worst ones."""
Array = NDArray[Any]


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the first test images at the last epoch, and those with the most wrong pixels."""
    if last is None or "test" not in last:
        return []
    test = last["test"]
    predicted, target = test["log_odds"].argmax(-1).numpy(), test["target"].numpy()
    wrong = ((predicted != target) & (target != IGNORED)).mean((1, 2))
    rows = [*range(min(SHOWN, len(target))), *np.argsort(-wrong, kind="stable")[:SHOWN].tolist()]
    figure = Figure(figsize=(1.25 * len(rows) + 0.6, 5.4))
    grid = figure.subplots(
        4, len(rows), squeeze=False, gridspec_kw={"left": 0.07, "right": 0.99, "bottom": 0.02, "top": 0.93}
    )
    classes = test["log_odds"].shape[-1]
    for column, row in enumerate(rows):
        name = f"image {row}" if column < SHOWN else f"worst: {100 * wrong[row]:.0f} %"
        grid[0, column].set_title(name, fontsize=8)
        if "image" in test:
            draw_image(grid[0, column], test["image"][row])
        draw_classes(grid[1, column], target[row], classes)
        draw_classes(grid[2, column], predicted[row], classes)
        grid[3, column].imshow((predicted[row] != target[row]) & (target[row] != IGNORED), cmap="Reds", vmin=0, vmax=1)
    for row, name in enumerate(("image", "truth", "predicted", "wrong")):
        grid[row, 0].set_ylabel(name, fontsize=8)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    path = folder / "masks.png"
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
    return [path]


def draw_image(axes: Axes, image: torch.Tensor | Array) -> None:
    """Draw an image (C, H, W): grey, or in its first three channels."""
    pixels = np.asarray(image)
    shown = pixels[0] if len(pixels) < 3 else pixels[:3].transpose(1, 2, 0)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255 if shown.dtype == np.uint8 else 1)


def draw_classes(axes: Axes, classes: Array, count: int) -> None:
    """Draw a class (H, W) for each pixel: the background black, what is left out white."""
    shown = np.where(classes == IGNORED, np.nan, classes.astype(float))
    axes.imshow(shown, cmap="gnuplot2", vmin=0, vmax=1.25 * max(1, count - 1), interpolation="nearest")
