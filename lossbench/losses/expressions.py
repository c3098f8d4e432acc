"""Losses that are written as a formula: what it is of is a parameter, `expression`, so that a search can find it.

A formula is read by `lossbench.losses.formula`, which says what it may have; it is never run as code. The constants c1,
c2 and c3 are parameters apart, so that they can be tuned while the formula stays as it is. Each may also be a Tensor of
the shape of the values, where it differs from sample to sample, as in a stack of runs.

A formula is computed so that it stays exact where it has a logarithm (`lossbench.losses.formula_values`). Nothing else
is promised: whether it is finite, falls towards the truth and is proper is for the contract to find.
"""

import torch
from torch import Tensor

from lossbench.losses.classification import log_probability, with_true_class
from lossbench.losses.declaration import loss
from lossbench.losses.formula import of_loss
from lossbench.losses.formula_values import Values
from lossbench.losses.links import identity, softmax
from lossbench.losses.regression import residual_of

__all__ = ["expression", "expression_residual"]

MEMBERS: dict[str, dict[str, float | str]] = {
    "cross_entropy": {"expression": "-log(p)"},
    "mae_prob": {"expression": "2*(1 - p)"},
    "poly1": {"expression": "-log(p) + c1*(1 - p)", "c1": 2.0},
    "focal": {"expression": "-(1 - p)^c1*log(p)", "c1": 2.0},
    "gce": {"expression": "(1 - p^c1)/c1", "c1": 0.7},
    "taylor_ce": {"expression": "(1 - p) + (1 - p)^2/2"},
}
"""By loss of the catalogue the parameters of `expression` that make it, at its defaults."""
MEMBERS_OF_RESIDUAL: dict[str, dict[str, float | str]] = {
    "mse": {"expression": "r^2"},
    "mae": {"expression": "abs(r)"},
    "huber": {"expression": "min(abs(r), c1)*(abs(r) - min(abs(r), c1)/2)", "c1": 1.0},
    "quantile": {"expression": "max(c1*r, (c1 - 1)*r)", "c1": 0.5},
    "expectile": {"expression": "c1*relu(r)^2 + (1 - c1)*relu(-r)^2", "c1": 0.5},
    "log_cosh": {"expression": "log(cosh(r))"},
    "cauchy": {"expression": "log(1 + 0.5*(r/c1)^2)", "c1": 1.0},
}
"""By loss of the catalogue the parameters of `expression_residual` that make it, at its defaults."""


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Li et al. 2022, "AutoLoss-Zero: Searching Loss Functions from Scratch for Generic Tasks", arXiv:2103.14026; '
        'Gonzalez and Miikkulainen 2020, "Improved Training Speed, Accuracy, and Data Utilization Through Loss '
        'Function Optimization", arXiv:1905.11528'
    ),
    ranges={"c1": "(-inf, inf)", "c2": "(-inf, inf)", "c3": "(-inf, inf)"},
    broadcasts=True,
)
def expression(
    logits: Tensor,
    target: Tensor,
    *,
    expression: str = "-log(p) + c1*(1 - p)",
    c1: float = 1.0,
    c2: float = 1.0,
    c3: float = 1.0,
) -> Tensor:
    """Any formula of the probability of the true class.

    Formula: f(p_y), by default -log p_y + c1 (1 - p_y)

    log(p) is computed as a log-softmax and log(1 - p) from the other classes, so that neither is cut off. The default
    is `poly1`. Whether the probabilities are right depends on the formula: with more than two classes, of those of p
    alone only the cross-entropy is proper, up to scale and shift.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.
    target : Tensor (...)
        Integer class indices.
    expression : str
        A formula of p, c1, c2 and c3. It has + - * / ^, brackets, abs, atan, cosh, exp, log, max, min, relu, sigmoid,
        softplus, sqrt and tanh. On a command line it stands in quotes: 'loss.expression="-log(p) + (1-p)^2"'.
    c1, c2, c3 : float
        Constants of the formula; one that it does not name has no influence.

    Returns
    -------
    Tensor (...)
        Values of the formula, of any sign.

    Raises
    ------
    ValueError
        If the formula can't be read (with the place), or the target does not hold class indices of the right shape.

    Examples
    --------
    >>> expression(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), expression="-log(p) + c1*(1 - p)", c1=2.0)
    tensor([1.6931])

    """
    node = of_loss("expression", expression)
    log_p = log_probability(logits, target)

    def log_miss() -> Tensor:
        return with_true_class(logits.log_softmax(-1), target, -torch.inf).logsumexp(-1)

    return Values({"c1": c1, "c2": c2, "c3": c3}, log_p, log_p, log_miss).of(node)


@loss(
    task="regression",
    link=identity,
    source=(
        'Li et al. 2022, "AutoLoss-Zero: Searching Loss Functions from Scratch for Generic Tasks", arXiv:2103.14026; '
        'Raymond et al. 2023, "Learning Symbolic Model-Agnostic Loss Functions via Meta-Learning", arXiv:2209.08907'
    ),
    ranges={"c1": "(-inf, inf)", "c2": "(-inf, inf)", "c3": "(-inf, inf)"},
    broadcasts=True,
)
def expression_residual(
    prediction: Tensor,
    target: Tensor,
    *,
    expression: str = "log(cosh(c1*r))/c1",
    c1: float = 1.0,
    c2: float = 1.0,
    c3: float = 1.0,
) -> Tensor:
    """Any formula of the residual, and of the target.

    Formula: f(r, y), by default log(cosh(c1 r)) / c1, r = target - prediction, y = target

    The default is `log_cosh`; it comes near the absolute error as c1 grows.

    Parameters
    ----------
    prediction, target : Tensor (...)
        Floating point, of the same shape.
    expression : str
        A formula of r, y, c1, c2 and c3. It has + - * / ^, brackets, abs, atan, cosh, exp, log, max, min, relu,
        sigmoid, softplus, sqrt and tanh. On a command line it stands in quotes: 'loss.expression="log(cosh(r))"'.
    c1, c2, c3 : float
        Constants of the formula; one that it does not name has no influence.

    Returns
    -------
    Tensor (...)
        Values of the formula, of any sign.

    Raises
    ------
    ValueError
        If the formula can't be read (with the place), or the shapes differ.

    Examples
    --------
    >>> expression_residual(torch.tensor([1.0]), torch.tensor([4.0]), expression="max(c1*r, (c1 - 1)*r)", c1=0.9)
    tensor([2.7000])

    """
    node = of_loss("expression_residual", expression)
    residual = residual_of(prediction, target)
    return Values({"r": residual, "y": target, "c1": c1, "c2": c2, "c3": c3}, residual).of(node)
