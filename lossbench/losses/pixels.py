"""Segmentation, pixel by pixel: a loss of each pixel, and its mean over the valid pixels of an image.

The outputs are logits z, p = softmax(z) at a pixel, y its true class, M the number of valid pixels of an image. Images
count the same, however many valid pixels they have: torch's mean over a batch counts pixels the same instead.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (N, H, W, K)
    Floating point; half precision is computed in float32.
target : Tensor (N, H, W)
    Integer class indices; 255 leaves a pixel out.
class_counts : Tensor or sequence of K numbers
    Training pixels n_c of each class, all above 0.

Returns
-------
Tensor (N,)
    Values from 0; 0 for an image without a valid pixel.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lossbench.losses.class_weights import ClassCounts
from lossbench.losses.classification import in_single_precision, log_probability
from lossbench.losses.declaration import loss
from lossbench.losses.imbalance import focal, weighted_cross_entropy
from lossbench.losses.labelled_pixels import mean_over_valid, valid_pixels
from lossbench.losses.links import normalised_sigmoid, softmax
from lossbench.losses.sigmoid import ovr_bce

__all__ = ["pixel_bce", "pixel_cross_entropy", "pixel_focal", "pixel_top_k", "pixel_weighted_cross_entropy"]


@loss(
    task="segmentation",
    link=softmax,
    source='Long et al. 2015, "Fully Convolutional Networks for Semantic Segmentation", arXiv:1411.4038',
    shapes="N H W K , N H W -> N",
)
def pixel_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each pixel.

    Formula: -(1 / M) sum_{valid pixels} log p_y

    It is minimised by the true probabilities of the classes at each pixel, which overlap losses are not.

    Examples
    --------
    >>> pixel_cross_entropy(torch.zeros(1, 1, 3, 2), torch.tensor([[[0, 1, 255]]]))
    tensor([0.6931])

    """
    return mean_over_valid(-_of_pixels(log_probability, logits, target), target)


@loss(
    task="segmentation",
    link=normalised_sigmoid,
    source='Rifkin and Klautau 2004, "In Defense of One-Vs-All Classification", JMLR 5',
    shapes="N H W K , N H W -> N",
)
def pixel_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of each pixel and class against the rest, summed over the classes.

    Formula: -(1 / M) sum_{valid pixels} (log s_y + sum_{k != y} log(1 - s_k)), with s = sigmoid(z)

    `ovr_bce` of each pixel. Libraries often take the mean over classes, K times less.

    Examples
    --------
    >>> pixel_bce(torch.zeros(1, 1, 3, 2), torch.tensor([[[0, 1, 255]]]))
    tensor([1.3863])

    """
    return mean_over_valid(_of_pixels(ovr_bce, logits, target), target)


@loss(
    task="segmentation",
    link=softmax,
    source='Elkan 2001, "The Foundations of Cost-Sensitive Learning", IJCAI',
    problem="imbalance",
    ranges={"weight": "[0, inf)"},
    shapes="N H W K , N H W -> N",
)
def pixel_weighted_cross_entropy(
    logits: Tensor, target: Tensor, *, class_counts: ClassCounts, weight: Sequence[float] | None = None
) -> Tensor:
    """Cross-entropy of each pixel with a weight for its class, by default the inverse frequency.

    Formula: -(1 / M) sum_{valid pixels} a_y log p_y

    The mean is over pixels: torch's `cross_entropy(weight=...)` divides by the sum of the weights of the pixels, so
    that the scale of its value changes with what the batch shows.

    Parameters
    ----------
    weight : sequence of K floats, optional
        The weights a_c, used as they are; by default the inverse of the pixel counts, normalised to sum K.

    Raises
    ------
    ValueError
        If there are not K counts or weights, or a class has no pixel and `weight` is not given.

    Examples
    --------
    >>> target = torch.tensor([[[1, 1, 255]]])
    >>> pixel_weighted_cross_entropy(torch.zeros(1, 1, 3, 2), target, class_counts=[90, 10])
    tensor([1.2477])

    """
    values = _of_pixels(weighted_cross_entropy, logits, target, class_counts=class_counts, weight=weight)
    return mean_over_valid(values, target)


@loss(
    task="segmentation",
    link=softmax,
    source='Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002',
    problem="imbalance",
    ranges={"gamma": "[0, inf)"},
    shapes="N H W K , N H W -> N",
)
def pixel_focal(logits: Tensor, target: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Cross-entropy with less weight on pixels that are classified well already.

    Formula: -(1 / M) sum_{valid pixels} (1 - p_y)^gamma log p_y

    `focal` of each pixel: the softmax form without alpha, its factor part of the gradient. gamma = 0 is
    `pixel_cross_entropy`. Libraries mean other losses by it: one sigmoid for each class, or weights that treat class 0
    as the background.

    Parameters
    ----------
    gamma : float from 0
        Strength of the down-weighting.

    Examples
    --------
    >>> pixel_focal(torch.zeros(1, 1, 3, 2), torch.tensor([[[0, 1, 255]]]), gamma=1.0)
    tensor([0.3466])

    """
    return mean_over_valid(_of_pixels(focal, logits, target, gamma=gamma), target)


@loss(
    task="segmentation",
    link=softmax,
    source='Wu et al. 2016, "Bridging Category-level and Instance-level Semantic Image Segmentation", arXiv:1605.06885',
    problem="imbalance",
    ranges={"share": "(0, 1]"},
    shapes="N H W K , N H W -> N",
)
def pixel_top_k(logits: Tensor, target: Tensor, *, share: float = 0.1) -> Tensor:
    """Cross-entropy of the hardest pixels of each image.

    Formula: -(1 / m) sum_{the m valid pixels with the smallest p_y} log p_y, m = max(1, round(share M))

    Online bootstrapping. The paper keeps a number of pixels of a crop; a share of the image, 10 % by default, is what
    nnU-Net made common. share = 1 is `pixel_cross_entropy`. Pixels whose label is wrong are the hardest of all.

    Parameters
    ----------
    share : float above 0, up to 1
        Share of the valid pixels that is kept.

    Examples
    --------
    >>> logits = torch.tensor([[[[2.0, 0.0], [0.0, 0.0], [5.0, 0.0]]]])
    >>> pixel_top_k(logits, torch.tensor([[[0, 0, 255]]]), share=0.5)
    tensor([0.6931])

    """
    values, valid = -_of_pixels(log_probability, logits, target).flatten(1), valid_pixels(target).flatten(1)
    kept = (share * valid.sum(1, keepdim=True)).round().clamp(min=1)
    hardest = values.masked_fill(~valid, 0).sort(dim=1, descending=True).values
    within = torch.arange(hardest.shape[1], device=hardest.device) < kept
    return hardest.masked_fill(~within, 0).sum(1) / kept.squeeze(1).to(hardest)


def _of_pixels(function: Callable[..., Tensor], logits: Tensor, target: Tensor, **settings: Any) -> Tensor:
    """Return the values (N, H, W) of a loss of single samples; those of ignored pixels mean nothing."""
    return function(in_single_precision(logits), target.masked_fill(~valid_pixels(target), 0), **settings)
