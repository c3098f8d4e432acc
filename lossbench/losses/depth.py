"""Losses of a depth map that look at each pixel by itself.

Outputs are the logarithm of the depth in metres, one for each pixel; the link makes depths of them, from 0 to e^20. d
is the true depth of a pixel, p the predicted one, and g = log p - log d. A pixel is valid where the target is finite
and above 0. All others are left out of every loss of depth, as if cropped away; an image without a valid pixel has the
value 0 and no gradient. Half precision is computed in single.

Where a loss says nothing else:

Parameters
----------
outputs : Tensor (N, H, W)
    Floating point, log p.
target : Tensor (N, H, W)
    True depth d in metres; 0, negative or NaN where it is not known.

Returns
-------
Tensor (N,)
    Values from 0, each the mean over the valid pixels of one image.

Raises
------
ValueError
    If the shapes differ.

"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.links import exponential
from lossbench.losses.piecewise import berhu

__all__ = ["depth_berhu", "depth_log_l1", "depth_mae", "depth_mse", "silog", "silog_root"]


class Pixels(NamedTuple):
    """Predicted and true depth: where a pixel is not valid both are 1 metre, so that no error and no gradient is there.

    Parameters
    ----------
    log_depth : Tensor (N, H, W)
        log p.
    target : Tensor (N, H, W)
        d.
    valid : Tensor (N, H, W)
        bool.

    """

    log_depth: Tensor
    target: Tensor
    valid: Tensor

    @property
    def error(self) -> Tensor:
        """Of the depth: p - d."""
        return exponential(self.log_depth) - self.target

    @property
    def log_error(self) -> Tensor:
        """Of its logarithm: g."""
        return self.log_depth - self.target.log()


def valid_pixels(outputs: Tensor, target: Tensor) -> Pixels:
    """Return outputs and target, at least in single precision, with what is not valid out of the way."""
    dtype = torch.promote_types(outputs.dtype, torch.float32)
    valid = target.isfinite() & (target > 0)
    return Pixels(outputs.to(dtype).masked_fill(~valid, 0.0), target.to(dtype).masked_fill(~valid, 1.0), valid)


def mean_of_valid(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean (...) over the valid pixels of maps (..., H, W); 0 where there are none."""
    return values.masked_fill(~valid, 0.0).sum((-2, -1)) / valid.sum((-2, -1)).clamp_min(1)


def relative_inverse(log_depth: Tensor, valid: Tensor) -> Tensor:
    """Return inverse depths (N, H, W) in units of the largest one of their image, which can't overflow; elsewhere 1.

    The unit is held constant in the gradient: what is made of them must not depend on it.
    """
    nearest = log_depth.detach().masked_fill(~valid, torch.inf).amin((-2, -1), keepdim=True)
    return (nearest - log_depth).masked_fill(~valid, 0.0).exp()


@loss(
    task="depth",
    link=exponential,
    source=(
        'Eigen, Puhrsch, Fergus 2014, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network" '
        "(the task), arXiv:1406.2283"
    ),
    shapes="N H W , N H W -> N",
)
def depth_mae(outputs: Tensor, target: Tensor) -> Tensor:
    """Absolute error of the depth.

    Formula: mean |p - d|

    In metres: far pixels, whose errors are larger, count more than near ones. Above e^20 metres the prediction is held,
    and so has no gradient.

    Examples
    --------
    >>> depth_mae(torch.zeros(1, 1, 3), torch.tensor([[[1.5, 3.0, 0.0]]]))
    tensor([1.2500])

    """
    pixels = valid_pixels(outputs, target)
    return mean_of_valid(pixels.error.abs(), pixels.valid)


@loss(
    task="depth",
    link=exponential,
    source=(
        'Eigen, Puhrsch, Fergus 2014, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network" '
        "(the task), arXiv:1406.2283"
    ),
    shapes="N H W , N H W -> N",
)
def depth_mse(outputs: Tensor, target: Tensor) -> Tensor:
    """Squared error of the depth.

    Formula: mean (p - d)^2

    In square metres: a few far pixels can make up most of it. Above e^20 metres the prediction is held, and so has no
    gradient.

    Examples
    --------
    >>> depth_mse(torch.zeros(1, 1, 3), torch.tensor([[[1.5, 3.0, 0.0]]]))
    tensor([2.1250])

    """
    pixels = valid_pixels(outputs, target)
    return mean_of_valid(pixels.error.square(), pixels.valid)


@loss(
    task="depth",
    link=exponential,
    source=(
        'Eigen, Puhrsch, Fergus 2014, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network" '
        "(the task), arXiv:1406.2283"
    ),
    shapes="N H W , N H W -> N",
)
def depth_log_l1(outputs: Tensor, target: Tensor) -> Tensor:
    """Absolute error of the logarithm of the depth, near the relative error where that is small.

    Formula: mean |g|

    Examples
    --------
    >>> depth_log_l1(torch.zeros(1, 1, 3), torch.tensor([[[1.0, 2.0, 0.0]]]))
    tensor([0.3466])

    """
    pixels = valid_pixels(outputs, target)
    return mean_of_valid(pixels.log_error.abs(), pixels.valid)


