"""What turns the terms of a step into what the network descends: the two kinds of methods, by value and by gradient."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from lossbench.errors import ConfigError

FLOOR = 1e-8
"""What is added to a term before its logarithm is taken, so that a term of 0 has a finite one."""


class Combine(nn.Module):
    """Turns the terms of a step into what the network descends.

    Each term is the mean over the batch of a part of the loss, with the loss's own weight. State is kept in buffers, so
    that a run that was stopped goes on; parameters are learned with those of the network, without weight decay.

    Two hooks are found by their names: `after_step(values)`, with the terms (T,) of the same batch after the step, and
    `balance(values, norms)`, with the norm (T,) of the gradient of each unweighted term at the last shared layer.

    Parameters
    ----------
    terms : sequence of str
        Their names.
    seed : int
        Of the run; methods that draw have streams of their own, from it and the number of the step.

    """

    by: ClassVar[str] = "value"
    """What it needs of the terms: "value" or "gradient"."""
    weights: Tensor
    """(T,): how much a unit of each term counted in the last step, for the history; NaN where nothing says so."""

    def __init__(self, *, terms: Sequence[str], seed: int = 0) -> None:
        super().__init__()
        self.terms, self.seed = tuple(terms), seed
        self.keep("weights", torch.nan)

    def start_epoch(self, epoch: int, means: Tensor | None) -> None:
        """Begin an epoch; `means` (T,) are those of the raw terms over the epoch before, None in the first."""

    def forward(self, values: Tensor) -> Tensor:
        """Return from the terms (T,) of a step the number () that the network descends."""
        raise NotImplementedError

    def keep(self, name: str, value: float) -> None:
        """Make a buffer (T,) with one number for each term."""
        self.register_buffer(name, torch.full((len(self.terms),), value))

    def weighted(self, values: Tensor, weights: Tensor) -> Tensor:
        """Note the weights (T,) and return the weighted sum of the terms; no gradient goes into the weights."""
        self.weights.copy_(weights.detach())
        return (weights.detach().to(values.dtype) * values).sum()

    def require_from_zero(self, values: Tensor) -> None:
        """Check that no term is below 0, for methods that take logarithms; NaN passes, as a run that diverged.

        Raises
        ------
        ConfigError
            If one is; it names it.

        """
        if (values.detach() < 0).any():
            below = ", ".join(
                f"{name} is {value:.4g}" for name, value in zip(self.terms, values.tolist(), strict=True) if value < 0
            )
            raise ConfigError(
                f"combine={type(self).__name__} takes logarithms of the terms, which must not be below 0: {below}. "
                "Use a method that takes any values (sum, random_weighting, or one by gradient), or a loss whose terms "
                "are not below 0."
            )


class ByGradient(Combine):
    """A method that needs the gradient of each term: `forward` gets their jacobian (T, P), and returns a gradient (P,).

    P are the parameters of the network that at least two terms depend on. `weigh` says how much each row counts, from
    their products alone. A jacobian that is not finite is added up, so that a run that diverges is seen to, and one of
    zeros gives zeros.
    """

    by: ClassVar[str] = "gradient"
    products: Tensor | None = None
    """Of the gradients of the last step (T, T), for the history, where a method has made them."""

    def forward(self, jacobian: Tensor) -> Tensor:
        """Return from the gradients (T, P) of the terms one gradient (P,)."""
        gramian = self.products = gramian_of(jacobian)
        if not gramian.isfinite().all():
            weights = torch.ones_like(gramian[0])
        elif not gramian.any():
            weights = torch.zeros_like(gramian[0])
        else:
            weights = self.weigh(gramian)
        self.weights.copy_(weights)
        return weights.to(jacobian) @ jacobian

    def weigh(self, gramian: Tensor) -> Tensor:
        """Return the weights (T,) of the rows from their products (T, T), on the CPU and in double precision."""
        raise NotImplementedError


def gramian_of(jacobian: Tensor) -> Tensor:
    """Return the products (T, T) of the rows of a matrix (T, P), on the CPU and in double precision.

    They are added up in double precision, so that nearly parallel gradients are told apart, a piece after the other, so
    that no copy of the matrix is made.

    Examples
    --------
    >>> gramian_of(torch.tensor([[1.0, 0.0], [-2.0, 0.0]]))
    tensor([[ 1., -2.],
            [-2.,  4.]], dtype=torch.float64)

    """
    precise = torch.float32 if jacobian.device.type == "mps" else torch.float64  # which that device lacks
    rows = len(jacobian)
    products = torch.zeros(rows, rows, dtype=precise, device=jacobian.device)
    for piece in jacobian.detach().split(piece_of(jacobian), dim=1):
        exact = piece.to(precise)
        products.addmm_(exact, exact.T)
    return products.double().cpu()


def piece_of(jacobian: Tensor) -> int:
    """Return how many parameters are worked on at a time: on a CPU as many as stay in its cache, a quarter of the time.

    Examples
    --------
    >>> piece_of(torch.zeros(2, 3))
    32768

    """
    return 2**15 if jacobian.device.type == "cpu" else 2**22


class plain_sum(Combine):  # noqa: N801  it is called by this name, as are all methods
    """Add the terms, each with the loss's own weight.

    Formula: sum_t L_t

    Examples
    --------
    >>> plain_sum(terms=["mask", "kind"])(torch.tensor([1.0, 2.0]))
    tensor(3.)

    """

    def forward(self, values: Tensor) -> Tensor:
        """Return the sum of the terms (T,)."""
        return self.weighted(values, torch.ones_like(self.weights))


class fixed(plain_sum):  # noqa: N801
    """Add the terms, as `plain_sum` does, and look at their gradients: what other methods are held against.

    Formula: sum_t L_t

    Where a loss adds its terms up itself (`combine=sum`), nothing is known of the gradient of each.

    Examples
    --------
    >>> fixed(terms=["mask", "kind"])(torch.tensor([1.0, 2.0]))
    tensor(3.)

    """
