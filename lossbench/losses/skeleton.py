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

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.labelled_pixels import mean_over_present, regions
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
    p, truth, valid = (each.movedim(-1, 1) for each in regions(logits, target))
    first = 0 if background else 1
    p, t = p[:, first:], truth[:, first:].to(p)
    of_prediction, of_truth = (soft_skeleton(each, valid, iterations) * valid for each in (p, t))
    precision = ((of_prediction * t).sum((2, 3)) + smooth) / (of_prediction.sum((2, 3)) + smooth)
    recall = ((of_truth * p).sum((2, 3)) + smooth) / (of_truth.sum((2, 3)) + smooth)
    score = 2 * precision * recall / (precision + recall)
    return mean_over_present(1 - score, t.sum((2, 3)) > 0, background=True)


def soft_skeleton(p: Tensor, valid: Tensor, iterations: int) -> Tensor:
    """Return the soft skeletons (N, K, H, W) of p in [0, 1]; its values at pixels that are not valid mean nothing.

    Parameters
    ----------
    p : Tensor (N, K, H, W)
        Floating point, in [0, 1].
    valid : Tensor (N, 1, H, W)
        Which pixels there are, boolean.
    iterations : int from 0
        Further erosions.

    Examples
    --------
    >>> bar = torch.tensor([[0.0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]])
    >>> soft_skeleton(bar[None, None], torch.ones(1, 1, 5, 5).bool(), 1)[0, 0]
    tensor([[0., 0., 0., 0., 0.],
            [0., 0., 0., 0., 0.],
            [0., 0., 1., 0., 0.],
            [0., 0., 0., 0., 0.],
            [0., 0., 0., 0., 0.]])

    """
    skeleton, eroded = torch.zeros_like(p), p
    for _ in range(iterations + 1):
        smaller = _eroded(eroded, valid)
        ridge = (eroded - _dilated(smaller, valid)).relu()
        skeleton = skeleton + (1 - skeleton) * ridge
        eroded = smaller
    return skeleton


def _eroded(p: Tensor, valid: Tensor) -> Tensor:
    kept = p + ~valid  # above 1 at a missing pixel, which so is never the smallest
    return -torch.maximum(_largest(-kept, 3, 1), _largest(-kept, 1, 3))


def _dilated(p: Tensor, valid: Tensor) -> Tensor:
    return _largest(p * valid, 3, 3)


def _largest(p: Tensor, height: int, width: int) -> Tensor:
    return F.max_pool2d(p, (height, width), stride=1, padding=(height // 2, width // 2))
