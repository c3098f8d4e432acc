"""What each metric of a task is in terms of the test samples, for chance in the samples. Nothing here imports torch.

A task folder may have a `by_sample.py` beside its `evaluate.py`, with `by_sample(task, arrays)`: from the arrays that a
run keeps, a function without arguments for each metric, which makes one of

- `Mean`: a number for each sample whose mean is the metric. A ratio, or a metric of order, has pseudo-values: what a
  sample adds to first order, by which the variance over samples is that of the metric;
- `OfSums`: a function of sums over the samples;
- `Weighed`: a function of how often each sample is drawn, where nothing less will do.

A metric without a value on these samples, or that no such thing gives, is left out.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from lossbench.tasks.task import Task

Array = NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Mean:
    """A metric that is the mean of values (N,)."""

    values: Array

    def of(self, weights: Array) -> Array:
        """Return the mean (B,) by weights (B, N): of pseudo-values the metric to first order."""
        return np.asarray(weights @ self.values / weights.sum(1))


@dataclass(frozen=True, eq=False)
class OfSums:
    """A metric that is a function, from (B, k) to (B,), of the sums of contributions (N, k), dense or sparse."""

    contributions: Any
    function: Callable[[Array], Array]

    def sums(self, weights: Array) -> Array:
        """Return the sums (B, k) by weights (B, N)."""
        return np.asarray((self.contributions.T @ weights.T).T)

    def of(self, weights: Array) -> Array:
        """Return the metric (B,) by weights (B, N); NaN where it has no value."""
        return self.of_sums(self.sums(weights))

    def of_sums(self, sums: Array) -> Array:
        """Return the metric (B,) of sums (B, k)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.function(sums))


@dataclass(frozen=True, eq=False)
class Weighed:
    """A metric that is a function of weights: whole numbers (B, N), how often each sample was drawn, to (B,)."""

    function: Callable[[Array], Array]

    def of(self, weights: Array) -> Array:
        """Return the metric (B,) by weights (B, N); NaN where it has no value."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.function(weights))


Measured = Mean | OfSums | Weighed
Makers = dict[str, Callable[[], Measured]]


def has_by_sample(task: Task) -> bool:
    """Tell whether anything is known of the metrics of a task in terms of samples; not of a task of the user's own."""
    try:
        return bool(task.package) and find_spec(f"{task.package}.by_sample") is not None
    except ModuleNotFoundError:
        return False


def by_sample(task: Task, arrays: Arrays, wanted: Collection[str] | None = None) -> dict[str, Measured]:
    """Return metrics of a task in terms of its samples.

    Parameters
    ----------
    task : Task
        What is measured.
    arrays : mapping
        Those of `predictions.npz` or `predictions_best.npz`; the keys are those of the `Predictions` of the task. For
        the few-shot groups also `class_counts` (K,), of the training samples.
    wanted : collection of str, optional
        Names of metrics, such as "accuracy", "recall/0" or "clean/nll"; by default all.

    """
    if not has_by_sample(task):
        return {}
    makers: Makers = import_module(f"{task.package}.by_sample").by_sample(task, arrays)
    return {name: make() for name, make in makers.items() if _is_of(task, name) and (wanted is None or name in wanted)}


def _is_of(task: Task, name: str) -> bool:
    parts = name.removeprefix("clean/").partition("/")
    return parts[0] + parts[1] in task.named


def ratio(above: Array, below: Array) -> Mean:
    """Make pseudo-values of a ratio of two sums over samples: r + N (a - r b) / sum b, whose mean is r.

    Examples
    --------
    >>> ratio(np.array([1.0, 0.0, 2.0]), np.array([2.0, 1.0, 3.0])).values.tolist()
    [0.5, 0.25, 0.75]

    """
    above, below = above.astype(np.float64), below.astype(np.float64)
    total = below.sum()
    found = above.sum() / total
    return Mean(found + len(above) / total * (above - found * below))


def spread_of_part(size: int, part: int) -> float:
    """Return by what deviations of a part of the samples are stretched, so that their variance is that of its mean.

    The mean over m of N samples has the variance sum (x - mean)^2 / (m (m - 1)); a single one has no spread to tell.
    """
    return float(np.sqrt(size * (size - 1) / (part * (part - 1)))) if part > 1 else 0.0


def mean_of_part(values: Array, part: Array) -> Array:
    """Make pseudo-values (N,) of the mean of values over some samples, of which there is one at least.

    Examples
    --------
    >>> mean_of_part(np.array([1.0, 0.0, 9.0]), np.array([True, True, False])).round(3).tolist()
    [1.366, -0.366, 0.5]

    """
    chosen = values[part].astype(np.float64)
    found = np.full(len(values), chosen.mean())
    found[part] += spread_of_part(len(values), len(chosen)) * (chosen - chosen.mean())
    return found


def indicators(columns: Array, width: int, values: Array | None = None) -> "scipy.sparse.csr_matrix":
    """Make sparse contributions (N, width) that have values (N, m), by default ones, in columns (N, m)."""
    size, each = columns.shape
    told = np.ones(columns.size) if values is None else np.ravel(values).astype(np.float64)
    starts = np.arange(0, size * each + 1, each)
    return scipy.sparse.csr_matrix((told, columns.ravel(), starts), shape=(size, width))
