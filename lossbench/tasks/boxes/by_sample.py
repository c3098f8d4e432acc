"""The metrics of regressed boxes in terms of pairs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, mean_of_part
from lossbench.tasks.task import Task

Array = NDArray[Any]
STUCK = 1.0
"""As in `evaluate`, which imports torch."""


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `boxes` (N, 4), `start` (N, 4), `target` (N, 4) and `error_sum` (N,)."""
    boxes, start, target = (arrays[key].astype(np.float64) for key in ("boxes", "start", "target"))
    low, high = (boxes - target)[:, :2], (boxes - target)[:, 2:]
    error = np.abs((low + high) / 2).sum(1) + np.abs(high - low).sum(1)
    apart = overlap(start, target) == 0
    found: Makers = {
        "error": lambda: Mean(error),
        "stuck": lambda: Mean((error > STUCK).astype(np.float64)),
        "iou": lambda: Mean(overlap(boxes, target)),
        "error_sum": lambda: Mean(arrays["error_sum"].astype(np.float64)),
    }
    if apart.any():
        found["error_apart"] = lambda: Mean(mean_of_part(error, apart))
    if not apart.all():
        found["error_overlapping"] = lambda: Mean(mean_of_part(error, ~apart))
    return found


def overlap(boxes: Array, target: Array) -> Array:
    """Return the IoU (N,) of boxes (N, 4) in corners; one whose corners have changed places has no area."""
    shared = np.minimum(boxes[:, 2:], target[:, 2:]) - np.maximum(boxes[:, :2], target[:, :2])
    sides = [
        np.maximum(each, 0).prod(1) for each in (shared, boxes[:, 2:] - boxes[:, :2], target[:, 2:] - target[:, :2])
    ]
    union = sides[1] + sides[2] - sides[0]
    return np.divide(sides[0], union, out=np.zeros(len(union)), where=union > 0)
