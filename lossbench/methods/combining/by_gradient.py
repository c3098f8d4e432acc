"""Combinations of the gradients of the terms, most by torchjd: it is imported when a method is made, and not before.

torchjd's rules get the products of the gradients alone (T, T), in double precision, for what they return is a weighted
sum of the rows of the jacobian. So all that grows with the network is these products and one weighted sum. `graddrop`
needs the rows themselves: it draws and keeps what torchjd's GradDrop does, in a quarter of the time. Where torchjd's
own scale would decide, a rule gets the rows with norm 1 instead, and its weights are scaled back:

- torchjd takes gradients whose squared norms add up to less than 1e-4 for none at all, in `cagrad` (which then stops),
  `upgrad` and `dualproj` (which then average)
- `upgrad` and `dualproj` regularise by 1e-4 of that sum, so that a gradient that is 100 times shorter than another is
  not protected from it; here by 1e-8 of gradients of norm 1
- its `MGDA` ends before it is there, from three gradients on; here it is solved exactly, without torchjd
- its `IMTLG` gives [-5, 0] for [1, 0] and [-2, 0], and [-3, 0] for [1, 0] and [-1, 0], which is rounding; here 0

Where a method says nothing else:

Parameters
----------
terms : sequence of str
    Names of the T terms.
seed : int
    Of the run; a method that draws has streams of its own, from it and the number of the step.

Raises
------
ConfigError
    If torchjd, or what it needs for a method, is not installed.

"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from lossbench.methods.combining.combine import ByGradient, piece_of
from lossbench.methods.combining.torchjd_rules import own_draws, projected, projector, root, rule, with_norm_one
from lossbench.ranges import takes
from lossbench.seeding import derive_seed

__all__ = ["cagrad", "dualproj", "graddrop", "mgda", "pcgrad", "upgrad"]


class pcgrad(ByGradient):  # noqa: N801
    """Project each gradient onto the normal plane of each that it conflicts with, one after the other, and add up.

    Formula: g_i <- g_i - (g_i . g_j / |g_j|^2) g_j where g_i . g_j < 0, for the other j in random order; sum_i g_i

    The order comes from the seed of the run and the number of the step; with two terms there is only one.

    References
    ----------
    Yu et al. 2020, "Gradient Surgery for Multi-Task Learning", arXiv:2001.06782.

    Examples
    --------
    >>> pcgrad(terms=["mask", "depth"])(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]))
    tensor([0.5000, 1.5000])

    """

    step: Tensor

    def __init__(self, *, terms: Sequence[str], seed: int = 0) -> None:
        super().__init__(terms=terms, seed=seed)
        self.rule = rule("PCGradWeighting")
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,) of the projected rows, added up."""
        with own_draws(derive_seed(self.seed, "combine", int(self.step)), gramian.device):
            self.step += 1
            return self.rule(gramian)


@takes(leak="number [0, 1]")
class graddrop(ByGradient):  # noqa: N801
    """Keep in each parameter the gradients of one sign, drawn by how much of the gradients has it, and add up.

    Formula: sum_t (leak + (1 - leak) m_t) g_t, m_t = [p > u] [g_t > 0] + [p < u] [g_t < 0],
    p = (1 + sum_t g_t / sum_t |g_t|) / 2, u uniform; for each parameter

    The draws come from the seed of the run and the number of the step; those of a GPU are others than those of a CPU.
    There are no weights of terms to be noted.

    Parameters
    ----------
    leak : float in [0, 1]
        How much of each gradient passes anyway; 1 is the plain sum.

    References
    ----------
    Chen et al. 2020, "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout", arXiv:2010.06808.

    Examples
    --------
    >>> graddrop(terms=["mask", "depth"])(torch.tensor([[1.0, 0.0], [2.0, 3.0]]))
    tensor([3., 3.])

    """

    step: Tensor

    def __init__(self, *, terms: Sequence[str], seed: int = 0, leak: float = 0.0) -> None:
        super().__init__(terms=terms, seed=seed)
        self.leak = leak
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def forward(self, jacobian: Tensor) -> Tensor:
        """Return from the gradients (T, P) of the terms one gradient (P,)."""
        if not jacobian.sum().isfinite() and not jacobian.isfinite().all():
            return jacobian.sum(0)
        with own_draws(derive_seed(self.seed, "combine", int(self.step)), jacobian.device):
            self.step += 1
            combined = torch.rand(jacobian.shape[1:], dtype=jacobian.dtype, device=jacobian.device)
        piece = piece_of(jacobian)
        for rows, drawn in zip(jacobian.split(piece, dim=1), combined.split(piece), strict=True):
            drawn.copy_(self._kept(rows, drawn))
        return combined

    def _kept(self, rows: Tensor, drawn: Tensor) -> Tensor:
        """Return the sum (P,) of what is kept of the gradients (T, P), given the u (P,)."""
        total = rows.sum(0)
        sign = (0.5 * (1 + total / rows.abs().sum(0)) - drawn).sign().nan_to_num()  # 0 / 0: all gradients are 0
        kept = torch.zeros_like(total)
        for row in rows:
            kept += (sign * row).clamp_min_(0)
        kept *= sign
        return kept if self.leak == 0 else self.leak * total + (1 - self.leak) * kept


