"""Segmentation by overlap in which probabilities count by their square, or by another power.

Such a loss is not linear in p below or above the line, so that an unsure prediction costs less than a hard one that is
as often wrong. Sums, classes that count, `per`, `background` and `smooth` are those of `lossbench/losses/overlap.py`;
TP_k, FN_k and the volume V_k too.

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
from lossbench.losses.labelled_pixels import mean_over_present, regions, summed
from lossbench.losses.links import softmax

__all__ = ["dice_squared", "power_jaccard", "sensitivity_specificity"]


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
def dice_squared(
    logits: Tensor, target: Tensor, *, per: str = "image", background: bool = True, smooth: float = 0.0
) -> Tensor:
    """Dice loss as in V-Net: with the squares of the probabilities below the line.

    Formula: 1 - mean_k (2 TP_k + smooth) / (sum p_k^2 + V_k + smooth)

    At 0/1 predictions it is `dice`. In between it is the squared error sum (p_k - t_k)^2 over the line's lower side, so
    that an unsure prediction costs less and the minimum is not a hard region.

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
    >>> dice_squared(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.3750])

    """
    p, truth, valid = regions(logits, target)
    volume = summed(truth, valid, per)
    squared_error = summed(torch.square(p - truth.to(p)), valid, per)
    whole = summed(torch.square(p), valid, per) + volume + smooth
    return _mean(squared_error / whole.masked_fill(volume == 0, 1), volume, background, logits)


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Duque-Arias et al. 2021, "On Power Jaccard Losses for Semantic Segmentation", doi:10.5220/0010304005610568'
    ),
    problem="imbalance",
    ranges={"per": "one of: image, batch", "smooth": "[0, inf)", "power": "[1, 2]"},
    shapes="N H W K , N H W -> N",
)
def power_jaccard(
    logits: Tensor,
    target: Tensor,
    *,
    power: float = 2.0,
    per: str = "image",
    background: bool = True,
    smooth: float = 0.0,
) -> Tensor:
    """Jaccard loss with a power of the probabilities in the union.

    Formula: 1 - mean_k (TP_k + smooth) / (sum p_k^power + V_k - TP_k + smooth)

    power = 1 is `jaccard`; 2, which the authors show, is what `dice_squared` is to `dice`.

    Parameters
    ----------
    power : float in [1, 2]
        The more, the less an unsure prediction costs.
    per : str
        Over what the sums go: "image" or "batch".
    background : bool
        Whether class 0 counts.
    smooth : float from 0
        Added above and below the line.

    Examples
    --------
    >>> power_jaccard(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.5333])

    """
    p, truth, valid = regions(logits, target)
    volume = summed(truth, valid, per)
    # Of each pixel what the union has and the intersection lacks: p^power - 2 p + 1 inside, p^power outside.
    missed = summed(p**power + truth.to(p) * (1 - 2 * p), valid, per)
    whole = missed + summed(p * truth, valid, per) + smooth
    return _mean(missed / whole.masked_fill(volume == 0, 1), volume, background, logits)


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Brosch et al. 2015, "Deep Convolutional Encoder Networks for Multiple Sclerosis Lesion Segmentation", '
        "doi:10.1007/978-3-319-24574-4_1"
    ),
    problem="imbalance",
    ranges={"per": "one of: image, batch", "r": "[0, 1]"},
    shapes="N H W K , N H W -> N",
)
def sensitivity_specificity(
    logits: Tensor, target: Tensor, *, r: float = 0.05, per: str = "image", background: bool = True
) -> Tensor:
    """Mean squared errors inside and outside of the region of a class, with a weight each.

    Formula: mean_k r sum (1 - p_k)^2 t_k / V_k + (1 - r) sum p_k^2 (1 - t_k) / (M - V_k), M valid pixels

    The first term is a squared lack of sensitivity, the second of specificity. Inside and outside are balanced against
    their sizes before r weighs them: at r = 0.5 a small region counts as much as all the rest. A class that fills the
    image has no outside and no second term.

    Parameters
    ----------
    r : float in [0, 1]
        Weight of the inside; the authors found 0.01 to 0.1 alike.
    per : str
        Over what the sums go: "image" or "batch".
    background : bool
        Whether class 0 counts.

    Examples
    --------
    >>> sensitivity_specificity(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.2500])

    """
    p, truth, valid = regions(logits, target)
    volume, rest = summed(truth, valid, per), summed(~truth, valid, per)
    error = torch.square(p - truth.to(p))
    missed = summed(error * truth, valid, per) / volume.clamp(min=1)
    alarms = summed(error * ~truth, valid, per) / rest.clamp(min=1)
    return _mean(r * missed + (1 - r) * alarms, volume, background, logits)


def _mean(missed: Tensor, volume: Tensor, background: bool, logits: Tensor) -> Tensor:
    return mean_over_present(missed, volume > 0, background).expand(len(logits))
