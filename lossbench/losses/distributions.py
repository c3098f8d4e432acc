"""Predictive distributions: how the outputs of a distributional loss say what a target may be, in one form for all.

A loss of the task "distributional" declares one of the links here, so that the same metrics are computed of every loss.
What each output means is said once, by the functions that losses and links share. Numbers are in units of the
standardised target; scales are softplus of an output plus `FLOOR`.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Laplace, MixtureSameFamily, Normal, StudentT
from torch.nn import functional as F

LEVELS = torch.arange(1, 200, dtype=torch.float64) / 200
"""The levels of the quantiles of a `Predictive`: 0.005, 0.01 to 0.995."""
FLOOR = 1e-3
"""No scale is smaller, so that likelihoods are bounded: a thousandth of the target's own scale."""
SMALLEST_MASS = 1e-12
"""No interval of a piecewise distribution has less, so that every target has a finite log density."""
_STEPS = torch.linspace(-4, 4, 129, dtype=torch.float64)


class Predictive(NamedTuple):
    """The distributions that are predicted for N targets.

    Parameters
    ----------
    mean : Tensor (N,)
        Their means.
    quantiles : Tensor (N, Q)
        Their quantiles at `LEVELS`, which do not decrease.
    log_density : callable
        The logarithm (N,) of their densities at targets (N,).

    """

    mean: Tensor
    quantiles: Tensor
    log_density: Callable[[Tensor], Tensor]


