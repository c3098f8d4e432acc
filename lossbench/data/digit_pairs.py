"""Images of two digits, the left one higher, that overlap: two targets of one image. Pure functions of arrays."""

from typing import NamedTuple

import numpy as np

from lossbench.data.corruptions import Array, Rng


class Pairs(NamedTuple):
    """Images of pairs (N, 1, H + d, W + d), of the type of the single ones, and both classes (N, 2), int64."""

    images: Array
    labels: Array


def digit_pairs(digits: Array, labels: Array, count: int, rng: Rng, offset: int) -> Pairs:
    """Put two digits into one image, the left in its upper left corner, the right in its lower right one.

    Where both are, the larger value is seen. Both are drawn with replacement and apart from each other, so that the
    class of one says nothing of the other's (Sabour et al. 2017 draw two classes that differ).

    Parameters
    ----------
    digits : array, shape (M, H, W)
        Ink of single digits on a background of 0.
    labels : array of int, shape (M,)
        Their classes.
    count : int
        Number of pairs N.
    rng : numpy.random.Generator
        Draws them.
    offset : int
        By how many pixels the right digit stands lower and farther right.

    References
    ----------
    Sabour, Frosst, Hinton 2017, "Dynamic Routing Between Capsules", arXiv:1710.09829; Sener and Koltun 2018,
    "Multi-Task Learning as Multi-Objective Optimization", arXiv:1810.04650.

    Examples
    --------
    >>> made = digit_pairs(np.ones((3, 2, 2)), np.array([4, 5, 6]), 10, np.random.default_rng(0), offset=1)
    >>> made.images.shape, made.labels.shape
    ((10, 1, 3, 3), (10, 2))
    >>> made.images[0, 0]
    array([[1., 1., 0.],
           [1., 1., 1.],
           [0., 1., 1.]])

    """
    chosen = rng.integers(len(digits), size=(count, 2))
    height, width = digits.shape[1:]
    images = np.zeros((count, 1, height + offset, width + offset), dtype=digits.dtype)
    images[:, 0, :height, :width] = digits[chosen[:, 0]]
    right = images[:, 0, offset:, offset:]
    np.maximum(right, digits[chosen[:, 1]], out=right)
    return Pairs(images, labels.astype(np.int64)[chosen])
