"""Embeddings on which losses that compare samples are tried, and the comparison with loops over them in numpy."""

import numpy as np
import torch

from tests.support.losses import value_and_gradient

EMBEDDINGS = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
CLASSES = torch.tensor([4, 0, 2, 0, 4, 0, 7, 2, 0, 5, 4, 2])
"""Four, three and three samples of a class, and two that are alone in theirs."""
BALANCED = torch.tensor([0, 1, 2, 0, 1, 2, 3, 2, 1, 0, 3, 3])
VIEWS = torch.tensor([8, 3, 1, 8, 5, 1, 0, 3, 0, 9, 9, 5])
"""Two rows of each image."""
ODD_VIEWS = torch.tensor([8, 3, 1, 8, 4, 1, 1, 3, 7, 9, 9, 9])
"""Four pairs, two images seen once, and two seen three times, of which the last is without a partner."""


def on_sphere(x):
    """Return the rows of an array, each of length 1."""
    return x / np.sqrt((x**2).sum(1, keepdims=True))


def of_class(classes, anchor, same):
    """Return the other samples of the class of an anchor, or those of other classes."""
    return [j for j, y in enumerate(classes) if j != anchor and (y == classes[anchor]) == same]


def assert_like_loops(function, loops, embeddings=EMBEDDINGS, step=1e-6, atol=1e-7):
    """Hold the values of a loss against a function of an array, and the gradient of their sum against its slopes."""
    values, gradient = value_and_gradient(function, embeddings)
    x = embeddings.numpy()
    np.testing.assert_allclose(values, loops(x), rtol=1e-9, atol=1e-10)
    slopes = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        slopes[place] = (np.sum(loops(up)) - np.sum(loops(down))) / (2 * step)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=atol)
