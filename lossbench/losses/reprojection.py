"""Losses of depth that need no true depth: a view that is warped by the depth must look like the image.

Outputs are the logarithm of the depth in metres. By depth and pose each pixel of the image has a place in another view,
whose colour there (bilinear) is what the image should show. Scenes must stand still and surfaces look alike from both
sides; the depth has metres only because the poses have. A sum with a little `edge_aware_smoothness` is usual, since
uniform surfaces look alike at any depth.

Two images are compared at each pixel by e = alpha (1 - SSIM) / 2 + (1 - alpha) |difference|, mean over the channels.
SSIM is that of 3x3 windows of equal weights, with a data range of 1; of a window only what counts is used, with weights
that sum to 1.

Of pixels only those count whose true depth is finite and above 0, as in all losses of depth, though nothing else is
read of the truth; and of these only those that lie in the other view: in front of its camera and within half a pixel of
the centres of its outermost pixels. The others have neither value nor gradient, so that a depth at which everything
leaves the view costs nothing, but no gradient leads there. Without a pixel that counts an image has the value 0 and no
gradient. Half precision is computed in single.

Where a loss says nothing else:

Parameters
----------
outputs : Tensor (N, H, W)
    Floating point, the logarithm of the depth.
target : Tensor (N, H, W)
    True depth; 0, negative or NaN where a pixel is to be left out.
image : Tensor (N, 3, H, W)
    The image, uint8 or floating in [0, 1].
other_views : Tensor (N, V, 3, H, W)
    Other images of the scene, of the same kind.
intrinsics : Tensor (N, 3, 3)
    Of the camera of all views, a pinhole without skew, in pixels, whose centres have whole-numbered coordinates.
poses : Tensor (N, V, 4, 4)
    By which X_view = R X + t leads from the camera of the image (x right, y down, z ahead) to that of each view.

Returns
-------
Tensor (N,)
    Values from 0, each of one image.

Raises
------
ValueError
    If the shapes of outputs and target don't fit.

"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.depth import mean_of_valid, valid_pixels
from lossbench.losses.depth_structure import in_units, pinhole, pixel_grid
from lossbench.losses.links import exponential
from lossbench.losses.similarity import ssim_map

__all__ = ["minimum_reprojection", "photometric"]

IN_FRONT = 1e-4
"""A point counts as in front of a camera if it is further than this share of its depth in the image."""


@loss(
    task="depth",
    link=exponential,
    source=(
        'Zhou et al. 2017, "Unsupervised Learning of Depth and Ego-Motion from Video" (the warp, with alpha = 0), '
        'arXiv:1704.07813; Godard et al. 2017, "Unsupervised Monocular Depth Estimation with Left-Right Consistency" '
        "(the blend), arXiv:1609.03677"
    ),
    ranges={"alpha": "[0, 1]"},
    shapes="N H W , N H W -> N",
)
def photometric(
    outputs: Tensor,
    target: Tensor,
    *,
    image: Tensor,
    other_views: Tensor,
    intrinsics: Tensor,
    poses: Tensor,
    alpha: float = 0.85,
) -> Tensor:
    """Difference between the image and the first other view, warped to it by the predicted depth.

    Formula: mean (alpha (1 - SSIM(I, J)) / 2 + (1 - alpha) |I - J|), J(u) = view(K (R p(u) K^-1 u + t))

    What is hidden in the other view is compared with what hides it: `minimum_reprojection` mends that.

    Parameters
    ----------
    alpha : float in [0, 1]
        Share of the structural similarity; the rest is the absolute difference.

    Examples
    --------
    Of two depths, the one by which the columns of the view are displaced by one, and one too far:

    >>> view, camera = torch.rand(1, 1, 3, 4, 6), torch.eye(3).unsqueeze(0)
    >>> pose = torch.eye(4).view(1, 1, 4, 4).clone()
    >>> pose[..., 0, 3] = -2.0
    >>> seen = {"image": view[:, 0].roll(1, -1), "other_views": view, "intrinsics": camera, "poses": pose}
    >>> right, far = (photometric(torch.full((1, 4, 6), d).log(), torch.ones(1, 4, 6), **seen) for d in (2.0, 8.0))
    >>> bool(right < 1e-6), bool(far > 0.01)
    (True, True)

    """
    pixels, views = valid_pixels(outputs, target), other_views[:, :1]
    warped, inside = _warped(pixels.log_depth, in_units(views, pixels.target), intrinsics, poses[:, :1])
    counts = pixels.valid & inside[:, 0]
    return mean_of_valid(difference(warped[:, 0], in_units(image, pixels.target), counts, alpha), counts)


@loss(
    task="depth",
    link=exponential,
    source=(
        'Godard et al. 2019, "Digging Into Self-Supervised Monocular Depth Estimation" (Monodepth2), arXiv:1806.01260'
    ),
    ranges={"alpha": "[0, 1]"},
    shapes="N H W , N H W -> N",
)
def minimum_reprojection(
    outputs: Tensor,
    target: Tensor,
    *,
    image: Tensor,
    other_views: Tensor,
    intrinsics: Tensor,
    poses: Tensor,
    alpha: float = 0.85,
) -> Tensor:
    """Difference between the image and the warped view that fits best, pixel by pixel, without what does not move.

    Formula: mean of min_k e_k over the pixels where min_k e_k < min_k e0_k, e_k: against view k warped, e0_k: unwarped

    What is hidden in one view is compared with another that shows it. Pixels that an unwarped view shows better are
    left out (auto-masking): nothing can be learned of them, or they move with the camera. The authors' code counts
    these in the mean, with their error unwarped, which changes the value but not the direction of the gradient.

    Parameters
    ----------
    alpha : float in [0, 1]
        Share of the structural similarity; the rest is the absolute difference.

    Examples
    --------
    Two views displaced by one column to the left and to the right:

    >>> image, camera = torch.rand(1, 3, 4, 6), torch.eye(3).unsqueeze(0)
    >>> poses = torch.eye(4).repeat(1, 2, 1, 1)
    >>> poses[0, :, 0, 3] = torch.tensor([-2.0, 2.0])
    >>> views = torch.stack([image.roll(-1, -1), image.roll(1, -1)], 1)
    >>> seen = {"image": image, "other_views": views, "intrinsics": camera, "poses": poses}
    >>> bool(minimum_reprojection(torch.full((1, 4, 6), 2.0).log(), torch.ones(1, 4, 6), **seen) < 1e-6)
    True

    """
    pixels = valid_pixels(outputs, target)
    image, views = in_units(image, pixels.target).unsqueeze(1), in_units(other_views, pixels.target)
    warped, inside = _warped(pixels.log_depth, views, intrinsics, poses)
    valid = pixels.valid.unsqueeze(1)
    fits = difference(warped, image, valid & inside, alpha).masked_fill(~inside, torch.inf).amin(1)
    with torch.no_grad():
        unwarped = difference(views, image, valid, alpha).amin(1)
    return mean_of_valid(fits, pixels.valid & (fits < unwarped))


def _warped(log_depth: Tensor, views: Tensor, intrinsics: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Return views (N, V, 3, H, W) as the image would show them, and where that is known (N, V, H, W).

    A ray r of depth p comes to R p r + t. Only its direction matters, R r + t / p: so depth comes in by its inverse,
    held below e^20, and one product of matrices, with the camera, does it for all views.
    """
    camera, poses = pinhole(intrinsics.to(log_depth)), poses.to(log_depth)
    (u, v), inverse = pixel_grid(log_depth), exponential(-log_depth)
    rays = torch.broadcast_tensors((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, u.new_ones(1), inverse)
    height, width = log_depth.shape[-2:]
    of_image = intrinsics.to(log_depth) * log_depth.new_tensor([[2 / width], [2 / height], [1.0]])
    of_image[:, :2, 2] += log_depth.new_tensor([1 / width - 1, 1 / height - 1])
    moved = (of_image.unsqueeze(1) @ poses[..., :3, :]).flatten(1, 2) @ torch.stack(rays, 1).flatten(2)
    x, y, z = moved.view(*views.shape[:2], 3, height, width).unbind(2)
    ahead = z > IN_FRONT
    z = z.masked_fill(~ahead, 1.0)
    place, inside = places(x / z, y / z, ahead)
    return sampled(views, place), inside


def places(x: Tensor, y: Tensor, ahead: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return x and y (..., H, W) side by side (..., H, W, 2), and which lie inside, as `ahead` says too.

    The edges of an image are at -1 and 1, half a pixel beyond the outermost centres; what lies outside is put to 0.
    """
    inside = (x.abs() <= 1) & (y.abs() <= 1)
    inside = inside if ahead is None else inside & ahead
    outside = ~inside
    return torch.stack([x.masked_fill(outside, 0.0), y.masked_fill(outside, 0.0)], -1), inside


def sampled(views: Tensor, place: Tensor) -> Tensor:
    """Return views (..., C, H, W) at places (..., H, W, 2)."""
    flat = views.reshape(-1, *views.shape[-3:]), place.reshape(-1, *place.shape[-3:])
    return F.grid_sample(*flat, padding_mode="border", align_corners=False).view(views.shape)


def difference(x: Tensor, y: Tensor, counts: Tensor, alpha: float) -> Tensor:
    """Return e (..., H, W) of images (..., 3, H, W) in [0, 1], from the pixels that count (..., H, W)."""
    unlike = (1 - ssim_map(x, y, counts.unsqueeze(-3)).sum(-3) / 3) / 2
    return alpha * unlike + (1 - alpha) * ((x - y).abs().sum(-3) / 3)
