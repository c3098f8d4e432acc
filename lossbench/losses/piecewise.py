"""Losses of a point prediction joined from two forms of the residual, below and above a bound. A value for each sample.

They come from the regression of boxes, landmarks and depth; r is the residual, target - prediction.

Where a loss says nothing else:

Parameters
----------
prediction, target : Tensor (...)
    Floating point, of the same shape.

Returns
-------
Tensor (...)
    Values from 0.

Raises
------
ValueError
    If the shapes differ.

"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity
from lossbench.losses.regression import residual_of

__all__ = ["balanced_l1", "berhu", "smooth_l1", "wing"]


@loss(
    task="regression",
    link=identity,
    source='Girshick 2015, "Fast R-CNN", arXiv:1504.08083',
    problem="outliers",
    ranges={"beta": "(0, inf)"},
)
def smooth_l1(prediction: Tensor, target: Tensor, *, beta: float = 1.0) -> Tensor:
    """Absolute error, rounded off by a parabola below `beta`.

    Formula: 0.5 r^2 / beta if |r| < beta, else |r| - 0.5 beta

    It is the `huber` loss divided by delta = beta: the slope far away is 1 whatever beta, and small beta gives the
    absolute error, where the Huber loss vanishes.

    Parameters
    ----------
    beta : float above 0
        Residual where the loss becomes linear, in units of the target that the loss gets: in a run robust standard
        deviations, unless `data.standardize=none`; detectors use 1/9 for some box offsets.

    Examples
    --------
    >>> smooth_l1(torch.tensor([1.0, 1.0]), torch.tensor([4.0, 2.0]), beta=2.0)
    tensor([2.0000, 0.2500])

    """
    return F.smooth_l1_loss(prediction, target, reduction="none", beta=beta)


@loss(
    task="regression",
    link=identity,
    source='Pang et al. 2019, "Libra R-CNN: Towards Balanced Learning for Object Detection", arXiv:1904.02701',
    problem="outliers",
    ranges={"alpha": "(0, inf)", "gamma": "(0, inf)"},
)
def balanced_l1(prediction: Tensor, target: Tensor, *, alpha: float = 0.5, gamma: float = 1.5) -> Tensor:
    """Absolute error whose gradient grows logarithmically below a residual of 1 and is constant beyond.

    Formula: (alpha / b) (b |r| + 1) log(b |r| + 1) - alpha |r| if |r| < 1, else gamma |r| + gamma / b - alpha

    b is e^(gamma / alpha) - 1, which joins the values and the gradients. The gradient is alpha log(b |r| + 1), at most
    gamma: against `smooth_l1`, accurate samples count more beside inaccurate ones. The bound stays at 1, as the joining
    of the gradients needs it; so scale or standardise the target.

    Parameters
    ----------
    alpha : float above 0
        The smaller, the more the gradient of small residuals is raised.
    gamma : float above 0
        Slope beyond a residual of 1: in a run one robust standard deviation of the target, unless
        `data.standardize=none`.

    Raises
    ------
    ValueError
        If the shapes differ, or gamma / alpha is above 80.

    Examples
    --------
    >>> balanced_l1(torch.tensor([0.0]), torch.tensor([2.0]), alpha=0.5, gamma=1.5)
    tensor([2.5786])

    """
    if gamma / alpha > 80:
        raise ValueError(
            f"gamma={gamma} and alpha={alpha}: e^(gamma / alpha) overflows; take gamma at most 80 times alpha."
        )
    size = residual_of(prediction, target).abs()
    b = math.expm1(gamma / alpha)
    curved = alpha / b * (b * size + 1) * torch.log1p(b * size) - alpha * size
    return torch.where(size < 1, curved, gamma * size + gamma / b - alpha)


@loss(
    task="regression",
    link=identity,
    source=(
        'Feng et al. 2018, "Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural '
        'Networks", arXiv:1711.06753'
    ),
    ranges={"w": "(0, inf)", "epsilon": "(0, inf)"},
)
def wing(prediction: Tensor, target: Tensor, *, w: float = 10.0, epsilon: float = 2.0) -> Tensor:
    """Wing loss: logarithmic below a residual of `w`, so that small errors pull more; absolute error beyond.

    Formula: w log(1 + |r| / epsilon) if |r| < w, else |r| - w + w log(1 + w / epsilon)

    The gradient jumps from -w / epsilon to w / epsilon at r = 0, where it is taken as 0, and from w / (epsilon + w) to
    1 at |r| = w. The defaults are pixels of the paper's face crops: with a standardised target all residuals are
    then below w, and the loss is logarithmic everywhere. Search both.

    Parameters
    ----------
    w : float above 0
        Residual where the loss becomes linear, in units of the target that the loss gets: in a run robust standard
        deviations, unless `data.standardize=none`.
    epsilon : float above 0
        Residual from which the logarithm bends, in the units of w; the gradient near 0 is w / epsilon.

    Examples
    --------
    >>> wing(torch.tensor([0.0]), torch.tensor([2.0]), w=10.0, epsilon=2.0)
    tensor([6.9315])

    """
    size = residual_of(prediction, target).abs()
    return torch.where(size < w, w * torch.log1p(size / epsilon), size - w + w * math.log1p(w / epsilon))


@loss(
    task="regression",
    link=identity,
    source=(
        'Owen 2007, "A Robust Hybrid of Lasso and Ridge Regression"; Laina et al. 2016, "Deeper Depth Prediction '
        'with Fully Convolutional Residual Networks" (the threshold), arXiv:1606.00373'
    ),
    ranges={"fraction": "(0, 1]"},
    coupled=True,
    detached="the threshold c",
)
def berhu(prediction: Tensor, target: Tensor, *, fraction: float = 0.2) -> Tensor:
    """Reverse Huber loss: absolute error near zero and squared error beyond a threshold, joined smoothly.

    Formula: |r| if |r| <= c, else (r^2 + c^2) / (2 c), with c = fraction max |r| over the batch

    The opposite of a robust loss: the largest residuals of the batch pull up to 1 / fraction times more than small
    ones. The threshold is held constant in the gradient. fraction = 1 is the absolute error.

    Parameters
    ----------
    prediction, target : Tensor (...)
        Floating point, of the same shape; the threshold is taken over all elements.
    fraction : float in (0, 1]
        Threshold, as a share of the largest residual of the batch.

    Examples
    --------
    >>> berhu(torch.zeros(2), torch.tensor([1.0, 10.0]), fraction=0.2)
    tensor([ 1., 26.])

    """
    size = residual_of(prediction, target).abs()
    # A batch without any error would divide by a threshold of 0.
    c = (fraction * size.detach().max()).clamp(min=torch.finfo(size.dtype).tiny)
    return torch.where(size <= c, size, 0.5 * (size * (size / c) + c))
