"""Losses of a distribution with a location and a scale for each sample: the spread is predicted as the location is.

Outputs (N, 2) are the location and what softplus turns into the scale, in units of the standardised target, never below
0.001 (`distributions`). Likelihoods are full densities, constants included, so that their values can be
compared. r is the residual, target - location; s the scale.

Where a loss says nothing else:

Parameters
----------
outputs : Tensor (N, 2)
    Mean, and what softplus turns into the standard deviation.
target : Tensor (N,)
    Floating point.

Returns
-------
Tensor (N,)
    Values that may be below 0.

"""

import math

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.distributions import (
    gaussian,
    laplace,
    location_and_scale,
    normal_inverse_gamma,
    normal_inverse_gamma_parameters,
    t_distribution,
)

__all__ = ["beta_nll", "crps_gaussian", "evidential", "gaussian_nll", "heteroscedastic_laplace_nll", "student_t_nll"]


@loss(
    task="distributional",
    link=gaussian,
    outputs=2,
    source=(
        'Nix and Weigend 1994, "Estimating the Mean and Variance of the Target Probability Distribution", '
        "doi:10.1109/ICNN.1994.374138; Kendall and Gal 2017, arXiv:1703.04977"
    ),
)
def gaussian_nll(outputs: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of a normal distribution whose mean and standard deviation are predicted.

    Formula: 0.5 (log(2 pi s^2) + r^2 / s^2)

    The gradient of the mean is r / s^2: samples that are thought noisy are learned slowly, and may stay so (`beta_nll`
    mends that). torch's `gaussian_nll_loss` takes the variance itself and leaves out 0.5 log(2 pi) unless full=True.

    Returns
    -------
    Tensor (N,)
        Values from 0.5 log(2 pi s^2), which is below 0 for small s.

    Examples
    --------
    >>> gaussian_nll(torch.tensor([[0.0, 0.5413]]), torch.tensor([2.0]))  # s = 1.001
    tensor([2.9160])

    """
    mean, scale = location_and_scale(outputs)
    return 0.5 * math.log(2 * math.pi) + scale.log() + 0.5 * ((target - mean) / scale).square()


@loss(
    task="distributional",
    link=gaussian,
    outputs=2,
    source=(
        'Seitzer et al. 2022, "On the Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic '
        'Neural Networks", arXiv:2203.09168'
    ),
    ranges={"beta": "[0, 1]"},
    detached="the weight s^(2 beta)",
)
def beta_nll(outputs: Tensor, target: Tensor, *, beta: float = 0.5) -> Tensor:
    """Gaussian likelihood, each sample weighted by a power of its predicted variance.

    Formula: sg(s^(2 beta)) 0.5 (log(2 pi s^2) + r^2 / s^2), sg: held constant in the gradient

    At beta = 0 it is `gaussian_nll`; at beta = 1 the mean is learned as by half the squared error, whatever the
    predicted variance. The weight hides from the value what the gradient does: values at different beta can't be
    compared.

    Parameters
    ----------
    beta : float in [0, 1]
        How much the variance is kept from weighing the samples.

    Examples
    --------
    >>> beta_nll(torch.tensor([[0.0, 0.5413]]), torch.tensor([2.0]), beta=0.5)
    tensor([2.9189])

    """
    return location_and_scale(outputs)[1].detach().pow(2 * beta) * gaussian_nll(outputs, target)


@loss(
    task="distributional",
    link=laplace,
    outputs=2,
    source='Laplace 1774, "Mémoire sur la probabilité des causes par les événements" (first law of errors)',
)
def heteroscedastic_laplace_nll(outputs: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace distribution whose location and scale are predicted.

    Formula: |r| / s + log(2 s)

    The location is the median. `laplace_nll` has one scale for all samples. The gradient at r = 0 is taken as 0.

    Parameters
    ----------
    outputs : Tensor (N, 2)
        Location, and what softplus turns into the scale.

    Returns
    -------
    Tensor (N,)
        Values from log(2 s), which is below 0 for small s.

    Examples
    --------
    >>> heteroscedastic_laplace_nll(torch.tensor([[0.0, 0.5413]]), torch.tensor([2.0]))
    tensor([2.6922])

    """
    location, scale = location_and_scale(outputs)
    return (target - location).abs() / scale + (2 * scale).log()


@loss(
    task="distributional",
    link=t_distribution,
    outputs=2,
    source=(
        'Lange et al. 1989, "Robust Statistical Modeling Using the t Distribution", doi:10.1080/01621459.1989.10478852'
    ),
    ranges={"nu": "(1, inf)"},
)
def student_t_nll(outputs: Tensor, target: Tensor, *, nu: float = 4.0) -> Tensor:
    """Negative log-likelihood of Student's t distribution whose location and scale are predicted.

    Formula: lgamma(nu/2) - lgamma((nu+1)/2) + 0.5 log(nu pi s^2) + ((nu+1)/2) log(1 + (r/s)^2 / nu)

    An outlier pulls the less the farther it is. The degrees of freedom are the same for all samples and not learned.
    `student_t` predicts the location alone, `learned_student_t` has one scale for all samples.

    Parameters
    ----------
    outputs : Tensor (N, 2)
        Location, and what softplus turns into the scale, which is not the standard deviation.
    nu : float above 1
        Degrees of freedom: the smaller, the heavier the tails.

    Returns
    -------
    Tensor (N,)
        Values from -log of the density at 0, which is below 0 for a small scale.

    Examples
    --------
    >>> student_t_nll(torch.tensor([[0.0, 0.5413]]), torch.tensor([2.0]), nu=4.0)
    tensor([2.7122])

    """
    location, scale = location_and_scale(outputs)
    constant = math.lgamma(nu / 2) - math.lgamma((nu + 1) / 2) + 0.5 * math.log(nu * math.pi)
    return constant + scale.log() + (nu + 1) / 2 * torch.log1p(((target - location) / scale).square() / nu)


@loss(
    task="distributional",
    link=gaussian,
    outputs=2,
    source=(
        'Gneiting and Raftery 2007, "Strictly Proper Scoring Rules, Prediction, and Estimation", '
        "doi:10.1198/016214506000001437"
    ),
)
def crps_gaussian(outputs: Tensor, target: Tensor) -> Tensor:
    """Continuous ranked probability score of a normal distribution whose mean and standard deviation are predicted.

    Formula: s (u (2 Phi(u) - 1) + 2 phi(u) - 1 / sqrt(pi)), u = r / s

    It is the integral over all thresholds of the squared difference between the predicted distribution function and
    the step at the target, in the units of the target; as s goes to 0 it becomes |r|. Far residuals count linearly
    where `gaussian_nll` squares them.

    Returns
    -------
    Tensor (N,)
        Values above 0.

    Examples
    --------
    >>> crps_gaussian(torch.tensor([[0.0, 0.5413]]), torch.tensor([0.0]))  # (sqrt(2) - 1) / sqrt(pi)
    tensor([0.2339])

    """
    mean, scale = location_and_scale(outputs)
    u = (target - mean) / scale
    density = math.sqrt(2 / math.pi) * (-0.5 * u.square()).exp()
    return scale * (u * torch.erf(u / math.sqrt(2)) + density - 1 / math.sqrt(math.pi))


@loss(
    task="distributional",
    link=normal_inverse_gamma,
    outputs=4,
    source='Amini et al. 2020, "Deep Evidential Regression", arXiv:1910.02600',
    ranges={"lam": "[0, inf)"},
)
def evidential(outputs: Tensor, target: Tensor, *, lam: float = 0.01) -> Tensor:
    """Deep evidential regression: the likelihood under a normal-inverse-gamma prior, and a penalty on wrong evidence.

    Formula: 0.5 log(pi/v) - a log W + (a + 0.5) log(v r^2 + W) + lgamma(a) - lgamma(a + 0.5) + lam |r| (2 v + a)

    W is 2 b (1 + v). The part before lam is the likelihood of Student's t with 2 a degrees of freedom and the scale
    sqrt(b (1 + v) / (v a)). v and a are the evidence for mean and variance, as counts of samples that were seen; the
    penalty keeps them small where the prediction is wrong. v, a - 1 and b are softplus of an output plus 0.001, which
    the authors' code leaves out.

    Parameters
    ----------
    outputs : Tensor (N, 4)
        The mean, and what softplus turns into v, a - 1 and b.
    lam : float from 0
        Weight of the penalty.

    Examples
    --------
    >>> evidential(torch.tensor([[0.0, 0.5413, 0.5413, 0.5413]]), torch.tensor([2.0]), lam=0.0)
    tensor([2.7137])

    """
    gamma, v, alpha, beta = normal_inverse_gamma_parameters(outputs)
    residual = target - gamma
    width = 2 * beta * (1 + v)
    squares = v * residual.square()
    nll = (
        0.5 * (math.log(math.pi) - v.log() + (squares + width).log())
        + alpha * torch.log1p(squares / width)
        + torch.lgamma(alpha)
        - torch.lgamma(alpha + 0.5)
    )
    return nll + lam * residual.abs() * (2 * v + alpha)
