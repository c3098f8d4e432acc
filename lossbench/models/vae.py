"""Networks of variational autoencoders: `encode` gives mean and log variance of a code, `decode` the outputs."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

from torch import Tensor, nn

from lossbench.errors import ConfigError
from lossbench.ranges import takes


@takes(latents="int [1, inf)", hidden="list of int [1, inf)")
class VAEMLP(nn.Module):
    """Perceptrons that encode images of any shape and decode them, ReLU between the layers.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one image.
    num_classes : int or None
        Not used: the images are generated without their classes.
    hidden : sequence of int
        Widths of the encoder; the decoder has them in reverse.
    latents : int
        Numbers of a code.

    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        hidden: Sequence[int] = (400,),
        latents: int = 20,
    ) -> None:
        super().__init__()
        self.latents = latents
        widths = [prod(input_shape), *hidden]
        self.encoder = nn.Sequential(nn.Flatten(), *_layers(widths))
        self.code = nn.Linear(widths[-1], 2 * latents)
        out = nn.Sequential(nn.Linear(widths[1] if hidden else latents, widths[0]), nn.Unflatten(1, tuple(input_shape)))
        self.decoder = nn.Sequential(*_layers([latents, *reversed(hidden)]), out)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, ...) to mean and log variance of their codes, both (N, D)."""
        mean, log_variance = self.code(self.encoder(images)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes (N, D) to the outputs (N, ...) of each pixel."""
        outputs: Tensor = self.decoder(codes)
        return outputs


@takes(latents="int [1, inf)", channels="list of 2 int [1, inf)")
class VAEConv(nn.Module):
    """Two strided convolutions that encode images, and two transposed ones that decode them.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width of one image; 4 divides both sides.
    num_classes : int or None
        Not used: the images are generated without their classes.
    channels : sequence of int
        Of the two convolutions of the encoder; the decoder has them in reverse.
    latents : int
        Numbers of a code.

    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        channels: Sequence[int] = (32, 64),
        latents: int = 20,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3 or input_shape[1] % 4 or input_shape[2] % 4:
            raise ConfigError(
                f"learner/network=vae_conv needs images whose sides 4 divides, but this data has inputs of shape "
                f"{tuple(input_shape)}. Use learner/network=vae_mlp."
            )
        self.latents = latents
        few, many = channels
        smallest = (many, input_shape[1] // 4, input_shape[2] // 4)
        half: dict[str, Any] = {"kernel_size": 4, "stride": 2, "padding": 1}
        self.encoder = nn.Sequential(
            nn.Conv2d(input_shape[0], few, **half), nn.ReLU(), nn.Conv2d(few, many, **half), nn.ReLU(), nn.Flatten()
        )
        self.code = nn.Linear(prod(smallest), 2 * latents)
        self.decoder = nn.Sequential(
            nn.Linear(latents, prod(smallest)),
            nn.ReLU(),
            nn.Unflatten(1, smallest),
            nn.ConvTranspose2d(many, few, **half),
            nn.ReLU(),
            nn.ConvTranspose2d(few, input_shape[0], **half),
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, C, H, W) to mean and log variance of their codes, both (N, D)."""
        mean, log_variance = self.code(self.encoder(images)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes (N, D) to the outputs (N, C, H, W) of each pixel."""
        outputs: Tensor = self.decoder(codes)
        return outputs


def _layers(widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return layers
