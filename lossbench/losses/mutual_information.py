"""Segmentation by structure: how alike the predicted and the true neighbourhood of a pixel are."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.classification import in_single_precision
from lossbench.losses.declaration import loss
from lossbench.losses.labelled_pixels import (
    counted_maps,
    maps_of,
    mean_of_maps,
    true_classes,
    valid_pixels,
)
from lossbench.losses.links import normalised_sigmoid, softmax
from lossbench.losses.pixels import pixel_bce
from lossbench.losses.similarity import gaussian, ssim_map

__all__ = ["mask_ssim", "region_mutual_information"]

_RIDGE = 5e-4
"""What is added to the diagonals, as in the authors' code: without it a constant prediction has no inverse."""


@loss(
    task="segmentation",
    link=normalised_sigmoid,
    source='Zhao et al. 2019, "Region Mutual Information Loss for Semantic Segmentation", arXiv:1910.12037',
    ranges={"weight": "[0, 1]", "radius": "[1, inf)", "pool": "[1, inf)"},
    shapes="N H W K , N H W -> N",
)
def region_mutual_information(
    logits: Tensor, target: Tensor, *, weight: float = 0.5, radius: int = 3, pool: int = 3
) -> Tensor:
    """Binary cross-entropies and, for each class, the truth of a neighbourhood that its prediction leaves open.

    Formula: weight L + (1 - weight) sum_k (1 / (2 d)) log det(S_tt - S_tp (S_pp + e I)^-1 S_pt + e I), L of `pixel_bce`

    Every square of radius x radius pixels is a vector of d = radius^2 numbers, of t_k and of s_k = sigmoid(z_k); S are
    the sums over all squares of an image of the products of their deviations from the mean. The matrix is the scatter
    of what is left of t_k once s_k is known: the less, the more mutual information of two Gaussians, but for a
    constant. Maps are made smaller first, by the largest value of pool x pool pixels. As in the authors' code e is 5e-4
    and the classes are summed; here only those that are present in the image, as the term of an absent one is constant.
    Squares with ignored pixels are left out. An image of which no square is left has L alone.

    Parameters
    ----------
    logits : Tensor (N, H, W, K)
        Floating point; the matrices are computed in float64.
    target : Tensor (N, H, W)
        Integer class indices, class 0 being the background; 255 leaves a pixel out.
    weight : float in [0, 1]
        Weight of the cross-entropies; the paper calls it lambda.
    radius : int from 1
        Side of a square, in pixels of the smaller maps.
    pool : int from 1
        How much smaller the maps are made.

    Returns
    -------
    Tensor (N,)
        Real values.

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape, or the smaller maps have no square.

    Examples
    --------
    >>> target = torch.arange(16).view(1, 4, 4) % 3 % 2
    >>> region_mutual_information(torch.zeros(1, 4, 4, 2), target, radius=2, pool=1)
    tensor([-0.8685])

    """
    truth, valid = true_classes(logits, target), valid_pixels(target).unsqueeze(1)
    s = maps_of(logits).sigmoid() * valid
    t, s, there = (_smaller(each.to(s), pool) for each in (truth, s, valid))
    if min(t.shape[-2:]) < radius:
        raise ValueError(
            f"images of shape {tuple(target.shape[1:])} are {tuple(t.shape[-2:])} with pool={pool}: no square of "
            f"radius={radius} fits in. Give larger images, or make pool or radius smaller."
        )
    whole = _squares(there, radius).amin(2, keepdim=True)  # 1 where all pixels of a square are there
    t, s = (_deviations(_squares(each, radius).double(), whole.double()) for each in (t, s))
    left_open = _log_det_of_rest(t, s) / (2 * radius**2)
    regions = left_open.masked_fill(~truth.any(3).any(2) | ~(whole > 0).any(-1).squeeze(-1), 0).sum(1)
    return weight * pixel_bce(logits, target) + (1 - weight) * regions.to(in_single_precision(logits))


