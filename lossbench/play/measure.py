"""What the page shows, from the losses themselves: value, slope and curvature, and where the minimiser goes.

The page reads these numbers from tables. Here they are computed without one, for the words of the lessons and for the
tables that need no JavaScript.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import expm1
from statistics import NormalDist
from types import SimpleNamespace

import torch
from torch import Tensor

from lossbench.catalogue.curves import with_derivatives
from lossbench.losses.bound_loss import BoundLoss
from lossbench.play.choice import SETTINGS, bound, is_residual

POINTS = 201
"""Points of the sample: odd, so that it has one median."""
BASE = tuple(round(NormalDist().inv_cdf((rank + 0.5) / POINTS), 4) for rank in range(POINTS))
"""The points without outliers and skew: the quantiles of a normal distribution, so that nothing hangs on chance."""
SHUFFLE = 89
"""Outliers replace point 0, 89, 178, ... (modulo their number), so that those that stay are spread as before."""
SPREAD = 0.2
"""Standard deviation of the outliers about where they lie."""
REACH = 10.0
"""How far two logits may be apart where the minimiser is looked for; two cosines: 2."""


@dataclass(frozen=True)
class State:
    """What the page stands at: its losses, all of regression or all of classification, and its sliders.

    Parameters
    ----------
    losses : tuple of str
        The losses that are drawn.
    settings : mapping
        Where the slider of a loss stands, by the name of the loss.
    x : float
        The residual, or the margin of the right class.
    right : {0, 1}
        The right class; class 1 is the rare one.
    share, at, two_sided, skew : float, float, bool, float
        The share of outliers in the sample, where they lie, whether half of them lie at the other side, and how skewed
        the other points are.
    eta, weight, ratio, noise : float, float, int, float
        The true probability of class 1, the weight of its samples, how many samples of class 0 come on each of it, and
        the share of labels that are flipped.

    """

    losses: tuple[str, ...]
    settings: Mapping[str, float] = field(default_factory=dict)
    x: float = 1.0
    right: int = 1
    share: float = 0.0
    at: float = 5.0
    two_sided: bool = False
    skew: float = 0.0
    eta: float = 0.8
    weight: float = 1.0
    ratio: int = 1
    noise: float = 0.0


def curves_at(loss: BoundLoss, x: Tensor, right: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Return value, slope and curvature of a loss over the residual, or over the margin of the right class.

    Formula: L(x), dL/dx, d^2L/dx^2, by automatic differentiation in float64

    Parameters
    ----------
    loss : BoundLoss
        One of `choice.playable`.
    x : Tensor (N,)
        Residuals, target - prediction, or margins: output of the right class - output of the other.
    right : {0, 1}
        The right class.

    Returns
    -------
    tuple of three Tensor (N,)
        Where a derivative jumps, that of one side or between.

    Examples
    --------
    >>> [curve.item() for curve in curves_at(bound("mse"), torch.tensor([3.0]))]
    [9.0, 6.0, 2.0]

    """
    free = x.detach().double().requires_grad_()
    return with_derivatives(_values(loss, free, right), free)


def sample(share: float = 0.0, at: float = 5.0, two_sided: bool = False, skew: float = 0.0) -> list[float]:
    """Return the points of the sample, the outliers among them.

    Formula: (exp(skew z) - 1) / skew of a normal z, whose median is 0; outliers lie at `at`, or in turn at -`at`

    Examples
    --------
    >>> round(sum(sample(share=0.1)) / POINTS, 2)
    0.5

    """
    points = [expm1(skew * z) / skew if skew else z for z in BASE]
    count = round(share * POINTS)
    for number in range(count):
        side = -1 if two_sided and number % 2 else 1
        spread = SPREAD * BASE[int((number + 0.5) * POINTS / count)]
        points[number * SHUFFLE % POINTS] = side * (at + spread)
    return points


def best_constant(loss: BoundLoss, points: list[float]) -> float:
    """Return the constant prediction with the least mean loss over a sample."""
    y = torch.tensor(points, dtype=torch.float64)
    step, low, high = 0.02, y.min().item(), y.max().item()
    for _ in range(2):
        constants = torch.arange(low, high + step / 2, step, dtype=torch.float64)
        mean = _values(loss, y - constants[:, None]).mean(1)
        best = constants[_lowest(mean)].item()
        low, high, step = best - step, best + step, step / 50
    return best


def best_probability(loss: BoundLoss, eta: float, weight: float = 1.0, noise: float = 0.0) -> float:
    """Return the probability of class 1 that has the least expected loss where its true probability is eta.

    Formula: link(argmin_z w e L(z; 1) + (1 - e) L(z; 0)), e = eta (1 - noise) + (1 - eta) noise, |z| <= `REACH`

    Examples
    --------
    >>> round(best_probability(bound("cross_entropy"), 0.8), 3)
    0.8

    """
    seen = eta * (1 - noise) + (1 - eta) * noise
    reach = 2.0 if loss.declaration.head == "cosine" else REACH
    z = torch.linspace(-reach, reach, 20001, dtype=torch.float64)
    risk = weight * seen * _values(loss, z, 1) + (1 - seen) * _values(loss, -z, 0)
    return probability(loss, z[_lowest(risk)][None]).item()


def probability(loss: BoundLoss, z: Tensor) -> Tensor:
    """Return the probability of class 1 that a loss reads from outputs that are z apart."""
    linked = loss.link(torch.stack([-z / 2, z / 2], dim=1) if loss.declaration.takes_classes else z)
    return linked[:, 1] if linked.ndim > 1 else linked


def measured(state: State) -> SimpleNamespace:
    """Return of each loss of a state its `value`, `slope` and `curvature` at x, and what is `best`."""
    points = sample(state.share, state.at, state.two_sided, state.skew)
    return SimpleNamespace(**{name: _of_one(name, state, points) for name in state.losses})


def loss_at(name: str, settings: Mapping[str, float], ratio: int = 1) -> BoundLoss:
    """Return a loss where its slider stands."""
    return bound(name, ratio, **({SETTINGS[name][0]: settings[name]} if name in settings else {}))


def _of_one(name: str, state: State, points: list[float]) -> SimpleNamespace:
    loss = loss_at(name, state.settings, state.ratio)
    best = (
        best_constant(loss, points)
        if is_residual(loss)
        else best_probability(loss, state.eta, state.weight, state.noise)
    )
    value, slope, curvature = (curve.item() for curve in curves_at(loss, torch.tensor([state.x]), state.right))
    return SimpleNamespace(value=value, slope=slope, curvature=curvature, best=best)


def _values(loss: BoundLoss, x: Tensor, right: int = 1) -> Tensor:
    if is_residual(loss):
        return loss(-x, torch.zeros_like(x))
    z = x if right else -x
    if loss.declaration.takes_classes:
        return loss(torch.stack([-z / 2, z / 2], dim=1), torch.full_like(z, right, dtype=torch.int64))
    return loss(z, torch.full_like(z, float(right)))


def _lowest(heights: Tensor) -> int:
    """Return where a curve is lowest: the middle of several such places if it is one, else the first."""
    lowest = heights.min()
    tied = (heights <= lowest + 1e-12 * (1 + lowest.abs())).nonzero().flatten()
    middle = int((tied[0] + tied[-1]) // 2)
    return middle if middle in tied else int(tied[0])
