"""Kinds of the focal loss for honest probabilities. Outputs are logits; a value for each sample.

p = softmax(logits), y the true class, p_y its probability.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point.
target : Tensor (...)
    Integer class indices.

Returns
-------
Tensor (...)
    Values from 0, at most the cross-entropy.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import torch
from torch import Tensor

from lossbench.losses.classification import log_probability, one_hot
from lossbench.losses.declaration import loss
from lossbench.losses.imbalance import focal
from lossbench.losses.links import softmax

__all__ = ["dual_focal", "flsd53"]


@loss(
    task="multiclass",
    link=softmax,
    source='Mukhoti et al. 2020, "Calibrating Deep Neural Networks using Focal Loss", arXiv:2002.09437',
    problem="calibration",
)
def flsd53(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss with gamma 5 for samples of low and 3 for samples of higher probability (FLSD-53).

    Formula: (1 - p_y)^gamma (-log p_y), with gamma = 5 if p_y < 0.2, else 3

    The name fixes its numbers. The value jumps up at p_y = 0.2, from 0.53 to 0.82. With gamma 3 throughout it is
    `loss=focal loss.gamma=3`. The authors sum over the batch and clip the gradient.

    Examples
    --------
    >>> flsd53(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([1, 1]))
    tensor([0.0866, 1.1275])

    """
    low = log_probability(logits, target).exp() < 0.2
    return torch.where(low, focal(logits, target, gamma=5.0), focal(logits, target, gamma=3.0))


@loss(
    task="multiclass",
    link=softmax,
    source='Tao et al. 2023, "Dual Focal Loss for Calibration", arXiv:2305.13665',
    problem="calibration",
    ranges={"gamma": "[0, inf)"},
)
def dual_focal(logits: Tensor, target: Tensor, *, gamma: float = 5.0) -> Tensor:
    """Focal loss that also looks at the runner-up: the most probable class below the true one.

    Formula: (1 - p_y + p_j)^gamma (-log p_y), with p_j the largest probability below p_y, or 0 if there is none

    Less underconfident than the focal loss. gamma = 0 is the cross-entropy. The value jumps where p_y passes another
    class, as p_j does; the gradient runs through p_j. With two classes it is 2^gamma times `focal` where the true class
    leads, and `focal` where it doesn't.

    Parameters
    ----------
    gamma : float from 0
        Strength of the down-weighting; the best value depends on the data.

    Examples
    --------
    >>> dual_focal(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), gamma=1.0)
    tensor([0.0303])

    """
    log_p_y = log_probability(logits, target)
    probabilities = logits.softmax(-1)
    below = torch.where(probabilities < log_p_y.exp().unsqueeze(-1), probabilities, 0).masked_fill(
        one_hot(logits, target), 0
    )
    # At p_y = 1 the derivative of the power is infinite for gamma < 1; the whole loss has the derivative 0 there.
    miss = (below.amax(-1) - torch.expm1(log_p_y)).clamp(min=torch.finfo(logits.dtype).tiny)
    return miss**gamma * -log_p_y
