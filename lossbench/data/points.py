"""Distributions of points in the plane to be generated, whose modes are known: mixtures of Gaussians, a ring, a spiral.

The places are those of the toy problems of Metz et al. 2017 (eight Gaussians) and Gulrajani et al. 2017 (grid, spiral),
scaled to about [-1, 1]. Their Gaussians are narrower, at 0.01 of the radius: those here are learned within minutes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Array, Rng
from lossbench.tasks.problem import Modes


@dataclass(frozen=True)
class Points:
    """A distribution of points.

    Parameters
    ----------
    place : callable
        Maps numbers (N,) that are uniform in [0, 1) to places (N, 2) without noise.
    count : int
        The number of modes.
    std : float
        The standard deviation of the noise, in each direction.

    """

    place: Callable[[Array], Array]
    count: int
    std: float

    @property
    def modes(self) -> Modes:
        """Its modes."""
        centers = self.place((np.arange(self.count) + 0.5) / self.count)
        return Modes(torch.tensor(centers, dtype=torch.float32), self.std)

    def draw(self, size: int, rng: Rng) -> tuple[Tensor, Tensor]:
        """Draw samples (N, 2), and the number of the mode of each, as float32."""
        uniform = rng.uniform(size=size)
        points = self.place(uniform) + rng.normal(0, self.std, size=(size, 2))
        return torch.tensor(points, dtype=torch.float32), torch.tensor(uniform * self.count).floor().float()


def _circle(uniform: Array) -> Array:
    angle = 2 * np.pi * uniform
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _eight(uniform: Array) -> Array:
    return _circle(np.floor(8 * uniform) / 8)


def _grid(uniform: Array) -> Array:
    number = np.floor(25 * uniform)
    return np.stack([number // 5, number % 5], axis=1) / 2 - 1


def _spiral(uniform: Array) -> Array:
    """Wind 1.75 times around the origin, with about the same density all along the curve."""
    turn = np.sqrt(0.05 + 0.95 * uniform)
    angle = 4.5 * np.pi * turn
    return turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


POINTS = {
    "gaussians8": Points(_eight, count=8, std=0.05),
    "gaussians25": Points(_grid, count=25, std=0.025),
    "ring": Points(_circle, count=60, std=0.05),
    "spiral": Points(_spiral, count=100, std=0.03),
}
"""By the name of the source. A curve has as many modes as fit on it about twice `std` apart."""
