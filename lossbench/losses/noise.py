"""Losses that resist wrong labels. Outputs are logits; a value for each sample.

p = softmax(logits), y the given class, p_y its probability.
"""

import torch
from torch import Tensor

from lossbench.links import softmax
from lossbench.losses.classification import log_probability
from lossbench.losses.declaration import loss

__all__ = ["gce", "mae_prob"]


@loss(
    task="multiclass",
    link=softmax,
    source="Zhang and Sabuncu 2018, arXiv:1805.07836",
    problem="noise",
    ranges={"q": "(0, 1]"},
)
def gce(logits: Tensor, target: Tensor, *, q: float = 0.7) -> Tensor:
    """Generalised cross-entropy: between the cross-entropy and the absolute error on probabilities.

    Formula: (1 - p_y^q) / q

    q towards 0 is the cross-entropy, q = 1 is 1 - p_y (half of `mae_prob`). The larger q, the less a sample that the
    model contradicts pulls: more resistance to wrong labels, and slower learning. Without the truncation of the paper.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.
    target : Tensor (...)
        Integer class indices.
    q : float in (0, 1]
        From fast (0) to resistant (1).

    Returns
    -------
    Tensor (...)
        Values in [0, 1 / q].

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape.

    References
    ----------
    Zhang and Sabuncu 2018, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels".

    Examples
    --------
    >>> gce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), q=1.0)
    tensor([0.5000])

    """
    # expm1 of the logarithm: keeps its digits for small q, and has a finite gradient at p_y = 0.
    return -torch.expm1(q * log_probability(logits, target)) / q


@loss(task="multiclass", link=softmax, source="Ghosh et al. 2017, arXiv:1712.09482", problem="noise")
def mae_prob(logits: Tensor, target: Tensor) -> Tensor:
    """Absolute error between probabilities and the one-hot label, summed over the classes.

    Formula: sum_k |p_k - Y_k| = 2 (1 - p_y)

    Summed over the K possible labels, the loss is the constant 2 (K - 1), which makes it tolerant to uniform label
    noise. It learns slowly with many classes, as its gradient vanishes for small p_y. Some codes return half of it.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.
    target : Tensor (...)
        Integer class indices.

    Returns
    -------
    Tensor (...)
        Values in [0, 2].

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape.

    References
    ----------
    Ghosh et al. 2017, "Robust Loss Functions under Label Noise for Deep Neural Networks".

    Examples
    --------
    >>> mae_prob(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([1.])

    """
    return -2 * torch.expm1(log_probability(logits, target))
