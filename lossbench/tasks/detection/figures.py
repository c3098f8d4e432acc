"""The figure of a run of detection: what is found in a few test images, and what is there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

LEAST = 0.3
"""Detections of a lower score are not drawn."""
TRUE, RIGHT, WRONG = "#ffffff", "#4fc3ff", "#ff8a3c"
_OUTLINE = [withStroke(linewidth=2.2, foreground="black")]
Array = NDArray[Any]


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the first test images at the last epoch: the true boxes above, what is found below."""
    if last is None or "image" not in last.get("test", {}):
        return []
    test = {name: tensor.numpy() for name, tensor in last["test"].items()}
    columns = len(test["image"])
    figure = Figure(figsize=(1.6 * columns + 0.3, 3.5))
    margins = {"left": 0.03, "right": 0.995, "bottom": 0.01, "top": 0.9, "wspace": 0.05, "hspace": 0.05}
    grid = figure.subplots(2, columns, squeeze=False, gridspec_kw=margins)
    for row, columns_of_row in enumerate(grid):
        for number, axes in enumerate(columns_of_row):
            draw_scene(axes, test, number, found=bool(row))
    grid[0, 0].set_ylabel("truth", fontsize=8)
    grid[1, 0].set_ylabel("found", fontsize=8)
    figure.suptitle(
        f"test images; blue: the right class with an IoU of at least one half, orange: not; scores from {LEAST:g}",
        fontsize=9,
    )
    path = folder / "boxes.png"
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
    return [path]


def draw_scene(axes: Axes, test: Mapping[str, Array], row: int, found: bool) -> None:
    """Draw an image with the boxes that are found in it, each with its class and score, or with the true ones."""
    axes.imshow(
        test["image"][row, :3].transpose(1, 2, 0), extent=(0, test["image"].shape[3], test["image"].shape[2], 0)
    )
    if not found:
        there = test["target"][row] >= 0
        for box, label in zip(test["target_boxes"][row][there], test["target"][row][there], strict=True):
            draw_box(axes, box, str(label), TRUE)
    else:
        shown = _shown(test, row)
        boxes = (test[name][row][shown][::-1] for name in ("boxes", "labels", "scores"))
        for box, label, score, right in zip(*boxes, found_right(test, row)[::-1], strict=True):  # the best one on top
            draw_box(axes, box, f"{label}  {100 * score:.0f}", RIGHT if right else WRONG)
    axes.set(xticks=[], yticks=[], xlim=(0, test["image"].shape[3]), ylim=(test["image"].shape[2], 0))


def found_right(test: Mapping[str, Array], row: int) -> list[bool]:
    """Return of each box that is drawn of an image whether it has the right class and an IoU of at least one half."""
    there, shown = test["target"][row] >= 0, _shown(test, row)
    true, classes = test["target_boxes"][row][there], test["target"][row][there]
    found = zip(test["boxes"][row][shown], test["labels"][row][shown], strict=True)
    return [bool((overlaps(box, true[classes == label]) >= 0.5).any()) for box, label in found]


def _shown(test: Mapping[str, Array], row: int) -> Array:
    return np.asarray((test["labels"][row] >= 0) & (test["scores"][row] >= LEAST))


def draw_box(axes: Axes, box: Array, text: str, color: str) -> None:
    """Draw a box (4,) and a text above its corner."""
    (x, y), (width, height) = box[:2], box[2:] - box[:2]
    axes.add_patch(Rectangle((x, y), width, height, fill=False, color=color, linewidth=1.3, path_effects=_OUTLINE))
    axes.text(x, max(y - 0.8, 4.5), text, color=color, fontsize=6.5, path_effects=_OUTLINE, clip_on=True)


def overlaps(box: Array, others: Array) -> Array:
    """Return the IoU (M,) of a box (4,) with others (M, 4).

    Examples
    --------
    >>> overlaps(np.array([0.0, 0, 2, 2]), np.array([[0.0, 0, 2, 1], [2.0, 2, 4, 4]]))
    array([0.5, 0. ])

    """
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = sides.clip(0).prod(1)
    whole = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared
    return np.divide(shared, whole, out=np.zeros(len(others)), where=whole > 0)