@takes(normalize="one of: none, norm")
class mgda(ByGradient):  # noqa: N801
    """Take the shortest vector in the convex hull of the gradients (multiple-gradient descent).

    Formula: sum_t a_t g_t, a = argmin |sum_t a_t g_t|^2 with a_t >= 0 and sum_t a_t = 1

    None of the terms grows along it. It is 0 where no direction lowers them all, and so also where one gradient is 0: a
    term that has come to an end stops all. It is found exactly, by non-negative least squares; torchjd's Frank-Wolfe
    steps end early from three gradients on (4 % longer, and nearer to a conflict, in the tests).

    Parameters
    ----------
    normalize : {"none", "norm"}
        Whether gradients are scaled to norm 1 first, without which the smallest decides.

    References
    ----------
    Désidéri 2012, "Multiple-gradient descent algorithm (MGDA) for multiobjective optimization",
    doi:10.1016/j.crma.2012.03.014; Sener and Koltun 2018, "Multi-Task Learning as Multi-Objective Optimization",
    arXiv:1810.04650.

    Examples
    --------
    >>> mgda(terms=["mask", "depth"])(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([0.4000, 0.8000])

    """

    def __init__(self, *, terms: Sequence[str], seed: int = 0, normalize: str = "none") -> None:
        super().__init__(terms=terms, seed=seed)
        self.normalize = normalize

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,) of the shortest vector."""
        cosines, inverse = with_norm_one(gramian)
        if self.normalize == "norm":
            return _shortest(cosines) * inverse
        return _shortest(gramian / gramian.trace())


@takes(c="number [0, inf)")
class cagrad(ByGradient):  # noqa: N801
    """Take the vector near the mean gradient along which the term that gains least gains most.

    Formula: g_0 + c |g_0| g_w / |g_w|, g_0 = mean_t g_t, g_w = sum_t w_t g_t, w = argmin g_w . g_0 + c |g_0| |g_w| over
    the simplex

    c = 0 is the mean gradient; for c >= 1 it converges to where no term can gain without another's loss, if not to a
    minimum of the mean. It isn't divided by 1 + c^2, as the authors' code does by default. Where g_w is 0, as with a
    gradient of 0, torchjd gives 0. c of about 0.4 to 0.5 is usual.

    Parameters
    ----------
    c : float from 0
        Distance from the mean gradient, in units of its norm.

    References
    ----------
    Liu, Liu, Jin, Stone and Liu 2021, "Conflict-Averse Gradient Descent for Multi-task Learning", arXiv:2110.14048.

    Examples
    --------
    >>> cagrad(terms=["mask", "depth"])(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor([0.7500, 0.7500])

    """

    def __init__(self, *, terms: Sequence[str], seed: int = 0, c: float = 0.5) -> None:
        super().__init__(terms=terms, seed=seed)
        self.rule = rule("CAGradWeighting", c=c, norm_eps=1e-6)

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,): 1 / T and what is added."""
        return self.rule(gramian / gramian.trace())


class dualproj(ByGradient):  # noqa: N801
    """Project the mean gradient to the nearest vector along which no term grows.

    Formula: argmin_v |v - mean_t g_t|^2 with v . g_t >= 0 for all t

    References
    ----------
    Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory for Continual Learning", arXiv:1706.08840 (equation 11).

    Examples
    --------
    >>> dualproj(terms=["mask", "depth"])(torch.tensor([[1.0, 0.0], [-3.0, 1.0]]))
    tensor([0.0000, 0.5000])

    """

    def __init__(self, *, terms: Sequence[str], seed: int = 0) -> None:
        super().__init__(terms=terms, seed=seed)
        self.rule = rule("DualProjWeighting", projector=projector())

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,) of the projection."""
        return projected(self.rule, gramian)


class upgrad(ByGradient):  # noqa: N801
    """Project each gradient to the nearest vector along which no term grows, and average them (Jacobian descent).

    Formula: mean_i argmin_v |v - g_i|^2 with v . g_t >= 0 for all t

    With two terms it is half of `pcgrad`.

    References
    ----------
    Quinton and Rey 2024, "Jacobian Descent for Multi-Objective Optimization", arXiv:2406.16232.

    Examples
    --------
    >>> upgrad(terms=["mask", "depth"])(torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]]))
    tensor([0.2924, 1.9006, 1.9006])

    """

    def __init__(self, *, terms: Sequence[str], seed: int = 0) -> None:
        super().__init__(terms=terms, seed=seed)
        self.rule = rule("UPGradWeighting", projector=projector())

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,) of the projections."""
        return projected(self.rule, gramian)


def _shortest(gramian: Tensor) -> Tensor:
    """Return the shares (T,) of the shortest vector in the hull of rows with these products.

    The x from 0 that minimises |x R|^2 + (sum(x) - 1)^2 is in proportion to them.
    """
    rows = np.vstack([root(gramian).T.numpy(), np.ones(len(gramian))])
    found, _ = nnls(rows, np.eye(len(rows))[-1])
    return torch.from_numpy(found / found.sum())
