"""A family of losses of the residual: its slope is a line through a few knots on each side, level beyond the last.

Why a spline and not a rational function: whatever the numbers, in a box, there is no pole, the minimum is at 0, the
tails are linear and the value has a closed form; squared error, Huber and expectile loss are members and not limits.
"""

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity
from lossbench.losses.regression import residual_of

__all__ = ["spline_residual"]

KNOTS = (0.0, 1.0, 2.0, 4.0)
"""Where the slope is given, in scales; at 0 it is 0."""


def _member(scale: float, *slopes: float, convex: bool = True) -> dict[str, float]:
    sides = {f"{side}{at:g}": slope for side in ("above", "below") for at, slope in zip(KNOTS[1:], slopes, strict=True)}
    return {"scale": scale, **sides, "convex": convex}


MEMBERS: dict[str, dict[str, float]] = {
    "mse": _member(1000.0, 2000.0, 2000.0, 4000.0),  # up to residuals of 4 scales
    "expectile": _member(1000.0, 1000.0, 1000.0, 2000.0),
    "huber": _member(1.0, 1.0, 0.0, 0.0),
    "smooth_l1": _member(1.0, 1.0, 0.0, 0.0),
}
"""By loss of the catalogue the parameters that make it, at its defaults."""
NEAR: dict[str, dict[str, float]] = {
    "mae": _member(0.001, 1.0, 0.0, 0.0),
    "quantile": _member(0.001, 0.5, 0.0, 0.0),
    "log_cosh": _member(0.66, 0.578, 0.867, 0.99, convex=False),
    "cauchy": _member(0.92, 0.646, 0.683, 0.474, convex=False),
    "tukey": _member(1.16, 1.022, 1.322, 0.002, convex=False),
    "geman_mcclure": _member(0.9, 0.622, 0.549, 0.2, convex=False),
    "welsch": _member(0.68, 0.54, 0.539, 0.067, convex=False),
}
"""Alike those that it comes near to: in slope, up to residuals of 4.8, by at most 0.13, which `tukey` has."""


@loss(
    task="regression",
    link=identity,
    source=(
        'Huber 1964, "Robust Estimation of a Location Parameter", doi:10.1214/aoms/1177703732 (losses by their '
        'slope); de Boor 1978, "A Practical Guide to Splines", doi:10.1007/978-1-4612-6333-3'
    ),
    problem="outliers",
    ranges={
        "scale": "(0, inf)",
        "above1": "(0, inf)",
        "above2": "[0, inf)",
        "above4": "[0, inf)",
        "below1": "(0, inf)",
        "below2": "[0, inf)",
        "below4": "[0, inf)",
    },
)
def spline_residual(
    prediction: Tensor,
    target: Tensor,
    *,
    scale: float = 1.0,
    above1: float = 1.0,
    above2: float = 0.0,
    above4: float = 0.0,
    below1: float = 1.0,
    below2: float = 0.0,
    below4: float = 0.0,
    convex: bool = True,
    symmetric: bool = False,
) -> Tensor:
    """Quadratic spline of the residual, given by its slope at 1, 2 and 4 scales on each side.

    Formula: integral from 0 to |r| of g(t / scale) dt, g linear between (0, 0), (1, g1), (2, g2), (4, g4), then g4

    With `convex`, the numbers are what the slope grows by: g1 = above1, g2 = g1 + above2, g4 = g2 + above4. Without,
    they are the slopes themselves, so that far residuals may pull less, or not at all. Either way the loss is 0 at
    r = 0, rises to both sides, has a continuous gradient of at most the largest slope, and linear tails. The default is
    `huber`; squared and expectile loss are special values up to residuals of 4 scales, absolute and quantile loss but
    for a value of half a scale times the slope, since they are rounded off at 0.

    Each number may also be a Tensor of the shape of the values, where it differs from sample to sample.

    Parameters
    ----------
    prediction, target : Tensor (...)
        Floating point, of the same shape.
    scale : float above 0
        Unit of the residual, in units of the target that the loss gets: in a run robust standard deviations, unless
        `data.standardize=none`.
    above1, above2, above4 : float from 0, the first above 0
        Slope where the target is 1, 2 and 4 scales above the prediction; with `convex` by how much it grows to there.
    below1, below2, below4 : float from 0, the first above 0
        The same where the target is below the prediction; with `symmetric` they have no influence.
    convex : bool
        Whether the slope can only grow.
    symmetric : bool
        Whether both sides are as that above.

    Returns
    -------
    Tensor (...)
        Values from 0.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> spline_residual(torch.tensor([0.0, 0.0]), torch.tensor([3.0, -3.0]), above1=1.0, below1=0.5)
    tensor([2.5000, 1.2500])
    >>> spline_residual(torch.tensor([0.0]), torch.tensor([100.0]), above1=1.0, above2=1.0, above4=0.0, convex=False)
    tensor([2.5000])

    """
    in_scales = residual_of(prediction, target) / scale
    above, below = (above1, above2, above4), (below1, below2, below4)
    if symmetric:
        return scale * _integral(in_scales.abs(), above, convex)
    return scale * (_integral(in_scales.relu(), above, convex) + _integral((-in_scales).relu(), below, convex))


def _integral(size: Tensor, numbers: tuple[float, ...], convex: bool) -> Tensor:
    """Return the integral (...) of the slope from 0 to sizes (...) from 0, in scales."""
    before, value = 0.0, torch.zeros_like(size)
    for start, end, number in zip(KNOTS[:-1], KNOTS[1:], numbers, strict=True):
        after = before + number if convex else number
        beyond, width = (size - start).relu(), end - start
        inside = torch.where(beyond <= width, beyond, width)  # at a knot clamp has no gradient on either side of it
        value = value + inside * (before + (after - before) / (2 * width) * inside)
        before = after
    return value + before * (size - KNOTS[-1]).relu()
