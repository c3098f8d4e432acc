"""A density over the plane that is known but for a constant: normalised, and drawn from, on a grid."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

SIDE, REACH = 300, 4.0
"""Cells on each side of the grid, which reaches so many standard deviations of the data from their mean.

Of modes as wide as a cell (0.027 deviations of the data) the sum over the cells is the integral but for 1 in 10^8.
"""
_CHUNK = 10_000


class Plane:
    """A density on the cells of a grid, as large in each as at its centre; there is none beyond the grid.

    Parameters
    ----------
    log_density : callable
        Maps points (N, 2) to log-densities (N,), but for a constant.
    mean, std : Tensor (2,)
        Of the data, in each direction.

    """

    def __init__(self, log_density: Callable[[Tensor], Tensor], mean: Tensor, std: Tensor) -> None:
        offsets = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
        self.cell = 2 * REACH * std / SIDE
        self.centers = torch.cartesian_prod(offsets, offsets).to(mean) * REACH * std + mean
        values = torch.cat([log_density(chunk) for chunk in self.centers.split(_CHUNK)]).double()
        self.log_partition = float(values.logsumexp(0) + self.cell.double().prod().log())
        """The logarithm of the integral of exp(log_density)."""
        self.shares = values.softmax(0).cpu()

    def draw(self, count: int, noise: torch.Generator) -> Tensor:
        """Draw so many points (N, 2), evenly within each cell."""
        if not math.isfinite(self.log_partition):
            return self.centers.new_full((count, 2), math.nan)
        chosen = torch.multinomial(self.shares, count, replacement=True, generator=noise)
        within = torch.rand(count, 2, generator=noise) - 0.5
        return self.centers[chosen.to(self.centers.device)] + within.to(self.centers) * self.cell
