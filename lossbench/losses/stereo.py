"""Losses of depth that need no true depth, of a rectified pair of views: each must look like the other, displaced.

Outputs are the logarithms of the depths of the left and of the right view, both predicted from the left image, which is
`image`; the first of `other_views` is the right one. Only its offset is read of its pose: the camera stands b = -t_x to
the right, neither turned nor moved otherwise. With the disparity d = fx b / p, which is above 0, what is at column u of
the left view is at u - d of the right one, and what is at u of the right view is at u + d of the left one.

Left pixels count where the true depth is finite and above 0, as in all losses of depth, and u - d is within half a
pixel of the centres of the outermost columns; right ones where what they show of the left view is valid. The others
have neither value nor gradient, nor has an image where none count. Images are compared as in `photometric`. The link
gives the left depth. Half precision is computed in single.

Where a loss says nothing else:

Parameters
----------
outputs : Tensor (N, H, W, 2)
    Floating point, the logarithms of the left and the right depth.
target : Tensor (N, H, W)
    True left depth; 0, negative or NaN where a pixel is to be left out.
image : Tensor (N, 3, H, W)
    The left image, uint8 or floating in [0, 1].
other_views : Tensor (N, V, 3, H, W)
    The right image, then any others, which are not read.
intrinsics : Tensor (N, 3, 3)
    Of both cameras, in pixels.
poses : Tensor (N, V, 4, 4)
    By which X_view = R X + t leads from the left camera (x right, y down, z ahead) to each other one.

Returns
-------
Tensor (N,)
    Values from 0, each of one image: the sum of a mean over the left view and one over the right view.

Raises
------
ValueError
    If the shapes of outputs and target don't fit.

"""

from typing import NamedTuple

import torch
from torch import Tensor

from lossbench.losses.declaration import adds, loss
from lossbench.losses.depth import mean_of_valid, valid_pixels
from lossbench.losses.depth_structure import in_units, mean_slope, pinhole, pixel_grid
from lossbench.losses.links import exponential, left_depth
from lossbench.losses.reprojection import difference, places, sampled

__all__ = ["appearance_matching", "left_right_consistency", "monodepth"]


class _Pair(NamedTuple):
    """A rectified pair: the left view, then the right one, along dimension 1."""

    images: Tensor
    """(N, 2, 3, H, W)."""
    seen: Tensor
    """The same, as the other view shows them."""
    disparity: Tensor
    """(N, 2, H, W), in pixels."""
    place: Tensor
    """(N, 2, H, W, 2), where each pixel is in the other view."""
    valid: Tensor
    """(N, 2, H, W)."""
    counts: Tensor
    """(N, 2, H, W), which are valid and made of valid pixels in the other view."""


def _pair(outputs: Tensor, target: Tensor, context: dict[str, Tensor]) -> _Pair:
    """Return a pair, whose disparities are fx b / p; right pixels are valid if the left view has any that is."""
    pixels = valid_pixels(outputs[..., 0], target)
    any_valid = pixels.valid.any(-1, keepdim=True).any(-2, keepdim=True).expand_as(pixels.valid)
    valid = torch.stack([pixels.valid, any_valid], 1)
    log_depth = torch.stack([pixels.log_depth, outputs[..., 1].to(pixels.target).masked_fill(~any_valid, 0.0)], 1)
    left, right = (in_units(each, pixels.target) for each in (context["image"], context["other_views"][:, 0]))
    baseline = -context["poses"].to(left)[:, 0, 0, 3, None, None]
    reach = pinhole(context["intrinsics"].to(left)).fx * baseline
    disparity = reach.unsqueeze(1) * exponential(-log_depth)

    images, (height, width) = torch.stack([left, right], 1), disparity.shape[-2:]
    u, v = pixel_grid(disparity)
    by = torch.stack([-disparity[:, 0], disparity[:, 1]], 1) * (2 / width)
    place, inside = places((2 * u + 1) / width - 1 + by, ((2 * v + 1) / height - 1).expand_as(by))
    seen = sampled(torch.cat([images, valid.unsqueeze(2).to(images)], 2).flip(1), place)
    counts = valid & inside & (seen[:, :, 3] > 1 - 1e-5)
    return _Pair(images, seen[:, :, :3], disparity, place, valid, counts)


def _appearance(pair: _Pair, alpha: float) -> Tensor:
    return mean_of_valid(difference(pair.seen, pair.images, pair.counts, alpha), pair.counts).sum(1)


def _consistency(pair: _Pair) -> Tensor:
    seen = sampled(pair.disparity.flip(1).unsqueeze(2), pair.place).squeeze(2)
    return mean_of_valid((pair.disparity - seen).abs() / seen.shape[-1], pair.counts).sum(1)


