"""Negative log-likelihoods whose scale is learned beside the model: one number for all samples, not one for each.

Each is a full density, constants included, so that their values can be compared. A scale that is learned goes to 0 with
the residuals: a model that fits its training samples exactly has a likelihood without bound, so stop early.
r is the residual, target - prediction.

Where a loss says nothing else:

Parameters
----------
prediction, target : Tensor (...)
    Arguments of the call: floating point, of the same shape.

Raises
------
ValueError
    If the shapes differ.

"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity
from lossbench.losses.regression import residual_of
from lossbench.losses.robust import barron

__all__ = ["adaptive_robust", "gaussian_nll_global", "laplace_nll", "learned_student_t"]

_FLOOR = 1e-5
_ALPHA_LOW, _ALPHA_HIGH = 0.001, 1.999


@loss(
    task="regression",
    link=identity,
    source=(
        'Nix and Weigend 1994, "Estimating the Mean and Variance of the Target Probability Distribution", '
        "doi:10.1109/ICNN.1994.374138"
    ),
    ranges={"sigma": "(0, inf)"},
)
class gaussian_nll_global(nn.Module):  # noqa: N801
    """Negative log-likelihood of a normal distribution whose standard deviation is learned, one for all samples.

    Formula: 0.5 (log(2 pi sigma^2) + r^2 / sigma^2), sigma learned

    For any sigma it is minimised by the same predictions as `mse`; sigma sets the pace, as a learning rate that grows
    when the residuals shrink. The best sigma^2 is the mean of r^2. torch's `gaussian_nll_loss` leaves out
    0.5 log(2 pi) unless full=True.

    Parameters
    ----------
    sigma : float above 0
        Where sigma starts, in units of the target that the loss gets: in a run robust standard deviations, unless
        `data.standardize=none`; it stays above 1e-5 of it.

    Returns
    -------
    Tensor (...)
        Values from 0.5 log(2 pi sigma^2), which is below 0 for small sigma.

    Examples
    --------
    >>> gaussian_nll_global(sigma=1.0)(torch.tensor([0.0]), torch.tensor([2.0])).detach()
    tensor([2.9189])

    """

    def __init__(self, *, sigma: float = 1.0) -> None:
        super().__init__()
        self.start = sigma
        self.latent = nn.Parameter(torch.zeros(()))

    @property
    def sigma(self) -> Tensor:
        """The standard deviation learned so far."""
        return positive(self.latent, self.start)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        sigma = self.sigma
        return 0.5 * (math.log(2 * math.pi) + (residual_of(prediction, target) / sigma).square()) + sigma.log()


@loss(
    task="regression",
    link=identity,
    source='Laplace 1774, "Mémoire sur la probabilité des causes par les événements" (first law of errors)',
    problem="outliers",
    ranges={"b": "(0, inf)"},
)
class laplace_nll(nn.Module):  # noqa: N801
    """Negative log-likelihood of a Laplace distribution whose scale is learned, one for all samples.

    Formula: |r| / b + log(2 b), b learned

    For any b it is minimised by the same predictions as `mae`; b sets the pace, as a learning rate that grows when the
    residuals shrink. The best b is the mean of |r|. The gradient at r = 0 is taken as 0.

    Parameters
    ----------
    b : float above 0
        Where the scale starts, in units of the target that the loss gets: in a run robust standard deviations, unless
        `data.standardize=none`; it stays above 1e-5 of it.

    Returns
    -------
    Tensor (...)
        Values from log(2 b), which is below 0 for b below 0.5.

    Examples
    --------
    >>> laplace_nll(b=1.0)(torch.tensor([0.0]), torch.tensor([2.0])).detach()
    tensor([2.6931])

    """

    def __init__(self, *, b: float = 1.0) -> None:
        super().__init__()
        self.start = b
        self.latent = nn.Parameter(torch.zeros(()))

    @property
    def b(self) -> Tensor:
        """The scale learned so far."""
        return positive(self.latent, self.start)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        b = self.b
        return residual_of(prediction, target).abs() / b + (2 * b).log()


@loss(
    task="regression",
    link=identity,
    source=(
        'Lange et al. 1989, "Robust Statistical Modeling Using the t Distribution", doi:10.1080/01621459.1989.10478852'
    ),
    problem="outliers",
    ranges={"nu": "(0, 100]", "scale": "(0, inf)"},
)
class learned_student_t(nn.Module):  # noqa: N801
    """Negative log-likelihood of Student's t distribution with a learned scale, and degrees of freedom if asked.

    Formula: lgamma(nu/2) - lgamma((nu+1)/2) + 0.5 log(nu pi scale^2) + ((nu+1)/2) log(1 + (r/scale)^2 / nu)

    `student_t` is the same with a fixed scale. Learned degrees of freedom show how heavy the tails are: they grow
    without bound on normal residuals, slowly, as the likelihood hardly changes above 30.

    Parameters
    ----------
    nu : float in (0, 100]
        Degrees of freedom, or where they start: the smaller, the heavier the tails.
    scale : float above 0
        Where the scale starts, in units of the target that the loss gets: in a run robust standard deviations, unless
        `data.standardize=none`. What is learned stays above 1e-5 of its start.
    learn_nu : bool
        Whether nu is learned too.

    Returns
    -------
    Tensor (...)
        Values from -log of the density at 0, which is below 0 for a small scale.

    Examples
    --------
    >>> learned_student_t(nu=4.0, scale=1.0)(torch.tensor([0.0]), torch.tensor([2.0])).detach()
    tensor([2.7137])

    """

    def __init__(self, *, nu: float = 4.0, scale: float = 1.0, learn_nu: bool = False) -> None:
        super().__init__()
        self.start_nu, self.start_scale = nu, scale
        self.latent_nu = nn.Parameter(torch.zeros(()), requires_grad=learn_nu)
        self.latent_scale = nn.Parameter(torch.zeros(()))

    @property
    def nu(self) -> Tensor:
        """The degrees of freedom, as learned so far."""
        return positive(self.latent_nu, self.start_nu)

    @property
    def scale(self) -> Tensor:
        """The scale learned so far."""
        return positive(self.latent_scale, self.start_scale)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        nu, scale = self.nu, self.scale
        constant = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + 0.5 * (nu * math.pi).log() + scale.log()
        return constant + (nu + 1) / 2 * torch.log1p((residual_of(prediction, target) / scale).square() / nu)


@loss(
    task="regression",
    link=identity,
    source='Barron 2019, "A General and Adaptive Robust Loss Function", arXiv:1701.03077',
    problem="outliers",
    ranges={"alpha": "(0.001, 1.999)", "c": "(0, inf)"},
)
class adaptive_robust(nn.Module):  # noqa: N801
    """Barron's adaptive loss: `general_robust` as a likelihood, its shape and scale learned from the residuals.

    Formula: (b / alpha) (((r / c)^2 / b + 1)^(alpha / 2) - 1) + log c + log Z(alpha), b = 2 - alpha, both learned

    Z(alpha) normalises the density: without it alpha would only fall, as that makes every residual cheaper. At
    alpha = 2 the density is normal, at 0 a Cauchy distribution. Z has no closed form; the integral is computed at
    each call, to the precision of float32, and differentiated. The paper's code interpolates a table instead.

    Parameters
    ----------
    alpha : float in (0.001, 1.999)
        Where the shape starts; it stays in this interval.
    c : float above 0
        Where the scale starts, in units of the target that the loss gets: in a run robust standard deviations, unless
        `data.standardize=none`; it stays above 1e-5 of it.

    Returns
    -------
    Tensor (...)
        Values from log(c Z(alpha)), which is below 0 for small c.

    Examples
    --------
    >>> adaptive_robust(alpha=1.0, c=1.0)(torch.tensor([0.0]), torch.tensor([0.0])).detach()
    tensor([1.1855])

    """

    def __init__(self, *, alpha: float = 1.0, c: float = 1.0) -> None:
        super().__init__()
        self.start_alpha, self.start_c = alpha, c
        self.latent_alpha = nn.Parameter(torch.zeros(()))
        self.latent_c = nn.Parameter(torch.zeros(()))

    @property
    def alpha(self) -> Tensor:
        """The shape learned so far."""
        start = math.log((self.start_alpha - _ALPHA_LOW) / (_ALPHA_HIGH - self.start_alpha))
        return _ALPHA_LOW + (_ALPHA_HIGH - _ALPHA_LOW) * (self.latent_alpha + start).sigmoid()

    @property
    def c(self) -> Tensor:
        """The scale learned so far."""
        return positive(self.latent_c, self.start_c)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        alpha, c = self.alpha, self.c
        robust = barron((residual_of(prediction, target) / c).square(), alpha, 2 - alpha)
        return robust + c.log() + _log_partition(alpha).to(robust.dtype)


def positive(latent: Tensor, start: float) -> Tensor:
    """Return a positive parameter that is `start` where its latent is 0, and never below 1e-5 of it."""
    # softplus, as the steps of an exponential could overflow; the floor keeps divisions by the parameter finite.
    return start * (_FLOOR + (1 - _FLOOR) * F.softplus(latent + math.log(math.e - 1)))


def _log_partition(alpha: Tensor) -> Tensor:
    # Z is the integral of exp(-barron(x^2, alpha)) over x. With x = sqrt(b) sinh t, b = 2 - alpha, it is that of
    #     sqrt(b) cosh t exp(-(b / alpha) (cosh(t)^alpha - 1)),
    # which is smooth and falls off at least exponentially for every alpha: equal steps are then very accurate. From
    # alpha 0.001 to 1.999 a step of 0.2 up to |t| = 32 leaves an error of 1e-10.
    alpha = alpha.to(torch.promote_types(alpha.dtype, torch.float32))
    t = 0.2 * torch.arange(-160, 161, dtype=alpha.dtype, device=alpha.device).abs()
    log_cosh = t + torch.log1p(0.5 * torch.expm1(-2 * t))
    exponents = log_cosh - (2 - alpha) / alpha * torch.expm1(alpha * log_cosh)
    return exponents.logsumexp(0) + math.log(0.2) + 0.5 * (2 - alpha).log()
