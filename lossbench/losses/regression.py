"""Losses of a point prediction. They are elementwise: a value for each prediction, in the same shape.

r is the residual, target - prediction.

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

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity

__all__ = ["cauchy", "huber", "l1", "l2", "log_cosh", "mae", "mse", "quantile", "tukey"]


@loss(
    task="regression",
    link=identity,
    source=(
        'Legendre 1805, "Nouvelles méthodes pour la détermination des orbites des comètes"; Gauss 1809, "Theoria '
        'motus corporum coelestium" (least squares)'
    ),
)
def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error; its minimiser is the mean of the target.

    Formula: r^2

    Examples
    --------
    >>> mse(torch.tensor([1.0]), torch.tensor([4.0]))
    tensor([9.])

    """
    return F.mse_loss(*in_one_dtype(prediction, target), reduction="none")


@loss(
    task="regression",
    link=identity,
    source=(
        'Boscovich 1757, "De litteraria expeditione per pontificiam ditionem"; Laplace 1774, "Mémoire sur la '
        'probabilité des causes par les événements" (least absolute deviations)'
    ),
    problem="outliers",
)
def mae(prediction: Tensor, target: Tensor) -> Tensor:
    """Absolute error; its minimiser is the median of the target.

    Formula: |r|

    The gradient at r = 0 is taken as 0.

    Examples
    --------
    >>> mae(torch.tensor([1.0]), torch.tensor([4.0]))
    tensor([3.])

    """
    return residual_of(prediction, target).abs()


@loss(
    task="regression",
    link=identity,
    source=(
        'Legendre 1805, "Nouvelles méthodes pour la détermination des orbites des comètes"; Gauss 1809, "Theoria '
        'motus corporum coelestium" (least squares)'
    ),
    reduction="sum",
)
def l2(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error, summed over the batch (the squared L2 norm of the residuals).

    Formula: r^2, summed over the batch

    The function is that of `mse`; only the reduction differs. The gradient is batch-size times larger, so that the
    learning rate that suits it depends on the batch size.

    Returns
    -------
    Tensor (...)
        Values from 0, not yet summed.

    Examples
    --------
    >>> l2(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 2.0])).sum()
    tensor(9.)

    """
    return F.mse_loss(*in_one_dtype(prediction, target), reduction="none")


@loss(
    task="regression",
    link=identity,
    source=(
        'Boscovich 1757, "De litteraria expeditione per pontificiam ditionem"; Laplace 1774, "Mémoire sur la '
        'probabilité des causes par les événements" (least absolute deviations)'
    ),
    reduction="sum",
)
def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Absolute error, summed over the batch (the L1 norm of the residuals).

    Formula: |r|, summed over the batch

    The function is that of `mae`; only the reduction differs. The gradient is batch-size times larger, so that the
    learning rate that suits it depends on the batch size.

    Returns
    -------
    Tensor (...)
        Values from 0, not yet summed.

    Examples
    --------
    >>> l1(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 2.0])).sum()
    tensor(3.)

    """
    return residual_of(prediction, target).abs()


@loss(
    task="regression",
    link=identity,
    source='Huber 1964, "Robust Estimation of a Location Parameter", doi:10.1214/aoms/1177703732',
    problem="outliers",
    ranges={"delta": "(0, inf)"},
)
def huber(prediction: Tensor, target: Tensor, *, delta: float = 1.0) -> Tensor:
    """Squared error near zero and absolute error beyond `delta`, joined smoothly.

    Formula: 0.5 r^2 if |r| <= delta, else delta (|r| - 0.5 delta)

    Divided by `delta` it is torch's smooth L1 loss. Large `delta` gives half the squared error.

    Parameters
    ----------
    delta : float above 0
        Residual where the loss becomes linear, in units of the target that the loss gets: in a run robust standard
        deviations, unless `data.standardize=none`; 1.345 standard deviations of the noise lose 5 % efficiency if the
        noise is Gaussian.

    Examples
    --------
    >>> huber(torch.tensor([1.0]), torch.tensor([4.0]), delta=1.0)
    tensor([2.5000])

    """
    return F.huber_loss(*in_one_dtype(prediction, target), reduction="none", delta=delta)


