"""GradNorm: weights that are learned so that the gradients of the terms have norms in proportion to what is left."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lossbench.methods.combining.adam import Adam
from lossbench.methods.combining.combine import Combine
from lossbench.ranges import takes

__all__ = ["gradnorm"]

_LEAST = 1e-3


@takes(alpha="number [0, inf)", lr="number (0, inf)")
class gradnorm(Combine):  # noqa: N801
    """Weigh so that slow terms get larger gradients and all train at similar rates.

    Formula: sum_t w_t L_t; w goes down sum_t |w_t N_t - G r_t^alpha|, N_t the norm of the gradient of L_t at the last
    shared layer, G = mean_t w_t N_t, r_t = l_t / mean_j l_j, l_t = L_t / L_t of the first step; sum_t w_t = T

    G r^alpha is held constant. A step of Adam moves the weights each time `balance` is called; they stay above 0.001
    before they are scaled to sum to T, which the paper doesn't say (a negative weight would make a term grow). For
    alpha = 0 all norms are drawn together. No scale of a term changes r, and a term that is 100 times larger ends with
    a weight that is 100 times smaller, after many steps: those of Adam are about lr. l is 1 for a term that was not
    above 0 in the first step or is below 0.

    Parameters
    ----------
    terms : sequence of str
        Names of the T terms.
    seed : int
        Of the run; nothing here draws.
    alpha : float from 0
        How strongly slow terms are helped; the paper has 1.5 for NYUv2 and 0.12 for its toy.
    lr : float above 0
        Of Adam for the weights.

    References
    ----------
    Chen, Badrinarayanan, Lee and Rabinovich 2018, "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
    Multitask Networks", arXiv:1711.02257.

    Examples
    --------
    >>> norm = gradnorm(terms=["mask", "depth"])
    >>> norm.balance(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 10.0]))  # depth has the longer gradient
    >>> norm(torch.tensor([1.0, 1.0]))
    tensor(2.)
    >>> norm.weights
    tensor([1.0250, 0.9750])

    """

    learned: Tensor
    initial: Tensor

    def __init__(self, *, terms: Sequence[str], seed: int = 0, alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__(terms=terms, seed=seed)
        self.alpha = alpha
        self.adam = Adam(len(self.terms), lr=lr)
        self.keep("learned", 1.0)
        self.keep("initial", torch.nan)

    def forward(self, values: Tensor) -> Tensor:
        """Return the terms (T,) with the weights of now."""
        return self.weighted(values, self.learned)

    def balance(self, values: Tensor, norms: Tensor) -> None:
        """Move the weights, given the terms (T,) of a step and the norms (T,) of their unweighted gradients.

        Nothing is moved by what is not finite.
        """
        values, norms = values.detach().to(self.learned), norms.detach().to(self.learned)
        if not (values.isfinite().all() and norms.isfinite().all()):
            return
        self.initial.copy_(torch.where(self.initial.isnan(), values, self.initial))
        known = (self.initial > 0) & (values >= 0)
        left = torch.where(known, values / self.initial, 1.0)
        rates = left / left.mean() if left.any() else torch.ones_like(left)
        weighted = self.learned * norms
        gradient = (weighted - weighted.mean() * rates**self.alpha).sign() * norms
        self.adam.step(self.learned, gradient)
        self.learned.clamp_(min=_LEAST)
        self.learned.mul_(len(self.terms) / self.learned.sum())
