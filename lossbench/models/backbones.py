"""Small backbones: they map inputs (N, *input_shape) to features (N, num_features)."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.data.shapes import require_fit
from lossbench.errors import ConfigError
from lossbench.ranges import takes

WIDTHS = (32, 64, 128, 256, 512)
"""Of the layers of an `MLP` whose sizes are found from the data."""
WEIGHTS = 20
"""For each sample, that such a network has at most, unless it has the narrowest layers."""


def hidden_for(rows: int, features: int) -> list[int]:
    """Return the widths of the two hidden layers of an `MLP` for so many samples: `hidden=auto`.

    Both are the largest of `WIDTHS` for which (features + width) * width, the weights into both layers, is at most
    `WEIGHTS` times the samples. Wide networks do not overfit for their width (Belkin et al. 2019, arXiv:1812.11118),
    so the rule keeps small problems cheap rather than safe.

    Parameters
    ----------
    rows : int
        Samples to train and validate on.
    features : int
        Numbers of an input.

    Examples
    --------
    >>> hidden_for(150, 4), hidden_for(1500, 64), hidden_for(50_000, 20)
    ([32, 32], [128, 128], [512, 512])

    """
    fitting = [width for width in WIDTHS if (features + width) * width <= WEIGHTS * rows]
    return 2 * [max(fitting, default=WIDTHS[0])]


@takes(hidden="one of: auto or list of int [1, inf)")
class MLP(nn.Sequential):
    """Multilayer perceptron on flattened inputs, ReLU after each layer.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one input.
    hidden : sequence of int
        Width of each hidden layer; the last one is the number of features. In a config "auto" stands for what
        `hidden_for` says of the data of a run.

    """

    stacks_as = "MLP"
    one_thread = True

    def __init__(self, input_shape: Sequence[int], hidden: Sequence[int] = (128, 128)) -> None:
        if isinstance(hidden, str):
            raise ConfigError(f"hidden={hidden}: give the width of each layer, such as hidden_for(rows, features).")
        widths = [prod(input_shape), *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for width_in, width_out in pairwise(widths):
            layers += [nn.Linear(width_in, width_out), nn.ReLU()]
        super().__init__(*layers)
        self.num_features = widths[-1]


class LeNet(nn.Module):
    """LeNet-5 with ReLU and max pooling: 61,706 parameters with a linear head for ten classes on 28x28 grey images.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition".

    """

    stacks_as = "LeNet"
    one_thread = True

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__()
        require_fit("LeNet", input_shape)
        channels, height, width = input_shape
        self.conv1 = nn.Conv2d(channels, 6, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2), 120)
        self.fc2 = nn.Linear(120, 84)
        self.num_features = 84

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return what the convolutions make of images (N, C, H, W)."""
        first = F.relu(self.conv1(images))
        return [first, F.relu(self.conv2(F.max_pool2d(first, 2)))]

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to features (N, 84)."""
        maps = F.max_pool2d(self.maps(images)[1], 2)
        return F.relu(self.fc2(F.relu(self.fc1(maps.flatten(1)))))


@takes(channels="list of 2 int [1, inf)")
class ConvNet(nn.Module):
    """Two convolutions of 3x3 with ReLU, max pooling and a layer of 64 features, for images of at least 2x2 pixels.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width of one image.
    channels : sequence of int
        Of the two convolutions.

    """

    def __init__(self, input_shape: Sequence[int], channels: Sequence[int] = (16, 32)) -> None:
        super().__init__()
        require_fit("ConvNet", input_shape)
        depth, height, width = input_shape
        few, many = channels
        self.conv1 = nn.Conv2d(depth, few, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(few, many, kernel_size=3, padding=1)
        self.fc = nn.Linear(many * (height // 2) * (width // 2), 64)
        self.num_features = 64

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return what the convolutions make of images (N, C, H, W)."""
        first = F.relu(self.conv1(images))
        return [first, F.relu(self.conv2(first))]

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to features (N, 64)."""
        return F.relu(self.fc(F.max_pool2d(self.maps(images)[1], 2).flatten(1)))