@loss(
    task="depth",
    link=left_depth,
    outputs=2,
    source=(
        'Godard, Mac Aodha, Brostow 2017, "Unsupervised Monocular Depth Estimation with Left-Right Consistency", '
        "arXiv:1609.03677"
    ),
    ranges={"alpha": "[0, 1]"},
    shapes="N H W 2 , N H W -> N",
)
def appearance_matching(
    outputs: Tensor,
    target: Tensor,
    *,
    image: Tensor,
    other_views: Tensor,
    intrinsics: Tensor,
    poses: Tensor,
    alpha: float = 0.85,
) -> Tensor:
    """Differences of a rectified pair: each view against the other one, displaced by its own disparity.

    Formula: mean e(I_l(u), I_r(u - d_l(u))) + mean e(I_r(u), I_l(u + d_r(u))), d = fx b / p, u: column

    Parameters
    ----------
    alpha : float in [0, 1]
        Share of the structural similarity; the rest is the absolute difference.

    Examples
    --------
    >>> left, camera, pose = torch.rand(1, 3, 4, 6), torch.eye(3).unsqueeze(0), torch.eye(4).view(1, 1, 4, 4).clone()
    >>> pose[..., 0, 3] = -2.0
    >>> seen = {"image": left, "other_views": left.roll(-1, -1).unsqueeze(1), "intrinsics": camera, "poses": pose}
    >>> bool(appearance_matching(torch.full((1, 4, 6, 2), 2.0).log(), torch.ones(1, 4, 6), **seen) < 1e-6)
    True

    """
    context = {"image": image, "other_views": other_views, "intrinsics": intrinsics, "poses": poses}
    return _appearance(_pair(outputs, target, context), alpha)


@loss(
    task="depth",
    link=left_depth,
    outputs=2,
    source=(
        'Godard, Mac Aodha, Brostow 2017, "Unsupervised Monocular Depth Estimation with Left-Right Consistency", '
        "arXiv:1609.03677"
    ),
    shapes="N H W 2 , N H W -> N",
)
def left_right_consistency(
    outputs: Tensor, target: Tensor, *, image: Tensor, other_views: Tensor, intrinsics: Tensor, poses: Tensor
) -> Tensor:
    """Differences between the disparities of a rectified pair, each displaced to the other view: a term for a sum.

    Formula: mean |d_l(u) - d_r(u - d_l(u))| + mean |d_r(u) - d_l(u + d_r(u))|, d = fx b / p over the width, u: column

    Disparities are compared as shares of the image's width, as in the paper's code. Alone it is useless: constant
    disparities agree, whatever the truth.

    Examples
    --------
    Disparities of 1 and 2 pixels, in images 4 wide:

    >>> images = torch.rand(1, 2, 3, 1, 4)
    >>> camera, pose = torch.eye(3).unsqueeze(0), torch.eye(4).view(1, 1, 4, 4).clone()
    >>> pose[..., 0, 3] = -2.0
    >>> seen = {"image": images[:, 0], "other_views": images[:, 1:], "intrinsics": camera, "poses": pose}
    >>> left_right_consistency(torch.tensor([2.0, 1.0]).log().expand(1, 1, 4, 2), torch.ones(1, 1, 4), **seen)
    tensor([0.5000])

    """
    context = {"image": image, "other_views": other_views, "intrinsics": intrinsics, "poses": poses}
    return _consistency(_pair(outputs, target, context))


@loss(
    task="depth",
    link=left_depth,
    outputs=2,
    source=(
        'Godard, Mac Aodha, Brostow 2017, "Unsupervised Monocular Depth Estimation with Left-Right Consistency", '
        "arXiv:1609.03677"
    ),
    ranges={"alpha": "[0, 1]", "alpha_ap": "[0, inf)", "alpha_lr": "[0, inf)", "alpha_ds": "[0, inf)"},
    shapes="N H W 2 , N H W -> N",
)
@adds("appearance", "consistency", "smoothness")
def monodepth(
    outputs: Tensor,
    target: Tensor,
    *,
    image: Tensor,
    other_views: Tensor,
    intrinsics: Tensor,
    poses: Tensor,
    alpha: float = 0.85,
    alpha_ap: float = 1.0,
    alpha_lr: float = 1.0,
    alpha_ds: float = 0.1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Total loss of a rectified pair: appearance, consistency and smoothness of both disparities (Monodepth).

    Formula: alpha_ap L_ap + alpha_lr L_lr + alpha_ds (mean |dx d| e^-|dx I| + mean |dy d| e^-|dy I|, left and right)

    L_ap is `appearance_matching`, L_lr `left_right_consistency`. The smoothness is that of `edge_aware_smoothness`, but
    of disparities as shares of the image's width. The paper adds this up over four sizes of the image; here is one.

    Parameters
    ----------
    alpha : float in [0, 1]
        Share of the structural similarity in L_ap; the rest is the absolute difference.
    alpha_ap, alpha_lr, alpha_ds : float from 0
        Weights.

    Examples
    --------
    >>> left, camera, pose = torch.rand(1, 3, 4, 6), torch.eye(3).unsqueeze(0), torch.eye(4).view(1, 1, 4, 4).clone()
    >>> pose[..., 0, 3] = -2.0
    >>> seen = {"image": left, "other_views": left.roll(-1, -1).unsqueeze(1), "intrinsics": camera, "poses": pose}
    >>> bool(monodepth(torch.full((1, 4, 6, 2), 2.0).log(), torch.ones(1, 4, 6), **seen) < 1e-6)
    True

    """
    pair = _pair(
        outputs, target, {"image": image, "other_views": other_views, "intrinsics": intrinsics, "poses": poses}
    )
    smoothness = mean_slope(pair.disparity / image.shape[-1], pair.valid, pair.images).sum(1)
    return alpha_ap * _appearance(pair, alpha), alpha_lr * _consistency(pair), alpha_ds * smoothness
