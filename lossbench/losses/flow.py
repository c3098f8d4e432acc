"""Losses of normalising flows: how unlikely a sample is under the density that the flow gives it.

A flow maps a sample x to a latent z = f(x) of as many numbers by a function that can be inverted, so that the density
of x follows from that of z by the change of variables.

Where a loss says nothing else:

Parameters
----------
latents : Tensor
    z = f(x), floating, shape (N, ...).
log_determinant : Tensor
    log abs det of the Jacobian df/dx at each sample, shape (N,).

Returns
-------
Tensor
    Shape (N,), nats for each sample; below 0 where the density is above 1.

"""

import math

from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity

__all__ = ["flow_nll"]


@loss(
    task="flow",
    link=identity,
    source=(
        'Dinh, Sohl-Dickstein, Bengio 2017, "Density Estimation Using Real NVP", arXiv:1605.08803; Rezende and Mohamed '
        '2015, "Variational Inference with Normalizing Flows", arXiv:1505.05770'
    ),
    shapes="N ... , N -> N",
)
def flow_nll(latents: Tensor, log_determinant: Tensor) -> Tensor:
    """Negative log-likelihood of a normalising flow whose latents are standard normal.

    Formula: norm(z)^2 / 2 + D log(2 pi) / 2 - log abs det(df/dx), D the numbers of a sample

    Divided by D log 2 it is what papers report as bits per dimension. Of images the learner adds what their
    preparation does to the log-determinant: dequantised values, counted in grey levels, so that the value bounds the
    negative log-probability of the image as it is stored.

    Examples
    --------
    >>> import torch
    >>> flow_nll(torch.tensor([[3.0, 4.0]]), torch.tensor([2.0]))
    tensor([12.3379])

    """
    squares = latents.square().flatten(1)
    return 0.5 * (squares.sum(1) + squares.shape[1] * math.log(2 * math.pi)) - log_determinant
