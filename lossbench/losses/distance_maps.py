"""Segmentation by distance: how far from the border of a region a prediction is wrong.

The signed distance phi_k of a pixel to class k is the Euclidean distance, in pixels, to the nearest pixel of the class
for a pixel outside of it, and less the distance to the nearest valid pixel of another class for one inside. It is never
0 on either side of a border, but 1 and -1 at least: as `scipy.ndimage.distance_transform_edt` measures. (The authors of
the boundary loss add 1 inside, so that the rim of a region has 0.) A class that is absent from an image, or fills it,
has no border: its phi is 0. Ignored pixels belong to no class, and no distance is measured to them.

The value of an image is a mean over its valid pixels, and over the classes that are present in its truth, without
class 0 if `background` is false. Without a valid pixel or a class left it is 0. Distances grow with the size of the
image in pixels, and so does the scale of these losses: mind it where they are a term of a sum.

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

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from lossbench.losses.declaration import loss
from lossbench.losses.labelled_pixels import mean_over_present, regions, summed
from lossbench.losses.links import softmax

__all__ = ["boundary", "hausdorff_dt"]


@loss(
    task="segmentation",
    link=softmax,
    source='Kervadec et al. 2019, "Boundary Loss for Highly Unbalanced Segmentation", arXiv:1812.07032',
    problem="imbalance",
    shapes="N H W K , N H W -> N",
)
def boundary(logits: Tensor, target: Tensor, *, background: bool = True) -> Tensor:
    """Boundary loss: the probability of a class, weighed by the signed distance to its true region.

    Formula: mean_k (1 / M) sum_{valid pixels} p_k phi_k, phi_k < 0 inside of class k

    Linear in p. The smallest value, of the true regions, is negative: the mean of phi over the image, where only pixels
    inside count. The authors add it to `generalized_dice`, with a weight that grows during training (here
    `weighted_sum`, with a fixed one). For two classes background and foreground have the same gradient.

    Parameters
    ----------
    background : bool
        Whether class 0 counts.

    Returns
    -------
    Tensor (N,)
        Real values.

    Examples
    --------
    >>> target = torch.tensor([[[0, 0, 1, 1]]])
    >>> boundary(torch.zeros(1, 1, 4, 2), target), boundary(100 * torch.eye(2)[target], target)
    (tensor([0.]), tensor([-0.7500]))

    """
    p, truth, valid = regions(logits, target)
    distance = signed_distance(truth, valid, p.dtype)
    return _mean_over_pixels(p * distance, truth, valid, background)


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Karimi and Salcudean 2019, "Reducing the Hausdorff Distance in Medical Image Segmentation with Convolutional '
        'Neural Networks", arXiv:1904.10030'
    ),
    ranges={"alpha": "(0, inf)"},
    detached="the distances to the predicted regions",
    shapes="N H W K , N H W -> N",
)
def hausdorff_dt(logits: Tensor, target: Tensor, *, alpha: float = 2.0, background: bool = True) -> Tensor:
    """Hausdorff distance loss by distance transforms: squared errors, the more the farther from both borders.

    Formula: mean_k (1 / M) sum_{valid pixels} (p_k - t_k)^2 (d_k^alpha + d'_k^alpha)

    d = |phi| is the distance to the border of the true region, d' to that of the predicted one, where p_k > 1/2. d' is
    computed anew at each step and held constant in the gradient. It estimates the largest distance of one border from
    the other, smoothly. The authors add it to the Dice loss with equal weight in value.

    Parameters
    ----------
    alpha : float above 0
        How strongly distance counts.
    background : bool
        Whether class 0 counts.

    Returns
    -------
    Tensor (N,)
        Values from 0.

    Examples
    --------
    >>> target = torch.tensor([[[0, 0, 1, 1]]])
    >>> hausdorff_dt(torch.zeros(1, 1, 4, 2), target), hausdorff_dt(100 * torch.eye(2)[target], target)
    (tensor([0.6250]), tensor([0.]))

    """
    p, truth, valid = regions(logits, target)
    both = torch.cat([truth, (p.detach() > 0.5) & valid])
    of_truth, of_prediction = signed_distance(both, valid.repeat(2, 1, 1, 1), p.dtype).abs().chunk(2)
    error = torch.square(p - truth.to(p))
    return _mean_over_pixels(error * (of_truth**alpha + of_prediction**alpha), truth, valid, background)


def signed_distance(masks: Tensor, valid: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the signed distances (N, K, H, W) of all pixels to regions that don't overlap.

    Parameters
    ----------
    masks : Tensor (N, K, H, W)
        Which pixels are in which region, boolean; none in two.
    valid : Tensor (N, 1, H, W)
        Which pixels count, boolean; the distance of others is 0.
    dtype : torch.dtype
        Of what is returned.

    Examples
    --------
    >>> ones = torch.ones(1, 1, 1, 5, dtype=torch.bool)
    >>> signed_distance(torch.tensor([[[[0, 1, 1, 1, 0]]]]).bool(), ones).flatten()
    tensor([ 1., -1., -2., -1.,  1.])

    """
    # Outside of a region it is the distance to it, inside the smallest distance to any other: one transform for each.
    parts = torch.cat([masks, valid & ~masks.any(1, keepdim=True)], 1)
    distance = distance_to(parts, dtype)
    nearest_other = distance.masked_fill(parts, torch.inf).amin(1, keepdim=True)
    signed = torch.where(masks, -nearest_other, distance[:, :-1])
    return signed.masked_fill(signed.isinf() | ~valid, 0)


def distance_to(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the Euclidean distance (..., H, W) of each pixel to the nearest one of a mask, infinite without any.

    Exact and separable (Felzenszwalb and Huttenlocher 2012, "Distance Transforms of Sampled Functions"): distances
    along the columns first, then for each row the smallest of their squares plus the squared offset.

    Parameters
    ----------
    mask : Tensor (..., H, W)
        Boolean.
    dtype : torch.dtype
        Of what is returned; squares are whole numbers, exact in float32.

    Examples
    --------
    >>> distance_to(torch.tensor([[True, False, False], [False, False, False]]))
    tensor([[0.0000, 1.0000, 2.0000],
            [1.0000, 1.4142, 2.2361]])

    """
    found: Tensor = _DistanceTo.apply(mask, dtype)
    return found


def _distance_to(mask: Tensor, dtype: torch.dtype) -> Tensor:
    found = torch.full(mask.shape, torch.inf, dtype=dtype, device=mask.device)
    present = mask.flatten(-2).any(-1)
    height, width = mask.shape[-2:]
    # Rows first and then columns first, so that whatever is shifted is a block of memory.
    along = torch.where(mask[present].movedim(0, 1), 0.0, float(height + width))  # more than any distance in the image
    for rows in (range(1, height), range(-2, -height - 1, -1)):
        for row in rows:
            torch.minimum(along[row], along[row - 1 if row > 0 else row + 1] + 1, out=along[row])
    along = along.square_().movedim(-1, 0).contiguous()
    nearest, shifted = along.clone(), torch.empty_like(along)
    for offset in range(1, width):
        left, right = slice(None, -offset), slice(offset, None)
        for one, other in ((left, right), (right, left)):
            torch.add(along[other], offset**2, out=shifted[left])
            torch.minimum(nearest[one], shifted[left], out=nearest[one])
    found[present] = nearest.permute(2, 1, 0).to(dtype).sqrt()
    return found


class _DistanceTo(Function):
    """`_distance_to` that `torch.func.vmap` can go through: it looks at values."""

    @staticmethod
    def forward(mask: Tensor, dtype: torch.dtype) -> Tensor:
        return _distance_to(mask, dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], mask: Tensor, dtype: torch.dtype) -> tuple[Tensor, int]:
        return _DistanceTo.apply(mask.movedim(in_dims[0], 0), dtype), 0


def _mean_over_pixels(values: Tensor, truth: Tensor, valid: Tensor, background: bool) -> Tensor:
    """Return the mean (N,) over valid pixels and present classes of values (N, K, H, W)."""
    means = summed(values, valid, "image") / valid.sum((2, 3)).clamp(min=1)
    return mean_over_present(means, summed(truth, valid, "image") > 0, background)
