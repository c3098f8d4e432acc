"""Combinations that look at how the terms have come down so far: over epochs, over steps, over the last step.

Where a method says nothing else:

Parameters
----------
terms : sequence of str
    Names of the T terms.
seed : int
    Of the run; nothing here draws.

"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lossbench.methods.combining.adam import Adam
from lossbench.methods.combining.combine import FLOOR, Combine
from lossbench.ranges import takes

__all__ = ["cov_weighting", "dwa", "famo"]


@takes(temperature="number (0, inf)")
class dwa(Combine):  # noqa: N801
    """Weigh more in this epoch what came down least over the two before (dynamic weight average).

    Formula: sum_t w_t L_t, w = T softmax(r / temperature), r_t = mean of L_t over the last epoch / the one before

    Weights are 1 in the first two epochs, as in the authors' code. A ratio means something for terms above 0: a term
    whose mean was not above 0 in the earlier epoch, or is below 0 in the last one, counts as one that stayed (r = 1).

    Parameters
    ----------
    temperature : float above 0
        The higher, the more alike the weights.

    References
    ----------
    Liu, Johns and Davison 2019, "End-to-End Multi-Task Learning with Attention", arXiv:1803.10704.

    Examples
    --------
    >>> average = dwa(terms=["mask", "depth"])
    >>> average.start_epoch(1, torch.tensor([2.0, 2.0]))
    >>> average.start_epoch(2, torch.tensor([1.0, 2.0]))
    >>> _ = average(torch.tensor([1.0, 2.0]))
    >>> average.weights
    tensor([0.8756, 1.1244])

    """

    last: Tensor
    earlier: Tensor
    epoch: Tensor

    def __init__(self, *, terms: Sequence[str], seed: int = 0, temperature: float = 2.0) -> None:
        super().__init__(terms=terms, seed=seed)
        self.temperature = temperature
        self.keep("last", torch.nan)
        self.keep("earlier", torch.nan)
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))

    def start_epoch(self, epoch: int, means: Tensor | None) -> None:
        """Take the means (T,) over the epoch before; an epoch that begins again, since a run goes on, takes nothing."""
        if means is not None and epoch != int(self.epoch):
            self.earlier.copy_(self.last)
            self.last.copy_(means)
        self.epoch.fill_(epoch)

    def forward(self, values: Tensor) -> Tensor:
        """Return the terms (T,) with the weights of this epoch."""
        if self.earlier.isnan().all():
            return self.weighted(values, torch.ones_like(self.weights))
        known = (self.earlier > 0) & (self.last >= 0)
        ratios = torch.where(known, self.last / self.earlier, 1.0)
        return self.weighted(values, len(self.terms) * (ratios / self.temperature).softmax(0))


@takes(decay="number (0, 1) or null")
class cov_weighting(Combine):  # noqa: N801
    """Weigh by how much a term, beside its own mean, has varied so far (coefficient of variation).

    Formula: sum_t w_t L_t, w_t = c_t / sum_j c_j, c_t = std(l_t) / mean(l_t), l_t = L_t / mean of L_t before

    Mean and standard deviation (of the population) are over all steps before this one; weights are 1 / T in the first
    two steps, and whenever nothing has varied. l is 1 in the first step, and where the mean of L_t before is not above
    0, as it means something for terms above 0. No scale of a term changes the weights. A step that is not finite, or
    whose squares aren't, is not remembered.

    Parameters
    ----------
    decay : float in (0, 1), optional
        Of exponential means, 1 - decay being the share of the newest step; by default all steps count alike. The
        variance v goes on as decay (v + (1 - decay) (l - mean)^2); that of the authors' code grows with the steps.

    References
    ----------
    Groenendijk, Karaoglu, Gevers and Mensink 2021, "Multi-Loss Weighting with Coefficient of Variations",
    arXiv:2009.01717.

    Examples
    --------
    >>> varied = cov_weighting(terms=["mask", "depth"])
    >>> for values in ([1.0, 40.0], [0.8, 20.0], [0.7, 21.0]):
    ...     _ = varied(torch.tensor(values))
    >>> varied.weights
    tensor([0.2500, 0.7500])

    """

    step: Tensor
    mean: Tensor
    ratio: Tensor
    variance: Tensor

    def __init__(self, *, terms: Sequence[str], seed: int = 0, decay: float | None = None) -> None:
        super().__init__(terms=terms, seed=seed)
        self.decay = decay
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        for name in ("mean", "ratio", "variance"):
            self.keep(name, 0.0)

    def forward(self, values: Tensor) -> Tensor:
        """Return the terms (T,), weighted by what they were in the steps before."""
        step, uniform = int(self.step), torch.full_like(self.weights, 1 / len(self.terms))
        variation = torch.where(self.ratio > 0, self.variance.sqrt() / self.ratio, 0.0)
        varies = step > 1 and bool(variation.sum() > 0)
        total = self.weighted(values, variation / variation.sum() if varies else uniform)
        self._remember(values.detach().to(self.mean), step)
        return total

    def _remember(self, values: Tensor, step: int) -> None:
        old = step / (step + 1) if self.decay is None or step == 0 else self.decay
        ratio = torch.where(self.mean > 0, values / self.mean, 1.0)
        change = ratio - self.ratio if step else torch.zeros_like(ratio)
        variance = old * (self.variance + (1 - old) * change.square())
        if not variance.isfinite().all():
            return
        self.variance.copy_(variance)
        self.ratio.copy_(old * self.ratio + (1 - old) * ratio)
        self.mean.copy_(old * self.mean + (1 - old) * values)
        self.step += 1


@takes(lr="number (0, inf)", weight_decay="number [0, inf)")
class famo(Combine):  # noqa: N801
    """Let the logarithms of all terms come down alike: weigh more what the last step left behind.

    Formula: c sum_t z_t log(L_t + 1e-8), z = softmax(w), 1 / c = sum_t z_t / (L_t + 1e-8)

    c is held constant, so that the weights of the terms, c z_t / L_t, sum to 1. After each step of the network
    `after_step` gets the terms of the same batch again: w goes, by Adam, against the gradient of
    sum_t z_t (log L_t before - log L_t after). The lower bound of each term is taken to be 0.

    Parameters
    ----------
    lr : float above 0
        Of Adam for w.
    weight_decay : float from 0
        What of w is added to its gradient; 1e-3 as in the paper, the authors' code has 1e-5.

    Raises
    ------
    ConfigError
        If a term is below 0.

    References
    ----------
    Liu, Feng, Stone and Liu 2023, "FAMO: Fast Adaptive Multitask Optimization", arXiv:2306.03792.

    Examples
    --------
    >>> fast = famo(terms=["mask", "depth"])
    >>> _ = fast(torch.tensor([1.0, 4.0]))
    >>> fast.weights
    tensor([0.8000, 0.2000])
    >>> fast.after_step(torch.tensor([0.5, 4.0]))  # depth did not come down: it gets more of the next step
    >>> fast.logits
    tensor([-0.0250,  0.0250])

    """

    logits: Tensor
    before: Tensor

    def __init__(self, *, terms: Sequence[str], seed: int = 0, lr: float = 0.025, weight_decay: float = 1e-3) -> None:
        super().__init__(terms=terms, seed=seed)
        self.adam = Adam(len(self.terms), lr=lr, weight_decay=weight_decay)
        self.keep("logits", 0.0)
        self.keep("before", torch.nan)

    def forward(self, values: Tensor) -> Tensor:
        """Return the weighted logarithms of the terms (T,)."""
        self.require_from_zero(values)
        values = values.to(torch.promote_types(values.dtype, torch.float32))  # the addend is lost in half precision
        above, shares = values + FLOOR, self.logits.softmax(0).to(values.dtype)
        scale = 1 / (shares / above.detach()).sum()
        self.weights.copy_(scale * shares / above.detach())
        self.before.copy_(values.detach())
        return scale * (shares * above.log()).sum()

    def after_step(self, values: Tensor) -> None:
        """Move the logits by how the terms (T,) of the same batch have changed; nothing is moved by what is not finite.

        Raises
        ------
        ConfigError
            If a term is below 0.

        """
        self.require_from_zero(values)
        descent = (self.before + FLOOR).log() - (values.detach().to(self.before) + FLOOR).log()
        if descent.isfinite().all():
            shares = self.logits.softmax(0)
            self.adam.step(self.logits, shares * (descent - (shares * descent).sum()))
