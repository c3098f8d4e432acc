"""Losses of a point prediction that large residuals pull less than in the squared error. Elementwise but for `trimmed`.

r is the residual, target - prediction; c is the scale of residuals that count as ordinary, in units of the target that
the loss gets: in a run its robust standard deviation (`data.standardize`).
`cauchy`, `tukey`, `huber` and `log_cosh` are in `regression`, forms joined from two pieces in `piecewise`.

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

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity
from lossbench.losses.regression import residual_of

__all__ = ["charbonnier", "geman_mcclure", "general_robust", "pseudo_huber", "student_t", "trimmed", "welsch"]


@loss(
    task="regression",
    link=identity,
    source='Barron 2019, "A General and Adaptive Robust Loss Function", arXiv:1701.03077',
    problem="outliers",
    ranges={"alpha": "[-inf, 2]", "c": "(0, inf)"},
)
def general_robust(prediction: Tensor, target: Tensor, *, alpha: float = 1.0, c: float = 1.0) -> Tensor:
    """Barron's general loss: one family from the squared error to a bounded loss.

    Formula: (|alpha - 2| / alpha) (((r / c)^2 / |alpha - 2| + 1)^(alpha / 2) - 1)

    Half the squared error of r / c at alpha = 2, `charbonnier` at 1, `cauchy` at 0, `geman_mcclure` at -2 and `welsch`
    at -inf. At 2, 0 and -inf, and closer to them than the precision of the dtype, the limit is computed.

    Parameters
    ----------
    alpha : float up to 2
        Shape: the smaller, the less outliers pull. Convex from 1; below 1 far outliers lose their pull; below 0 the
        loss is bounded. Above 2, which is refused, outliers would pull more than in the squared error.
    c : float above 0
        Scale of the residuals that count as ordinary, in units of the target that the loss gets: in a run robust
        standard deviations, unless `data.standardize=none`.

    Returns
    -------
    Tensor (...)
        Values from 0; below (alpha - 2) / alpha if alpha < 0.

    Examples
    --------
    >>> general_robust(torch.tensor([1.0]), torch.tensor([3.0]), alpha=-2.0, c=1.0)
    tensor([1.])

    """
    square = (residual_of(prediction, target) / c).square()
    precision = torch.finfo(square.dtype).eps
    if abs(alpha - 2) < precision:
        return 0.5 * square
    if abs(alpha) < precision:
        return torch.log1p(0.5 * square)
    if alpha < -1 / precision:
        return -torch.expm1(-0.5 * square)
    return barron(square, alpha, abs(alpha - 2))


def barron(square: Tensor, alpha: float | Tensor, distance: float | Tensor) -> Tensor:
    """Barron's loss away from its limits, of (r / c)^2, alpha and |alpha - 2|."""
    # expm1 of the logarithm keeps the digits of small residuals and of small alpha, where the power minus 1 cancels.
    return distance / alpha * torch.expm1(alpha / 2 * torch.log1p(square / distance))


@loss(
    task="regression",
    link=identity,
    source=(
        'Charbonnier et al. 1997, "Deterministic Edge-Preserving Regularization in Computed Imaging", '
        "doi:10.1109/83.551699"
    ),
    problem="outliers",
    ranges={"c": "(0, inf)"},
)
def charbonnier(prediction: Tensor, target: Tensor, *, c: float = 1.0) -> Tensor:
    """Charbonnier's loss: half the squared error of r / c near zero, |r| / c - 1 far away, smooth everywhere.

    Formula: sqrt((r / c)^2 + 1) - 1

    This is Barron's general loss at alpha = 1. `pseudo_huber` is c^2 times it. Image restoration often means
    sqrt(r^2 + eps^2) by the name, which is c times it plus c, with c = eps = 0.001.

    Parameters
    ----------
    c : float above 0
        Scale of the residuals that count as ordinary, in units of the target that the loss gets: in a run robust
        standard deviations, unless `data.standardize=none`.

    Examples
    --------
    >>> charbonnier(torch.tensor([1.0]), torch.tensor([4.0]), c=1.0)
    tensor([2.1623])

    """
    square = (residual_of(prediction, target) / c).square()
    return square / (1 + (1 + square).sqrt())  # the root minus 1 would cancel for small residuals


@loss(
    task="regression",
    link=identity,
    source=(
        'Charbonnier et al. 1997, "Deterministic Edge-Preserving Regularization in Computed Imaging", '
        "doi:10.1109/83.551699"
    ),
    problem="outliers",
    ranges={"c": "(0, inf)"},
)
def pseudo_huber(prediction: Tensor, target: Tensor, *, c: float = 1.0) -> Tensor:
    """Pseudo-Huber loss: half the squared error near zero, slope `c` far away, smooth everywhere.

    Formula: c^2 (sqrt((r / c)^2 + 1) - 1)

    It is c^2 times `charbonnier`, and at most the `huber` loss with delta = c. Large c gives half the squared error.

    Parameters
    ----------
    c : float above 0
        Residual around which the loss becomes linear, in units of the target that the loss gets: in a run robust
        standard deviations, unless `data.standardize=none`.

    Examples
    --------
    >>> pseudo_huber(torch.tensor([1.0]), torch.tensor([4.0]), c=4.0)
    tensor([4.])

    """
    residual = residual_of(prediction, target)
    return residual.square() / (1 + (1 + (residual / c).square()).sqrt())


