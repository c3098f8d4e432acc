"""Segmentation by overlap: how much of a region is hit, for each class, and the mean over the classes.

With p = softmax(logits) at a pixel and t_k = 1 where k is the true class and 0 elsewhere, sums being over valid pixels:
TP_k = sum p_k t_k, FP_k = sum p_k (1 - t_k), FN_k = sum (1 - p_k) t_k, and the volume V_k = sum t_k. One rule for all:

- `per="image"` sums over each image; `per="batch"` over the whole batch, so that all samples have the same value, which
  depends on all of them. The two are different losses: a region counts by its share of the image's or of the batch's.
- A class without a pixel in the truth of the image (of the batch) is left out of the mean over classes. What is
  predicted of it still counts against the classes whose pixels it takes.
- `background=False` leaves class 0 out as well. Without any class left the value is 0, without a gradient.
- `smooth` is added above and below the line of each score. 0 is safe, since a class that counts has a pixel.
- The value is 1 - mean_k score_k, computed as the mean of what is missed: never below 0, and 0 where all is hit.

These losses are minimised by hard regions, not by probabilities: they say nothing of how sure a prediction is.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (N, H, W, K)
    Floating point; half precision is computed in float32.
target : Tensor (N, H, W)
    Integer class indices, class 0 being the background; 255 leaves a pixel out.

Returns
-------
Tensor (N,)
    Values in [0, 1].

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.labelled_pixels import Overlap, counted_classes, mean_over_present, overlap_of
from lossbench.losses.links import softmax

__all__ = ["dice", "focal_tversky", "generalized_dice", "jaccard", "log_cosh_dice", "tversky"]


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Milletari et al. 2016, "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image '
        'Segmentation", arXiv:1606.04797'
    ),
    problem="imbalance",
    ranges={"per": "one of: image, batch", "smooth": "[0, inf)"},
    shapes="N H W K , N H W -> N",
)
def dice(logits: Tensor, target: Tensor, *, per: str = "image", background: bool = True, smooth: float = 0.0) -> Tensor:
    """Dice loss: one less the share of the overlap in both regions.

    Formula: 1 - mean_k (2 TP_k + smooth) / (2 TP_k + FP_k + FN_k + smooth)

    Without squares below the line, unlike in the paper: that is `dice_squared`. Where a pixel is of the class with a
    known probability, the minimum is to predict all pixels above half of the best Dice score: more than a threshold of
    one half does.

    Parameters
    ----------
    per : str
        Over what the sums go: "image" or "batch".
    background : bool
        Whether class 0 counts.
    smooth : float from 0
        Added above and below the line.

    Examples
    --------
    >>> dice(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.5333])

    """
    overlap = overlap_of(logits, target, per)
    return _mean(_missed(overlap, smooth, 2.0, 1.0, 1.0), overlap, background, logits)


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Sudre et al. 2017, "Generalised Dice Overlap as a Deep Learning Loss Function for Highly Unbalanced '
        'Segmentations", arXiv:1707.03237'
    ),
    problem="imbalance",
    ranges={"per": "one of: image, batch", "smooth": "[0, inf)"},
    shapes="N H W K , N H W -> N",
)
def generalized_dice(
    logits: Tensor, target: Tensor, *, per: str = "image", background: bool = True, smooth: float = 0.0
) -> Tensor:
    """Dice loss of all classes at once, each weighed by the inverse square of its volume.

    Formula: 1 - (2 sum_k w_k TP_k + smooth) / (sum_k w_k (2 TP_k + FP_k + FN_k) + smooth), w_k = (min_j V_j / V_k)^2

    One ratio of sums, not a mean of ratios. The weights 1 / V_k^2 of the paper are multiplied by the square of the
    smallest volume, which changes nothing but the meaning of `smooth`. A class that is absent has no weight and so no
    part, which the paper leaves open; MONAI gives it the largest weight of the others.

    Parameters
    ----------
    per : str
        Over what the sums go: "image" or "batch".
    background : bool
        Whether class 0 counts.
    smooth : float from 0
        Added above and below the line, in pixels of the smallest class.

    Examples
    --------
    >>> generalized_dice(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.6250])

    """
    tp, fp, fn, volume = overlap_of(logits, target, per)
    counted = counted_classes(volume > 0, background)
    smallest = volume.to(tp).masked_fill(~counted, torch.inf).amin(-1, keepdim=True)
    weight = torch.where(counted, (smallest / volume).square(), 0.0)
    missed = (weight * (fp + fn)).sum(-1)
    whole = (weight * (2 * tp + fp + fn)).sum(-1) + smooth
    return (missed / whole.masked_fill(~counted.any(-1), 1)).expand(len(logits))


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Rahman and Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", '
        "doi:10.1007/978-3-319-50835-1_22"
    ),
    problem="imbalance",
    ranges={"per": "one of: image, batch", "smooth": "[0, inf)"},
    shapes="N H W K , N H W -> N",
)
def jaccard(
    logits: Tensor, target: Tensor, *, per: str = "image", background: bool = True, smooth: float = 0.0
) -> Tensor:
    """Soft Jaccard loss: one less the intersection over the union.

    Formula: 1 - mean_k (TP_k + smooth) / (TP_k + FP_k + FN_k + smooth)

    For one class J = D / (2 - D), D being the Dice score, so that both have the same minimum.

    Parameters
    ----------
    per : str
        Over what the sums go: "image" or "batch".
    background : bool
        Whether class 0 counts.
    smooth : float from 0
        Added above and below the line.

    Examples
    --------
    >>> jaccard(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.6857])

    """
    overlap = overlap_of(logits, target, per)
    return _mean(_missed(overlap, smooth, 1.0, 1.0, 1.0), overlap, background, logits)


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Salehi et al. 2017, "Tversky Loss Function for Image Segmentation Using 3D Fully Convolutional Deep '
        'Networks", arXiv:1706.05721'
    ),
    problem="imbalance",
    ranges={"per": "one of: image, batch", "smooth": "[0, inf)", "alpha": "[0, inf)", "beta": "(0, inf)"},
    shapes="N H W K , N H W -> N",
)
def tversky(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    per: str = "image",
    background: bool = True,
    smooth: float = 0.0,
) -> Tensor:
    """Tversky loss: an overlap in which false positives and false negatives have a weight each.

    Formula: 1 - mean_k (TP_k + smooth) / (TP_k + alpha FP_k + beta FN_k + smooth)

    alpha < beta finds more of a region at the price of false alarms. alpha = beta = 0.5 is `dice` (with half of its
    smooth), alpha = beta = 1 is `jaccard`. With all K classes counted a false positive of one class is a false negative
    of another, so that the weights tell most with `background=False`.

    Parameters
    ----------
    alpha : float from 0
        Weight of false positives.
    beta : float above 0
        Weight of false negatives.
    per : str
        Over what the sums go: "image" or "batch".
    background : bool
        Whether class 0 counts.
    smooth : float from 0
        Added above and below the line.

    Examples
    --------
    >>> tversky(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.5299])

    """
    overlap = overlap_of(logits, target, per)
    return _mean(_missed(overlap, smooth, 1.0, alpha, beta), overlap, background, logits)


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Abraham and Khan 2019, "A Novel Focal Tversky Loss Function with Improved Attention U-Net for Lesion '
        'Segmentation", arXiv:1810.07842'
    ),
    problem="imbalance",
    ranges={
        "per": "one of: image, batch",
        "smooth": "[0, inf)",
        "alpha": "[0, inf)",
        "beta": "(0, inf)",
        "gamma": "(0, inf)",
    },
    shapes="N H W K , N H W -> N",
)
def focal_tversky(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 4 / 3,
    alpha: float = 0.3,
    beta: float = 0.7,
    per: str = "image",
    background: bool = True,
    smooth: float = 0.0,
) -> Tensor:
    """Tversky loss of each class to a power.

    Formula: mean_k (1 - TI_k)^(1 / gamma), TI_k = (TP_k + smooth) / (TP_k + alpha FP_k + beta FN_k + smooth)

    The exponent is that of the paper, 1 / gamma = 3/4: above gamma = 1 it raises the gradient of classes that overlap
    well. Libraries have the exponent gamma instead, which lowers it: their gamma is 1 over this one. The paper's alpha
    is the weight of false negatives; here it is that of false positives, as in `tversky`, and the weights are the same.

    Parameters
    ----------
    gamma : float above 0
        The exponent is 1 / gamma; 1 is `tversky`.
    alpha : float from 0
        Weight of false positives.
    beta : float above 0
        Weight of false negatives.
    per : str
        Over what the sums go: "image" or "batch".
    background : bool
        Whether class 0 counts.
    smooth : float from 0
        Added above and below the line.

    Examples
    --------
    >>> focal_tversky(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.6196])

    """
    overlap = overlap_of(logits, target, per)
    missed = _missed(overlap, smooth, 1.0, alpha, beta)
    # At 0 the slope of a power below 1 is infinite; a region that is hit exactly has none.
    focused = missed.clamp(min=torch.finfo(missed.dtype).tiny) ** (1 / gamma)
    return _mean(focused, overlap, background, logits)


@loss(
    task="segmentation",
    link=softmax,
    source='Jadon 2020, "A Survey of Loss Functions for Semantic Segmentation", arXiv:2006.14822',
    problem="imbalance",
    ranges={"per": "one of: image, batch", "smooth": "[0, inf)"},
    shapes="N H W K , N H W -> N",
)
def log_cosh_dice(
    logits: Tensor, target: Tensor, *, per: str = "image", background: bool = True, smooth: float = 0.0
) -> Tensor:
    """Logarithm of the hyperbolic cosine of the Dice loss.

    Formula: log(cosh(L)), with L of `dice`

    It rises with L and so has the same minimum; its gradient is that of L times tanh(L), at most 0.76, which fades as
    the overlap gets better.

    Parameters
    ----------
    per : str
        Over what the sums go: "image" or "batch".
    background : bool
        Whether class 0 counts.
    smooth : float from 0
        Added above and below the line of the Dice score.

    Examples
    --------
    >>> log_cosh_dice(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.1360])

    """
    return dice(logits, target, per=per, background=background, smooth=smooth).cosh().log()


def _missed(overlap: Overlap, smooth: float, hits: float, alarms: float, misses: float) -> Tensor:
    """Return 1 - score of each class, the score being the weighted true positives over the weighted sum of all."""
    missed = alarms * overlap.false_positives + misses * overlap.false_negatives
    whole = hits * overlap.true_positives + missed + smooth
    return missed / whole.masked_fill(overlap.volume == 0, 1)


def _mean(missed: Tensor, overlap: Overlap, background: bool, logits: Tensor) -> Tensor:
    return mean_over_present(missed, overlap.volume > 0, background).expand(len(logits))
