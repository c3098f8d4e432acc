"""Candidates that are not worth training: not finite, without a gradient, or with the wrong minimiser."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lossbench.catalogue.curves import curves, drawn_over
from lossbench.catalogue.examine import contract
from lossbench.catalogue.examine.loss_under_test import LossUnderTest
from lossbench.locate import locate
from lossbench.losses.bound_loss import BoundLoss
from lossbench.search.relatives import bound

RULES = (contract.return_one_number_per_sample, contract.stay_finite_in_float32)
"""What of the contract can be asked of each candidate within milliseconds."""
REACH, POINTS = 6.0, 2401
"""The margins or residuals on which a minimiser is looked for."""
TOLERANCE = 0.02
"""How far the minimiser of a proper loss may be off: as a probability, or in standard deviations of the noise."""


def why_refused(node: Mapping[str, Any], proper: bool) -> str:
    """Say why a candidate is refused; "" if it is not.

    Parameters
    ----------
    node : mapping
        Its `_target_` and parameters, as in a config.
    proper : bool
        Whether its minimiser must be the right one.

    Examples
    --------
    >>> why_refused({"_target_": "lossbench.losses.gce", "q": 0.7}, proper=False)
    ''
    >>> why_refused({"_target_": "lossbench.losses.gce", "q": 0.7}, proper=True)
    'not proper: for a probability of 0.6 it predicts 0.79'

    """
    parameters = {name: value for name, value in node.items() if name not in ("_target_", "_partial_", "search")}
    target = str(node["_target_"])
    subject = LossUnderTest(target.rpartition(".")[2], locate(target), parameters, in_catalogue=True)
    for rule in RULES:
        try:
            rule(subject)
        except Exception as error:
            return f"{(rule.__doc__ or '').partition('.')[0]}: {str(error).partition('. ')[0]}"
    return improper(node) if proper else ""


def improper(node: Mapping[str, Any]) -> str:
    """Say how the minimiser of a loss is wrong; "" if it is right.

    With two classes, the expected loss at the probability q of the one, q L(m) + (1 - q) L'(-m), must be least where
    the link gives q; of classes that count by their size, one is rare. For numbers, the mean loss of normal noise must
    be least at its centre.
    """
    loss = bound(node)
    x = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64)
    if drawn_over(loss) == "residual":
        noise = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(201) + 0.5).double() / 201)
        risk = torch.stack([curves(loss, noise - shift)[0].mean() for shift in x[600:-600:20]])
        found = float(x[600:-600:20][risk.argmin()])
        return "" if abs(found) <= 2 * TOLERANCE else f"not proper: of noise around 0 it predicts {found:.2g}"
    value, other = curves(loss, x)[0], curves(bound(node, rare=False), x)[0]
    predicted = _probability(loss, x)
    for q in (0.6, 0.75, 0.9):
        found = float(predicted[(q * value + (1 - q) * other.flip(0)).argmin()])
        if abs(found - q) > TOLERANCE:
            return f"not proper: for a probability of {q:g} it predicts {found:.2g}"
    return ""


def _probability(loss: BoundLoss, margin: Tensor) -> Tensor:
    """Return the probability that the link gives the true class."""
    if not loss.declaration.takes_classes:
        outputs = loss.link(margin)
        return outputs[..., -1] if outputs.ndim > 1 else outputs
    return torch.as_tensor(loss.link(torch.stack([margin / 2, -margin / 2], dim=1)))[:, 0]
