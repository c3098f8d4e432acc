"""A family to search in: Barron's robust losses with a scale, tilted towards one sign of the residual. Elementwise.

r is the residual, target - prediction. `MEMBERS` and `NEAR` say which losses of the catalogue it has, and how.
"""

import math

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity
from lossbench.losses.regression import residual_of
from lossbench.losses.robust import barron

__all__ = ["robust_family"]


@loss(
    task="regression",
    link=identity,
    source=(
        'Barron 2019, "A General and Adaptive Robust Loss Function", arXiv:1701.03077; Breckling and Chambers 1988, '
        '"M-quantiles", doi:10.1093/biomet/75.4.761'
    ),
    problem="outliers",
    ranges={"alpha": "[-inf, 2]", "c": "(0, inf)", "tau": "(0, 1)", "factor": "(0, inf)"},
    broadcasts=True,
)
def robust_family(
    prediction: Tensor, target: Tensor, *, alpha: float = 2.0, c: float = 1.0, tau: float = 0.5, factor: float = 1.0
) -> Tensor:
    """Family of robust losses whose two sides may cost differently; by default half the squared error.

    Formula: factor 2 |tau - 1[r < 0]| (b / alpha) (((r / c)^2 / b + 1)^(alpha / 2) - 1), with b = |alpha - 2|

    Exactly inside are `mse` (factor = 2), `expectile` (tau = t), and with tau = 1/2 `general_robust` and its members:
    `charbonnier` (alpha = 1) and `pseudo_huber` (factor = c^2 too), `cauchy` (0), `geman_mcclure` (-2), `welsch`
    (-inf). `student_t` is alpha = 0, c = scale sqrt(nu / 2), factor = (nu + 1) / 2, but for a constant. `quantile` and
    `mae` are limits: alpha = 1, factor = c / 2 or c, tau = q, whose values are below theirs by at most max(q, 1 - q) c
    or c. `huber` is near `pseudo_huber` of c = delta, at most delta^2 / 2 above it, and `log_cosh` at most 1 - log 2
    above that of c = 1. At alpha = 2, 0 and -inf, and closer to them than the precision of the dtype, the limit is
    computed. Outside are kinks elsewhere than at 0 (`tukey`, `wing`) and losses that read the target or the batch
    (`msle`, `trimmed`).

    Is it proper? What it predicts is where the mean of the slope is 0: at alpha = 2, where the slope is linear, the
    tau-expectile, so for tau = 1/2 the mean; at alpha = 1 and c towards 0, where it is a sign, the tau-quantile; else
    an M-quantile, which has no other name. With tau = 1/2 and noise symmetric about its mean that is the mean, too,
    since the slope is odd, if alpha is at least 1 (the loss is convex) or the noise has one peak; with skewed noise it
    is neither mean nor median.

    Parameters
    ----------
    prediction, target : Tensor (...)
        Floating point, of the same shape.
    alpha : float up to 2
        Shape: the smaller, the less outliers pull. It and every other parameter may also be a Tensor of the shape of
        the target, a value for each sample: in a stack of runs that differ in it.
    c : float above 0
        Scale of the residuals that count as ordinary, in units of the target that the loss gets: in a run robust
        standard deviations, unless `data.standardize=none`.
    tau : float in (0, 1)
        Share of the cost of a prediction that is too low; one too high has 1 - tau.
    factor : float above 0
        What the whole is multiplied by. An optimizer's rate does the same or nothing, so there is nothing to search.

    Returns
    -------
    Tensor (...)
        Values from 0.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> robust_family(torch.tensor([1.0, 4.0]), torch.tensor([4.0, 1.0]), alpha=2.0, tau=0.9)
    tensor([8.1000, 0.9000])
    >>> robust_family(torch.zeros(2), torch.tensor([2.0, 2.0]), alpha=torch.tensor([-2.0, 2.0]))
    tensor([1., 2.])

    """
    residual = residual_of(prediction, target)
    square = (residual / c).square()
    shape = alpha.to(square) if isinstance(alpha, Tensor) else square.new_full((), alpha)
    precision = torch.finfo(square.dtype).eps
    at_two, at_zero, at_minus_infinity = 2 - shape < precision, shape.abs() < precision, shape < -1 / precision
    # What `where` doesn't take must be finite as well: the gradient of the others is multiplied by 0.
    between = torch.where(at_two | at_zero | at_minus_infinity, 1.0, shape)
    value = barron(square, between, 2 - between)
    value = torch.where(at_zero, torch.log1p(0.5 * square), value)
    value = torch.where(at_minus_infinity, -torch.expm1(-0.5 * square), value)
    value = torch.where(at_two, 0.5 * square, value)
    return factor * (1 + (2 * tau - 1) * residual.sign()) * value


MEMBERS: dict[str, dict[str, float]] = {
    "cauchy": {"alpha": 0.0},
    "charbonnier": {"alpha": 1.0},
    "expectile": {},
    "general_robust": {"alpha": 1.0},
    "geman_mcclure": {"alpha": -2.0},
    "mse": {"factor": 2.0},
    "pseudo_huber": {"alpha": 1.0},
    "student_t": {"alpha": 0.0, "c": math.sqrt(2), "factor": 2.5},
    "welsch": {"alpha": -math.inf},
}
"""The losses that the family has exactly: of each, at its defaults, the parameters that differ from the family's.

`student_t` has another constant.
"""

NEAR: dict[str, dict[str, float]] = {
    "huber": {"alpha": 1.0},
    "log_cosh": {"alpha": 1.0},
    "mae": {"alpha": 1.0, "c": 0.001, "factor": 0.001},
    "quantile": {"alpha": 1.0, "c": 0.001, "factor": 0.0005},
    "smooth_l1": {"alpha": 1.0},
}
"""The losses that it comes near to, alike; the docstring bounds by how much."""
