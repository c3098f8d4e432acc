"""The pictures of one run that generates: the parts of its loss, and what it draws from epoch to epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

EPOCHS = 5
"""So many epochs are shown, from the first to the last."""
COLUMNS = 10

Array = NDArray[Any]


def mosaic(rows: Sequence[Array]) -> Array:
    """Lay images out in rows, with a margin around each: (H, W) if they are grey, (H, W, 3) if they are in colour.

    Parameters
    ----------
    rows : sequence of arrays
        The images of each row, uint8, shape (n, C, H, W); rows may differ in n.

    """
    columns = max(map(len, rows))
    _, channels, height, width = rows[0].shape
    laid = np.full((len(rows), columns, channels, height + 2, width + 2), 255, dtype=np.uint8)
    for row, images in enumerate(rows):
        laid[row, : len(images), :, 1:-1, 1:-1] = images
    whole = laid.transpose(0, 3, 1, 4, 2).reshape(len(rows) * (height + 2), columns * (width + 2), channels)
    return whole[..., 0] if channels == 1 else whole


def chosen(count: int) -> list[int]:
    """Choose a few of so many evaluations, from the first to the last.

    Examples
    --------
    >>> chosen(3), chosen(30)
    ([0, 1, 2], [0, 7, 14, 22, 29])

    """
    return sorted({round(position) for position in np.linspace(0, count - 1, min(count, EPOCHS))})


def images_over_epochs(axes: Axes, last: Mapping[str, Any], snapshots: Sequence[Mapping[str, Any]]) -> None:
    """Draw test images, then for a few epochs reconstructions of these and samples; each sample keeps its noise."""
    rows: dict[str, Array] = {}
    real = last["test"].get("images", last["test"].get("real"))
    if real is not None:
        rows["test images"] = real[:COLUMNS].numpy()
    for name in ("reconstructions", "samples"):
        for position in chosen(len(snapshots)) if name in snapshots[0] else []:
            epoch = int(snapshots[position]["epoch"]) + 1
            rows[f"{name}, epoch {epoch}"] = snapshots[position][name][:COLUMNS].numpy()
    axes.imshow(mosaic(list(rows.values())), cmap="gray", vmin=0, vmax=255, aspect="equal")
    height = next(iter(rows.values())).shape[-2] + 2
    axes.set_xticks([])
    axes.set_yticks([height * (k + 0.5) for k in range(len(rows))], list(rows), fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def loss_terms(axes: Axes, entry: Mapping[str, Any]) -> None:
    """Draw the training loss and the terms that the learner records beside it."""
    history = entry["history"]
    for name in sorted({name for row in history for name in row if name.startswith("train/") and name != "train/lr"}):
        rows = [row for row in history if name in row]
        label, style = name.removeprefix("train/"), "k-" if name == "train/loss" else "-"
        axes.plot([row["epoch"] for row in rows], [row[name] for row in rows], style, label=label, marker=".")
    axes.set(xlabel="epoch", ylabel="mean over the training samples", title=f"{entry['name']}: the loss and its terms")
    axes.locator_params(axis="x", integer=True)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
