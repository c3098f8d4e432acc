"""A network that denoises: a residual perceptron that knows the time."""

import math
from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.ranges import takes

FREQUENCIES = 32
"""A time is seen as so many sines and cosines, of wavelengths from 2 pi / 1000 to 20 pi (Ho et al. 2020)."""


@takes(hidden="int [1, inf)", blocks="int [0, inf)")
class DenoisingMLP(nn.Module):
    """A perceptron of residual blocks on flattened samples; each block adds an embedding of the time.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one sample.
    num_classes : int or None
        Not used: samples are generated without their classes.
    hidden : int
        Width of each layer.
    blocks : int
        How many blocks of two layers.

    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int | None = None, hidden: int = 256, blocks: int = 3
    ) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        size = prod(input_shape)
        self.first = nn.Linear(size, hidden)
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, hidden), nn.SiLU())
        self.into = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(blocks))
        self.timed = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(blocks))
        self.back = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(blocks))
        self.last = nn.Linear(hidden, size)

    def forward(self, samples: Tensor, time: Tensor) -> Tensor:
        """Map samples (N, ...) and times (N,) in [0, 1] to outputs (N, ...)."""
        state = self.first(samples.flatten(1))
        when = self.time(embedded(time))
        for into, timed, back in zip(self.into, self.timed, self.back, strict=True):
            state = state + back(F.silu(into(F.silu(state)) + timed(when)))
        outputs: Tensor = self.last(F.silu(state)).view(samples.shape)
        return outputs


def embedded(time: Tensor) -> Tensor:
    """Return sines and cosines (N, 64) of times (N,) in [0, 1]."""
    rates = 1000 * torch.exp(-math.log(10_000) * torch.arange(FREQUENCIES, device=time.device) / FREQUENCIES)
    angles = time[:, None] * rates.to(time)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
