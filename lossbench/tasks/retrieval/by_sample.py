"""The metrics of retrieval in terms of queries: each is the mean of values that the files of a run hold."""

from functools import partial

import numpy as np

from lossbench.tasks.by_sample import Array, Arrays, Makers, Mean, mean_of_part
from lossbench.tasks.task import Task

TYPED = {f"{of}typed_{name}": f"{of}{name}" for of in ("", "bm25_") for name in ("ndcg_at_10", "recall_at_10")}
"""Metrics of the queries that people typed, and of which metric each is a part."""


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make each metric of the values (N,) of its name, over all queries or over those that people typed."""

    def values(name: str) -> Array:
        return np.asarray(arrays[name].astype(np.float64))

    def of_part(name: str, part: Array) -> Mean:
        return Mean(mean_of_part(values(name), part))

    found: Makers = {name: partial(lambda key: Mean(values(key)), name) for name in task.named if name in arrays}
    typed = arrays.get("typed")
    if typed is not None and typed.any():
        found |= {part: partial(of_part, name, typed) for part, name in TYPED.items() if name in arrays}
    return found
