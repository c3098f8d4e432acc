"""The figures of a run of embeddings: neighbours of a few samples, cosines of pairs, and a view from two directions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lossbench.tasks.drawing import save_figure

Array = NDArray[Any]
CLASSES = 10
"""So many classes are drawn in a view."""
MOST = 1000
"""Pairs are those of at most so many samples."""
SAME, DIFFERENT = "#2f6db5", "#d9822b"


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the test part at the last epoch."""
    if last is None or "test" not in last:
        return []
    test = {name: value.numpy() for name, value in last["test"].items()}
    paths = [
        save_figure(folder / "cosines.png", lambda axes: _draw_cosines(axes, test)),
        save_figure(folder / "projection.png", lambda axes: _draw_view(axes, test)),
    ]
    if "shown" in test:
        paths.append(_save_neighbours(folder / "neighbours.png", test["shown"], test["shown_same"]))
    return paths


def _draw_cosines(axes: Axes, test: Mapping[str, Array]) -> None:
    draw_cosines(axes, test["embedding"], test["target"])
    axes.set(xlabel="cosine of a pair of test samples", ylabel="density")
    axes.legend(frameon=False)


def _draw_view(axes: Axes, test: Mapping[str, Array]) -> None:
    draw_view(axes, test["embedding"], test["target"])
    axes.set_title("ten test classes, seen along their two largest principal components", fontsize=9)


def _save_neighbours(path: Path, shown: Array, same: Array) -> Path:
    rows, columns = shown.shape[:2]
    figure = Figure(figsize=(1.1 * columns, 1.15 * rows))
    margins = {"left": 0.02, "right": 0.98, "bottom": 0.02, "top": 0.94}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw=margins)
    for row in range(rows):
        for column in range(columns):
            draw_sample(grid[row, column], shown[row, column], None if column == 0 else bool(same[row, column]))
    for column in range(columns):
        grid[0, column].set_title("sample" if column == 0 else f"neighbour {column}", fontsize=8)
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
    return path


def draw_sample(axes: Axes, image: Array, same: bool | None) -> None:
    """Draw an image (C, H, W), in a frame that says whether its class is the right one; None is the sample itself."""
    values = np.asarray(image, dtype=np.float32)
    values = (values - values.min()) / max(float(np.ptp(values)), 1e-6)
    axes.imshow(values[0] if len(values) < 3 else values[:3].transpose(1, 2, 0), cmap="gray")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=True, linewidth=2.5, color="#bbbbbb" if same is None else SAME if same else DIFFERENT)


def cosines_of_pairs(embedding: Array, target: Array) -> tuple[Array, Array]:
    """Return the cosines of the pairs of at most so many samples, and which of them are of one class."""
    step = -(-len(target) // MOST)
    some, classes = embedding[::step].astype(np.float32), target[::step]
    rows, columns = np.triu_indices(len(some), 1)
    return (some @ some.T)[rows, columns], classes[rows] == classes[columns]


def draw_cosines(axes: Axes, embedding: Array, target: Array) -> None:
    """Draw how the cosines of pairs of one class and of two classes are distributed."""
    cosines, same = cosines_of_pairs(embedding, target)
    bins = np.linspace(-1, 1, 61).tolist()
    for chosen, color, label in ((same, SAME, "one class"), (~same, DIFFERENT, "two classes")):
        if chosen.any():
            axes.hist(np.clip(cosines[chosen], -1, 1), bins, density=True, color=color, alpha=0.5, label=label)
    axes.set_xlim(-1, 1)


def seen_along(embedding: Array, target: Array) -> tuple[Array, Array, float]:
    """Return the samples of the first classes along their two largest principal components (N, 2).

    Beside them the number of each one's class, from 0, and the share of the variance that lies along these two.
    """
    classes = np.unique(target)[:CLASSES]
    chosen = np.isin(target, classes)
    points = embedding[chosen] - embedding[chosen].mean(0)
    _, spread, directions = np.linalg.svd(points, full_matrices=False)
    share = float((spread[:2] ** 2).sum() / max(float((spread**2).sum()), 1e-30))
    return points @ directions[:2].T, np.searchsorted(classes, target[chosen]), share


def draw_view(axes: Axes, embedding: Array, target: Array) -> None:
    """Draw the embeddings of the first classes along their two largest principal components."""
    seen, classes, _ = seen_along(embedding, target)
    axes.scatter(seen[:, 0], seen[:, 1], c=classes, cmap="tab10", s=9, vmin=0, vmax=9)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
