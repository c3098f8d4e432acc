"""A network that can be inverted, and knows how it changes volumes: affine couplings."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from lossbench.ranges import takes
from lossbench.seeding import torch_stream

LARGEST_LOG_SCALE = 2.0
"""A coupling scales a number by at most e^2, and at least e^-2: so no step of the training can throw samples out."""


@takes(couplings="int [1, inf)", hidden="int [1, inf)")
class CouplingFlow(nn.Module):
    """Affine couplings on flattened samples: half of the numbers say how the other half is scaled and shifted.

    Which half is drawn at random, once for all runs, for each pair of couplings; the second of a pair has it the other
    way round. A new flow changes nothing.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one sample, of at least two numbers.
    num_classes : int or None
        Not used: samples are generated without their classes.
    couplings : int
        How many.
    hidden : int
        Width of both hidden layers of a coupling.

    References
    ----------
    Dinh, Sohl-Dickstein, Bengio 2017, "Density Estimation Using Real NVP", arXiv:1605.08803.

    """

    given: Tensor

    def __init__(
        self, input_shape: Sequence[int], num_classes: int | None = None, couplings: int = 8, hidden: int = 128
    ) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.register_buffer("given", _halves(prod(input_shape), couplings))
        self.nets = nn.ModuleList(_perceptron(prod(input_shape), hidden) for _ in range(couplings))

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Map samples (N, ...) to latents (N, D), and return with them log abs det of the Jacobian (N,)."""
        state = samples.flatten(1)
        log_determinant = state.new_zeros(len(state))
        for given, net in zip(self.given, self.nets, strict=True):
            log_scale, shift = _coupling(net, state, given)
            state = state * log_scale.exp() + shift
            log_determinant = log_determinant + log_scale.sum(1)
        return state, log_determinant

    def inverse(self, latents: Tensor) -> Tensor:
        """Map latents (N, D) to samples (N, ...)."""
        state = latents
        for given, net in zip(self.given.flip(0), reversed(self.nets), strict=True):
            log_scale, shift = _coupling(net, state, given)
            state = (state - shift) * (-log_scale).exp()
        return state.view(-1, *self.input_shape)


def _coupling(net: nn.Module, state: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """Return log scale and shift of each number; both are 0 for those that are given."""
    log_scale, shift = net(state * given).chunk(2, dim=1)
    free = 1 - given
    return LARGEST_LOG_SCALE * log_scale.tanh() * free, shift * free


def _halves(size: int, couplings: int) -> Tensor:
    """Return a row of 0 and 1 for each coupling, 1 where a number is given."""
    noise = torch_stream(0, "couplings")
    pairs = [(torch.randperm(size, generator=noise) < size // 2).float() for _ in range((couplings + 1) // 2)]
    return torch.stack([half for first in pairs for half in (first, 1 - first)])[:couplings]


def _perceptron(size: int, hidden: int) -> nn.Sequential:
    last = nn.Linear(hidden, 2 * size)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last)
