"""Lengths and directions: embeddings on the unit sphere, the directions that a loss holds, and cosines between both.

Half precision is computed in float32: a cosine in bfloat16 has 8 bits.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.losses.classification import in_single_precision

_SHORTEST = 1e-12


def random_directions(*shape: int) -> nn.Parameter:
    """Return directions (..., D) drawn uniformly, of length about 1: normal of variance 1 / D.

    Examples
    --------
    >>> random_directions(5, 2).shape
    torch.Size([5, 2])

    """
    return nn.Parameter(torch.randn(shape) / math.sqrt(shape[-1]))


def unit(vectors: Tensor) -> Tensor:
    """Return vectors (..., D) divided by their length, in float32 at least.

    One of length 0 stays 0, with the slope of the identity there, where `F.normalize` has 1e12.

    Examples
    --------
    >>> unit(torch.tensor([[8.0, 6.0], [0.0, 0.0]]))
    tensor([[0.8000, 0.6000],
            [0.0000, 0.0000]])

    """
    vectors = in_single_precision(vectors)
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors / torch.where(length > _SHORTEST, length, 1.0)


def along(embeddings: Tensor, weight: Tensor) -> Tensor:
    """Return the components |x| cos (N, ...) of embeddings (N, D) along the directions (..., D).

    Examples
    --------
    >>> along(torch.tensor([[8.0, 6.0]]), torch.tensor([[2.0, 0.0]]))
    tensor([[8.]])

    """
    # In full precision also in mixed one, where an error of 1/256 in a cosine is 1/4 in a logit of scale 64.
    with torch.autocast(embeddings.device.type, enabled=False):
        return F.linear(in_single_precision(embeddings), unit(weight).flatten(0, -2)).unflatten(1, weight.shape[:-1])


def cosines(embeddings: Tensor, weight: Tensor) -> Tensor:
    """Return the cosines (N, ...) between embeddings (N, D) and directions (..., D).

    Examples
    --------
    >>> cosines(torch.tensor([[8.0, 6.0]]), torch.tensor([[2.0, 0.0]]))
    tensor([[0.8000]])

    """
    return along(unit(embeddings), weight)
