"""The residual network of the long-tail and label-noise papers, in its form for 32x32 images."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.data.shapes import require_fit


class ResNet32(nn.Module):
    """ResNet-32: three stages of five basic blocks, 16, 32 and 64 channels, shortcuts without parameters (option A).

    0.46 M parameters with a linear head for ten classes. Weights start from He's normal initialisation. The maps are
    kept in the channels-last layout, which is faster and changes no result.

    References
    ----------
    He, Zhang, Ren, Sun 2016, "Deep Residual Learning for Image Recognition", section 4.2.

    """

    num_features = 64

    stacks_as = "ResNet32"

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__()
        require_fit("ResNet32", input_shape)
        self.conv = nn.Conv2d(input_shape[0], 16, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        widths = [(16, 16)] * 5 + [(16, 32)] + [(32, 32)] * 4 + [(32, 64)] + [(64, 64)] * 4
        self.blocks = nn.Sequential(*(BasicBlock(width_in, width_out) for width_in, width_out in widths))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to features (N, 64)."""
        maps = images.contiguous(memory_format=torch.channels_last)
        maps = self.blocks(F.relu(self.norm(self.conv(maps))))
        return maps.mean((-2, -1))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; where the width doubles, the map is halved and padded with zero channels."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.stride = width_out // width_in
        self.padding = (width_out - width_in) // 2
        self.conv1 = nn.Conv2d(width_in, width_out, kernel_size=3, stride=self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width_out)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the block's width."""
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(maps)))))
        shortcut = maps
        if self.stride > 1:
            halved = maps[..., :: self.stride, :: self.stride]
            shortcut = F.pad(halved, (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(residual + shortcut)
