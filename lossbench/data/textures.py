"""Backgrounds of made-up pictures: smooth noise, stripes, and pictures stretched to a size."""

import numpy as np

from lossbench.data.corruptions import Array, Rng


def tents(places: Array, count: int) -> Array:
    """Return the weights (..., count) by which values at 0, 1 ... count - 1 are interpolated linearly at places (...).

    Beyond the outer values they fade to 0 within one step.

    Examples
    --------
    >>> tents(np.array([0.0, 1.25, 3.0]), 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.75, 0.25], [0.0, 0.0, 0.0]]

    """
    weights: Array = np.maximum(0, 1 - np.abs(places[..., None] - np.arange(count, dtype=places.dtype)))
    return weights


def smooth_noise(count: int, channels: int, size: tuple[int, int], cells: int, rng: Rng) -> Array:
    """Draw smooth noise: uniform numbers at the corners of cells x cells cells, between them bilinear interpolation.

    Returns
    -------
    array of float32, shape (count, channels, H, W)
        In [0, 1].

    """
    corners = rng.random((count, channels, cells + 1, cells + 1), dtype=np.float32)
    down, across = (tents(((np.arange(side) + 0.5) / side * cells).astype(np.float32), cells + 1) for side in size)
    noise: Array = down @ corners @ across.T
    return noise


def textures(count: int, size: int, rng: Rng) -> Array:
    """Draw textures: smooth colour noise or stripes of two colours, by the toss of a coin, and noise of each pixel.

    Returns
    -------
    array of float32, shape (count, 3, size, size)
        In [0, 1].

    """
    first = rng.uniform(0.1, 0.9, (count, 3, 1, 1)).astype(np.float32)
    second = first + rng.uniform(-0.3, 0.3, (count, 3, 1, 1)).astype(np.float32)
    angle, turn = rng.uniform(0, 2 * np.pi, (2, count, 1, 1)).astype(np.float32)
    period = rng.uniform(5, 20, (count, 1, 1)).astype(np.float32)
    along = np.arange(size, dtype=np.float32)
    waves = np.sin(2 * np.pi * (along[:, None] * np.sin(angle) + along * np.cos(angle)) / period + turn)
    mix = np.where(
        rng.random((count, 1, 1, 1)) < 0.5, smooth_noise(count, 3, (size, size), 6, rng), (waves[:, None] + 1) / 2
    )
    grain = rng.standard_normal((count, 3, size, size), dtype=np.float32)
    return np.clip(first + mix * (second - first) + np.float32(0.03) * grain, 0, 1)


def stretched(images: Array, size: int) -> Array:
    """Stretch uint8 images (N, C, h, w) to (N, C, size, size) by the nearest pixel, and return float32 in [0, 1]."""
    down, across = (np.arange(size) * side // size for side in images.shape[-2:])
    return images.take(down, axis=-2).take(across, axis=-1).astype(np.float32) / 255
