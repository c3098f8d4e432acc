"""The metrics of retrieval in terms of queries: each is the mean of values that the files of a run hold."""

from functools import partial

import numpy as np

from lossbench.tasks.by_sample import Arrays, Makers, Mean
from lossbench.tasks.task import Task


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make each metric of the values (N,) of its name."""
    return {
        name: partial(lambda key: Mean(arrays[key].astype(np.float64)), name) for name in task.named if name in arrays
    }