@loss(
    task="depth",
    link=exponential,
    source=(
        'Eigen, Puhrsch, Fergus 2014, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network", '
        "arXiv:1406.2283"
    ),
    ranges={"lam": "[0, 1]"},
    shapes="N H W , N H W -> N",
)
def silog(outputs: Tensor, target: Tensor, *, lam: float = 0.5) -> Tensor:
    """Scale-invariant logarithmic error: a common factor of all depths of an image costs less, or nothing.

    Formula: mean g^2 - lam (mean g)^2

    It is the variance of g and 1 - lam times the square of its mean, and is computed so. lam = 0 is the squared error
    of the logarithm, lam = 1 the variance alone, which is the metric of the paper and leaves the scale free; the paper
    trains with 0.5.

    Parameters
    ----------
    lam : float in [0, 1]
        How much of the error of the common scale is forgiven.

    Examples
    --------
    >>> silog(torch.zeros(1, 1, 3), torch.tensor([[[1.0, 2.0, 0.0]]]), lam=1.0)
    tensor([0.1201])

    """
    mean, centred = _centred_log_error(outputs, target)
    return centred.square().sum(1) + (1 - lam) * mean.square()


@loss(
    task="depth",
    link=exponential,
    source=(
        'Lee et al. 2019, "From Big to Small: Multi-Scale Local Planar Guidance for Monocular Depth Estimation" '
        "(BTS), arXiv:1907.10326"
    ),
    ranges={"lam": "[0, 1]", "alpha": "(0, inf)"},
    shapes="N H W , N H W -> N",
)
def silog_root(outputs: Tensor, target: Tensor, *, lam: float = 0.85, alpha: float = 10.0) -> Tensor:
    """Root of the scale-invariant logarithmic error, whose gradient does not fade as the error falls.

    Formula: alpha sqrt(mean g^2 - lam (mean g)^2)

    The root is taken of each image; the authors' code takes it of all pixels of the batch. Where the error is 0, the
    gradient is taken as 0.

    Parameters
    ----------
    lam : float in [0, 1]
        How much of the error of the common scale is forgiven.
    alpha : float above 0
        Scale of the loss.

    Examples
    --------
    >>> silog_root(torch.zeros(1, 1, 3), torch.tensor([[[1.0, 2.0, 0.0]]]), lam=1.0)
    tensor([3.4657])

    """
    mean, centred = _centred_log_error(outputs, target)
    parts = torch.cat([centred, math.sqrt(1 - lam) * mean.unsqueeze(1)], 1)
    return alpha * torch.linalg.vector_norm(parts, dim=1)


def _centred_log_error(outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of g (N,) and what each pixel has beyond it, (N, H W), over the root of the number of pixels."""
    pixels = valid_pixels(outputs, target)
    mean = mean_of_valid(pixels.log_error, pixels.valid)
    beyond = (pixels.log_error - mean[:, None, None]).masked_fill(~pixels.valid, 0.0).flatten(1)
    count = pixels.valid.flatten(1).sum(1, keepdim=True, dtype=beyond.dtype)
    return mean, beyond / count.clamp_min(1).sqrt()


@loss(
    task="depth",
    link=exponential,
    source=(
        'Laina et al. 2016, "Deeper Depth Prediction with Fully Convolutional Residual Networks", arXiv:1606.00373; '
        'Owen 2007, "A Robust Hybrid of Lasso and Ridge Regression" (the form)'
    ),
    ranges={"fraction": "(0, 1]"},
    coupled=True,
    detached="the threshold c",
    shapes="N H W , N H W -> N",
)
def depth_berhu(outputs: Tensor, target: Tensor, *, fraction: float = 0.2) -> Tensor:
    """Reverse Huber loss of the depth: absolute error near zero, squared error beyond a threshold, joined smoothly.

    Formula: mean of |r| if |r| <= c, else (r^2 + c^2) / (2 c), with r = p - d, c = fraction max |r| over the batch

    As in the paper, the threshold is over all valid pixels of the batch: it falls as training goes on, and the worst
    pixel of the batch always pulls 1 / fraction times as much as a good one. It is held constant in the gradient.

    Parameters
    ----------
    fraction : float in (0, 1]
        Threshold, as a share of the largest error of the batch.

    Examples
    --------
    >>> depth_berhu(torch.zeros(1, 1, 3), torch.tensor([[[2.0, 11.0, 0.0]]]), fraction=0.2)
    tensor([13.5000])

    """
    pixels = valid_pixels(outputs, target)
    return mean_of_valid(berhu(pixels.error, torch.zeros_like(pixels.target), fraction=fraction), pixels.valid)