def location_and_scale(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Split outputs (N, 2) into a location (N,) and a scale (N,) of at least `FLOOR`."""
    return outputs[..., 0], F.softplus(outputs[..., 1]) + FLOOR


def gaussian(outputs: Tensor) -> Predictive:
    """Turn outputs (N, 2) into normal distributions with the scale as standard deviation."""
    normal = Normal(*location_and_scale(outputs), validate_args=False)
    return Predictive(normal.loc, normal.icdf(LEVELS.to(outputs)[:, None]).T, normal.log_prob)


def laplace(outputs: Tensor) -> Predictive:
    """Turn outputs (N, 2) into Laplace distributions."""
    double = Laplace(*location_and_scale(outputs), validate_args=False)
    return Predictive(double.loc, double.icdf(LEVELS.to(outputs)[:, None]).T, double.log_prob)


def t_distribution(outputs: Tensor, *, nu: float) -> Predictive:
    """Turn outputs (N, 2) into Student's t distributions with `nu` degrees of freedom."""
    location, scale = location_and_scale(outputs)
    return _student_t(location, scale, torch.full_like(scale, nu), _student_quantiles(nu).to(outputs))


def normal_inverse_gamma_parameters(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Split outputs (N, 4) into gamma, v, alpha above 1 and beta, (N,) each."""
    gamma, v, alpha, beta = outputs.unbind(-1)
    return gamma, F.softplus(v) + FLOOR, 1 + FLOOR + F.softplus(alpha), F.softplus(beta) + FLOOR


def normal_inverse_gamma(outputs: Tensor) -> Predictive:
    """Turn outputs (N, 4) into what a normal-inverse-gamma prior predicts: Student's t with 2 alpha degrees of freedom.

    The quantiles are interpolated in 1 / nu between those of scipy; the error is below 1e-4 of the scale.
    """
    gamma, v, alpha, beta = normal_inverse_gamma_parameters(outputs)
    table, nu = _student_table().to(outputs), 2 * alpha
    place = (2 * (len(table) - 1) / nu).clamp(max=len(table) - 1)
    lower = place.long().clamp(max=len(table) - 2)
    quantiles = torch.lerp(table[lower], table[lower + 1], (place - lower)[:, None])
    return _student_t(gamma, (beta * (1 + v) / (v * alpha)).sqrt(), nu, quantiles)


def mixture_parameters(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split outputs (N, 3 k) into log-weights, means and scales of at least `FLOOR` of k components, (N, k) each."""
    logits, mean, raw = outputs.chunk(3, dim=-1)
    return logits.log_softmax(-1), mean, F.softplus(raw) + FLOOR


def gaussian_mixture(outputs: Tensor) -> Predictive:
    """Turn outputs (N, 3 k) into mixtures of k normal distributions.

    The quantiles come from the exact distribution function at 129 quantiles of each component, where it is inverted
    linearly; the error is below 0.001 in probability.
    """
    log_weight, mean, scale = mixture_parameters(outputs)
    components = Normal(mean, scale, validate_args=False)
    mixture = MixtureSameFamily(
        Categorical(logits=log_weight, validate_args=False), components, validate_args=False
    )  # fmt: skip
    knots = (mean[..., None] + scale[..., None] * _STEPS.to(outputs)).flatten(1).sort(1).values
    quantiles = _inverted(mixture.cdf(knots.T).T.contiguous(), knots)
    return Predictive(mixture.mean, quantiles, mixture.log_prob)


def quantiles(outputs: Tensor) -> Predictive:
    """Turn outputs (N, Q), quantiles at the levels j / (Q + 1), into distributions that are uniform between them.

    Quantiles that cross are sorted, which never raises their pinball loss (Chernozhukov et al. 2010), and are kept
    `FLOOR` apart. Below the first and above the last one the tails are exponential, with the density of the
    neighbouring interval at their start.
    """
    sorted_ones = outputs.sort(1).values
    widths = sorted_ones.diff(dim=1).clamp_min(FLOOR)
    knots = torch.cat([sorted_ones[:, :1], sorted_ones[:, :1] + widths.cumsum(1)], dim=1)
    masses = torch.full_like(outputs[:, :1], 1 / (outputs.shape[1] + 1)).expand(-1, outputs.shape[1] + 1)
    return piecewise(knots, masses, widths[:, :1], widths[:, -1:])


def histogram(outputs: Tensor, *, reach: float) -> Predictive:
    """Turn logits (N, K) into histograms of K equal bins from -reach to reach.

    The first and the last bin stand for all that lies beyond as well: they are exponential tails, with the width of a
    bin as mean.
    """
    bins = outputs.shape[1]
    knots = (
        torch.linspace(-reach, reach, bins + 1, dtype=outputs.dtype, device=outputs.device)[1:-1]
        .expand(len(outputs), -1)
        .contiguous()
    )
    width = torch.full_like(outputs[:, :1], 2 * reach / bins)
    return piecewise(knots, outputs.softmax(1), width, width)


def piecewise(knots: Tensor, masses: Tensor, low: Tensor, high: Tensor) -> Predictive:
    """Return distributions that are uniform between knots and exponential beyond them.

    Parameters
    ----------
    knots : Tensor (N, M)
        In ascending order.
    masses : Tensor (N, M + 1)
        Probabilities below the first knot, between neighbours, and above the last one; at least `SMALLEST_MASS` is
        taken of each.
    low, high : Tensor (N, 1)
        The means of the tails: how far they reach beyond the outer knots.

    """
    masses = masses.clamp_min(SMALLEST_MASS)
    masses = masses / masses.sum(1, keepdim=True)
    first, last, levels = knots[:, :1], knots[:, -1:], LEVELS.to(knots)
    widths = torch.cat([low, knots.diff(dim=1), high], dim=1)
    centres = torch.cat([first - low, (knots[:, 1:] + knots[:, :-1]) / 2, last + high], dim=1)
    below = first + low * (levels / masses[:, :1]).log()
    above = last - high * ((1 - levels) / masses[:, -1:]).log()
    within = _inverted(masses[:, :-1].cumsum(1), knots)
    in_tails = torch.where(levels < masses[:, :1], below, above)
    is_tail = (levels < masses[:, :1]) | (1 - levels < masses[:, -1:])

    def log_density(target: Tensor) -> Tensor:
        y = target[:, None]
        height = (masses / widths).log().gather(1, torch.searchsorted(knots, y.contiguous()))
        return (height - (first - y).relu() / low - (y - last).relu() / high).squeeze(1)

    return Predictive((masses * centres).sum(1), torch.where(is_tail, in_tails, within), log_density)


def _inverted(cdf: Tensor, knots: Tensor) -> Tensor:
    """Return the quantiles (N, Q) at `LEVELS` of distribution functions that are known at knots, (N, M) each."""
    levels = LEVELS.to(knots).repeat(len(knots), 1)
    upper = torch.searchsorted(cdf.contiguous(), levels).clamp(1, knots.shape[1] - 1)
    low, high = cdf.gather(1, upper - 1), cdf.gather(1, upper)
    part = ((levels - low) / (high - low).clamp_min(SMALLEST_MASS)).clamp(0, 1)
    return torch.lerp(knots.gather(1, upper - 1), knots.gather(1, upper), part)


def _student_t(location: Tensor, scale: Tensor, nu: Tensor, standard: Tensor) -> Predictive:
    density = StudentT(nu, location, scale, validate_args=False)
    return Predictive(location, location[:, None] + scale[:, None] * standard, density.log_prob)


@lru_cache
def _student_quantiles(nu: float) -> Tensor:
    from scipy.special import ndtri, stdtrit

    levels = LEVELS.numpy()
    return torch.from_numpy(ndtri(levels) if math.isinf(nu) else stdtrit(nu, levels))


@lru_cache
def _student_table() -> Tensor:
    """Return the quantiles (257, Q) for 1 / nu from 0 to 1/2 in equal steps."""
    return torch.stack([_student_quantiles(512 / step if step else math.inf) for step in range(257)])
