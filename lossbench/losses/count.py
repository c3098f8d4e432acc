"""Losses of counts. The output z is the logarithm of the expected count m, so that m is positive: m = exp(z).

Beyond a log rate of 20, 485 million, exponentials go on as their tangent, so that values and gradients stay finite.

Where a loss says nothing else:

Parameters
----------
log_rate : Tensor (N,)
    Logarithm of the expected count.

Returns
-------
Tensor (N,)
    Values from 0.

"""

import torch
from torch import Tensor, nn

from lossbench.losses.declaration import loss
from lossbench.losses.learned_scale import positive
from lossbench.losses.links import LARGEST_LOG_RATE, exponential

__all__ = ["negative_binomial_nll", "poisson_nll", "tweedie"]


@loss(
    task="count",
    link=exponential,
    source='Nelder and Wedderburn 1972, "Generalized Linear Models", doi:10.2307/2344614',
)
def poisson_nll(log_rate: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of a Poisson distribution whose log rate is predicted.

    Formula: exp(z) - y z + log y!

    It is minimised by the mean of the target whatever its distribution, but takes the variance to be the mean. torch's
    `poisson_nll_loss` leaves out log y! unless full=True, and then takes Stirling's approximation of it.

    Parameters
    ----------
    target : Tensor (N,)
        Counts as floating point numbers.

    Examples
    --------
    >>> poisson_nll(torch.tensor([0.0]), torch.tensor([3.0]))  # 1 + log 6
    tensor([2.7918])

    """
    constant = torch.lgamma(target + 1)
    return torch.addcmul(constant, target, log_rate, value=-1) + _exp(log_rate)


@loss(
    task="count",
    link=exponential,
    source=(
        'Cameron and Trivedi 1986, "Econometric models based on count data" (their Negbin II), '
        "doi:10.1002/jae.3950010104"
    ),
    ranges={"alpha": "(0, inf)"},
)
class negative_binomial_nll(nn.Module):  # noqa: N801
    """Negative log-likelihood of a negative binomial distribution (NB2), for counts that vary more than Poisson's.

    Formula: -log C(y + 1/a - 1, y) + (1/a) log(1 + a m) - y log(a m / (1 + a m)), m = exp(z), a learned

    The variance is m + a m^2. The dispersion a is one number for all samples and learned with the network; as it goes
    to 0 the loss becomes `poisson_nll`. C is the binomial coefficient, by gamma functions.

    Parameters
    ----------
    alpha : float above 0
        Where the dispersion starts; it stays above 1e-5 of it.
    log_rate : Tensor (N,)
        Argument of the call: logarithm of the expected count.
    target : Tensor (N,)
        Argument of the call: counts as floating point numbers.

    Examples
    --------
    >>> negative_binomial_nll(alpha=1.0)(torch.tensor([0.0]), torch.tensor([2.0])).detach()  # log 8
    tensor([2.0794])

    """

    def __init__(self, *, alpha: float = 1.0) -> None:
        super().__init__()
        self.start = alpha
        self.latent = nn.Parameter(torch.zeros(()))

    @property
    def alpha(self) -> Tensor:
        """The dispersion learned so far."""
        return positive(self.latent, self.start)

    def forward(self, log_rate: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        alpha = self.alpha
        size, log_size = 1 / alpha, -alpha.log()
        choices = torch.lgamma(target + size) - torch.lgamma(size) - torch.lgamma(target + 1)
        log_sum = torch.logaddexp(log_size.expand_as(log_rate), log_rate)
        return size * (log_sum - log_size) + target * (log_sum - log_rate) - choices


@loss(
    task="count",
    link=exponential,
    source='Jorgensen 1987, "Exponential Dispersion Models", doi:10.1111/j.2517-6161.1987.tb01685.x; Tweedie 1984',
    ranges={"power": "(1, 2)"},
)
def tweedie(log_rate: Tensor, target: Tensor, *, power: float = 1.5) -> Tensor:
    """Tweedie deviance of amounts that may be zero, such as claims: variance in proportion to a power of the mean.

    Formula: 2 (y^(2-p) / ((1-p) (2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p)), m = exp(z)

    For 1 < p < 2 it belongs to a Poisson number of gamma-distributed amounts. As p goes to 1 it becomes the Poisson
    deviance, whose gradient is twice that of `poisson_nll`; the gamma deviance, at 2, takes no zeros. It is minimised
    by the mean of the target. It is no likelihood: the dispersion is left out.

    Parameters
    ----------
    target : Tensor (N,)
        Counts or amounts from 0, as floating point numbers.
    power : float in (1, 2)
        The power p of the mean that the variance is in proportion to.

    Examples
    --------
    >>> tweedie(torch.tensor([0.0]), torch.tensor([4.0]), power=1.5)
    tensor([4.])

    """
    p = power
    constant = target.pow(2 - p) / ((1 - p) * (2 - p))
    return 2 * (constant + target * _exp((1 - p) * log_rate) / (p - 1) + _exp((2 - p) * log_rate) / (2 - p))


def _exp(x: Tensor) -> Tensor:
    """Return exp(x), and beyond `LARGEST_LOG_RATE` its tangent."""
    below = x.clamp(max=LARGEST_LOG_RATE)
    exp = below.exp()
    return torch.addcmul(exp, exp, x - below)
