"""Losses of the places of a dense detector: classes by a sigmoid each, and a side of a box as a distribution over bins.

Most places are background, whose targets are 0 for every class. p = sigmoid(z), y the target, and q = y u that of a
class whose score shall be the quality u of the box beside it. The value of a place is the sum over its classes;
detectors divide the sum over an image by its number of positives, or by the sum of their qualities.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (M, K)
    Floating point: one logit z for each class at each place.
target : Tensor (M, K)
    Floating point: 1 at the class of an object, else 0.
quality : Tensor (M,)
    Floating point in [0, 1]: how well the box that is predicted at the place fits its object, as its IoU with the true
    one; held constant. At background it counts nothing.

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

from lossbench.losses.boxes import box_giou
from lossbench.losses.classification import bce
from lossbench.losses.declaration import adds, loss
from lossbench.losses.links import identity, sigmoids
from lossbench.losses.sigmoid import binary_focal

__all__ = ["box_dfl", "dense_bce", "dense_focal", "distribution_focal", "quality_focal", "varifocal"]


@loss(
    task="detection",
    link=sigmoids,
    shapes="M K , M K -> M",
    source='Redmon and Farhadi 2018, "YOLOv3: An Incremental Improvement" (classes), arXiv:1804.02767',
)
def dense_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each class by itself, summed: all places count alike, the many easy ones too.

    Formula: sum_k (-y_k log p_k - (1 - y_k) log(1 - p_k))

    Examples
    --------
    >>> dense_bce(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor([1.3863])

    """
    return bce(logits, target).sum(-1)


@loss(
    task="detection",
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
    task="detection",
    link=sigmoids,
    shapes="M K , M K -> M",
    source=(
        'Li et al. 2020, "Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for Dense Object '
        'Detection", arXiv:2006.04388'
    ),
    problem="imbalance",
    ranges={"beta": "[0, inf)"},
)
def quality_focal(logits: Tensor, target: Tensor, *, quality: Tensor, beta: float = 2.0) -> Tensor:
    """Cross-entropy with a quality, weighted by the distance from it: focal loss for soft targets (QFL).

    Formula: sum_k |q_k - p_k|^beta (-q_k log p_k - (1 - q_k) log(1 - p_k)), with q_k = y_k u

    Where every quality is 1 it is the focal loss without alpha (gamma = beta). Smallest, and 0, at p = q. The weight is
    part of the gradient.

    Parameters
    ----------
    beta : float from 0
        Strength of the down-weighting; 0 is the cross-entropy.

    Examples
    --------
    >>> quality_focal(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), quality=torch.tensor([0.5]))
    tensor([0.1733])

    """
    soft = target * quality.unsqueeze(-1)
    # The slope of a power below 1 is infinite at 0: cut, it has none there.
    apart = (soft - logits.sigmoid()).abs().clamp(min=torch.finfo(logits.dtype).tiny)
    return (apart**beta * bce(logits, soft)).sum(-1)


