"""Losses of a depth map up to scale and shift of the inverse depth, which films and mixed data sets leave unknown.

Outputs are the logarithm of the depth. Both losses compare inverse depths, x = 1 / p predicted and y = 1 / d true,
after an alignment for each image: scale and shift of x have no influence. So a network trained by one of them alone
predicts no metres; metrics that scale by the median forgive the scale, and nothing forgives the shift. In MiDaS the
network gives x itself; here it gives log p, so that x is above 0.

A pixel is valid where the target is finite and above 0. All others are left out, as if cropped away; an image without a
valid pixel has the value 0 and no gradient. Half precision is computed in single.

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
    Values from 0, each of one image with M valid pixels.

Raises
------
ValueError
    If the shapes differ.

"""

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.depth import mean_of_valid, relative_inverse, valid_pixels
from lossbench.losses.links import exponential

__all__ = ["ssi", "ssi_trimmed"]


@loss(
    task="depth",
    link=exponential,
    source=(
        'Ranftl et al. 2020, "Towards Robust Monocular Depth Estimation: Mixing Datasets for Zero-shot Cross-dataset '
        'Transfer" (MiDaS), arXiv:1907.01341'
    ),
    shapes="N H W , N H W -> N",
)
def ssi(outputs: Tensor, target: Tensor) -> Tensor:
    """Scale- and shift-invariant error: squared error of inverse depth after the best alignment by least squares.

    Formula: 1 / (2 M) sum (s x + t - y)^2, with (s, t) = argmin of the same sum

    It is half the variance of y times 1 - r^2, r the correlation of x and y over the image. The gradient goes through
    the alignment. s may be below 0: a prediction that has near and far turned round, with x linear in y, costs nothing.
    A flat prediction, where x spreads by less than the root of the machine precision, is not scaled up.

    Examples
    --------
    >>> ssi(torch.zeros(1, 1, 3), torch.tensor([[[1.0, 2.0, 4.0]]]))
    tensor([0.0486])

    """
    pixels = valid_pixels(outputs, target)
    x = _centred(relative_inverse(pixels.log_depth, pixels.valid), pixels.valid)
    y = _centred(1 / pixels.target, pixels.valid)
    scale = mean_of_valid(x * y, pixels.valid) / (mean_of_valid(x.square(), pixels.valid) + torch.finfo(x.dtype).eps)
    return mean_of_valid((scale[:, None, None] * x - y).square(), pixels.valid) / 2


def _centred(values: Tensor, valid: Tensor) -> Tensor:
    return values - mean_of_valid(values, valid)[:, None, None]


@loss(
    task="depth",
    link=exponential,
    source=(
        'Ranftl et al. 2020, "Towards Robust Monocular Depth Estimation: Mixing Datasets for Zero-shot Cross-dataset '
        'Transfer" (MiDaS), arXiv:1907.01341'
    ),
    ranges={"trim": "[0, 1)"},
    shapes="N H W , N H W -> N",
)
def ssi_trimmed(outputs: Tensor, target: Tensor, *, trim: float = 0.2) -> Tensor:
    """Robust scale- and shift-invariant error: both inverse depths standardised, the worst pixels of an image left out.

    Formula: 1 / (2 M) sum of the M - floor(trim M) smallest |a(x) - a(y)|, a(x) = (x - median x) / mean |x - median x|

    Target and prediction are aligned alike (aligning the prediction alone would be `ssi`). Left-out pixels have no
    gradient of their own, only through median and deviation. A prediction with near and far turned round costs much.
    A flat map, whose deviation is less than the root of the machine precision of its largest value, is not scaled up.

    Parameters
    ----------
    trim : float in [0, 1)
        Share of the pixels of an image that are left out.

    Examples
    --------
    >>> depth = torch.tensor([[[1.0, 2.0, 4.0]]])
    >>> ssi_trimmed((5 * depth).log(), depth), ssi_trimmed((1 / depth).log(), depth)
    (tensor([0.]), tensor([1.]))

    """
    pixels = valid_pixels(outputs, target)
    count = pixels.valid.flatten(1).sum(1, keepdim=True)
    aligned = [_standardised(each, pixels.valid) for each in (pixels.log_depth, pixels.target.log())]
    size = (aligned[0] - aligned[1]).abs().masked_fill(~pixels.valid, torch.inf)
    ranked = size.flatten(1).sort(1).values
    kept = torch.arange(ranked.shape[1], device=count.device) < count - (trim * count.double() + 1e-6).floor()
    return ranked.masked_fill(~kept, 0.0).sum(1) / (2 * count.squeeze(1).clamp_min(1))


def _standardised(log_depth: Tensor, valid: Tensor) -> Tensor:
    """Return inverse depth less its median, over its mean absolute deviation from it."""
    inverse = relative_inverse(log_depth, valid)
    beyond = inverse - median_of_valid(inverse, valid)[:, None, None]
    spread = mean_of_valid(beyond.abs(), valid).clamp_min(torch.finfo(inverse.dtype).eps ** 0.5)
    return beyond / spread[:, None, None]


def median_of_valid(values: Tensor, valid: Tensor) -> Tensor:
    """Return the median (N,) over the valid pixels of maps (N, H, W), of two middle ones their mean; 0 without any."""
    count = valid.flatten(1).sum(1, keepdim=True)
    ranked = values.masked_fill(~valid, torch.inf).flatten(1).sort(1).values
    middle = torch.cat([(count - 1).clamp_min(0) // 2, count // 2], 1)
    return ranked.gather(1, middle).mean(1).masked_fill(count.squeeze(1) == 0, 0.0)
