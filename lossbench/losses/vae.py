"""Losses of variational autoencoders: how badly an image is reconstructed, and how much its code says.

All are in nats for each image: sums over pixels and over latents, constants included, so that with beta 1 the mean is
the negative evidence lower bound under the distribution of a pixel that the loss assumes. Errata: where p is 0, p
log(p/q) is 0 in a divergence; the closed form for Gaussians below has no such case.

Where a loss says nothing else:

Parameters
----------
images : Tensor
    The encoded images in [0, 1], shape (N, ...).
mean, log_variance : Tensor
    Of the Gaussian code of each image, shape (N, D).
epoch : int
    From 0.

Returns
-------
Tensor
    Shape (N,), nats for each image; below 0 where the density is above 1.

"""

import math

import torch.nn.functional as F
from torch import Tensor

from lossbench.losses.declaration import adds, loss
from lossbench.losses.links import pixel_means

SMALLEST_VARIANCE = 1 / (12 * 255**2)
"""Of a pixel: that of rounding to one of 256 values, so that an image that is met exactly costs no infinite gain."""


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence (N, D) of Gaussians from the standard normal, in nats of each latent.

    Formula: KL_d = (mu_d^2 + sigma_d^2 - 1 - log sigma_d^2) / 2

    Parameters
    ----------
    mean, log_variance : Tensor
        Of the code of each image, floating, shape (N, D).

    Examples
    --------
    >>> import torch
    >>> kl_divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([[0.5000, 0.0000]])

    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def weighted_divergence(
    mean: Tensor, log_variance: Tensor, *, epoch: int, beta: float, free_bits: float, warmup_epochs: int
) -> Tensor:
    """Return what the code of each image costs, (N,).

    Formula: w beta sum_d max(KL_d, free_bits), w = min(1, epoch / warmup_epochs)

    The paper of the free bits takes the maximum after a mean over the batch, for groups of latents; here it is taken
    for each image and latent, so that no image depends on the others.

    Parameters
    ----------
    mean, log_variance : Tensor
        Of the code of each image, floating, shape (N, D).
    epoch : int
        From 0: with a warm-up the first epoch has no divergence, and epoch `warmup_epochs` is the first with all of it.
    beta, free_bits, warmup_epochs : float
        As in the losses below.

    References
    ----------
    Higgins et al. 2017, "beta-VAE", ICLR; Kingma et al. 2016, arXiv:1606.04934 (free bits); Sønderby et al. 2016,
    arXiv:1602.02282 (warm-up).

    """
    share = min(1.0, epoch / warmup_epochs) if warmup_epochs else 1.0
    return share * beta * kl_divergence(mean, log_variance).clamp_min(free_bits).sum(1)


@loss(
    task="vae",
    link=pixel_means,
    source=(
        'Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114; Higgins et al. 2017, '
        '"beta-VAE", ICLR; Kingma et al. 2016 (free bits), arXiv:1606.04934; Sønderby et al. 2016 (warm-up), '
        "arXiv:1602.02282"
    ),
    ranges={"beta": "[0, inf)", "free_bits": "[0, inf)", "warmup_epochs": "[0, inf)"},
)
@adds("reconstruction", "kl")
def vae_bernoulli(
    logits: Tensor,
    images: Tensor,
    *,
    mean: Tensor,
    log_variance: Tensor,
    epoch: int,
    beta: float = 1.0,
    free_bits: float = 0.0,
    warmup_epochs: int = 0,
) -> tuple[Tensor, Tensor]:
    """Negative evidence lower bound of a variational autoencoder whose pixels are Bernoulli variables.

    Formula: -sum_i [x_i log p_i + (1 - x_i) log(1 - p_i)] + w beta sum_d max(KL_d, free_bits)

    KL_d = (mu_d^2 + sigma_d^2 - 1 - log sigma_d^2) / 2, and w = min(1, epoch / warmup_epochs). Grey pixels count as
    probabilities, so that the smallest value is the entropy of the image and not 0; no normalising constant for grey
    values is added (the continuous Bernoulli distribution has one). Many implementations take means over pixels, which
    weighs the divergence several hundred times more.

    Parameters
    ----------
    logits : Tensor
        Decoded pixels, floating, shape (N, ...); p = sigmoid(logits).
    beta : float
        Weight of the divergence, in [0, inf): 1 for the bound itself, more for codes that are easier to tell apart.
    free_bits : float
        Nats of each latent that cost nothing more, in [0, inf).
    warmup_epochs : int
        Epochs in which the weight of the divergence grows from 0, in [0, inf).

    Returns
    -------
    Tensor
        Shape (N,), nats for each image.

    Examples
    --------
    >>> import torch
    >>> code = {"mean": torch.ones(1, 1), "log_variance": torch.zeros(1, 1), "epoch": 0}
    >>> vae_bernoulli(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), **code)
    tensor([3.2726])

    """
    pixels = F.binary_cross_entropy_with_logits(logits, images, reduction="none")
    divergence = weighted_divergence(
        mean, log_variance, epoch=epoch, beta=beta, free_bits=free_bits, warmup_epochs=warmup_epochs
    )
    return pixels.flatten(1).sum(1), divergence