@loss(
    task="detection",
    link=sigmoids,
    shapes="M K , M K -> M",
    source='Zhang et al. 2021, "VarifocalNet: An IoU-aware Dense Object Detector", arXiv:2008.13367',
    problem="imbalance",
    ranges={"alpha": "[0, inf)", "gamma": "[0, inf)"},
)
def varifocal(logits: Tensor, target: Tensor, *, quality: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """Focal loss of the negatives alone; positives are weighted by their quality (VFL).

    Formula: sum_k q_k (-q_k log p_k - (1 - q_k) log(1 - p_k)) if q_k > 0, else alpha p_k^gamma (-log(1 - p_k))

    with q_k = y_k u. Positives are rare and none is weighted down; those with a good box count most, and one whose box
    misses the object, u = 0, is a negative. The minimum of a positive is at p = q, but is not 0. p^gamma is part of the
    gradient.

    Parameters
    ----------
    alpha : float from 0
        Weight of the negatives.
    gamma : float from 0
        Strength of the down-weighting of easy negatives.

    Examples
    --------
    >>> varifocal(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), quality=torch.tensor([0.5]))
    tensor([0.4765])

    """
    soft = target * quality.unsqueeze(-1)
    negative = alpha * (gamma * F.logsigmoid(logits)).exp() * -F.logsigmoid(-logits)
    return torch.where(soft > 0, soft * bce(logits, soft), negative).sum(-1)


def distribution_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropies with the two bins next to a number, by its distance from each (DFL).

    Formula: -(i + 1 - y) log p_i - (y - i) log p_(i + 1), with i = floor(y) and p = softmax(logits)

    For a side of a box as a distribution over the numbers 0 to R - 1, whose mean is the side. At a whole number it is
    the cross-entropy; between two it is smallest where p interpolates, where the mean of the distribution is y. In
    a run it is a part of `box_dfl`.

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

    References
    ----------
    Li et al. 2020, "Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for Dense Object
    Detection", arXiv:2006.04388.

    Examples
    --------
    >>> distribution_focal(torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([1.25]))
    tensor([1.7395])

    """
    if target.shape != logits.shape[:-1]:
        raise ValueError(
            f"the target has shape {tuple(target.shape)}; logits of shape {tuple(logits.shape)} have "
            f"{tuple(logits.shape[:-1])} numbers."
        )
    last = logits.shape[-1] - 1
    if last < 1:
        raise ValueError(f"logits of shape {tuple(logits.shape)} have one bin: a number lies between two of them.")
    number = target.clamp(0, last)
    low = number.floor().clamp(max=last - 1)
    above = number - low
    log_p = logits.log_softmax(-1)
    index = low.long().unsqueeze(-1)
    return -((1 - above) * log_p.gather(-1, index).squeeze(-1) + above * log_p.gather(-1, index + 1).squeeze(-1))


@loss(
    task="detection",
    link=identity,
    shapes="N 4 R , N 4 -> N",
    source=(
        'Li et al. 2020, "Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for Dense Object '
        'Detection", arXiv:2006.04388'
    ),
    ranges={"weight": "[0, inf)"},
)
@adds("overlap", "sides")
def box_dfl(logits: Tensor, target: Tensor, *, weight: float = 0.125) -> tuple[Tensor, Tensor]:
    """GIoU of a box whose sides are means of distributions, and the distribution focal loss of these (DFL).

    Formula: L_GIoU + weight / 4 sum_s L_DFL(z_s, y_s), with s = left, top, right, bottom

    Of a place within the box, y_s are the distances to its sides, in strides, and the box that is predicted has the
    means of softmax(z_s) over 0, 1 ... R - 1. Without the second term many distributions have one mean; it asks for
    those that are narrow about the side. A distance beyond R - 1 counts as R - 1 in it, and as it is in the overlap.

    Parameters
    ----------
    logits : Tensor (N, 4, R)
        Floating point: for each side one for each of at least two bins.
    target : Tensor (N, 4)
        Floating point: the distances from the place to the left, upper, right and lower side, from 0.
    weight : float from 0
        Of the distributions against the overlap. The paper's weights are 1/4 and 2, those of YOLOv8 1.5 and 7.5.

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
    >>> box_dfl(torch.zeros(1, 4, 3), torch.ones(1, 4))
    tensor([0.1373])

    """
    ends = target.new_tensor([-1.0, -1.0, 1.0, 1.0])  # corners, as seen from the place
    overlap = box_giou(ends * mean_of_bins(logits), ends * target)
    return overlap, weight * distribution_focal(logits, target).mean(-1)


def mean_of_bins(logits: Tensor) -> Tensor:
    """Return the mean (...) of softmax of logits (..., R) over the numbers 0, 1 ... R - 1.

    Examples
    --------
    >>> mean_of_bins(torch.tensor([[0.0, 0.0, 0.0]]))
    tensor([1.])

    """
    shares = logits.softmax(-1)
    return (shares * torch.arange(logits.shape[-1], device=shares.device, dtype=shares.dtype)).sum(-1)
