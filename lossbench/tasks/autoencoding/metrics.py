"""The evidence lower bound of each image and its parts, the same for every loss."""

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from lossbench.losses.vae import kl_divergence

if TYPE_CHECKING:
    pass

SMALLEST_CHANCE = 1e-7
"""A pixel's mean is held so far from 0 and 1: one that is wrong with certainty costs 16 nats, and not all."""
ACTIVE = 0.01
"""A latent is in use if the mean of its code varies by more over the data (Burda et al. 2016)."""


def bound_of_each(pixel_means: Tensor, images: Tensor, mean: Tensor, log_variance: Tensor) -> dict[str, Tensor]:
    """Return the negative evidence lower bound of each image and its two parts, in nats, and the error of a pixel.

    The pixels are Bernoulli variables of the means that the link of a loss gives, whatever the loss took them for, and
    the divergence has the weight 1: so that one number compares losses of all kinds.

    Parameters
    ----------
    pixel_means, images : Tensor
        Reconstructions and images in [0, 1], shape (N, ...).
    mean, log_variance : Tensor
        Of the code of each image, shape (N, D).

    Returns
    -------
    dict of str to Tensor
        neg_elbo, reconstruction, kl and mse, each (N,).

    """
    chances = pixel_means.clamp(SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
    reconstruction = F.binary_cross_entropy(chances, images, reduction="none").flatten(1).sum(1)
    kl = kl_divergence(mean, log_variance).sum(1)
    mse = (pixel_means - images).square().flatten(1).mean(1)
    return {"neg_elbo": reconstruction + kl, "reconstruction": reconstruction, "kl": kl, "mse": mse}


def active_units(mean: Tensor) -> float:
    """Count the latents whose mean (N, D) varies over the data.

    References
    ----------
    Burda, Grosse, Salakhutdinov 2016, "Importance Weighted Autoencoders", arXiv:1509.00519.

    """
    return float((mean.double().var(0, correction=0) > ACTIVE).sum())