@loss(
    task="vae",
    link=pixel_means,
    source=(
        'Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114; variance null: Rybkin, '
        'Daniilidis, Levine 2021, "Simple and Effective VAE Training with Calibrated Decoders", arXiv:2006.13202'
    ),
    ranges={"variance": "(0, inf)", "beta": "[0, inf)", "free_bits": "[0, inf)", "warmup_epochs": "[0, inf)"},
)
@adds("reconstruction", "kl")
def vae_gaussian(
    logits: Tensor,
    images: Tensor,
    *,
    mean: Tensor,
    log_variance: Tensor,
    epoch: int,
    variance: float | None = 0.5,
    beta: float = 1.0,
    free_bits: float = 0.0,
    warmup_epochs: int = 0,
) -> tuple[Tensor, Tensor]:
    """Negative evidence lower bound of a variational autoencoder whose pixels are Gaussian.

    Formula: sum_i [(x_i - p_i)^2 / (2 v) + log(2 pi v) / 2] + w beta sum_d max(KL_d, free_bits)

    KL_d = (mu_d^2 + sigma_d^2 - 1 - log sigma_d^2) / 2, and w = min(1, epoch / warmup_epochs). With the variance
    v = 1/2 the squared error has the factor 1, as in the usual mean over images of the sum over pixels; a mean over
    pixels as well is a variance as many times larger as there are pixels. A variance of null is for each image the one
    that makes its value smallest, its mean squared error, through which the gradient goes too; it is no smaller than
    that of rounding to 256 values.

    Parameters
    ----------
    logits : Tensor
        Decoded pixels, floating, shape (N, ...); p = sigmoid(logits) is the mean of a pixel.
    variance : float or None
        Of a pixel around its mean, in (0, inf); None for the best one of each image.
    beta : float
        Weight of the divergence, in [0, inf).
    free_bits : float
        Nats of each latent that cost nothing more, in [0, inf).
    warmup_epochs : int
        Epochs in which the weight of the divergence grows from 0, in [0, inf).

    Examples
    --------
    >>> import torch
    >>> code = {"mean": torch.ones(1, 1), "log_variance": torch.zeros(1, 1), "epoch": 0}
    >>> vae_gaussian(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), **code)
    tensor([3.7895])

    """
    squares = (images - pixel_means(logits)).square().flatten(1)
    best = squares.mean(1, keepdim=True).clamp_min(SMALLEST_VARIANCE)
    chosen = best if variance is None else squares.new_tensor(variance)
    pixels = squares / (2 * chosen) + 0.5 * (2 * math.pi * chosen).log()
    divergence = weighted_divergence(
        mean, log_variance, epoch=epoch, beta=beta, free_bits=free_bits, warmup_epochs=warmup_epochs
    )
    return pixels.sum(1), divergence


@loss(
    task="vae",
    link=pixel_means,
    source='Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114, with Laplace pixels',
    ranges={"b": "(0, inf)", "beta": "[0, inf)", "free_bits": "[0, inf)", "warmup_epochs": "[0, inf)"},
)
@adds("reconstruction", "kl")
def vae_l1(
    logits: Tensor,
    images: Tensor,
    *,
    mean: Tensor,
    log_variance: Tensor,
    epoch: int,
    b: float = 1.0,
    beta: float = 1.0,
    free_bits: float = 0.0,
    warmup_epochs: int = 0,
) -> tuple[Tensor, Tensor]:
    """Negative evidence lower bound of a variational autoencoder whose pixels have Laplace's distribution.

    Formula: sum_i [abs(x_i - p_i) / b + log(2 b)] + w beta sum_d max(KL_d, free_bits)

    KL_d = (mu_d^2 + sigma_d^2 - 1 - log sigma_d^2) / 2, and w = min(1, epoch / warmup_epochs).

    Parameters
    ----------
    logits : Tensor
        Decoded pixels, floating, shape (N, ...); p = sigmoid(logits) is the median of a pixel.
    b : float
        Scale of a pixel, in (0, inf).
    beta : float
        Weight of the divergence, in [0, inf).
    free_bits : float
        Nats of each latent that cost nothing more, in [0, inf).
    warmup_epochs : int
        Epochs in which the weight of the divergence grows from 0, in [0, inf).

    Examples
    --------
    >>> import torch
    >>> code = {"mean": torch.ones(1, 1), "log_variance": torch.zeros(1, 1), "epoch": 0}
    >>> vae_l1(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), **code)
    tensor([5.2726])

    """
    pixels = (images - pixel_means(logits)).abs() / b + math.log(2 * b)
    divergence = weighted_divergence(
        mean, log_variance, epoch=epoch, beta=beta, free_bits=free_bits, warmup_epochs=warmup_epochs
    )
    return pixels.flatten(1).sum(1), divergence
