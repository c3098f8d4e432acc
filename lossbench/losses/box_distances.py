"""Losses of boxes by the distance of their corners, or of Gaussians in their place, on boxes matched one to one.

They are not free of the unit: at half the resolution corners are half as far apart, and the bounds of the piecewise
losses mean other errors. Each number of a box counts by itself, whatever the order of the corners and the size of the
box, so that boxes without area or with x2 < x1 have values and gradients as all others; but a large box has large
errors, and one pixel counts in it as much as in a small one. r is the residual of a corner, target - box.

Where a loss says nothing else:

Parameters
----------
boxes : Tensor (N, 4)
    Floating point: x1, y1, x2, y2, in any unit.
target : Tensor (N, 4)
    The true boxes, in the same unit.

Returns
-------
Tensor (N,)
    Values from 0: the sum over the four numbers of a box.

Raises
------
ValueError
    If the shapes differ or are not (N, 4).

"""

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity
from lossbench.losses.piecewise import balanced_l1, smooth_l1, wing
from lossbench.losses.regression import mae, mse

__all__ = ["box_balanced_l1", "box_l1", "box_mse", "box_smooth_l1", "box_wasserstein", "box_wing"]


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source='Carion et al. 2020, "End-to-End Object Detection with Transformers" (beside GIoU), arXiv:2005.12872',
)
def box_l1(boxes: Tensor, target: Tensor) -> Tensor:
    """Absolute errors of the four numbers, summed.

    Formula: sum_i |r_i|

    Examples
    --------
    >>> box_l1(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 1.0, 4.0, 2.0]]))
    tensor([3.])

    """
    return mae(boxes, target).sum(-1)


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=(
        'Sermanet et al. 2014, "OverFeat: Integrated Recognition, Localization and Detection using Convolutional '
        'Networks", arXiv:1312.6229'
    ),
)
def box_mse(boxes: Tensor, target: Tensor) -> Tensor:
    """Squared errors of the four numbers, summed.

    Formula: sum_i r_i^2

    Examples
    --------
    >>> box_mse(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 1.0, 4.0, 2.0]]))
    tensor([5.])

    """
    return mse(boxes, target).sum(-1)


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=(
        'Girshick 2015, "Fast R-CNN", arXiv:1504.08083; Ren et al. 2015, "Faster R-CNN: Towards Real-Time Object '
        'Detection with Region Proposal Networks" (whose code has beta = 1/9), arXiv:1506.01497'
    ),
    problem="outliers",
    ranges={"beta": "(0, inf)"},
)
def box_smooth_l1(boxes: Tensor, target: Tensor, *, beta: float = 1 / 9) -> Tensor:
    """Absolute errors of the four numbers, rounded off by a parabola below `beta`, summed.

    Formula: sum_i (0.5 r_i^2 / beta if |r_i| < beta, else |r_i| - 0.5 beta)

    `smooth_l1` of each number.

    Parameters
    ----------
    beta : float above 0
        Residual where the loss becomes linear, in the unit of the boxes. 1/9 is that of proposals, whose offsets are
        divided by the size of an anchor; in pixels it is nearly `box_l1`.

    Examples
    --------
    >>> box_smooth_l1(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 1.0, 4.0, 2.0]]), beta=2.0)
    tensor([1.2500])

    """
    return smooth_l1(boxes, target, beta=beta).sum(-1)


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source='Pang et al. 2019, "Libra R-CNN: Towards Balanced Learning for Object Detection", arXiv:1904.02701',
    problem="outliers",
    ranges={"alpha": "(0, inf)", "gamma": "(0, inf)"},
)
def box_balanced_l1(boxes: Tensor, target: Tensor, *, alpha: float = 0.5, gamma: float = 1.5) -> Tensor:
    """Absolute errors of the four numbers whose gradients grow logarithmically below 1, summed (Libra R-CNN).

    Formula: sum_i ((alpha / b) (b |r_i| + 1) log(b |r_i| + 1) - alpha |r_i| if |r_i| < 1, else gamma |r_i| + const.)

    `balanced_l1` of each number, which says the constant and b. The bound is 1, in the unit of the boxes.

    Parameters
    ----------
    alpha : float above 0
        The smaller, the more the gradient of small residuals is raised.
    gamma : float above 0
        Slope beyond a residual of 1.

    Raises
    ------
    ValueError
        If the shapes differ or are not (N, 4), or gamma / alpha is above 80.

    Examples
    --------
    >>> box_balanced_l1(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.0, 4.0, 2.0]]))
    tensor([2.5786])

    """
    return balanced_l1(boxes, target, alpha=alpha, gamma=gamma).sum(-1)


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=(
        'Feng et al. 2018, "Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural '
        'Networks", arXiv:1711.06753'
    ),
    ranges={"w": "(0, inf)", "epsilon": "(0, inf)"},
)
def box_wing(boxes: Tensor, target: Tensor, *, w: float = 10.0, epsilon: float = 2.0) -> Tensor:
    """Absolute errors of the four numbers, logarithmic below `w`, so that small errors pull more; summed.

    Formula: sum_i (w log(1 + |r_i| / epsilon) if |r_i| < w, else |r_i| - w + w log(1 + w / epsilon))

    `wing` of each number: made for landmarks, of which the corners of a box are two.

    Parameters
    ----------
    w : float above 0
        Residual where the loss becomes linear, in the unit of the boxes; the default is in pixels of the paper's faces.
    epsilon : float above 0
        Residual from which the logarithm bends, in the unit of the boxes; the gradient near 0 is w / epsilon.

    Examples
    --------
    >>> box_wing(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.0, 4.0, 2.0]]))
    tensor([6.9315])

    """
    return wing(boxes, target, w=w, epsilon=epsilon).sum(-1)


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=(
        'Wang et al. 2021, "A Normalized Gaussian Wasserstein Distance for Tiny Object Detection", arXiv:2110.13389'
    ),
    ranges={"c": "(0, inf)"},
)
def box_wasserstein(boxes: Tensor, target: Tensor, *, c: float = 12.8) -> Tensor:
    """Normalised Wasserstein distance of two Gaussians in the place of the boxes: it does not need an overlap.

    Formula: 1 - e^(-W / c), W^2 = |(x, y, w/2, h/2) - (x_t, y_t, w_t/2, h_t/2)|^2

    x and y are the centre, w and h the sides; W is the 2-Wasserstein distance of Gaussians whose standard deviations
    are half the sides. In [0, 1]. Of a small box it falls off as slowly as of a large one, where its IoU is soon 0; but
    boxes many c apart hardly have a gradient. At W = 0, where it has a kink, the gradient is 0. Sides keep their sign
    where x2 < x1.

    Parameters
    ----------
    c : float above 0
        Distance at which the likeness has fallen to 1/e, in the unit of the boxes: about the mean size of the objects.
        The default is that of the paper's data, 12.8 pixels.

    Returns
    -------
    Tensor (N,)
        Values in [0, 1].

    Examples
    --------
    >>> box_wasserstein(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[4.0, 3.0, 6.0, 5.0]]), c=5.0)
    tensor([0.6321])

    """
    first, second = (boxes - target).split(2, dim=-1)
    apart = torch.cat([(first + second) / 2, (second - first) / 2], dim=-1)
    return -torch.expm1(-torch.linalg.vector_norm(apart, dim=-1) / c)
