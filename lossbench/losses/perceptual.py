"""Losses of autoencoders that see images as a classifier does: its features, or how often they come together.

The features phi_l are those of layers l of a network that is not trained any more, maps of C_l channels with H_l rows
and W_l columns. In a run they are those of the classifier that lossbench trains on the same images, after each
convolution; papers take a network that was trained on photographs. x is an image, p its reconstruction.

Where a loss says nothing else:

Parameters
----------
logits : Tensor
    Decoded pixels, floating, shape (N, C, H, W); p = sigmoid(logits).
images : Tensor
    The encoded images in [0, 1], shape (N, C, H, W).
mean, log_variance : Tensor
    Of the Gaussian code of each image, shape (N, D).
epoch : int
    From 0.
feature_maps : callable
    Maps images to a sequence of maps, each (N, C_l, H_l, W_l).

Returns
-------
Tensor
    Shape (N,).

"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.losses.declaration import adds, loss
from lossbench.losses.links import pixel_means
from lossbench.losses.vae import weighted_divergence

__all__ = ["vae_perceptual", "vae_style"]

FeatureMaps = Callable[[Tensor], Sequence[Tensor]]


@loss(
    task="vae",
    link=pixel_means,
    source=(
        'Hou, Shen, Sun, Qiu 2017, "Deep Feature Consistent Variational Autoencoder", arXiv:1610.00291; Johnson, '
        'Alahi, Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", arXiv:1603.08155'
    ),
    ranges={
        "weight": "[0, inf)",
        "pixels": "[0, inf)",
        "beta": "[0, inf)",
        "free_bits": "[0, inf)",
        "warmup_epochs": "[0, inf)",
    },
)
@adds("features", "pixels", "kl")
def vae_perceptual(
    logits: Tensor,
    images: Tensor,
    *,
    mean: Tensor,
    log_variance: Tensor,
    epoch: int,
    feature_maps: FeatureMaps,
    weight: float = 10.0,
    pixels: float = 0.0,
    beta: float = 1.0,
    free_bits: float = 0.0,
    warmup_epochs: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Perceptual loss of a variational autoencoder: how far features of image and reconstruction are apart.

    Formula: weight sum_l norm(phi_l(x) - phi_l(p))^2 / (C_l H_l W_l) + pixels BCE(x, p) + KL

    BCE is the sum over pixels and KL the weighted divergence w beta sum_d max(KL_d, free_bits), both as in
    `vae_bernoulli`. A shift of a stroke costs less than in pixels; what the classifier does not look at costs
    nothing. The weight depends on the scale of the features, which no two networks share.

    Parameters
    ----------
    weight : float
        Of the features, in [0, inf).
    pixels : float
        Weight of the cross-entropy of the pixels, in [0, inf).
    beta : float
        Weight of the divergence, in [0, inf).
    free_bits : float
        Nats of each latent that cost nothing more, in [0, inf).
    warmup_epochs : int
        Epochs in which the weight of the divergence grows from 0, in [0, inf).

    Examples
    --------
    >>> code = {"mean": torch.zeros(1, 1), "log_variance": torch.zeros(1, 1), "epoch": 0}
    >>> seen = lambda images: [images.mean(dim=1, keepdim=True)]
    >>> vae_perceptual(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2), feature_maps=seen, weight=1.0, **code)
    tensor([0.2500])

    """
    seen = _pairs(feature_maps, images, pixel_means(logits))
    apart: Any = sum((one - other).square().flatten(1).mean(1) for one, other in seen)
    divergence = weighted_divergence(
        mean, log_variance, epoch=epoch, beta=beta, free_bits=free_bits, warmup_epochs=warmup_epochs
    )
    return weight * apart, _of_pixels(logits, images, pixels), divergence


@loss(
    task="vae",
    link=pixel_means,
    source=(
        'Gatys, Ecker, Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks", '
        "doi:10.1109/CVPR.2016.265; normalised as by Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155"
    ),
    ranges={
        "weight": "[0, inf)",
        "pixels": "[0, inf)",
        "beta": "[0, inf)",
        "free_bits": "[0, inf)",
        "warmup_epochs": "[0, inf)",
    },
)
@adds("style", "pixels", "kl")
def vae_style(
    logits: Tensor,
    images: Tensor,
    *,
    mean: Tensor,
    log_variance: Tensor,
    epoch: int,
    feature_maps: FeatureMaps,
    weight: float = 10.0,
    pixels: float = 1.0,
    beta: float = 1.0,
    free_bits: float = 0.0,
    warmup_epochs: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Style loss of a variational autoencoder: which features come together, wherever in the image that is.

    Formula: weight sum_l norm_F(G_l(x) - G_l(p))^2 + pixels BCE(x, p) + KL

    G_l = phi_l phi_l^T / (C_l H_l W_l), a matrix of C_l rows and columns (Gram matrix) of the flattened maps; the rest
    as in `vae_perceptual`. Style knows no places, so that by itself it does not reconstruct: pixels, with weight 1 as
    in `vae_bernoulli`, say where things are.

    Parameters
    ----------
    weight : float
        Of the styles, in [0, inf).
    pixels : float
        Weight of the cross-entropy of the pixels, in [0, inf).
    beta : float
        Weight of the divergence, in [0, inf).
    free_bits : float
        Nats of each latent that cost nothing more, in [0, inf).
    warmup_epochs : int
        Epochs in which the weight of the divergence grows from 0, in [0, inf).

    Examples
    --------
    >>> code = {"mean": torch.zeros(1, 1), "log_variance": torch.zeros(1, 1), "epoch": 0}
    >>> one, turned = torch.eye(2).view(1, 1, 2, 2), torch.eye(2).flip(0).view(1, 1, 2, 2)
    >>> vae_style(200 * one - 100, turned, feature_maps=lambda images: [images], weight=1.0, pixels=0.0, **code)
    tensor([0.])

    """
    seen = _pairs(feature_maps, images, pixel_means(logits))
    apart: Any = sum((gram(one) - gram(other)).square().sum((1, 2)) for one, other in seen)
    divergence = weighted_divergence(
        mean, log_variance, epoch=epoch, beta=beta, free_bits=free_bits, warmup_epochs=warmup_epochs
    )
    return weight * apart, _of_pixels(logits, images, pixels), divergence


def gram(maps: Tensor) -> Tensor:
    """Return the Gram matrices (N, C, C) of maps (N, C, H, W), divided by C H W."""
    flat = maps.flatten(2)
    return flat @ flat.mT / flat[0].numel()


def _pairs(feature_maps: FeatureMaps, images: Tensor, reconstructions: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the maps of images and of reconstructions, layer by layer."""
    with torch.no_grad():
        of_images = feature_maps(images)
    return list(zip(of_images, feature_maps(reconstructions), strict=True))


def _of_pixels(logits: Tensor, images: Tensor, weight: float) -> Tensor:
    return weight * F.binary_cross_entropy_with_logits(logits, images, reduction="none").flatten(1).sum(1)
