"""Imbalanced regression: training samples that are rarer the higher their target, counted in equal bins of it."""

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Array, Rng, choose_per_class, imbalanced_counts
from lossbench.errors import ConfigError

BINS = 20
"""Bins of the target where no imbalance says how many."""


def inner_edges(target: Tensor, bins: int) -> Tensor:
    """Return the edges between equal bins over the range of a target, float64, shape (bins - 1,).

    Examples
    --------
    >>> inner_edges(torch.tensor([0.0, 3.0, 8.0]), 4)
    tensor([2., 4., 6.], dtype=torch.float64)

    """
    values = target.double()
    return torch.linspace(float(values.min()), float(values.max()), bins + 1, dtype=torch.float64)[1:-1]


def bin_counts(target: Tensor, edges: Tensor) -> Tensor:
    """Count the targets in each bin.

    Examples
    --------
    >>> bin_counts(torch.tensor([0.0, 3.0, 8.0]), torch.tensor([2.0, 4.0, 6.0]))
    tensor([1, 1, 0, 1])

    """
    return torch.bincount(torch.bucketize(target.to(edges.dtype), edges), minlength=len(edges) + 1)


def skewed_subset(target: Tensor, factor: float, bins: int, max_count: int | None, rng: Rng) -> Array:
    """Choose samples so that the counts of equal bins of the target fall geometrically, the lowest bin being the head.

    Formula: n_b = min(available_b, floor(n_max * factor^(-b / (B - 1)))), b = 0 .. B - 1

    Parameters
    ----------
    target : Tensor, shape (N,)
        Targets of all samples.
    factor : float
        Head count over tail count, at least 1.
    bins : int
        B, at least 2.
    max_count : int, optional
        n_max; None: the samples of the fullest bin.
    rng : numpy.random.Generator
        Draws which samples of each bin stay.

    Returns
    -------
    array of int
        Positions in ascending order.

    Raises
    ------
    ConfigError
        If the tail would be empty.

    References
    ----------
    Yang et al. 2021, "Delving into Deep Imbalanced Regression", who take data that are skewed by themselves; the
    geometric counts are those of long-tailed classification.

    Examples
    --------
    >>> chosen = skewed_subset(torch.arange(400.0), 100, 4, None, np.random.default_rng(0))
    >>> np.bincount(chosen // 100).tolist()
    [100, 21, 4, 1]

    """
    places = torch.bucketize(target.double(), inner_edges(target, bins)).numpy()
    available = np.bincount(places, minlength=bins)
    n_max = int(available.max()) if max_count is None else max_count
    if n_max < factor:
        raise ConfigError(
            f"data.imbalance.factor={factor:g} leaves the highest targets without samples, as the head has {n_max}. "
            f"Use a factor of at most {n_max}, or fewer data.imbalance.bins."
        )
    wanted = imbalanced_counts("exp", factor, n_max, bins)
    return choose_per_class(places, np.minimum(available, wanted).tolist(), rng)
