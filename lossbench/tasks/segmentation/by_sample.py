"""The metrics of pixels in terms of images, which are drawn whole.

Left out: those of boundaries and objects and the average precision of pixels, for their cost.
"""

from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, OfSums, ratio
from lossbench.tasks.classification.confidence_bins import BINS, bin_of
from lossbench.tasks.task import Task

Array = NDArray[Any]
UNKNOWN = 255
"""The class of a pixel that is left out."""


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `log_odds` (N, H, W, K) against `target` (N, H, W)."""
    log_odds, target = arrays["log_odds"], arrays["target"]
    classes = log_odds.shape[-1]
    if not (target != UNKNOWN).any():
        return {}

    @cache
    def counted() -> dict[str, Array]:
        each = [_of_image(*both) for both in zip(log_odds, target, strict=True)]
        return {name: np.stack([one[name] for one in each]) for name in each[0]}

    def of_counts(function: Any) -> Any:
        def make() -> OfSums:
            each = counted()
            return OfSums(np.hstack([each["hit"], each["said"], each["true"]]), function)

        return make

    def iou(s: Array) -> Array:
        hit, said, true = (s[:, start : start + classes] for start in range(0, 3 * classes, classes))
        return np.asarray(hit / (said + true - hit))

    def dice(s: Array) -> Array:
        hit, said, true = (s[:, start : start + classes] for start in range(0, 3 * classes, classes))
        return np.asarray(2 * hit / (said + true))

    def of_images(function: Any) -> Any:
        def make() -> Any:
            each = counted()
            with np.errstate(invalid="ignore"):
                values = function(np.hstack([each["hit"], each["said"], each["true"]]))[:, 1:]
            there = ~np.isnan(values)
            some = there.any(1)
            return ratio(np.where(there, values, 0).sum(1) / np.maximum(1, there.sum(1)), some)

        return make

    def of_pixels(name: str) -> Any:
        return lambda: ratio(counted()[name], counted()["true"].sum(1))

    found: Makers = {
        "pixel_accuracy": lambda: ratio(counted()["hit"].sum(1), counted()["true"].sum(1)),
        "miou_pooled": of_counts(lambda s: _mean_of_known(iou(s)[:, 1:])),
        "dice_pooled": of_counts(lambda s: _mean_of_known(dice(s)[:, 1:])),
        **{name: of_pixels(name) for name in ("nll", "brier", "soft_area")},
        "ece": lambda: OfSums(
            np.column_stack([counted()["gaps"], counted()["true"].sum(1)]),
            lambda s: np.abs(s[:, :BINS]).sum(1) / s[:, BINS],
        ),
        **{f"iou/{label}": of_counts(partial(lambda s, k: iou(s)[:, k], k=label)) for label in range(classes)},
    }
    foreground = (target > 0) & (target != UNKNOWN)
    if foreground.any():
        found["area_ratio"] = lambda: ratio(counted()["said"][:, 1:].sum(1), counted()["true"][:, 1:].sum(1))
        found |= {"miou_image": of_images(iou), "dice_image": of_images(dice)}
    return found


def _mean_of_known(values: Array) -> Array:
    there = ~np.isnan(values)
    return np.asarray(np.where(there, values, 0).sum(1) / there.sum(1))


def _of_image(log_odds: Array, target: Array) -> dict[str, Array]:
    """Count and sum over the known pixels of an image."""
    known, classes = target != UNKNOWN, log_odds.shape[-1]
    odds, true = log_odds[known].astype(np.float32), target[known].astype(np.int64)
    p = 1 / (1 + np.exp(-odds, where=odds > -80, out=np.full(odds.shape, np.float32(5e34))))
    p = p / p.sum(-1, keepdims=True)
    said, confidence = p.argmax(-1), p.max(-1)
    right, rows = said == true, np.arange(len(true))
    gaps = confidence.astype(np.float64) - right
    return {
        "hit": np.bincount(true[right], minlength=classes),
        "said": np.bincount(said, minlength=classes),
        "true": np.bincount(true, minlength=classes),
        "nll": np.logaddexp(0, -odds[rows, true].astype(np.float64)).sum(),
        "brier": ((p.astype(np.float64) ** 2).sum(-1) - 2 * p[rows, true].astype(np.float64) + 1).sum(),
        "soft_area": (1 - p[:, 0].astype(np.float64)).sum(),
        "gaps": np.bincount(bin_of(confidence), gaps, BINS),
    }
