"""Segmentation by two kinds of loss at once: one of pixels, which keeps probabilities right, and one of regions.

What each kind does with ignored pixels, absent classes and batches stands in `lossbench/losses/pixels.py` and
`lossbench/losses/overlap.py`.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (N, H, W, K)
    Floating point; half precision is computed in float32.
target : Tensor (N, H, W)
    Integer class indices, class 0 being the background; 255 leaves a pixel out.
class_counts : Tensor or sequence of K numbers
    Training pixels n_c of each class, all above 0.

Raises
------
ValueError
    If the target does not hold class indices of the right shape, there are not K counts, or a class has no pixel.

"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.class_weights import ClassCounts, positive_counts
from lossbench.losses.classification import in_single_precision, log_probability
from lossbench.losses.combined import weighted_sum
from lossbench.losses.declaration import loss
from lossbench.losses.imbalance import float64, per_class
from lossbench.losses.labelled_pixels import (
    mean_over_present,
    mean_over_valid,
    overlap_of,
    valid_pixels,
)
from lossbench.losses.links import softmax

__all__ = ["dice_ce", "exponential_logarithmic"]

TERMS = {"0": "pixel_cross_entropy", "1": "dice"}
WEIGHTS = [1.0, 1.0]


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Isensee et al. 2021, "nnU-Net: A Self-configuring Method for Deep Learning-based Biomedical Image '
        'Segmentation", doi:10.1038/s41592-020-01008-z'
    ),
    ranges={"weights": "[0, inf)"},
    shapes="N H W K , N H W -> N",
)
class dice_ce(weighted_sum):  # noqa: N801  it is called by this name, as are the losses without memory
    """Cross-entropy and Dice loss, the usual sum for segmentation.

    Formula: w_0 L_0 + w_1 L_1, with L_0 of `pixel_cross_entropy` and L_1 of `dice`

    A `weighted_sum` with these terms and weights for defaults: any others can be put in their places. Its Dice loss is
    1 - D and the background counts, unlike that of nnU-Net (-D, and only the foreground).

    Parameters
    ----------
    bind_terms : callable
        Gives the bound loss of each term; a run supplies it.
    terms : mapping of str to str or mapping
        As in `weighted_sum`.
    weights : list of float from 0
        The weight of each term.

    Returns
    -------
    Tensor (N,)
        Values from 0.

    Raises
    ------
    ConfigError
        As `weighted_sum` does.

    Examples
    --------
    >>> from lossbench import load_loss
    >>> load_loss("dice_ce")(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([1.2265])

    """

    def __init__(
        self,
        *,
        bind_terms: Callable[[Any, Any], dict[str, BoundLoss]],
        terms: Mapping[str, Any] | Sequence[Any] = TERMS,
        weights: Sequence[float] = WEIGHTS,
    ) -> None:
        super().__init__(bind_terms=bind_terms, terms=terms, weights=weights)


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Wong et al. 2018, "3D Segmentation with Exponential Logarithmic Loss for Highly Unbalanced Object Sizes", '
        "arXiv:1809.00076"
    ),
    problem="imbalance",
    ranges={
        "gamma_dice": "(0, inf)",
        "gamma_cross": "(0, inf)",
        "w_dice": "[0, inf)",
        "w_cross": "[0, inf)",
        "per": "one of: image, batch",
        "smooth": "(0, inf)",
    },
    shapes="N H W K , N H W -> N",
)
def exponential_logarithmic(
    logits: Tensor,
    target: Tensor,
    *,
    class_counts: ClassCounts,
    gamma_dice: float = 0.3,
    gamma_cross: float = 0.3,
    w_dice: float = 0.8,
    w_cross: float = 0.2,
    per: str = "image",
    background: bool = True,
    smooth: float = 1.0,
) -> Tensor:
    """Powers of the negative logarithms of Dice score and probability.

    Formula: w_dice mean_k (-log D_k)^gamma_dice + w_cross (1 / M) sum_{valid pixels} a_y (-log p_y)^gamma_cross, with
    D_k = (2 TP_k + smooth) / (2 TP_k + FP_k + FN_k + smooth), a_c = sqrt(sum_j n_j / n_c)

    A power below 1 rises steeply near 0 and flattens above: what is almost right is still corrected, and what is wrong
    counts little more than what is unsure. `smooth` must be above 0 here, as the logarithm of 0 is infinite.

    Parameters
    ----------
    gamma_dice, gamma_cross : float above 0
        Power of either part.
    w_dice, w_cross : float from 0
        Weight of either part.
    per : str
        Over what the sums of the Dice score go: "image" or "batch".
    background : bool
        Whether class 0 counts in the Dice part.
    smooth : float above 0
        Added above and below the line of the Dice score.

    Returns
    -------
    Tensor (N,)
        Values from 0.

    Examples
    --------
    >>> target = torch.tensor([[[0, 0, 0, 1]]])
    >>> exponential_logarithmic(torch.zeros(1, 1, 4, 2), target, class_counts=[90, 10])
    tensor([0.9468])

    """
    tp, fp, fn, volume = overlap_of(logits, target, per)
    negative_log = torch.log1p((fp + fn) / (2 * tp + smooth))
    of_classes = mean_over_present(_power(negative_log, gamma_dice), volume > 0, background)
    counts = positive_counts(float64(class_counts))
    weights = per_class((counts.sum() / counts).sqrt(), in_single_precision(logits))
    labels = target.masked_fill(~valid_pixels(target), 0)
    of_pixels = weights[labels.long()] * _power(-log_probability(in_single_precision(logits), labels), gamma_cross)
    return w_dice * of_classes + w_cross * mean_over_valid(of_pixels, target)


def _power(values: Tensor, gamma: float) -> Tensor:
    return values.clamp(min=torch.finfo(values.dtype).tiny) ** gamma
