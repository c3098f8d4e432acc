"""Segmentation by the Jaccard index itself, extended from 0/1 errors to those in between by the Lovász extension.

For a class with V true pixels, sort the errors m of the valid pixels in descending order. Of the first i let T_i be of
the class and F_i not. J_i = 1 - (V - T_i) / (V + F_i) is the Jaccard loss if the first i pixels were wrong, and the
extension is sum_i m_i (J_i - J_(i-1)): convex and piecewise linear in the errors, and 1 - IoU where all are 0 or 1.
Among equal errors the order changes the gradient, not the value.

The rule of `lossbench/losses/overlap.py` holds: `per="image"` sorts each image, `per="batch"` the whole batch (all
samples then have the same value, which depends on all of them); classes that are absent from the truth are left out of
the mean over classes, and class 0 as well with `background=False`; without any class left the value is 0.

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
    Values from 0.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.labelled_pixels import (
    maps_of,
    mean_over_present,
    regions,
    require_per,
    true_classes,
    valid_pixels,
)
from lossbench.losses.links import normalised_sigmoid, softmax

__all__ = ["lovasz_hinge", "lovasz_softmax"]


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Berman et al. 2018, "The Lovász-Softmax Loss: A Tractable Surrogate for the Optimization of the '
        'Intersection-Over-Union Measure in Neural Networks", arXiv:1705.08790'
    ),
    ranges={"per": "one of: image, batch"},
    shapes="N H W K , N H W -> N",
)
def lovasz_softmax(logits: Tensor, target: Tensor, *, per: str = "image", background: bool = True) -> Tensor:
    """Lovász extension of the Jaccard loss at the errors of the probabilities.

    Formula: mean_k sum_i m_i (J_i - J_(i-1)), with the errors m = |t_k - p_k| in descending order

    The authors count the classes present and sort the batch unless told otherwise: that is `per=batch`. It shares its
    minimum with the Jaccard loss where that can be well below 1/2. Where it can't, as for a rare class of which inputs
    tell little, the minimum is p = 1/2 with the value 1/2: no hard region, and cheaper than any.

    Parameters
    ----------
    per : str
        What is sorted as one: "image" or "batch".
    background : bool
        Whether class 0 counts.

    Returns
    -------
    Tensor (N,)
        Values in [0, 1].

    Examples
    --------
    >>> lovasz_softmax(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([0.5000])

    """
    p, truth, valid = regions(logits, target)
    return _extended(torch.where(truth, 1 - p, p) * valid, truth, per, background)


@loss(
    task="segmentation",
    link=normalised_sigmoid,
    source=(
        'Berman et al. 2018, "The Lovász-Softmax Loss: A Tractable Surrogate for the Optimization of the '
        'Intersection-Over-Union Measure in Neural Networks", arXiv:1705.08790; Yu and Blaschko 2015, "Learning '
        'Submodular Losses with the Lovász Hinge"'
    ),
    ranges={"per": "one of: image, batch"},
    shapes="N H W K , N H W -> N",
)
def lovasz_hinge(logits: Tensor, target: Tensor, *, per: str = "image", background: bool = True) -> Tensor:
    """Lovász extension of the Jaccard loss at the hinge errors of each class against the rest.

    Formula: mean_k sum_i m_i (J_i - J_(i-1)), with m = max(0, 1 - z_k) where t_k = 1, max(0, 1 + z_k) elsewhere, sorted

    A class is predicted where its logit is above 0. Logits of 1 and -1 give 2 (1 - IoU) of that prediction, right ones
    beyond them 0. Sigmoids of these logits are no probabilities, even before the link divides them by their sum.

    Parameters
    ----------
    per : str
        What is sorted as one: "image" or "batch".
    background : bool
        Whether class 0 counts.

    Examples
    --------
    >>> lovasz_hinge(torch.zeros(1, 1, 4, 2), torch.tensor([[[0, 0, 0, 1]]]))
    tensor([1.])

    """
    truth, valid, z = true_classes(logits, target), valid_pixels(target).unsqueeze(1), maps_of(logits)
    return _extended(torch.where(truth, 1 - z, 1 + z).relu() * valid, truth, per, background)


def _extended(errors: Tensor, truth: Tensor, per: str, background: bool) -> Tensor:
    """Return the extension (N,) at errors (N, K, H, W) from 0; ignored pixels have none, so that they come last."""
    rows, is_true = _by_class(errors, per), _by_class(truth, per)
    present = is_true.any(-1)  # only these are sorted, which is what takes the time
    sorted_errors, order = rows[present].sort(dim=-1, descending=True, stable=True)
    is_true = is_true[present].gather(-1, order)
    volume = is_true.sum(-1, keepdim=True)
    hit = is_true.cumsum(-1)
    missed = torch.arange(1, is_true.shape[-1] + 1, device=hit.device) - hit
    # J_i - J_(i-1) in closed form: as a difference it would lose its digits in a large image.
    union = (volume + missed).to(errors)
    step = torch.where(is_true, 1 / union, (volume - hit) / (union * (union - 1).clamp(min=1)))
    of_class = rows.new_zeros(present.shape).masked_scatter(present, (sorted_errors * step).sum(-1))
    value = mean_over_present(of_class, present, background)
    return value.expand(len(errors))


def _by_class(values: Tensor, per: str) -> Tensor:
    """Return values (N, K, H, W) as rows of pixels: (N, K, H W) of images or (1, K, N H W) of the batch."""
    require_per(per)
    return values.movedim(1, 0).flatten(1).unsqueeze(0) if per == "batch" else values.flatten(2)
