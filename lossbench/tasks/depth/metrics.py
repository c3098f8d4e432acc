"""The metrics of predicted depth.

Each is computed for every image over its valid pixels, where the true depth is finite and above 0, and then averaged
over the images that have such pixels: each image counts alike, and one without any does not count at all (as 0 it would
be a perfect one).
"""

import torch
from torch import Tensor

from lossbench.losses.depth import mean_of_valid
from lossbench.losses.depth_aligned import median_of_valid

SMALLEST_DEPTH = 1e-3
"""Predictions below a millimetre count as one: their logarithms and ratios would be infinite."""
HIGH_ERROR = 0.2
"""The relative error from which on a pixel counts as badly wrong."""
EQUAL = 0.1
"""Of two depths that differ by less than this share none counts as the nearer one."""
PAIRS = 500
"""Pairs of pixels of an image of which it is asked which is nearer."""


def depth_metrics(prediction: Tensor, target: Tensor) -> dict[str, float]:
    """Compute the metrics of predicted depth, p, against true depth, d.

    - `abs_rel`, `sq_rel`: mean of |p - d| / d and of (p - d)^2 / d, the latter in metres
    - `rmse`, `rmse_log`: root of the mean of (p - d)^2, in metres, and of (log p - log d)^2
    - `log10`: mean of |log10 p - log10 d|
    - `delta_1`, `delta_2`, `delta_3`: share of pixels with max(p / d, d / p) below 1.25, 1.25^2, 1.25^3
    - `high_error`: share of pixels with |p - d| / d above 0.2
    - `scale_invariant`: standard deviation of log p - log d over the image: the root of the variance that Eigen et al.
      2014 report, without the factor 100 of the KITTI benchmark
    - `whdr`: see `ordinal_disagreement`
    - `abs_rel_scaled`, `rmse_scaled`, `delta_1_scaled`: after all p of an image are multiplied by median d / median p
    - `abs_rel_aligned`, `rmse_aligned`, `delta_1_aligned`: after 1 / p of an image is scaled and shifted to fit 1 / d
      by least squares, and held to depths up to the largest d: what losses forgive that are invariant to both

    Parameters
    ----------
    prediction, target : Tensor (N, H, W)
        Floating point, in metres; the target is 0, negative or NaN where it is not known. Predictions below a
        millimetre count as one.

    Returns
    -------
    dict of str to float
        Empty without any valid pixel, or if one of them has a prediction that is not finite; without `whdr` if no image
        has two.

    References
    ----------
    Eigen, Puhrsch, Fergus 2014, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network"; Zhou et
    al. 2017, "Unsupervised Learning of Depth and Ego-Motion from Video" (scaling by medians); Ranftl et al. 2020,
    "Towards Robust Monocular Depth Estimation" (alignment).

    Examples
    --------
    >>> scores = depth_metrics(torch.full((1, 1, 3), 2.0), torch.tensor([[[2.0, 4.0, 0.0]]]))
    >>> scores["abs_rel"], scores["delta_1"], scores["abs_rel_scaled"]
    (0.25, 0.5, 0.375)

    """
    valid = _valid(target)
    images = valid.flatten(1).any(1)
    if not images.any() or not prediction[valid].isfinite().all():
        return {}
    valid = valid[images]
    target = target[images].double().masked_fill(~valid, 1.0)
    prediction = prediction[images].double().clamp_min(SMALLEST_DEPTH).masked_fill(~valid, 1.0)
    ratio = (median_of_valid(target, valid) / median_of_valid(prediction, valid))[:, None, None]
    each = _errors(prediction, target, valid)
    for suffix, changed in (("scaled", ratio * prediction), ("aligned", _aligned(prediction, target, valid))):
        errors = _errors(changed, target, valid)
        each |= {f"{name}_{suffix}": errors[name] for name in ("abs_rel", "rmse", "delta_1")}
    several = valid.flatten(1).sum(1) > 1
    if several.any():
        each["whdr"] = ordinal_disagreement(*(maps[several] for maps in (prediction, target, valid)))
    return {name: float(values.mean()) for name, values in each.items()}


