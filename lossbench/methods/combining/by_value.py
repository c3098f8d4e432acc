"""Combinations that look at the values of the step alone: learned uncertainties, logarithms, draws.

Where a method says nothing else:

Parameters
----------
terms : sequence of str
    Names of the T terms.
seed : int
    Of the run.

"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.methods.combining.combine import FLOOR, Combine
from lossbench.ranges import takes
from lossbench.seeding import torch_stream

__all__ = ["chebyshev", "geometric_mean", "random_weighting", "uncertainty", "uncertainty_revised"]


@takes(likelihood="one of: gaussian, softmax", start="number")
class uncertainty(Combine):  # noqa: N801
    """Weigh each term by the inverse of a variance that is learned beside the network.

    Formula: sum_t exp(-u_t) L_t / 2 + u_t / 2 (gaussian), sum_t exp(-u_t) L_t + u_t / 2 (softmax); u_t = log s_t^2

    Minimised over u_t, by s_t^2 = L_t (softmax: 2 L_t), a weighted term is 1/2 whatever its scale, and what is
    descended is sum_t log(L_t) / 2 but for a constant: the gradient of a term is divided by its value. Terms are meant
    to be above 0: at 0 and below no u_t is best, and it falls without end.

    Parameters
    ----------
    likelihood : {"gaussian", "softmax"}
        Of which the terms are meant to be: squared errors or cross-entropies; one for all terms.
    start : float
        Where u starts.

    References
    ----------
    Kendall, Gal and Cipolla 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
    Semantics", arXiv:1705.07115.

    Examples
    --------
    >>> uncertainty(terms=["mask", "depth"])(torch.tensor([1.0, 3.0])).item()
    2.0

    """

    def __init__(
        self, *, terms: Sequence[str], seed: int = 0, likelihood: str = "gaussian", start: float = 0.0
    ) -> None:
        super().__init__(terms=terms, seed=seed)
        self.factor = 0.5 if likelihood == "gaussian" else 1.0
        self.log_variance = nn.Parameter(torch.full((len(self.terms),), float(start)))

    def forward(self, values: Tensor) -> Tensor:
        """Return the weighted terms (T,) with the price of the variances, which has a gradient for them."""
        weights = self.factor * torch.exp(-self.log_variance)
        self.weights.copy_(weights.detach())
        return (weights * values + 0.5 * self.log_variance).sum()


@takes(start="number")
class uncertainty_revised(Combine):  # noqa: N801
    """Weigh as `uncertainty` does, with a price of the variances that is never below 0.

    Formula: sum_t exp(-u_t) L_t / 2 + log(1 + exp(u_t)); u_t = log s_t^2

    Minimised by s_t^2 = (L_t + sqrt(L_t^2 + 8 L_t)) / 4, so that a weight is at most about 1 / sqrt(2 L_t) for small
    terms, where `uncertainty` has 1 / (2 L_t). The total is not below 0 where the terms aren't.

    Parameters
    ----------
    start : float
        Where u starts.

    References
    ----------
    Liebel and Körner 2018, "Auxiliary Tasks in Multi-task Learning", arXiv:1805.06334.

    Examples
    --------
    >>> round(uncertainty_revised(terms=["mask", "depth"])(torch.tensor([1.0, 3.0])).item(), 4)
    3.3863

    """

    def __init__(self, *, terms: Sequence[str], seed: int = 0, start: float = 0.0) -> None:
        super().__init__(terms=terms, seed=seed)
        self.log_variance = nn.Parameter(torch.full((len(self.terms),), float(start)))

    def forward(self, values: Tensor) -> Tensor:
        """Return the weighted terms (T,) with the price of the variances, which has a gradient for them."""
        weights = 0.5 * torch.exp(-self.log_variance)
        self.weights.copy_(weights.detach())
        return (weights * values + F.softplus(self.log_variance)).sum()


class random_weighting(Combine):  # noqa: N801
    """Draw new weights in each step: what a method that balances must beat.

    Formula: sum_t w_t L_t, w = softmax(z), z_t from N(0, 1)

    The weights of a step come from the seed of the run and the number of the step.

    References
    ----------
    Lin, Ye, Zhang and Tsang 2022, "Reasonable Effectiveness of Random Weighting", arXiv:2111.10603.

    Examples
    --------
    >>> round(random_weighting(terms=["mask", "depth"])(torch.tensor([1.0, 1.0])).item(), 4)
    1.0

    """

    step: Tensor

    def __init__(self, *, terms: Sequence[str], seed: int = 0) -> None:
        super().__init__(terms=terms, seed=seed)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def forward(self, values: Tensor) -> Tensor:
        """Return the terms (T,) weighted by a draw."""
        stream = torch_stream(self.seed, "combine", int(self.step))
        self.step += 1
        drawn = torch.randn(len(self.terms), generator=stream, dtype=torch.float64)
        return self.weighted(values, drawn.softmax(0).to(self.weights))


class geometric_mean(Combine):  # noqa: N801
    """Descend the geometric mean of the terms, which no change of their scales turns.

    Formula: exp(mean_t log(L_t + 1e-8))

    The weight of a term is the mean over T L_t. It would be infinite at L_t = 0; with the addend, which changes nothing
    else, it is at most 1e8 times the mean over T, and a term of 0 lets all others almost stop, as the method has it.

    Raises
    ------
    ConfigError
        If a term is below 0.

    References
    ----------
    Chennupati et al. 2019, "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task
    Learning", arXiv:1904.08492.

    Examples
    --------
    >>> round(geometric_mean(terms=["mask", "depth"])(torch.tensor([1.0, 4.0])).item(), 4)
    2.0

    """

    def forward(self, values: Tensor) -> Tensor:
        """Return the geometric mean of the terms (T,)."""
        self.require_from_zero(values)
        above = values.float() + FLOOR if values.dtype in (torch.float16, torch.bfloat16) else values + FLOOR
        mean = above.log().mean().exp()
        self.weights.copy_((mean / above / len(self.terms)).detach())
        return mean


@takes(mu="number [0, inf)", warmup_epochs="int [0, inf)")
class chebyshev(Combine):  # noqa: N801
    """Descend the term that is worst beside where it was, or a smooth maximum of them.

    Formula: mu log sum_t exp(log(L_t / n_t) / mu), for mu = 0 max_t log(L_t / n_t); before that sum_t log(L_t)

    n_t, where a term is at its worst (nadir), is its mean over the last epoch of the warm-up, or without one its value
    in the first step. For mu = 1 it is log(sum_t L_t / n_t). As the authors' code for several tasks takes it, the
    maximum is of logarithms, so that the scale of a term is of no account; they also multiply by T. 1e-8 is added to a
    term before its logarithm is taken, so that a term of 0 has a finite gradient.

    Parameters
    ----------
    mu : float from 0
        How smooth; 0 descends the worst term alone, or ties alike.
    warmup_epochs : int from 0
        Epochs with the sum of logarithms.

    Raises
    ------
    ConfigError
        If a term is below 0.

    References
    ----------
    Lin et al. 2024, "Smooth Tchebycheff Scalarization for Multi-Objective Optimization", arXiv:2402.19078.

    Examples
    --------
    >>> worst = chebyshev(terms=["mask", "depth"], mu=0.0, warmup_epochs=0)
    >>> _ = worst(torch.tensor([1.0, 4.0]))  # the first step says where they start
    >>> worst(torch.tensor([0.5, 3.0])).exp()
    tensor(0.7500)

    """

    nadir: Tensor
    epoch: Tensor

    def __init__(self, *, terms: Sequence[str], seed: int = 0, mu: float = 1.0, warmup_epochs: int = 1) -> None:
        super().__init__(terms=terms, seed=seed)
        self.mu, self.warmup_epochs = mu, warmup_epochs
        self.keep("nadir", torch.nan)
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))

    def start_epoch(self, epoch: int, means: Tensor | None) -> None:
        """Take the means (T,) of the last epoch of the warm-up for where the terms are at their worst."""
        self.epoch.fill_(epoch)
        if means is not None and epoch == self.warmup_epochs:
            self.nadir.copy_(means)

    def forward(self, values: Tensor) -> Tensor:
        """Return the maximum over the terms (T,), or the sum of their logarithms in the warm-up."""
        self.require_from_zero(values)
        values = values.to(torch.promote_types(values.dtype, torch.float32))  # the addend is lost in half precision
        logs = (values + FLOOR).log()
        if int(self.epoch) < self.warmup_epochs:
            total, shares = logs.sum(), torch.ones_like(logs)
        else:
            self.nadir.copy_(torch.where(self.nadir.isnan(), values.detach(), self.nadir))
            logs = logs - (self.nadir.to(logs.dtype) + FLOOR).log()
            total, shares = _maximum(logs, self.mu)
        self.weights.copy_((shares / (values + FLOOR)).detach())
        return total


def _maximum(logs: Tensor, mu: float) -> tuple[Tensor, Tensor]:
    """Return the maximum, smooth for mu above 0, and its derivative."""
    top = logs.amax()
    if mu == 0:
        worst = (logs == top).to(logs.dtype)
        return top, worst / worst.sum()
    below = (logs - top.detach()) / mu  # so that a small mu overflows nowhere
    return mu * below.logsumexp(0) + top.detach(), below.softmax(0)
