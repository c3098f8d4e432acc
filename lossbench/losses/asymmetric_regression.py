"""Losses of a point prediction for which too low and too high cost differently. Elementwise.

r is the residual, target - prediction. The pinball loss is `quantile` in `regression`.

Where a loss says nothing else:

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

__all__ = ["expectile", "linex", "msle"]

_LINEX_BOUND = 20.0
_MSLE_BOUND = -0.875  # where 1 + x is 1/8


@loss(
    task="regression",
    link=identity,
    source='Newey and Powell 1987, "Asymmetric Least Squares Estimation and Testing", doi:10.2307/1911031',
    ranges={"t": "(0, 1)"},
)
def expectile(prediction: Tensor, target: Tensor, *, t: float = 0.5) -> Tensor:
    """Asymmetric squared error; its minimiser is the t-expectile of the target.

    Formula: |t - 1[r < 0]| r^2

    t = 0.5 is half the squared error. A prediction that is too low costs t per squared unit, one too high 1 - t. `t`
    says what is predicted and is not a parameter to tune.

    Parameters
    ----------
    prediction, target : Tensor (...)
        Floating point, of the same shape.
    t : float in (0, 1)
        Level of the expectile.

    Examples
    --------
    >>> expectile(torch.tensor([1.0, 4.0]), torch.tensor([4.0, 1.0]), t=0.9)
    tensor([8.1000, 0.9000])

    """
    residual = residual_of(prediction, target)
    square = residual.square()
    return torch.where(residual < 0, (1 - t) * square, t * square)


@loss(
    task="regression",
    link=identity,
    source=(
        'Varian 1975, "A Bayesian Approach to Real Estate Assessment"; Zellner 1986, "Bayesian Estimation and '
        'Prediction Using Asymmetric Loss Functions", doi:10.1080/01621459.1986.10478289'
    ),
    ranges={"a": "(-inf, inf)"},
)
def linex(prediction: Tensor, target: Tensor, *, a: float = 1.0) -> Tensor:
    """Linear-exponential loss: one side costs exponentially, the other about linearly.

    Formula: e^(a r) - a r - 1

    With a > 0 a prediction that is too low is the costly one, with a < 0 one too high (texts that write the error as
    prediction - target have the opposite sign). Its minimiser is log(mean(e^(a y))) / a. Small a gives
    (a^2 / 2) r^2. Where a r is above 20 the exponential goes on as its tangent, so that it does not overflow.

    Parameters
    ----------
    prediction, target : Tensor (...)
        Floating point, of the same shape. With outliers on the costly side training explodes: standardise the target.
    a : float other than 0
        Asymmetry, in units of 1 / target: in a run 1 / robust standard deviation, unless `data.standardize=none`.

    Raises
    ------
    ValueError
        If the shapes differ, or a is 0.

    Examples
    --------
    >>> linex(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 1.0]), a=1.0)
    tensor([4.3891, 1.1353])

    """
    if a == 0:
        raise ValueError("a=0 makes the LINEX loss 0 everywhere; take a number above or below 0, such as 0.5.")
    error = a * residual_of(prediction, target)
    beyond = (error - _LINEX_BOUND).relu()
    return torch.expm1(error.clamp(max=_LINEX_BOUND)) + math.exp(_LINEX_BOUND) * beyond - error


@loss(task="regression", link=identity, source='Heritage Health Prize 2011, its metric "RMSLE"')
def msle(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error of logarithms: for targets from 0 on of which the relative error counts.

    Formula: (log(1 + y) - log(1 + f))^2, f the prediction

    Too low costs more than too high. Made for counts, prices and the like. Below -0.875 the logarithm goes on as its
    tangent, with slope 8, for targets and predictions alike, so that there is a value and a gradient everywhere;
    scikit-learn refuses what is not above -1, torchmetrics returns nan.

    lossbench trains on standardised targets. The errors are then relative to the distance from one standard deviation
    below the mean and not from 0, and a sixth of a normal target is on the tangent. That suits targets skewed to the
    right with a minimum close to the mean; else train on the target as it is, `data.standardize=none`, or take its
    logarithm in the data and train with `mse`.
    No paper defines it.

    Parameters
    ----------
    prediction, target : Tensor (...)
        Floating point, of the same shape; meant to be above -1.

    Examples
    --------
    >>> msle(torch.tensor([1.0]), torch.tensor([3.0]))
    tensor([0.4805])

    """
    return residual_of(_log1p_with_tangent(prediction), _log1p_with_tangent(target)).square()


def _log1p_with_tangent(values: Tensor) -> Tensor:
    beyond = (_MSLE_BOUND - values).relu()
    return torch.log1p(values.clamp(min=_MSLE_BOUND)) - beyond / (1 + _MSLE_BOUND)
