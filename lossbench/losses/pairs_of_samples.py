"""What losses that compare the samples of a batch with each other share: cosines, positives and negatives, two views.

All are matrices (N, N) or vectors (N,).
"""

import torch
from torch import Tensor

from lossbench.losses.directions import unit

_NOTHING = -1e30
"""The logarithm of an empty sum. Finite, so that differences of two of them, and gradients, are numbers."""


def cosines(embeddings: Tensor) -> Tensor:
    """Return the cosines (N, N) of each two of N embeddings; 0 with one of length 0."""
    directions = unit(embeddings)
    return directions @ directions.T


def squared_distances(points: Tensor) -> Tensor:
    """Return the squared Euclidean distances (N, N) of points (N, D), from 0.

    Examples
    --------
    >>> squared_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[ 0., 25.],
            [25.,  0.]])

    """
    lengths = points.square().sum(-1)
    return (lengths.unsqueeze(1) + lengths - 2 * (points @ points.T)).clamp_min(0)


def root_of(squared: Tensor) -> Tensor:
    """Return the roots of squared distances; below the precision of numbers near 1 both root and gradient are 0."""
    least = torch.finfo(squared.dtype).eps
    return torch.where(squared > least, squared.clamp_min(least).sqrt(), 0.0)


def positives_and_negatives(target: Tensor) -> tuple[Tensor, Tensor]:
    """Return which samples (N, N) are of the class of another one, itself left out, and which are of another class.

    Examples
    --------
    >>> positives_and_negatives(torch.tensor([7, 7, 2]))[0].int().tolist()
    [[0, 1, 0], [1, 0, 0], [0, 0, 0]]

    """
    same = target.unsqueeze(1) == target
    return same & others(target), ~same


def others(target: Tensor) -> Tensor:
    """Return a matrix (N, N) that is true except where a sample meets itself."""
    return ~torch.eye(len(target), dtype=torch.bool, device=target.device)


def log_sum_exp(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the log-sum-exp of the chosen values of each row, -1e30 for a row without one."""
    return values.masked_fill(~chosen, _NOTHING).logsumexp(-1)


def log_one_plus(logarithms: Tensor) -> Tensor:
    """Return log(1 + e^x), exact at any x in any precision."""
    return torch.logaddexp(logarithms, torch.zeros_like(logarithms))


def mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean (N,) of the chosen ones of values (N, ...), 0 for a row without one.

    Examples
    --------
    >>> mean_of(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[True, True], [False, False]]))
    tensor([1.5000, 0.0000])

    """
    return torch.where(chosen, values, 0.0).flatten(1).sum(1) / chosen.flatten(1).sum(1).clamp_min(1)


def other_view(index: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each row the row of the other view of its image, and whether there is one.

    Rows are views of one image where they have the same index: by their order in the batch the first two are a pair,
    the next two as well. A row without another view has itself.

    Parameters
    ----------
    index : Tensor (N,)
        Integers.

    Returns
    -------
    tuple of Tensor (N,)
        Row numbers, and bool.

    Examples
    --------
    >>> other_view(torch.tensor([5, 3, 5, 4]))
    (tensor([2, 1, 0, 3]), tensor([ True, False,  True, False]))

    """
    order = index.argsort(stable=True)
    ranked, place = index[order], torch.arange(len(index), device=index.device)
    first = torch.searchsorted(ranked, ranked)  # of the rows of the same index
    wanted = first + ((place - first) ^ 1)
    within = wanted.clamp(max=max(len(index) - 1, 0))
    paired = (wanted == within) & (ranked[within] == ranked)
    rows = order[torch.where(paired, within, place)]
    return torch.empty_like(rows).scatter(0, order, rows), torch.empty_like(paired).scatter(0, order, paired)
