"""The metrics of neighbours in terms of the samples that look for them.

Left out: those of pairs and of clusters, which no sample has by itself.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, mean_of_part
from lossbench.tasks.task import Task

Array = NDArray[Any]


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `first`, `average_precision` and `r_precision` (N,)."""
    counted = arrays["first"] > 0
    if not counted.any():
        return {}
    found: dict[str, Array] = {f"recall_at_{rank}": arrays["first"] <= rank for rank in (1, 5, 10)}
    found |= {"map_at_r": arrays["average_precision"], "r_precision": arrays["r_precision"]}
    return {name: partial(_mean, values, counted) for name, values in found.items()}


def _mean(values: Array, counted: Array) -> Mean:
    return Mean(values.astype(np.float64) if counted.all() else mean_of_part(values, counted))
