"""Segmentation of thin structures by their skeletons, so that what is connected stays connected.

The soft skeleton S of p in [0, 1] is what an erosion and dilation take away, collected while p is eroded further:
S = max(0, p - dilate(erode(p))), then e times p <- erode(p), S <- S + (1 - S) max(0, p - dilate(erode(p))). The erosion
is the smallest value of a cross of 5 pixels, the dilation the largest of a 3 by 3 square. Outside of the image and at
ignored pixels there is nothing, so that neither changes a neighbour.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (N, H, W, K)
    Floating point; half precision is computed in float32.
target : Tensor (N, H, W)
    Integer class indices, class 0 being the background; 255 leaves a pixel out.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from lossbench.losses.declaration import loss
from lossbench.losses.labelled_pixels import counted_classes, mean_over_present, regions
from lossbench.losses.links import softmax

__all__ = ["cl_dice"]


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Shit et al. 2021, "clDice: A Novel Topology-Preserving Loss Function for Tubular Structure Segmentation", '
        "arXiv:2003.07311"
    ),
    ranges={"iterations": "[0, inf)", "smooth": "(0, inf)"},
    shapes="N H W K , N H W -> N",
)
def cl_dice(
    logits: Tensor, target: Tensor, *, iterations: int = 3, background: bool = False, smooth: float = 1.0
) -> Tensor:
    """Centreline Dice: how much of each skeleton lies in the other region.

    Formula: 1 - mean_k 2 P_k R_k / (P_k + R_k), P_k = (sum S(p_k) t_k + smooth) / (sum S(p_k) + smooth), R_k =
    (sum S(t_k) p_k + smooth) / (sum S(t_k) + smooth)

    P is a precision of the predicted skeleton, R a recall of the true one, each image by itself. As in the overlap
    losses, classes that are absent from the truth of an image are left out of the mean, and class 0 too unless
    `background`; without any class left the value is 0. `smooth` must be above 0 here, since a skeleton may be empty.
    The skeleton says nothing of the width: the paper adds the Dice loss (`weighted_sum`).

    Parameters
    ----------
    iterations : int from 0
        Further erosions, e: as many as half the width of the widest structure. The default of the authors' code is 3,
        but it computes 10 whatever it is told.
    background : bool
        Whether class 0 counts.
    smooth : float above 0
        Added above and below both lines.

    Returns
    -------
    Tensor (N,)
        Values in [0, 1].

    Examples
    --------
    >>> target = torch.zeros(1, 5, 5, dtype=torch.int64)
    >>> target[0, 2] = 1
    >>> cl_dice(torch.zeros(1, 5, 5, 2), target), cl_dice(100 * torch.eye(2)[target], target)
    (tensor([0.2632]), tensor([0.]))

    """
    p, truth, valid = regions(logits, target)
    present = counted_classes(truth.any(-1).any(-1), background)
    p, t, there = (each.expand_as(truth)[present] for each in (p, truth, valid))  # (P, H, W): no other map counts
    of_truth = _skeleton_of_mask(t, there, iterations).to(p)
    of_prediction, t = soft_skeleton(p, there, iterations).masked_fill(~there, 0), t.to(p)
    precision = ((of_prediction * t).sum((1, 2)) + smooth) / (of_prediction.sum((1, 2)) + smooth)
    recall = ((of_truth * p).sum((1, 2)) + smooth) / (of_truth.sum((1, 2)) + smooth)
    missed = 1 - 2 * precision * recall / (precision + recall)
    of_class = p.new_zeros(present.shape).masked_scatter(present, missed)
    return mean_over_present(of_class, present, background=True)


def soft_skeleton(p: Tensor, valid: Tensor, iterations: int) -> Tensor:
    """Return the soft skeletons (P, H, W) of p in [0, 1]; its values at pixels that are not valid mean nothing.

    Parameters
    ----------
    p : Tensor (P, H, W)
        Floating point, in [0, 1].
    valid : Tensor (P, H, W)
        Which pixels there are, boolean.
    iterations : int from 0
        Further erosions.

    Examples
    --------
    >>> bar = torch.tensor([[0.0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]])
    >>> soft_skeleton(bar[None], torch.ones(1, 5, 5).bool(), 1)[0]
    tensor([[0., 0., 0., 0., 0.],
            [0., 0., 0., 0., 0.],
            [0., 0., 1., 0., 0.],
            [0., 0., 0., 0., 0.],
            [0., 0., 0., 0., 0.]])

    """
    # Rows first, so that a shift is a block of memory: pooling takes ten times as long.
    eroded, missing = (each.movedim(0, -1).contiguous() for each in (p, ~valid))
    left = torch.ones_like(eroded)  # 1 - S
    for _ in range(iterations + 1):
        kept = eroded.masked_fill(missing, 2)  # above 1, which so is never the smallest
        smaller = torch.minimum(_of_three(kept, 0, torch.minimum), _of_three(kept, 1, torch.minimum))
        inside = smaller.masked_fill(missing, 0)
        dilated = _of_three(_of_three(inside, 1, torch.maximum), 0, torch.maximum)
        left, eroded = left * (1 - (eroded - dilated).relu()), smaller
    return (1 - left).movedim(-1, 0)


def _skeleton_of_mask(mask: Tensor, valid: Tensor, iterations: int) -> Tensor:
    """Return the skeletons (P, H, W) of boolean masks without a pixel that is not valid, as `soft_skeleton` of 0 and 1."""
    eroded, there = (each.movedim(0, -1).contiguous() for each in (mask, valid))
    skeleton = torch.zeros_like(eroded)
    for _ in range(iterations + 1):
        kept = eroded | ~there
        smaller = _chosen(kept, 0, torch.logical_and) & _chosen(kept, 1, torch.logical_and) & there
        skeleton |= eroded & ~_chosen(_chosen(smaller, 1, torch.logical_or), 0, torch.logical_or)
        eroded = smaller
    return skeleton.movedim(-1, 0)


def _chosen(values: Tensor, dim: int, choose: Callable[..., Tensor]) -> Tensor:
    """Return what is chosen of each element and its two neighbours along a dimension."""
    chosen = values.clone()
    along, of_values = chosen.transpose(0, dim), values.transpose(0, dim)
    choose(along[1:], of_values[:-1], out=along[1:])
    choose(along[:-1], of_values[1:], out=along[:-1])
    return chosen


def _of_three(values: Tensor, dim: int, choose: Callable[..., Tensor]) -> Tensor:
    chosen: Tensor = _OfThree.apply(values, dim, choose)
    return chosen


class _OfThree(Function):
    """`_chosen` by `torch.minimum` or `torch.maximum`, with a gradient: of equal ones the first has it.

    By itself autograd would keep and go through each of the steps.
    """

    @staticmethod
    def forward(values: Tensor, dim: int, choose: Callable[..., Tensor]) -> Tensor:
        return _chosen(values, dim, choose)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.dim = inputs[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        values, chosen, of_chosen = (each.transpose(0, ctx.dim) for each in (*ctx.saved_tensors, gradient))
        not_before, other = values[:-1] != chosen[1:], values != chosen
        other[1:] |= ~not_before
        not_behind = ~other[:-1]
        not_behind[1:] |= ~not_before[:-1]
        of_values = of_chosen.masked_fill(other, 0)
        of_values[:-1] += of_chosen[1:].masked_fill(not_before, 0)
        of_values[1:] += of_chosen[:-1].masked_fill(not_behind, 0)
        return of_values.transpose(0, ctx.dim), None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], values: Tensor, dim: int, choose: Any) -> tuple[Tensor, int]:
        return _of_three(values.movedim(in_dims[0], -1), dim, choose), -1
