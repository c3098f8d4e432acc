"""Losses of a distribution of any shape: a mixture, a set of quantiles, a histogram.

Outputs (N, P) are in units of the standardised target; `lossbench.losses.distributions` says what each means. r is the
residual, target - prediction.

Where a loss says nothing else:

Parameters
----------
target : Tensor (N,)
    Floating point.

"""

import math

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.distributions import gaussian_mixture, histogram, mixture_parameters, quantiles

__all__ = ["hl_gauss", "mixture_density", "quantile_set"]


def _outputs_of_mixture(*, components: int) -> int:
    return 3 * components


def _outputs_of_quantiles(*, levels: int) -> int:
    return levels


def _outputs_of_histogram(*, bins: int) -> int:
    return bins


@loss(
    task="distributional",
    link=gaussian_mixture,
    outputs=_outputs_of_mixture,
    source='Bishop 1994, "Mixture Density Networks", NCRG/94/004',
    ranges={"components": "[1, 100]"},
)
def mixture_density(outputs: Tensor, target: Tensor, *, components: int = 3) -> Tensor:
    """Negative log-likelihood of a mixture of normal distributions whose weights, means and deviations are predicted.

    Formula: -log sum_k pi_k N(y; mu_k, s_k), pi = softmax of k outputs

    It can say that a target is either here or there. With one component it is `gaussian_nll`. Each deviation is
    softplus of an output plus 0.001, in units of the standardised target, so that no component can become a spike
    without bound on one sample.

    Parameters
    ----------
    outputs : Tensor (N, 3 components)
        Logits of the weights, then the means, then what softplus turns into the deviations.
    components : int from 1
        How many normal distributions.

    Returns
    -------
    Tensor (N,)
        Values that may be below 0.

    Examples
    --------
    >>> mixture_density(torch.tensor([[0.0, 0.0, -1.0, 1.0, 0.5413, 0.5413]]), torch.tensor([1.0]), components=2)
    tensor([1.4857])

    """
    log_weight, mean, scale = mixture_parameters(outputs)
    log_density = -0.5 * ((target[:, None] - mean) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)
    return -(log_weight + log_density).logsumexp(-1)


@loss(
    task="distributional",
    link=quantiles,
    outputs=_outputs_of_quantiles,
    source=(
        'Koenker and Bassett 1978, "Regression Quantiles", doi:10.2307/1913643; Chernozhukov, Fernandez-Val and '
        'Galichon 2010, "Quantile and Probability Curves Without Crossing" (the sorting)'
    ),
    ranges={"levels": "[2, 99]"},
)
def quantile_set(outputs: Tensor, target: Tensor, *, levels: int = 19) -> Tensor:
    """Pinball losses of equally spaced quantiles, their mean; the default predicts 0.05, 0.1 to 0.95.

    Formula: (1 / Q) sum_j max(q_j r_j, (q_j - 1) r_j), q_j = j / (Q + 1), Q = levels

    Twice the value tends to the continuous ranked probability score as the levels grow in number. The outputs are
    trained as they come and may cross; for prediction they are sorted, which never raises the pinball loss. Beyond the
    outer levels the predicted tails are exponential. The gradient at r = 0 is (1 - 2 q) / 2.

    Parameters
    ----------
    outputs : Tensor (N, levels)
        The quantiles, from the lowest level to the highest.
    levels : int from 2
        How many quantiles.

    Returns
    -------
    Tensor (N,)
        Values from 0.

    Examples
    --------
    >>> quantile_set(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([2.0]), levels=3)  # (0.25 2 + 0.5 1 + 0) / 3
    tensor([0.3333])

    """
    q = torch.arange(1, levels + 1, dtype=outputs.dtype, device=outputs.device) / (levels + 1)
    residual = target[:, None] - outputs
    return torch.maximum(q * residual, (q - 1) * residual).mean(-1)


@loss(
    task="distributional",
    link=histogram,
    outputs=_outputs_of_histogram,
    source=(
        'Imani and White 2018, "Improving Regression Performance with Distributional Losses", arXiv:1806.04613; '
        "Farebrother et al. 2024, arXiv:2403.03950 (sigma)"
    ),
    ranges={"bins": "[4, 1000]", "reach": "(0, inf)", "sigma": "(0, inf)"},
)
def hl_gauss(outputs: Tensor, target: Tensor, *, bins: int = 50, reach: float = 5.0, sigma: float = 0.75) -> Tensor:
    """Regression as classification: cross-entropy to a histogram of the target smoothed by a normal distribution.

    Formula: -sum_k w_k log p_k, w_k = mass of N(y, (sigma h)^2) in bin k over its mass in all bins, h = 2 reach / bins

    The bins divide [-reach, reach] in units of the standardised target; a target beyond is trained as the end of the
    range. As sigma goes to 0 it becomes the cross-entropy to the bin of the target. The smoothing widens what is
    predicted by sigma h.

    Parameters
    ----------
    outputs : Tensor (N, bins)
        Logits of the bins, from the lowest to the highest.
    bins : int from 4
        How many bins.
    reach : float above 0
        Where the bins end on both sides, in units of the target that the loss gets: in a run robust standard
        deviations, unless `data.standardize=none`.
    sigma : float above 0
        Deviation of the smoothing, in widths of a bin.

    Returns
    -------
    Tensor (N,)
        Values from the entropy of the smoothed target, which is above 0.

    Examples
    --------
    >>> hl_gauss(torch.zeros(1, 4), torch.tensor([0.3]), bins=4, reach=1.0)  # log 4: all bins alike
    tensor([1.3863])

    """
    edges = torch.linspace(-reach, reach, bins + 1, dtype=outputs.dtype, device=outputs.device)
    distance = (edges - target.clamp(-reach, reach)[:, None]) / (sigma * 2 * reach / bins)
    below = torch.special.ndtr(distance)
    weight = below.diff(dim=-1) / (below[:, -1:] - below[:, :1])
    return -(weight * outputs.log_softmax(-1)).sum(-1)
