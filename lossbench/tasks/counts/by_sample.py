"""The metrics of counts in terms of samples; left out are those of regression that are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from lossbench.tasks.by_sample import Arrays, Makers, Mean, OfSums
from lossbench.tasks.regression.by_sample import by_sample as by_sample_of_numbers
from lossbench.tasks.regression.by_sample import varies
from lossbench.tasks.task import Task

Array = NDArray[Any]
SMALLEST_COUNT = 0.01
"""As in `metrics`, which imports torch."""


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `prediction`: the deviances against `target`, the others as in regression."""
    observed, prediction = (arrays[key].astype(np.float64) for key in ("target", "prediction"))
    if not len(observed):
        return {}
    by_itself = xlogy(observed, observed)
    m = np.maximum(prediction, SMALLEST_COUNT)
    deviance = 2 * (by_itself - xlogy(observed, m) - observed + m)

    def explained(s: Array) -> Array:
        mean = np.maximum(s[:, 1] / s[:, 3], SMALLEST_COUNT)
        return np.asarray(1 - s[:, 0] / (2 * (s[:, 2] - s[:, 1] * np.log(mean) - s[:, 1] + s[:, 3] * mean)))

    found: Makers = {"poisson_deviance": lambda: Mean(deviance)}
    if varies(arrays["target"]):
        sums = np.stack([deviance, observed, by_itself, np.ones(len(observed))], axis=1)
        found["d2"] = lambda: OfSums(sums, explained)
    return found | by_sample_of_numbers(task, arrays)
