"""The metrics of several tasks in terms of samples: those of each part, and the mean over the parts where it is one."""

from importlib import import_module

import numpy as np

from lossbench.tasks.by_sample import Arrays, Makers, Mean, Measured, has_by_sample
from lossbench.tasks.several import KNOWN
from lossbench.tasks.several.names import part_of, renamed
from lossbench.tasks.task import Task


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of what each part keeps, `PART/NAME`."""
    found: Makers = {}
    for part, kind in task.parts.items():
        if has_by_sample(KNOWN[kind]):
            makers = import_module(f"{KNOWN[kind].package}.by_sample").by_sample(KNOWN[kind], part_of(part, arrays))
            found |= {renamed(part, key): make for key, make in makers.items()}
    return _means(task, found) | found


def _means(task: Task, found: Makers) -> Makers:
    """Make the means over the parts of what is a mean over samples in each; of other metrics they are left out."""
    means: Makers = {}
    for metric in task.metrics:
        each = [found.get(f"{part}_{metric.name.removeprefix('mean_')}") for part in task.parts]
        makers = [make for make in each if make is not None]
        if not metric.name.startswith("mean_") or metric.name in found or len(makers) < len(each):
            continue
        values = [made.values for made in (make() for make in makers) if isinstance(made, Mean)]
        if len(values) == len(makers):
            means[metric.name] = lambda values=values: _mean(values)  # type: ignore[misc]
    return means


def _mean(values: list[np.ndarray]) -> Measured:
    return Mean(np.mean(values, axis=0))
