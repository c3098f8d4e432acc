"""The metrics of predicted distributions in terms of samples."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, OfSums
from lossbench.tasks.distributional import INTERVALS
from lossbench.tasks.regression.by_sample import against_both, of_numbers
from lossbench.tasks.task import Task

Array = NDArray[Any]
LEVELS = np.arange(1, 40) / 40
"""Of the quantiles that a run keeps."""


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `mean`, `quantiles`, `log_density` and `crps` against `target` and `target_clean`."""
    quantiles, target = (arrays[key].astype(np.float64) for key in ("quantiles", "target"))
    if not len(target):
        return {}
    one = np.ones((len(target), 1))
    residual = target[:, None] - quantiles
    found: Makers = {
        "nll": lambda: Mean(-arrays["log_density"].astype(np.float64)),
        "crps": lambda: Mean(arrays["crps"].astype(np.float64)),
        "pinball": lambda: Mean(np.maximum(LEVELS * residual, (LEVELS - 1) * residual).mean(1)),
        "calibration_error": lambda: OfSums(
            np.hstack([target[:, None] <= quantiles, one]),
            lambda s: np.abs(s[:, :-1] / s[:, -1:] - LEVELS).mean(1),
        ),
    }
    for percent in INTERVALS:
        place = round((1 - percent / 100) / 2 / 0.025) - 1
        low, high = quantiles[:, place], quantiles[:, -1 - place]
        inside = ((low <= target) & (target <= high)).astype(np.float64)
        found[f"coverage_{percent}"] = partial(Mean, inside)
        found[f"coverage_error_{percent}"] = partial(
            OfSums, np.column_stack([inside, one]), partial(_error_of_share, level=percent / 100)
        )
        found[f"width_{percent}"] = partial(Mean, high - low)
    of_mean = against_both(arrays, partial(of_numbers, arrays["mean"]))
    of_median = against_both(arrays, partial(of_numbers, arrays["quantiles"][:, quantiles.shape[1] // 2]))
    absolute = {name: make for name, make in of_median.items() if name.startswith(("mae", "median_ae"))}
    return found | of_mean | absolute


def _error_of_share(s: Array, level: float) -> Array:
    return np.asarray(np.abs(s[:, 0] / s[:, 1] - level))
