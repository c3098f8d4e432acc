"""Backbones that see each pixel: they map images (N, C, H, W) to features of each pixel (N, H, W, num_features)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.data.shapes import require_halves
from lossbench.errors import ConfigError
from lossbench.ranges import takes


@takes(channels="list of 1+ int [1, inf)")
class UNet(nn.Module):
    """A U-Net: maps are halved level by level and brought back, and each level sees what was there on the way down.

    Each level has two 3x3 convolutions, each with BatchNorm and ReLU; down goes max pooling, up a transposed 2x2
    convolution. BatchNorm stands where the paper has no norm, as in later U-Nets: a batch of 16 images of 64x64 has
    65,536 pixels to each channel, which is plenty for its statistics. Convolutions are padded, so that features are as
    large as the image. Weights start from He's normal initialisation. The maps are kept in the channels-last layout,
    which is faster and changes no result.

    With channels 16, 32, 64 there are 0.12 M parameters, and a pixel sees 44x44 around it; another level of 128 makes
    it 0.5 M.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width of an image; both sides divisible by 2 for each level but the first.
    channels : sequence of int
        Width of each level; the first is the number of features.

    Raises
    ------
    ConfigError
        If inputs are no images, or can't be halved so often.

    References
    ----------
    Ronneberger, Fischer, Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation".

    """

    per_pixel = True

    def __init__(self, input_shape: Sequence[int], channels: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        _require_images("unet", input_shape)
        require_halves(input_shape, len(channels))
        self.down = nn.ModuleList(_two_convolutions(*widths) for widths in pairwise([input_shape[0], *channels]))
        upwards = list(pairwise(channels[::-1]))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(*widths, kernel_size=2, stride=2) for widths in upwards)
        self.up = nn.ModuleList(_two_convolutions(2 * width, width) for _, width in upwards)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        self.num_features = channels[0]
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to features (N, H, W, F)."""
        maps = self.down[0](images.contiguous(memory_format=torch.channels_last))
        passed = []
        for level in self.down[1:]:
            passed.append(maps)
            maps = level(F.max_pool2d(maps, 2))
        for enlarge, level in zip(self.enlarge, self.up, strict=True):
            maps = level(torch.cat([passed.pop(), enlarge(maps)], dim=1))
        return maps.permute(0, 2, 3, 1)


def _two_convolutions(width_in: int, width_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (width_in, width_out):
        convolution = nn.Conv2d(width, width_out, kernel_size=3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(width_out), nn.ReLU()]
    return nn.Sequential(*layers)


@takes(hidden="list of int [1, inf)")
class PixelMLP(nn.Sequential):
    """A perceptron that looks at each pixel by itself, with ReLU after each layer.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width of an image.
    hidden : sequence of int
        Width of each hidden layer; the last one is the number of features.

    Raises
    ------
    ConfigError
        If inputs are no images.

    """

    one_thread = True

    per_pixel = True

    def __init__(self, input_shape: Sequence[int], hidden: Sequence[int] = (16, 16)) -> None:
        _require_images("pixel_mlp", input_shape)
        widths = [input_shape[0], *hidden]
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            layers += [nn.Linear(width_in, width_out), nn.ReLU()]
        super().__init__(*layers)
        self.num_features = widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to features (N, H, W, F)."""
        features: Tensor = super().forward(images.movedim(1, -1))
        return features


def _require_images(model: str, input_shape: Sequence[int]) -> None:
    if len(input_shape) != 3:
        raise ConfigError(
            f"model={model} needs images, but this data has inputs of shape {tuple(input_shape)}. "
            "Use model=mlp, or other data."
        )
