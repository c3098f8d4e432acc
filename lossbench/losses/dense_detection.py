"""Losses of the places of a dense detector: classes by a sigmoid each, and a side of a box as a distribution over bins.

Most places are background, whose targets are 0 for every class. p = sigmoid(z), q the target. The value of a place is
the sum over its classes; detectors divide the sum over an image by its number of positives, or by the sum of their
qualities.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (M, K)
    Floating point: one logit z for each class at each place.
target : Tensor (M, K)
    Floating point in [0, 1]: at the class of an object the quality, such as the IoU of the predicted box with the true
    one, and 0 at all others.

Returns
-------
Tensor (M,)
    Values from 0.

Raises
------
ValueError
    If the shapes differ.

"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.classification import bce
from lossbench.losses.declaration import loss
from lossbench.losses.links import sigmoids, softmax
from lossbench.losses.sigmoid import binary_focal

__all__ = ["dense_focal", "distribution_focal", "quality_focal", "varifocal"]


@loss(
    task="boxes",
    link=sigmoids,
    shapes="M K , M K -> M",
    source='Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002',
    problem="imbalance",
    ranges={"alpha": "[0, 1]", "gamma": "[0, inf)"},
)
def dense_focal(logits: Tensor, target: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of RetinaNet: `binary_focal` of each class, summed; the many easy places count little.

    Formula: sum_k a_k (1 - p_t,k)^gamma (-log p_t,k), with a_k = alpha at the class of an object, else 1 - alpha

    p_t,k is p_k at the class of an object and 1 - p_k elsewhere.

    Parameters
    ----------
    target : Tensor (M, K)
        1 at the class of an object, else 0.
    alpha : float in [0, 1]
        Weight of positives.
    gamma : float from 0
        Strength of the down-weighting.

    Examples
    --------
    >>> dense_focal(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor([0.1733])

    """
    return binary_focal(logits, target, alpha=alpha, gamma=gamma).sum(-1)


@loss(
    task="boxes",
    link=sigmoids,
    shapes="M K , M K -> M",
    source=(
        'Li et al. 2020, "Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for Dense Object '
        'Detection", arXiv:2006.04388'
    ),
    problem="imbalance",
    ranges={"beta": "[0, inf)"},
)
def quality_focal(logits: Tensor, target: Tensor, *, beta: float = 2.0) -> Tensor:
    """Cross-entropy with a quality, weighted by the distance from it: focal loss for soft targets (QFL).

    Formula: sum_k |q_k - p_k|^beta (-q_k log p_k - (1 - q_k) log(1 - p_k))

    With targets 0 and 1 it is the focal loss without alpha (gamma = beta). Smallest, and 0, at p = q. The weight is
    part of the gradient.

    Parameters
    ----------
    beta : float from 0
        Strength of the down-weighting; 0 is the cross-entropy.

    Examples
    --------
    >>> quality_focal(torch.zeros(1, 2), torch.tensor([[0.5, 0.0]]))
    tensor([0.1733])

    """
    # The slope of a power below 1 is infinite at 0: cut, it has none there.
    apart = (target - logits.sigmoid()).abs().clamp(min=torch.finfo(logits.dtype).tiny)
    return (apart**beta * bce(logits, target)).sum(-1)


@loss(
    task="boxes",
    link=sigmoids,
    shapes="M K , M K -> M",
    source='Zhang et al. 2021, "VarifocalNet: An IoU-aware Dense Object Detector", arXiv:2008.13367',
    problem="imbalance",
    ranges={"alpha": "[0, inf)", "gamma": "[0, inf)"},
)
def varifocal(logits: Tensor, target: Tensor, *, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """Focal loss of the negatives alone; positives are weighted by their quality (VFL).

    Formula: sum_k q_k (-q_k log p_k - (1 - q_k) log(1 - p_k)) if q_k > 0, else alpha p_k^gamma (-log(1 - p_k))

    Positives are rare and none is weighted down; those with a good box count most. Its minimum for a positive is at
    p = q, but is not 0. p^gamma is part of the gradient.

    Parameters
    ----------
    alpha : float from 0
        Weight of the negatives.
    gamma : float from 0
        Strength of the down-weighting of easy negatives.

    Examples
    --------
    >>> varifocal(torch.zeros(1, 2), torch.tensor([[0.5, 0.0]]))
    tensor([0.4765])

    """
    negative = alpha * (gamma * F.logsigmoid(logits)).exp() * -F.logsigmoid(-logits)
    return torch.where(target > 0, target * bce(logits, target), negative).sum(-1)


@loss(
    task="boxes",
    link=softmax,
    shapes="N R , N -> N",
    source=(
        'Li et al. 2020, "Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for Dense Object '
        'Detection", arXiv:2006.04388'
    ),
)
def distribution_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropies with the two bins next to a number, by its distance from each (DFL).

    Formula: -(i + 1 - y) log p_i - (y - i) log p_(i + 1), with i = floor(y) and p = softmax(logits)

    For a side of a box as a distribution over the numbers 0 to R - 1, whose mean is the side. At a whole number it is
    the cross-entropy; between two it is smallest where p interpolates, where the mean of the distribution is y.

    Parameters
    ----------
    logits : Tensor (N, R)
        Floating point, one for each of at least two bins.
    target : Tensor (N,)
        Floating point, y in [0, R - 1]; what lies outside counts as the end.

    Returns
    -------
    Tensor (N,)
        Values from 0.

    Raises
    ------
    ValueError
        If the shapes differ, or there is one bin only.

    Examples
    --------
    >>> distribution_focal(torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([1.25]))
    tensor([1.7395])

    """
    last = logits.shape[-1] - 1
    if last < 1:
        raise ValueError(f"logits of shape {tuple(logits.shape)} have one bin: a number lies between two of them.")
    number = target.clamp(0, last)
    low = number.floor().clamp(max=last - 1)
    above = number - low
    log_p = logits.log_softmax(-1)
    index = low.long().unsqueeze(-1)
    return -((1 - above) * log_p.gather(-1, index).squeeze(-1) + above * log_p.gather(-1, index + 1).squeeze(-1))