def _smaller(maps: Tensor, pool: int) -> Tensor:
    """Return maps (N, K, H, W) made smaller by the largest of pool x pool pixels."""
    return F.max_pool2d(maps, pool, stride=pool, padding=pool // 2) if pool > 1 else maps


def _squares(maps: Tensor, radius: int) -> Tensor:
    """Return the squares (N, K, radius^2, M) of maps (N, K, H, W)."""
    height, width = (size - radius + 1 for size in maps.shape[-2:])
    offsets = [(row, column) for row in range(radius) for column in range(radius)]
    return torch.stack([maps[..., row : row + height, column : column + width] for row, column in offsets], 2).flatten(
        3
    )


def _deviations(squares: Tensor, whole: Tensor) -> Tensor:
    """Return the deviations of squares (N, K, d, M) from their mean over those that are whole; 0 for others."""
    mean = (squares * whole).sum(-1, keepdim=True) / whole.sum(-1, keepdim=True).clamp(min=1)
    return (squares - mean) * whole


def _log_det_of_rest(t: Tensor, s: Tensor) -> Tensor:
    """Return log det (N, K) of the part of the scatter of t that is not linear in s, both (N, K, d, M)."""
    ridge = _RIDGE * torch.eye(t.shape[2], dtype=t.dtype, device=t.device)
    factor = torch.linalg.cholesky_ex(s @ s.mT + ridge).L
    explained = torch.linalg.solve_triangular(factor, s @ t.mT, upper=False)
    rest = torch.linalg.cholesky_ex(t @ t.mT - explained.mT @ explained + ridge).L
    return 2 * rest.diagonal(dim1=-2, dim2=-1).log().sum(-1)


@loss(
    task="segmentation",
    link=softmax,
    source=(
        'Qin et al. 2019, "BASNet: Boundary-Aware Salient Object Detection", doi:10.1109/CVPR.2019.00766; Wang et al. '
        '2004, "Image Quality Assessment: From Error Visibility to Structural Similarity", doi:10.1109/TIP.2003.819861'
    ),
    ranges={"window": "[1, 65]", "sigma": "(0, inf)"},
    shapes="N H W K , N H W -> N",
)
def mask_ssim(
    logits: Tensor, target: Tensor, *, window: int = 11, sigma: float = 1.5, background: bool = True
) -> Tensor:
    """One less the structural similarity of probabilities and truth, of each class: errors at borders count more.

    Formula: 1 - mean_k (1 / M) sum_{valid pixels} SSIM(p_k, t_k), SSIM as in `depth_ssim` with a range of 1

    Far from any border both maps are constant and the similarity is nearly 1 if the prediction is right; in windows
    that see a border it asks for the same edge. Of a window only the valid pixels count. Classes that are absent from
    the truth of an image are left out, and class 0 as well with `background=False`; without any class left the value
    is 0. More of the true class can cost more where its neighbours have less, so that it is a term for a sum: the paper
    adds it to cross-entropy and a Jaccard loss (`weighted_sum`).

    Parameters
    ----------
    logits : Tensor (N, H, W, K)
        Floating point; half precision is computed in float32.
    target : Tensor (N, H, W)
        Integer class indices, class 0 being the background; 255 leaves a pixel out.
    window : int in [1, 65]
        Pixels a side of a window, odd.
    sigma : float above 0
        Standard deviation of its Gaussian weights, in pixels.
    background : bool
        Whether class 0 counts.

    Returns
    -------
    Tensor (N,)
        Values in [0, 2].

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape, or the window is even.

    Examples
    --------
    >>> target = torch.tensor([[[0, 0, 1, 1]]])
    >>> mask_ssim(torch.zeros(1, 1, 4, 2), target), mask_ssim(100 * torch.eye(2)[target], target)
    (tensor([0.9961]), tensor([0.]))

    """
    present, p, t, there = counted_maps(logits, target, background)
    unlike = (1 - ssim_map(p, t.to(p), there, gaussian(window, sigma, p))).masked_fill(~there, 0).sum((1, 2))
    return mean_of_maps(unlike / there.sum((1, 2)).clamp(min=1), present)
