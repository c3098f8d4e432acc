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
from lossbench.losses.labelled_pixels import all_are, counted_maps, mean_of_maps
from lossbench.losses.links import softmax

__all__ = ["cl_dice"]

Shifts = tuple[tuple[int, int], ...]
CROSS: Shifts = ((-1, 0), (0, -1), (0, 0), (0, 1), (1, 0))
ROW: Shifts = ((0, -1), (0, 0), (0, 1))
COLUMN: Shifts = ((-1, 0), (0, 0), (1, 0))


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
    present, p, t, there = counted_maps(logits, target, background)
    of_truth = _skeleton_of_mask(t, there, iterations).to(p)
    of_prediction, t = soft_skeleton(p, there, iterations).masked_fill(~there, 0), t.to(p)
    precision = ((of_prediction * t).sum((1, 2)) + smooth) / (of_prediction.sum((1, 2)) + smooth)
    recall = ((of_truth * p).sum((1, 2)) + smooth) / (of_truth.sum((1, 2)) + smooth)
    return mean_of_maps(1 - 2 * precision * recall / (precision + recall), present)


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
    # Rows first, so that most shifts are blocks of memory.
    eroded, there = (each.to(p).movedim(0, -1).contiguous() for each in (p, valid))
    missing = None if all_are(valid) else 2 * (1 - there)  # above 1, so never the smallest
    left: Tensor | None = None  # 1 - S
    for _ in range(iterations + 1):
        kept = eroded if missing is None else torch.addcmul(missing, eroded, there)
        smaller = _of_neighbours(kept, CROSS, torch.minimum)
        wider = _of_neighbours(smaller if missing is None else smaller * there, ROW, torch.maximum)
        rest = 1 - (eroded - _of_neighbours(wider, COLUMN, torch.maximum)).relu()
        left, eroded = rest if left is None else left * rest, smaller
    assert left is not None  # there is one erosion at least
    return (1 - left).movedim(-1, 0)


def _skeleton_of_mask(mask: Tensor, valid: Tensor, iterations: int) -> Tensor:
    """Return the skeletons (P, H, W) of masks that have no pixel which is not valid, as `soft_skeleton` of 0 and 1."""
    eroded, there = (each.movedim(0, -1).contiguous() for each in (mask, valid))
    skeleton = torch.zeros_like(eroded)
    for _ in range(iterations + 1):
        smaller = _chosen(eroded | ~there, CROSS, torch.logical_and) & there
        skeleton |= eroded & ~_chosen(_chosen(smaller, ROW, torch.logical_or), COLUMN, torch.logical_or)
        eroded = smaller
    return skeleton.movedim(-1, 0)


def _chosen(maps: Tensor, shifts: Shifts, choose: Callable[..., Tensor]) -> Tensor:
    """Return what is chosen of the neighbours, by `shifts`, of each pixel of maps (H, W, P)."""
    chosen = maps.clone()
    for down, right in shifts:
        if down or right:
            here = _cut(chosen, -down, -right)
            choose(here, _cut(maps, down, right), out=here)
    return chosen


def _cut(maps: Tensor, down: int, right: int) -> Tensor:
    """Return the part of maps (H, W, P) that is seen from their pixels when these are shifted by one."""
    for dim, shift in ((0, down), (1, right)):
        if shift:
            maps = maps.narrow(dim, max(shift, 0), maps.shape[dim] - 1)
    return maps


def _of_neighbours(maps: Tensor, shifts: Shifts, choose: Callable[..., Tensor]) -> Tensor:
    """Return `_chosen` of `torch.minimum` or `torch.maximum`, with a gradient: of equal ones the first has it."""
    chosen: Tensor = _OfNeighbours.apply(maps, shifts, choose)
    return chosen


class _OfNeighbours(Function):
    """What autograd by itself takes several times as long for, as it goes through each comparison; pooling, too."""

    @staticmethod
    def forward(maps: Tensor, shifts: Shifts, choose: Callable[..., Tensor]) -> Tensor:
        return _chosen(maps, shifts, choose)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.shifts = inputs[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        maps, chosen = ctx.saved_tensors
        of_maps, to_give = torch.zeros_like(maps), gradient.clone()
        for down, right in ctx.shifts[:-1]:
            seen, left = _cut(maps, down, right), _cut(to_give, -down, -right)
            # Numbers in place of booleans, which would be converted at each product.
            given = seen.clone().eq_(_cut(chosen, -down, -right)).mul_(left)
            left.sub_(given)
            _cut(of_maps, down, right).add_(given)
        down, right = ctx.shifts[-1]
        _cut(of_maps, down, right).add_(_cut(to_give, -down, -right))
        return of_maps, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], maps: Tensor, shifts: Shifts, choose: Any) -> tuple[Tensor, int]:
        return _of_neighbours(maps.movedim(in_dims[0], -1), shifts, choose), -1
