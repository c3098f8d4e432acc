"""The figure of a run of boxes: the error that is left by where a box started."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lossbench.tasks.boxes.evaluate import error_of
from lossbench.tasks.drawing import save_figure

BINS = 12
Array = NDArray[Any]


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the errors at the last step."""
    if last is None or "test" not in last:
        return []
    test = last["test"]
    return [save_figure(folder / "errors.png", lambda axes: _errors(axes, distances(test), errors(test)))]


def errors(boxes: Mapping[str, Any]) -> Array:
    """Return the errors (N,) of boxes, tensors or arrays."""
    return error_of(*(torch.as_tensor(boxes[name]).double() for name in ("boxes", "target"))).numpy()


def distances(boxes: Mapping[str, Any]) -> Array:
    """Return how far (N,) the centre of each box was from that of its target at the start."""
    start, target = (np.asarray(boxes[name]).reshape(-1, 2, 2).mean(1) for name in ("start", "target"))
    return np.asarray(np.linalg.norm(start - target, axis=1))


def by_distance(distance: Array, error: Array) -> tuple[Array, Array]:
    """Return the middles of bins of distance, and the mean error in each, NaN in an empty one."""
    edges = np.linspace(0, distance.max(), BINS + 1)
    place = np.clip(np.digitize(distance, edges) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    sums = np.bincount(place, error, minlength=BINS)
    return (edges[:-1] + edges[1:]) / 2, np.where(counts > 0, sums / np.maximum(1, counts), np.nan)


def _errors(axes: Axes, distance: Array, error: Array) -> None:
    axes.scatter(distance, error, s=3, alpha=0.2, color="#4c78a8", linewidths=0)
    axes.plot(*by_distance(distance, error), color="#d1495b", label="mean")
    axes.set(xlabel="distance of the centres at the start", ylabel="error at the end", title="pairs of boxes")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
