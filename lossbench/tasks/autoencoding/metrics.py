"""The evidence lower bound of each image and its parts, the same for every loss."""

import math

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from lossbench.losses.vae import kl_divergence

SMALLEST_CHANCE = 1e-7
"""A pixel's mean is held so far from 0 and 1: one that is wrong with certainty costs 16 nats, and not all."""
SMALLEST_SIDE = 6
"""Of an image whose border of 5 pixels can be reflected."""
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


def peak_signal_to_noise(mse: Tensor) -> Tensor:
    """Return the ratio (N,), in dB, of images in 0..1 from the mean squared error of each; at most 100.

    Formula: -10 log10(mse)

    The mean over the images is then one of logarithms; torchmetrics takes by default the logarithm of the mean error.
    """
    return -10 * mse.clamp_min(1e-10).log10()


def similarity(reconstructions: Tensor, images: Tensor) -> Tensor:
    """Return the structural similarity (N,) of images (N, C, H, W) in 0..1; NaN where a side has less than 6 pixels.

    Windows are Gaussian, of deviation 1.5 and 11x11 pixels, K1 0.01, K2 0.03, one around each pixel, images being
    continued by reflection: the family of torchmetrics and kornia. In the paper, monai and piq no window reaches over
    the border, which gives other numbers, and none for images of 8x8.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity",
    doi:10.1109/TIP.2003.819861.

    """
    if min(images.shape[-2:]) < SMALLEST_SIDE:
        return images.new_full((len(images),), math.nan)
    found = structural_similarity_index_measure(reconstructions.to(images), images, data_range=1.0, reduction="none")
    assert isinstance(found, Tensor)
    return found.view(-1)


def active_units(mean: Tensor) -> float:
    """Count the latents whose mean (N, D) varies over the data.

    References
    ----------
    Burda, Grosse, Salakhutdinov 2016, "Importance Weighted Autoencoders", arXiv:1509.00519.

    """
    return float((mean.double().var(0, correction=0) > ACTIVE).sum())