@loss(
    task="regression",
    link=identity,
    source='Geman and McClure 1985, "Bayesian Image Analysis: An Application to Single Photon Emission Tomography"',
    problem="outliers",
    ranges={"c": "(0, inf)"},
)
def geman_mcclure(prediction: Tensor, target: Tensor, *, c: float = 1.0) -> Tensor:
    """Geman-McClure loss: half the squared error of r / c near zero, bounded by 2.

    Formula: 2 (r / c)^2 / ((r / c)^2 + 4)

    This is Barron's general loss at alpha = -2. Other texts write r^2 / (r^2 + s^2), which is half of it with s = 2 c.
    Far residuals have next to no gradient: a model that starts far off doesn't learn, so standardise the target.

    Parameters
    ----------
    c : float above 0
        Scale of the residuals that count as ordinary, in units of the target that the loss gets: in a run robust
        standard deviations, unless `data.standardize=none`.

    Returns
    -------
    Tensor (...)
        Values in [0, 2].

    Examples
    --------
    >>> geman_mcclure(torch.tensor([0.0]), torch.tensor([2.0]), c=1.0)
    tensor([1.])

    """
    return barron((residual_of(prediction, target) / c).square(), -2, 4)


@loss(
    task="regression",
    link=identity,
    source=(
        'Dennis and Welsch 1978, "Techniques for Nonlinear Least Squares and Robust Regression", '
        "doi:10.1080/03610917808812083"
    ),
    problem="outliers",
    ranges={"c": "(0, inf)"},
)
def welsch(prediction: Tensor, target: Tensor, *, c: float = 1.0) -> Tensor:
    """Welsch (correntropy) loss: half the squared error of r / c near zero, bounded by 1.

    Formula: 1 - exp(-0.5 (r / c)^2)

    This is Barron's general loss at alpha = -inf. The gradient vanishes faster than in any other loss of that family,
    and is 0 in float32 beyond about 6 c: standardise the target. Texts on iteratively re-weighted least
    squares write (c^2 / 2) (1 - exp(-(r / c)^2)) instead, with c = 2.985.

    Parameters
    ----------
    c : float above 0
        Scale of the residuals that count as ordinary, in units of the target that the loss gets: in a run robust
        standard deviations, unless `data.standardize=none`.

    Returns
    -------
    Tensor (...)
        Values in [0, 1].

    Examples
    --------
    >>> welsch(torch.tensor([1.0]), torch.tensor([3.0]), c=1.0)
    tensor([0.8647])

    """
    return -torch.expm1(-0.5 * (residual_of(prediction, target) / c).square())


@loss(
    task="regression",
    link=identity,
    source=(
        'Lange et al. 1989, "Robust Statistical Modeling Using the t Distribution", doi:10.1080/01621459.1989.10478852'
    ),
    problem="outliers",
    ranges={"nu": "(0, 1e6]", "scale": "(0, inf)"},
)
def student_t(prediction: Tensor, target: Tensor, *, nu: float = 4.0, scale: float = 1.0) -> Tensor:
    """Negative log-likelihood of Student's t distribution around the prediction, with a fixed scale.

    Formula: lgamma(nu/2) - lgamma((nu+1)/2) + 0.5 log(nu pi scale^2) + ((nu+1)/2) log(1 + (r/scale)^2 / nu)

    nu = 1 is the likelihood of the Cauchy distribution, large nu that of the normal one. `learned_student_t` learns the
    scale.

    Parameters
    ----------
    nu : float in (0, 1e6]
        Degrees of freedom: the smaller, the heavier the tails. 3 to 5 is usual.
    scale : float above 0
        Scale of the noise, in units of the target that the loss gets: in a run robust standard deviations, unless
        `data.standardize=none`; its standard deviation is scale sqrt(nu / (nu - 2)) if nu > 2.

    Returns
    -------
    Tensor (...)
        Values from -log of the density at 0, which is below 0 for a scale below about 0.4.

    Examples
    --------
    >>> student_t(torch.tensor([0.0]), torch.tensor([2.0]), nu=4.0, scale=1.0)
    tensor([2.7137])

    """
    constant = math.lgamma(nu / 2) - math.lgamma((nu + 1) / 2) + 0.5 * math.log(nu * math.pi) + math.log(scale)
    return constant + (nu + 1) / 2 * torch.log1p((residual_of(prediction, target) / scale).square() / nu)


@loss(
    task="regression",
    link=identity,
    source='Rousseeuw 1984, "Least Median of Squares Regression", doi:10.1080/01621459.1984.10477105',
    problem="outliers",
    ranges={"keep": "(0, 1]"},
    coupled=True,
)
def trimmed(prediction: Tensor, target: Tensor, *, keep: float = 0.9) -> Tensor:
    """Least trimmed squares within the batch: the samples with the largest residuals are left out.

    Formula: (N / h) r^2 for the h smallest r^2 of the batch of N, 0 for the others; h = keep N, rounded, at least 1

    The plain mean of the values is the mean of the kept squares. keep = 1 is the squared error. Samples are chosen anew
    in each batch, so the share of outliers in it varies: keep somewhat less than the share of good samples.

    Parameters
    ----------
    prediction, target : Tensor (...)
        Floating point, of the same shape; all elements are one batch.
    keep : float in (0, 1]
        Share of the samples that is kept.

    Examples
    --------
    >>> trimmed(torch.zeros(4), torch.tensor([1.0, 9.0, 2.0, 3.0]), keep=0.5)
    tensor([2., 0., 8., 0.])

    """
    square = residual_of(prediction, target).square()
    kept = max(1, round(keep * square.numel()))
    chosen = square.detach().flatten().topk(kept, largest=False).indices
    left_out = torch.ones_like(square, dtype=torch.bool).flatten().index_fill(0, chosen, False)
    return (square * (square.numel() / kept)).masked_fill(left_out.view_as(square), 0)
