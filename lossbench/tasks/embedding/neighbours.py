"""The nearest neighbours of embeddings on the unit sphere, among the others of their part.

Neighbours are ordered by cosine. Cosines that differ by less than 1e-6 are ties, in which those of another class come
first: embeddings that have collapsed to a point find nothing. A sample that has no other of its class takes no part.
"""

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 1024
TIE = 1e-6
WITHIN = 10
"""Ranks up to which the first one of the class is looked for."""


class Neighbours(NamedTuple):
    """What N samples find; those without another of their class have -1 as `first`, and 0 elsewhere."""

    nearest: Tensor
    """(N, 10), the rows of the nearest others, the nearest first; fewer columns where there are fewer samples."""
    first: Tensor
    """(N,), the rank of the nearest one of the same class, from 1; 11 if it is farther than the tenth."""
    average_precision: Tensor
    """(N,), sum over k <= R of the precision at k where the k-th has the class, over R (Musgrave et al. 2020)."""
    r_precision: Tensor
    """(N,), share of the class among the R nearest."""


def neighbours(embedding: Tensor, target: Tensor) -> Neighbours:
    """Find the neighbours of embeddings (N, D) of length 1 with classes (N,), in time and memory of N x 1,024.

    Examples
    --------
    >>> found = neighbours(torch.tensor([[1.0, 0.0], [0.96, 0.28], [0.0, 1.0], [0.6, 0.8]]), torch.tensor([0, 0, 1, 1]))
    >>> found.first.tolist(), found.nearest[:, 0].tolist()
    ([1, 1, 1, 2], [1, 0, 3, 1])

    """
    _, classes = target.unique(return_inverse=True)
    others = torch.bincount(classes)[classes] - 1
    most = min(len(target) - 1, max(WITHIN, int(others.max()))) if len(target) else 0
    parts = [
        _of_rows(rows, embedding, classes, others, most) for rows in torch.arange(len(target)).split(CHUNK) if most
    ]
    if not parts:
        nothing = torch.zeros(len(target), dtype=torch.float64)
        return Neighbours(torch.empty(len(target), 0).long(), torch.full((len(target),), -1), nothing, nothing)
    return Neighbours(*map(torch.cat, zip(*parts, strict=True)))


def _of_rows(rows: Tensor, embedding: Tensor, classes: Tensor, others: Tensor, most: int) -> Neighbours:
    same = classes[rows].unsqueeze(1) == classes
    cosines = (embedding[rows] @ embedding.T).sub_(same.to(embedding.dtype), alpha=TIE)
    cosines[torch.arange(len(rows)), rows] = -torch.inf
    nearest = cosines.topk(most, dim=1).indices
    hit = same.gather(1, nearest).double()
    size = others[rows].unsqueeze(1)
    place = torch.arange(1, most + 1)
    counted = hit * (place <= size)
    precision = counted.cumsum(1) / place
    among = hit[:, :WITHIN]
    first = torch.where(among.any(1), among.argmax(1) + 1, WITHIN + 1)
    first = torch.where(size.squeeze(1) > 0, first, -1)
    divisor = size.squeeze(1).clamp_min(1)
    average = (precision * counted).sum(1) / divisor
    return Neighbours(nearest[:, :WITHIN], first, average, counted.sum(1) / divisor)
