"""Losses of the structure of a depth map: what lies beside each other, not each pixel by itself.

Outputs are the logarithm of the depth in metres; the link makes depths of them, from 0 to e^20. d is the true depth of
a pixel, p the predicted one, and g = log p - log d; dx and dy are the differences of a pixel's right and lower
neighbour to itself. Only windows, pairs and triples of valid pixels count, where the target is finite and above 0: what
is not is left out, as if cropped away, and so is what lies outside the image. An image where none count has the value 0
and no gradient. Half precision is computed in single.

Where a loss says nothing else:

Parameters
----------
outputs : Tensor (N, H, W)
    Floating point, log p.
target : Tensor (N, H, W)
    True depth d in metres; 0, negative or NaN where it is not known.
image : Tensor (N, 3, H, W)
    The image, uint8 or floating in [0, 1].
intrinsics : Tensor (N, 3, 3)
    Of a pinhole camera without skew, in pixels of the image, whose centres have whole-numbered coordinates.

Returns
-------
Tensor (N,)
    Values from 0, each of one image.

Raises
------
ValueError
    If the shapes differ.

"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lossbench.losses.declaration import loss
from lossbench.losses.depth import mean_of_valid, relative_inverse, valid_pixels
from lossbench.losses.links import LARGEST_LOG_RATE, exponential
from lossbench.losses.similarity import gaussian, ssim_map

__all__ = ["depth_gradient", "depth_multiscale_gradient", "depth_normals", "depth_ssim", "edge_aware_smoothness"]


@loss(
    task="depth",
    link=exponential,
    source=(
        'Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity", '
        "doi:10.1109/TIP.2003.819861"
    ),
    ranges={"data_range": "(0, inf)", "window": "[1, 65]", "sigma": "(0, inf)"},
    shapes="N H W , N H W -> N",
)
def depth_ssim(
    outputs: Tensor, target: Tensor, *, data_range: float = 10.0, window: int = 11, sigma: float = 1.5
) -> Tensor:
    """One less the structural similarity of the depth maps: of their means, spreads and correlation in small windows.

    Formula: 1 - mean (2 m_p m_d + c1) (2 s_pd + c2) / ((m_p^2 + m_d^2 + c1) (s_p^2 + s_d^2 + c2))

    m, s^2 and s_pd are means, variances and covariance under a Gaussian window around each valid pixel; c1 and c2 are
    the squares of 0.01 and 0.03 times `data_range`. Values reach from 0 to 2; kornia's `ssim_loss` is half of that. Of
    a window at the border or at a hole only the valid pixels count, with their weights scaled to a sum of 1. Libraries
    agree where a window is full, and differ at borders: kornia and torchmetrics reflect the map there, monai and piq
    leave such windows out.

    Parameters
    ----------
    data_range : float above 0
        The largest depth that matters, in metres: errors well below 1 % of it are not seen.
    window : int in [1, 65]
        Pixels a side, odd.
    sigma : float above 0
        Standard deviation of the window, in pixels.

    Raises
    ------
    ValueError
        If the shapes differ or the window is even.

    Examples
    --------
    >>> depth = torch.tensor([[[1.0, 2.0, 4.0]]])
    >>> depth_ssim((2 * depth).log(), depth), depth_ssim((7 - depth).log(), depth)
    (tensor([0.3578]), tensor([1.7363]))

    """
    pixels = valid_pixels(outputs, target)
    kernel = gaussian(window, sigma, pixels.target)
    similarity = ssim_map(exponential(pixels.log_depth), pixels.target, pixels.valid, kernel, data_range)
    return mean_of_valid(1 - similarity, pixels.valid)


@loss(
    task="depth",
    link=exponential,
    source=(
        'Eigen and Fergus 2015, "Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale '
        'Convolutional Architecture", arXiv:1411.4734; Hu et al. 2019, "Revisiting Single Image Depth Estimation", '
        "arXiv:1803.08673"
    ),
    shapes="N H W , N H W -> N",
)
def depth_gradient(outputs: Tensor, target: Tensor) -> Tensor:
    """Absolute error of the differences between neighbours: edges of the depth, in metres.

    Formula: mean |dx p - dx d| + mean |dy p - dy d|

    Each mean is over its pairs of valid neighbours. A constant added to all depths of an image costs nothing, so it is
    a term for a sum. Eigen and Fergus square the differences, of logarithms; Hu et al. take log(1 + |.|) of them. Some
    surveys write the gradients of the image in place of dx d, whose units are others.

    Examples
    --------
    >>> depth_gradient(torch.zeros(1, 2, 2), torch.tensor([[[1.0, 3.0], [1.0, 0.0]]]))
    tensor([2.])

    """
    pixels = valid_pixels(outputs, target)
    return mean_slope(pixels.error, pixels.valid)


@loss(
    task="depth",
    link=exponential,
    source=(
        'Li and Snavely 2018, "MegaDepth: Learning Single-View Depth Prediction from Internet Photos", arXiv:1804.00607'
    ),
    ranges={"scales": "[1, 8]"},
    shapes="N H W , N H W -> N",
)
def depth_multiscale_gradient(outputs: Tensor, target: Tensor, *, scales: int = 4) -> Tensor:
    """Absolute differences between neighbours of the logarithmic error, at several scales: sharp edges, smooth faces.

    Formula: sum_{k < scales} (mean |dx g_k| + mean |dy g_k|), g_k: g at every 2^k-th row and column

    Each mean is over its pairs of valid neighbours (MiDaS divides by the number of valid pixels, which is a little
    more). Here g is the error of log depth, as in MegaDepth; in MiDaS it is the error of inverse depth after an
    alignment. A common factor of all depths of an image costs nothing, so it is a term for a sum: with weight 0.5
    beside `silog` in MegaDepth, beside `ssi_trimmed` in MiDaS.

    Parameters
    ----------
    scales : int in [1, 8]
        How many; one where less than two rows or columns are left adds nothing in that direction.

    Examples
    --------
    >>> depth_multiscale_gradient(torch.zeros(1, 1, 3), torch.tensor([[[1.0, 2.0, 4.0]]]), scales=2)
    tensor([2.0794])

    """
    pixels = valid_pixels(outputs, target)
    steps = [2**k for k in range(scales)]
    each = [mean_slope(pixels.log_error[:, ::s, ::s], pixels.valid[:, ::s, ::s]) for s in steps]
    return torch.stack(each).sum(0)


def mean_slope(maps: Tensor, valid: Tensor, image: Tensor | None = None) -> Tensor:
    """Return mean |dx| + mean |dy| (...) of maps (..., H, W), each over its pairs of valid neighbours.

    With an image (..., 3, H, W) each pair has the weight e^-c, c being how far its colours are apart, over the
    channels.
    """
    total = maps.new_zeros(maps.shape[:-2])
    for along in (-1, -2):
        slope, size = maps.diff(dim=along).abs(), maps.shape[along] - 1
        if image is not None:
            slope = slope * (-image.diff(dim=along).abs().mean(-3)).exp()
        total = total + mean_of_valid(slope, valid.narrow(along, 0, size) & valid.narrow(along, 1, size))
    return total


@loss(
    task="depth",
    link=exponential,
    source=(
        'Hu et al. 2019, "Revisiting Single Image Depth Estimation: Toward Higher Resolution Maps with Accurate Object '
        'Boundaries", arXiv:1803.08673'
    ),
    shapes="N H W , N H W -> N",
)
def depth_normals(outputs: Tensor, target: Tensor, *, intrinsics: Tensor) -> Tensor:
    """Angle between the predicted and the true normal of the surface: one less its cosine.

    Formula: mean (1 - n_p . n_d / (|n_p| |n_d|)), n: normal of the plane through a point, its right and lower neighbour

    The points are those of space, from depth and camera; Hu et al. take the depths over pixels as a surface, whose
    normals are others. Between a pixel and its neighbours the depth is taken as linear in its inverse, as it is on a
    plane, so that normals of planes are exact. A common factor of all depths of an image turns no normal and costs
    nothing: it is a term for a sum. The angle itself would have no finite gradient at 0. A neighbour more than e^20
    times nearer is taken as so near.

    Examples
    --------
    A plane facing the camera, against one that is inclined by 45 degrees:

    >>> camera = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]])
    >>> inclined = 1 / torch.tensor([[[1.0, 1.5], [1.0, 1.5]]])
    >>> depth_normals(torch.zeros(1, 2, 2), inclined, intrinsics=camera)
    tensor([0.2929])

    """
    pixels, camera = valid_pixels(outputs, target), pinhole(intrinsics.to(outputs.device))
    predicted, true = (_normals(each, camera) for each in (pixels.log_depth, pixels.target.log()))
    cosine = (normalize(predicted, dim=-1) * normalize(true, dim=-1)).sum(-1)
    triple = pixels.valid[:, :-1, :-1] & pixels.valid[:, :-1, 1:] & pixels.valid[:, 1:, :-1]
    return mean_of_valid(1 - cosine, triple)


class Pinhole(NamedTuple):
    """A camera: focal lengths and principal point, each (N, 1, 1)."""

    fx: Tensor
    fy: Tensor
    cx: Tensor
    cy: Tensor


def pinhole(intrinsics: Tensor) -> Pinhole:
    """Read matrices (N, 3, 3), at least in single precision."""
    matrix = intrinsics.to(torch.promote_types(intrinsics.dtype, torch.float32))[:, :, :, None, None]
    return Pinhole(matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 0, 2], matrix[:, 1, 2])


def pixel_grid(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return column (W,) and row (H, 1) of each pixel of maps (..., H, W)."""
    height, width = maps.shape[-2:]
    made = {"dtype": maps.dtype, "device": maps.device}
    return torch.arange(width, **made), torch.arange(height, **made).unsqueeze(1)  # type: ignore[call-overload]


