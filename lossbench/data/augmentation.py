"""What is done to the images of a training batch: a random crop and flip, or two random views of each.

An augmentation holds the images of a whole part. `draw(n, generator)` draws for n rows, by whichever batch they come
in; called with rows and their draws it returns the images, `views` of each row beside each other.
"""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.data.mapped import held
from lossbench.errors import ConfigError

CROPPED = 4
TURN, SCALE, SHIFT = 15.0, (0.8, 1.2), 0.1
"""Of a view: degrees, at most; the range of sizes; share of each side, at most, in each direction."""
CONTRAST, NOISE = (0.6, 1.4), 0.1
"""Of a view: the range of the factor of what a pixel differs by from the mean; the deviation of the noise, at most."""
POOL = 2**16
"""Noise is drawn once for so many pixels; each view has a piece of it, from anywhere."""


class Augmentation(Protocol):
    """What both have in common."""

    views: int

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """Draw for `size` rows, (size, ...)."""

    def __call__(self, rows: Tensor, draws: Tensor) -> Tensor:
        """Return the images of the rows, changed as drawn: (len(rows) * views, C, H, W)."""


class CropAndFlip:
    """Crop at random after padding by 4 pixels of zeros, and flip at random from left to right.

    Parameters
    ----------
    images : Tensor, shape (N, 3, 32, 32)
        Of a whole part.

    Raises
    ------
    ConfigError
        If the images are others.

    """

    views = 1

    def __init__(self, images: Tensor) -> None:
        shape = tuple(images.shape[1:])
        if shape != (3, 32, 32):
            raise ConfigError(
                f"data.augment=true crops and flips 32x32 RGB images, but inputs have shape {shape}. Use false."
            )
        self._windows = crop_windows(held(images))

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """Draw row offset, column offset and flip (0 or 1) of each row, int64, shape (N, 3)."""
        offsets = torch.randint(2 * CROPPED + 1, (size, 2), generator=generator)
        flips = torch.randint(2, (size, 1), generator=generator)
        return torch.cat([offsets, flips], dim=1)

    def __call__(self, rows: Tensor, draws: Tensor) -> Tensor:
        """Gather one crop of each row, flipped from left to right where drawn: (B, C, H, W)."""
        top, left, flip = draws.unbind(1)
        crops = self._windows[rows, :, top, left]
        return torch.where(flip.bool().view(-1, 1, 1, 1), crops.flip(3), crops)


class TwoViews:
    """Turn, scale and shift each image twice, each time otherwise, with another contrast and noise.

    Turned by up to 15 degrees, scaled by 0.8 to 1.2 and shifted by up to a tenth of its sides, the image goes on as if
    mirrored at its edges; what each channel differs by from its mean is multiplied by 0.6 to 1.4; the noise has a
    deviation of up to 0.1. All are uniform draws, the noise itself is normal. Bytes count as 0..1, and become float32.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
        Of a whole part, uint8 or float32 in 0..1.
    generator : torch.Generator
        Draws the noise.

    Raises
    ------
    ConfigError
        If the inputs are no images.

    Examples
    --------
    >>> views = TwoViews(torch.rand(5, 1, 8, 8), torch.Generator().manual_seed(0))
    >>> views(torch.tensor([3, 1]), views.draw(2, torch.Generator())).shape
    torch.Size([4, 1, 8, 8])

    """

    views = 2

    def __init__(self, images: Tensor, generator: torch.Generator) -> None:
        if images.ndim != 4:
            raise ConfigError(
                f"data.views=2 turns and shifts images, but inputs have shape {tuple(images.shape[1:])}. Use 1."
            )
        self._images = images
        pixels = math.prod(images.shape[1:])
        self._noise = torch.randn(POOL + pixels, generator=generator).unfold(0, pixels, 1)

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """Draw numbers in [0, 1) for both views of each row, float32, shape (N, 2, 7)."""
        return torch.rand(size, self.views, 7, generator=generator)

    def __call__(self, rows: Tensor, draws: Tensor) -> Tensor:
        """Make both views of each row, beside each other: (2 B, C, H, W), float32."""
        turn, scale, right, down, contrast, noise, place = draws.flatten(0, 1).unbind(1)
        images = held(self._images[rows])
        whole = (images.float() / 255 if images.dtype == torch.uint8 else images).repeat_interleave(self.views, 0)
        shift = (2 * torch.stack([right, down], 1) - 1) * 2 * SHIFT  # the coordinates of an image go from -1 to 1
        made = moved(whole, math.radians(TURN) * (2 * turn - 1), _between(SCALE, scale), shift, "reflection")
        mean = made.mean((2, 3), keepdim=True)
        made = torch.lerp(mean, made, _between(CONTRAST, contrast).view(-1, 1, 1, 1))
        return made.addcmul_(self._noise[(place * POOL).long()].view_as(made), (NOISE * noise).view(-1, 1, 1, 1))


def moved(images: Tensor, turn: Tensor, scale: Tensor, shift: Tensor, beyond: str = "zeros") -> Tensor:
    """Turn images about their middle, scale them and shift them, by bilinear interpolation.

    Parameters
    ----------
    images : Tensor, shape (N, C, H, W)
        Floats.
    turn : Tensor, shape (N,)
        Radians, clockwise.
    scale : Tensor, shape (N,)
        Above 1: larger.
    shift : Tensor, shape (N, 2)
        To the right and down, in halves of a side.
    beyond : str
        What is seen beyond the edges: "zeros", "border" or "reflection", as of `torch.nn.functional.grid_sample`.

    Returns
    -------
    Tensor, shape (N, C, H, W)

    Examples
    --------
    >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> one = torch.ones(1)
    >>> moved(image, math.pi / 2 * one, one, torch.zeros(1, 2)).round(decimals=4)
    tensor([[[[3., 1.],
              [4., 2.]]]])
    >>> moved(image, 0 * one, one, torch.tensor([[1.0, 0.0]]))
    tensor([[[[0., 1.],
              [0., 3.]]]])

    """
    count, _, height, width = images.shape
    aspect = height / width
    cos, sin = turn.cos() / scale, turn.sin() / scale
    inverse = torch.stack([torch.stack([cos, sin * aspect], 1), torch.stack([-sin / aspect, cos], 1)], 1)
    matrices = torch.cat([inverse, -inverse @ shift.unsqueeze(2)], 2)  # from new places to old ones
    down, right = ((2 * torch.arange(side).to(images) + 1) / side - 1 for side in (height, width))
    places = torch.stack([right.repeat(height), down.repeat_interleave(width), torch.ones_like(right).repeat(height)])
    grid = (matrices.view(-1, 3) @ places).view(count, 2, height, width).permute(0, 2, 3, 1)  # as F.affine_grid, faster
    return F.grid_sample(images, grid, padding_mode=beyond, align_corners=False)


def crop_windows(images: Tensor) -> Tensor:
    """Return a view of all crops of the images after zero padding, (N, C, 9, 9, H, W) for (N, C, H, W)."""
    height, width = images.shape[-2:]
    return F.pad(images, [CROPPED] * 4).unfold(2, height, 1).unfold(3, width, 1)


def _between(ends: tuple[float, float], share: Tensor) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * share