@loss(
    task="regression",
    link=identity,
    source=(
        'Saleh and Saleh 2022, "Statistical Properties of the log-cosh Loss Function Used in Machine Learning", '
        "arXiv:2208.04564"
    ),
    problem="outliers",
)
def log_cosh(prediction: Tensor, target: Tensor) -> Tensor:
    """Logarithm of the hyperbolic cosine: half the squared error near zero, |r| - log 2 far away.

    Formula: log cosh r = |r| + log((1 + e^(-2 |r|)) / 2)

    It is at most the Huber loss with delta = 1, and its gradient is tanh r.

    Parameters
    ----------
    prediction, target : Tensor (...)
        Floating point, of the same shape. The loss has no scale: standardise the target.

    Examples
    --------
    >>> log_cosh(torch.tensor([1.0]), torch.tensor([4.0]))
    tensor([2.3093])

    """
    size = residual_of(prediction, target).abs()
    # cosh overflows; softplus minus log 2 would cancel, to values below 0, for small residuals in float32.
    return size + torch.log1p(0.5 * torch.expm1(-2 * size))


@loss(
    task="regression",
    link=identity,
    source='Koenker and Bassett 1978, "Regression Quantiles", doi:10.2307/1913643',
    ranges={"q": "(0, 1)"},
)
def quantile(prediction: Tensor, target: Tensor, *, q: float = 0.5) -> Tensor:
    """Pinball loss; its minimiser is the q-quantile of the target.

    Formula: max(q r, (q - 1) r)

    q = 0.5 is half the absolute error. A prediction that is too low costs q per unit, one too high 1 - q. `q` says what
    is predicted and is not a parameter to tune.

    Parameters
    ----------
    q : float in (0, 1)
        Level of the quantile.

    Examples
    --------
    >>> quantile(torch.tensor([1.0, 4.0]), torch.tensor([4.0, 1.0]), q=0.9)
    tensor([2.7000, 0.3000])

    """
    residual = residual_of(prediction, target)
    return torch.maximum(q * residual, (q - 1) * residual)


@loss(
    task="regression",
    link=identity,
    source=(
        'Black and Anandan 1996, "The Robust Estimation of Multiple Motions", doi:10.1006/cviu.1996.0006; Barron '
        '2019, "A General and Adaptive Robust Loss Function", arXiv:1701.03077'
    ),
    problem="outliers",
    ranges={"c": "(0, inf)"},
)
def cauchy(prediction: Tensor, target: Tensor, *, c: float = 1.0) -> Tensor:
    """Cauchy (Lorentzian) loss: grows with the logarithm of the residual, so that outliers hardly pull.

    Formula: log(1 + 0.5 (r / c)^2)

    This is Barron's general loss at alpha = 0. Texts on iteratively re-weighted least squares write
    (c^2 / 2) log(1 + (r / c)^2) instead, with c = 2.385.

    Parameters
    ----------
    c : float above 0
        Scale of the residuals that count as ordinary, in units of the target that the loss gets: in a run robust
        standard deviations, unless `data.standardize=none`.

    Examples
    --------
    >>> cauchy(torch.tensor([1.0]), torch.tensor([3.0]), c=1.0)
    tensor([1.0986])

    """
    return torch.log1p(0.5 * (residual_of(prediction, target) / c).square())


@loss(
    task="regression",
    link=identity,
    source=(
        'Beaton and Tukey 1974, "The Fitting of Power Series, Meaning Polynomials, Illustrated on '
        'Band-Spectroscopic Data", doi:10.1080/00401706.1974.10489171; Belagiannis et al. 2015, "Robust '
        'Optimization for Deep Regression"'
    ),
    problem="outliers",
    ranges={"c": "(0, inf)"},
)
def tukey(prediction: Tensor, target: Tensor, *, c: float = 4.685) -> Tensor:
    """Tukey's biweight: half the squared error near zero, constant beyond `c`.

    Formula: (c^2 / 6) (1 - (1 - (r / c)^2)^3) if |r| <= c, else c^2 / 6

    Residuals beyond `c` have no gradient at all: a model that starts there doesn't learn, so standardise the target.

    Parameters
    ----------
    c : float above 0
        Residual from which a sample is ignored, in units of the target that the loss gets: in a run robust standard
        deviations, unless `data.standardize=none`; 4.685 standard deviations of the noise lose 5 % efficiency if the
        noise is Gaussian.

    Returns
    -------
    Tensor (...)
        Values in [0, c^2 / 6].

    Examples
    --------
    >>> tukey(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 100.0]), c=2.0)
    tensor([0.3854, 0.6667])

    """
    # The bound 1 is the second branch; the cube is multiplied out, which keeps the digits of small residuals.
    square = (residual_of(prediction, target) / c).square().clamp(max=1)
    return c**2 / 6 * square * (3 - 3 * square + square**2)


def in_one_dtype(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in the precision of the finer one: torch's losses ask for one type."""
    if prediction.dtype == target.dtype:
        return prediction, target
    dtype = torch.promote_types(prediction.dtype, target.dtype)
    return prediction.to(dtype), target.to(dtype)


def residual_of(prediction: Tensor, target: Tensor) -> Tensor:
    """Return target - prediction, of the same shape."""
    return target - prediction
