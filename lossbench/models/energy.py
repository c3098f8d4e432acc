"""A network that gives the energy of a sample."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from lossbench.ranges import takes


@takes(hidden="list of int [1, inf)")
class EnergyMLP(nn.Module):
    """A perceptron on flattened samples, SiLU between its layers.

    The last layer has no bias: an energy is meant but for a constant.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one sample.
    num_classes : int or None
        Not used: samples are generated without their classes.
    hidden : sequence of int
        Width of each hidden layer.

    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int | None = None, hidden: Sequence[int] = (128, 128)
    ) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        widths = [prod(input_shape), *hidden]
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.SiLU())]
        self.layers = nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], 1, bias=False))

    def forward(self, samples: Tensor) -> Tensor:
        """Map samples (N, ...) to energies (N,)."""
        energies: Tensor = self.layers(samples)
        return energies.squeeze(1)
