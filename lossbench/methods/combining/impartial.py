"""Combinations of gradients that treat all alike, whatever their lengths; by torchjd, as those of `by_gradient`.

Arguments and errors are those of `by_gradient`.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from lossbench.methods.combining.combine import ByGradient
from lossbench.methods.combining.torchjd_rules import root, rule, with_norm_one
from lossbench.ranges import takes

__all__ = ["aligned_mtl", "conflict_free", "imtl_g", "nash_mtl"]


class imtl_g(ByGradient):  # noqa: N801
    """Take the sum of gradients that has the same component along each of them (impartial multi-task learning).

    Formula: sum_t a_t g_t with sum_t a_t = 1 and (sum_t a_t g_t) . g_i / |g_i| the same for all i

    No scale of a term changes its direction. Weights can be below 0 from three terms on. Gradients that are 0 are left
    out, and opposed ones, with which the component can only be 0, give 0.

    References
    ----------
    Liu et al. 2021, "Towards Impartial Multi-task Learning", ICLR.

    Examples
    --------
    >>> imtl_g(terms=["mask", "depth"])(torch.tensor([[1.0, 0.0], [0.0, 100.0]]))
    tensor([0.9901, 0.9901])

    """

    def __init__(self, *, terms: Sequence[str], seed: int = 0) -> None:
        super().__init__(terms=terms, seed=seed)
        self.rule = rule("IMTLGWeighting")

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,), which sum to 1, or zeros."""
        cosines, inverse = with_norm_one(gramian)
        weights = self.rule(cosines) * inverse
        total = weights.sum()
        return weights / total if total.abs() > 1e-12 * weights.abs().max() else torch.zeros_like(weights)


class conflict_free(ByGradient):  # noqa: N801
    """Take the direction with the same cosine to each gradient, as long as their sum is along it (ConFIG).

    Formula: (sum_t g_t . u) u, u the unit vector along pinv(U) 1, U the gradients with norm 1

    The direction is that of `imtl_g`; its length grows with those of the gradients. Opposed gradients give 0.

    References
    ----------
    Liu, Chu and Thuerey 2025, "ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks",
    arXiv:2408.11104.

    Examples
    --------
    >>> conflict_free(terms=["mask", "depth"])(torch.tensor([[1.0, 0.0], [0.0, 10.0]]))
    tensor([5.5000, 5.5000])

    """

    def __init__(self, *, terms: Sequence[str], seed: int = 0) -> None:
        super().__init__(terms=terms, seed=seed)
        self.rule = rule("ConFIG")

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,) of the rows in the vector."""
        rows = root(gramian)
        return self.rule(rows) @ torch.linalg.pinv(rows)


@takes(max_norm="number [0, inf)", update_every="int [1, inf)", iterations="int [1, inf)")
class nash_mtl(ByGradient):  # noqa: N801
    """Take the Nash bargaining solution: the direction with the largest product of gains.

    Formula: sum_t a_t g_t with G a = 1 / a, G the products of the gradients

    The solution has the norm sqrt(T) however small the gradients are, so that only the learning rate ends a training,
    and no scale of a term changes it. torchjd approximates it from the weights of the step before. Where there is none,
    as with opposed gradients or one of 0, the weights of the step before stay (at first those of gradients of norm 1).

    Parameters
    ----------
    max_norm : float from 0
        Longer vectors are cut to this norm; 0 for none.
    update_every : int from 1
        Steps after which the weights are found anew; finding them takes milliseconds.
    iterations : int from 1
        Convex problems that are solved to find them, at most.

    References
    ----------
    Navon et al. 2022, "Multi-Task Learning as a Bargaining Game", arXiv:2202.01017.

    Examples
    --------
    >>> nash_mtl(terms=["mask", "depth"], max_norm=0.0)(torch.tensor([[1.0, 0.0], [0.0, 100.0]]))
    tensor([1., 1.])

    """

    step: Tensor
    shares: Tensor

    def __init__(
        self, *, terms: Sequence[str], seed: int = 0, max_norm: float = 1.0, update_every: int = 1, iterations: int = 20
    ) -> None:
        super().__init__(terms=terms, seed=seed)
        self.max_norm, self.update_every = max_norm, update_every
        self.rule = rule("NashMTL", n_tasks=len(self.terms), max_norm=0.0, optim_niter=iterations).weighting
        self.keep("shares", 1.0)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,) of the bargain, cut to the largest norm."""
        cosines, inverse = with_norm_one(gramian)
        if int(self.step) % self.update_every == 0:
            self.rule.prvs_alpha = self.shares.double().cpu().numpy()  # its memory isn't in its state_dict
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of cvxpy: slow, inaccurate, and divisions by 0 without a bargain
                self.shares.copy_(self.rule(root(cosines)))
        self.step += 1
        weights = self.shares.to(gramian) * inverse
        norm = (weights @ gramian @ weights).clamp(min=0).sqrt()
        return weights * (self.max_norm / norm) if 0 < self.max_norm < norm else weights


@takes(scale="one of: min, median, rmse")
class aligned_mtl(ByGradient):  # noqa: N801
    """Make the gradients orthogonal and of the same length, changing them least, and average them.

    Formula: mean_t of the rows of scale V diag(1 / sigma) V^T J, J = V diag(sigma) U^T

    Opposed gradients count as one direction. A scale of a term changes the vector.

    Parameters
    ----------
    scale : {"min", "median", "rmse"}
        The length: the smallest singular value that isn't 0, as in the paper, the median, or the root mean square.

    References
    ----------
    Senushkin et al. 2023, "Independent Component Alignment for Multi-Task Learning", arXiv:2305.19000.

    Examples
    --------
    >>> aligned_mtl(terms=["mask", "depth"])(torch.tensor([[1.0, 0.0], [0.0, 10.0]]))
    tensor([0.5000, 0.5000])

    """

    def __init__(self, *, terms: Sequence[str], seed: int = 0, scale: str = "min") -> None:
        super().__init__(terms=terms, seed=seed)
        self.rule = rule("AlignedMTLWeighting", scale_mode=scale)

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,), some of which can be below 0."""
        return self.rule(gramian)
