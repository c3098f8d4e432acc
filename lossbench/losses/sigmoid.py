"""Losses of sigmoids: one logit for two classes, or one logit for each class against the rest.

p = sigmoid(logit), the probability of class 1; m is the logit with the sign of the label, so that p_t = sigmoid(m) is
the probability of the true label. The plain binary cross-entropy is `bce`.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (...)
    Floating point.
target : Tensor (...)
    Class 0 or 1, integer or floating point.

Returns
-------
Tensor (...)
    Values from 0.

Raises
------
ValueError
    If the shapes differ.

"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.class_weights import ClassCounts, inverse
from lossbench.losses.classification import bce, one_hot, signed_margin
from lossbench.losses.declaration import loss
from lossbench.losses.links import normalised_sigmoid, sigmoid

__all__ = ["binary_focal", "label_smoothing_bce", "ovr_bce", "ovr_focal", "weighted_bce"]


@loss(
    task="binary",
    link=sigmoid,
    source='Elkan 2001, "The Foundations of Cost-Sensitive Learning", IJCAI',
    problem="imbalance",
    ranges={"weight": "[0, inf)"},
)
def weighted_bce(
    logits: Tensor, target: Tensor, *, class_counts: ClassCounts, weight: Sequence[float] | None = None
) -> Tensor:
    """Binary cross-entropy with a weight for each class, by default its inverse frequency.

    Formula: -(a_1 y log p + a_0 (1 - y) log(1 - p))

    On one logit what `weighted_cross_entropy` is on two. torch's `pos_weight` is a_1 / a_0, which gives this loss
    divided by a_0.

    Parameters
    ----------
    class_counts : Tensor or sequence of 2 numbers
        Training samples of class 0 and class 1, both above 0.
    weight : sequence of 2 floats, optional
        The weights a_0 and a_1, used as they are; by default the inverse frequencies, normalised to sum 2.

    Raises
    ------
    ValueError
        If the shapes differ, there are not 2 counts or weights, or a class has no sample and `weight` is not given.

    Examples
    --------
    >>> weighted_bce(torch.tensor([0.0]), torch.tensor([1]), class_counts=[90, 10])
    tensor([1.2477])

    """
    margin = signed_margin(logits, target)
    # Two numbers on the CPU: exact whatever the precision of the logits, and not every device has float64.
    numbers = torch.as_tensor(class_counts if weight is None else weight, dtype=torch.float64, device="cpu")
    if numbers.shape != (2,):
        raise ValueError(f"{numbers.numel()} class counts or weights: a loss of one logit needs those of 2 classes.")
    weights = inverse(class_counts=numbers) if weight is None else numbers
    return -weights.to(logits)[target.long()] * F.logsigmoid(margin)


@loss(
    task="binary",
    link=sigmoid,
    source='Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567',
    problem="calibration",
    ranges={"smoothing": "[0, 1)"},
)
def label_smoothing_bce(logits: Tensor, target: Tensor, *, smoothing: float = 0.1) -> Tensor:
    """Binary cross-entropy towards a mixture of the label and one half.

    Formula: -(y' log p + (1 - y') log(1 - p)), with y' = (1 - smoothing) y + smoothing / 2

    On one logit what `label_smoothing` is on two. smoothing = 0 is `bce`.

    Parameters
    ----------
    smoothing : float in [0, 1)
        Share of the uniform distribution.

    Returns
    -------
    Tensor (...)
        Values from the entropy of the mixture, above 0 unless smoothing is 0.

    Examples
    --------
    >>> label_smoothing_bce(torch.tensor([2.0]), torch.tensor([1]), smoothing=0.1)
    tensor([0.2269])

    """
    return bce(logits, (1 - smoothing) * target.to(logits.dtype) + smoothing / 2)


@loss(
    task="binary",
    link=sigmoid,
    source='Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002',
    problem="imbalance",
    ranges={"alpha": "[0, 1]", "gamma": "[0, inf)"},
)
def binary_focal(logits: Tensor, target: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Binary cross-entropy with less weight on samples that are already classified well.

    Formula: a_t (1 - p_t)^gamma (-log p_t), with a_t = alpha for class 1 and 1 - alpha for class 0

    The form of the paper, the same as torchvision's `sigmoid_focal_loss`; alpha = 0.5 weighs both classes alike (half
    of the form without alpha). The paper divides the sum over a picture by its number of positives; here the mean is
    over samples. gamma = 0 and alpha = 0.5 is half of `bce`.

    Parameters
    ----------
    alpha : float in [0, 1]
        Weight of class 1.
    gamma : float from 0
        Strength of the down-weighting.

    Examples
    --------
    >>> binary_focal(torch.tensor([0.0]), torch.tensor([1]))
    tensor([0.0433])

    """
    margin = signed_margin(logits, target)
    positive = target.to(logits.dtype)
    return (1 - alpha + (2 * alpha - 1) * positive) * focal_of_margin(margin, gamma)


@loss(
    task="multiclass",
    link=normalised_sigmoid,
    source='Rifkin and Klautau 2004, "In Defense of One-Vs-All Classification", JMLR 5',
)
def ovr_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of each class against the rest, summed over the classes.

    Formula: -log p_y - sum_{k != y} log(1 - p_k), with p = sigmoid(logits)

    At its minimum p_k is the probability of class k, so that the sigmoids sum to 1; those of a trained network don't,
    and the link divides them by their sum. At the start all p_k are 1/2 and the K - 1 negative terms dominate: with
    many classes a last bias of -log(K - 1) helps (Cui et al. 2019). Libraries often take the mean over classes, K times
    less.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.
    target : Tensor (...)
        Integer class indices.

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape.

    Examples
    --------
    >>> ovr_bce(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([1]))
    tensor([2.0794])

    """
    return bce(logits, one_hot(logits, target)).sum(-1)


@loss(
    task="multiclass",
    link=normalised_sigmoid,
    source=(
        'Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002; Cui et al. 2019, '
        '"Class-Balanced Loss Based on Effective Number of Samples" (for classification), arXiv:1901.05555'
    ),
    problem="imbalance",
    ranges={"gamma": "[0, inf)"},
)
def ovr_focal(logits: Tensor, target: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Focal loss of each class against the rest, summed over the classes: its sigmoid form for several classes.

    Formula: sum_k (1 - p_t,k)^gamma (-log p_t,k), with p_t,k = sigmoid(z_y) for k = y, else sigmoid(-z_k)

    Without alpha (weigh classes with `weighting=...`). gamma = 0 is `ovr_bce`. Not the softmax form (`focal`):
    torchvision, MONAI and segmentation_models_pytorch mean this one by focal loss. The link divides the sigmoids by
    their sum; as with `focal`, they are less confident than the true probabilities.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.
    target : Tensor (...)
        Integer class indices.
    gamma : float from 0
        Strength of the down-weighting.

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape.

    Examples
    --------
    >>> ovr_focal(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([1]), gamma=2.0)
    tensor([0.5199])

    """
    return focal_of_margin(signed_margin(logits, one_hot(logits, target)), gamma).sum(-1)


def focal_of_margin(margin: Tensor, gamma: float) -> Tensor:
    """Return the focal loss without alpha, of logits (...) with the sign of the label: -(1 - p_t)^gamma log p_t."""
    log_p = F.logsigmoid(margin)
    # The factor as the power of 1 - p_t by its logarithm, log p_t - m: the gradient stays finite where p_t is 1.
    return -(gamma * (log_p - margin)).exp() * log_p