def relative_errors(prediction: Tensor, target: Tensor) -> Tensor:
    """Return `abs_rel` of each image (N,), NaN for one without valid pixels; arguments as for `depth_metrics`.

    Examples
    --------
    >>> relative_errors(torch.full((2, 1, 2), 2.0), torch.tensor([[[2.0, 4.0]], [[0.0, 0.0]]]))
    tensor([0.2500,    nan], dtype=torch.float64)

    """
    valid = _valid(target)
    known = target.double().masked_fill(~valid, 1.0)
    errors = mean_of_valid((prediction.double().clamp_min(SMALLEST_DEPTH) - known).abs() / known, valid)
    return errors.masked_fill(~valid.flatten(1).any(1), torch.nan)


def _valid(target: Tensor) -> Tensor:
    return target.isfinite() & (target > 0)


def _errors(p: Tensor, d: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Return the errors of each image (N,), by name."""
    residual, log_error, ratio = p - d, p.log() - d.log(), torch.maximum(p / d, d / p)
    of_each_pixel = {
        "abs_rel": residual.abs() / d,
        "sq_rel": residual.square() / d,
        "log10": (p.log10() - d.log10()).abs(),
        **{f"delta_{k}": (ratio < 1.25**k).double() for k in (1, 2, 3)},
        "high_error": (residual.abs() / d > HIGH_ERROR).double(),
    }
    beyond = log_error - mean_of_valid(log_error, valid)[:, None, None]
    roots = {"rmse": residual, "rmse_log": log_error, "scale_invariant": beyond}
    means = {name: mean_of_valid(values, valid) for name, values in of_each_pixel.items()}
    return means | {name: mean_of_valid(values.square(), valid).sqrt() for name, values in roots.items()}


def _aligned(p: Tensor, d: Tensor, valid: Tensor) -> Tensor:
    """Return depths (N, H, W) whose inverse is the best line in 1 / p, between `SMALLEST_DEPTH` and the largest d."""
    x, y = 1 / p, 1 / d
    mean_x, mean_y = (mean_of_valid(each, valid)[:, None, None] for each in (x, y))
    spread = mean_of_valid((x - mean_x).square(), valid)
    # Of a flat prediction only the mean can be fitted.
    flat = spread <= (16 * torch.finfo(x.dtype).eps * mean_x.squeeze((-2, -1))).square()
    slope = mean_of_valid((x - mean_x) * (y - mean_y), valid) / spread.masked_fill(flat, torch.inf)
    inverse = mean_y + slope[:, None, None] * (x - mean_x)
    farthest = d.masked_fill(~valid, 0.0).amax((-2, -1), keepdim=True)
    return 1 / inverse.clamp(1 / farthest, torch.full_like(farthest, 1 / SMALLEST_DEPTH))


def ordinal_disagreement(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return for each image (N,) the share of pairs of pixels whose order is not the true one (WHDR).

    Of two pixels one is nearer if the other is more than 10 % deeper; else they are equal, which is an order as well.
    500 pairs of two valid pixels are drawn for each image, the same for any prediction and whatever other images there
    are. People's judgements are weighted by confidence; these are exact and weigh alike.

    Parameters
    ----------
    prediction, target : Tensor (N, H, W)
        In metres, above 0.
    valid : Tensor (N, H, W)
        bool, at least two in each image.

    References
    ----------
    Bell, Bala, Snavely 2014, "Intrinsic Images in the Wild" (the rate, of reflectance); Chen et al. 2016, "Single-Image
    Depth Perception in the Wild".

    Examples
    --------
    >>> depth = torch.tensor([[[1.0, 2.0, 4.0]]])
    >>> ordinal_disagreement(depth.square(), depth, depth > 0), ordinal_disagreement(1 / depth, depth, depth > 0)
    (tensor([0.], dtype=torch.float64), tensor([1.], dtype=torch.float64))

    """
    drawn = torch.rand(2, PAIRS, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(target.device)
    count = valid.flatten(1).sum(1, keepdim=True)
    places = valid.flatten(1).to(torch.int8).argsort(dim=1, descending=True, stable=True)  # of valid pixels, first
    first = (drawn[0] * count).long()
    second = (first + 1 + (drawn[1] * (count - 1)).long()) % count
    orders = []
    for depth in (prediction, target):
        one, other = (depth.flatten(1).gather(1, places.gather(1, rank)) for rank in (first, second))
        orders.append((one > (1 + EQUAL) * other).int() - (other > (1 + EQUAL) * one).int())
    return (orders[0] != orders[1]).double().mean(1)