def _normals(log_depth: Tensor, camera: Pinhole) -> Tensor:
    """Return normals (N, H - 1, W - 1, 3), not of unit length, of the plane through each pixel and two neighbours.

    On a plane inverse depth w is linear in column u and row v, and the normal is along
    (fx w_u, fy w_v, w - (u - cx) w_u - (v - cy) w_v); here all is divided by w of the pixel.
    """
    corner = log_depth[:, :-1, :-1]
    along_u = (corner - log_depth[:, :-1, 1:]).clamp(max=LARGEST_LOG_RATE).expm1()
    along_v = (corner - log_depth[:, 1:, :-1]).clamp(max=LARGEST_LOG_RATE).expm1()
    u, v = pixel_grid(corner)
    facing = 1 - (u - camera.cx) * along_u - (v - camera.cy) * along_v
    return torch.stack([camera.fx * along_u, camera.fy * along_v, facing], -1)


@loss(
    task="depth",
    link=exponential,
    source=(
        'Godard et al. 2017, "Unsupervised Monocular Depth Estimation with Left-Right Consistency", arXiv:1609.03677; '
        'Godard et al. 2019, "Digging Into Self-Supervised Monocular Depth Estimation" (Monodepth2, the division by '
        "the mean), arXiv:1806.01260"
    ),
    shapes="N H W , N H W -> N",
)
def edge_aware_smoothness(outputs: Tensor, target: Tensor, *, image: Tensor) -> Tensor:
    """Differences of inverse depth between neighbours, less where the image has an edge: a term for a sum.

    Formula: mean |dx w| e^-|dx I| + mean |dy w| e^-|dy I|, w: 1 / p over its mean, |dx I|: mean over the channels

    Alone it is useless: any constant depth has the value 0, whatever the truth, of which only the valid pixels are
    used. Monodepth2 gives it the weight 0.001. Each mean is over its pairs of valid neighbours. kornia's
    `inverse_depth_smoothness_loss` of w is the same; it does not divide by the mean, without which small inverse depths
    would be smoothest.

    Examples
    --------
    >>> image = torch.zeros(1, 3, 1, 2)
    >>> edge_aware_smoothness(torch.tensor([[[1.0, 4.0]]]).log(), torch.ones(1, 1, 2), image=image)
    tensor([1.2000])

    """
    pixels = valid_pixels(outputs, target)
    inverse = relative_inverse(pixels.log_depth, pixels.valid)
    mean = mean_of_valid(inverse, pixels.valid).masked_fill(~pixels.valid.any(-1).any(-1), 1.0)
    return mean_slope(inverse / mean[:, None, None], pixels.valid, in_units(image, inverse))


def in_units(image: Tensor, like: Tensor) -> Tensor:
    """Return images in [0, 1], of the type of `like`, from uint8 or floating ones."""
    return image.to(like) if image.is_floating_point() else image.to(like) / 255
