"""Generators and critics: perceptrons for points and small images, convolutions for images."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from lossbench.errors import ConfigError
from lossbench.ranges import takes

SLOPE = 0.2
"""Of the leaky ReLUs of a critic (Radford et al. 2016)."""


class Adversaries(nn.Module):
    """A generator and a critic.

    Points (N, D) are drawn as they are, images (N, C, H, W) as sigmoids, between 0 and 1; the critic sees images in
    [-1, 1]. A critic has no batch normalisation: it must judge each sample by itself (Gulrajani et al. 2017).

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one sample.
    latents : int
        How many standard normal numbers a sample is made from.
    generator : nn.Module
        Maps latents (N, latents) to samples (N, *input_shape), before the sigmoid.
    critic : nn.Module
        Maps samples to scores (N, 1).

    """

    def __init__(self, input_shape: Sequence[int], latents: int, generator: nn.Module, critic: nn.Module) -> None:
        super().__init__()
        self.latents = latents
        self.images = len(input_shape) > 1
        self.generator, self.critic = generator, critic

    def generate(self, latents: Tensor) -> Tensor:
        """Make samples (N, *input_shape) from latents (N, latents)."""
        samples: Tensor = self.generator(latents)
        return samples.sigmoid() if self.images else samples

    def score(self, samples: Tensor) -> Tensor:
        """Return the score (N,) of each sample."""
        scores: Tensor = self.critic(2 * samples - 1 if self.images else samples)
        return scores.squeeze(1)


@takes(latents="int [1, inf)", hidden="list of int [1, inf)")
class GANMLP(Adversaries):
    """Perceptrons as generator and critic.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one sample.
    latents : int
        How many standard normal numbers a sample is made from.
    hidden : sequence of int
        Width of each hidden layer, of both.
    num_classes : int or None
        Not used: samples of all classes are generated alike.

    """

    def __init__(
        self,
        input_shape: Sequence[int],
        latents: int = 16,
        hidden: Sequence[int] = (128, 128, 128),
        num_classes: int | None = None,
    ) -> None:
        size = prod(input_shape)
        generator = nn.Sequential(
            *_perceptron([latents, *hidden, size], nn.ReLU()), nn.Unflatten(1, tuple(input_shape))
        )
        critic = nn.Sequential(nn.Flatten(), *_perceptron([size, *hidden, 1], nn.LeakyReLU(SLOPE)))
        super().__init__(input_shape, latents, generator, critic)


@takes(latents="int [1, inf)", channels="list of 2 int [1, inf)")
class GANConv(Adversaries):
    """Convolutions as generator and critic, in the manner of DCGAN: the side is halved twice, or doubled twice.

    Parameters
    ----------
    input_shape : sequence of int
        Shape (C, H, W) of one image.
    latents : int
        How many standard normal numbers a sample is made from.
    channels : sequence of two ints
        Maps of the critic after each halving; the generator has them in reverse.
    num_classes : int or None
        Not used: samples of all classes are generated alike.

    References
    ----------
    Radford, Metz, Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
    Networks".

    """

    def __init__(
        self,
        input_shape: Sequence[int],
        latents: int = 64,
        channels: Sequence[int] = (32, 64),
        num_classes: int | None = None,
    ) -> None:
        if len(input_shape) != 3 or any(side % 4 for side in input_shape[1:]):
            raise ConfigError(
                f"learner/network=gan_conv needs images whose sides 4 divides, but this data has inputs of shape "
                f"{tuple(input_shape)}. Use learner/network=gan_mlp, or other data."
            )
        (depth, height, width), (few, many) = input_shape, channels
        small = (many, height // 4, width // 4)
        generator = nn.Sequential(
            nn.Linear(latents, prod(small)),
            nn.ReLU(),
            nn.Unflatten(1, small),
            nn.ConvTranspose2d(many, few, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(few, depth, kernel_size=4, stride=2, padding=1),
        )
        critic = nn.Sequential(
            nn.Conv2d(depth, few, kernel_size=4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(few, many, kernel_size=4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(prod(small), 1),
        )
        super().__init__(input_shape, latents, generator, critic)


def _perceptron(widths: Sequence[int], activation: nn.Module) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), activation]
    return layers[:-1]
