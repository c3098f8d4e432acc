"""The metrics of numbers in terms of samples.

Left out: the largest error, whose chance no draw of the samples tells; Kendall's correlation, for its cost; what needs
more than the predictions, the errors by density of the training set and the adjusted R2.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, OfSums, Weighed, ratio
from lossbench.tasks.task import Task

Array = NDArray[Any]
ROUNDING, TRIMMED, FIFTHS, SAME_OUTPUT = 16, 0.1, 5, 1e-6
"""As in `metrics` and `final_metrics`, which import torch."""
IN_CACHE = 2**15
"""Weights that are worked on at once, so that a processor keeps them at hand."""
NEAR_IN_CACHE = 2**17
"""The same where the sums are listed around one place."""
FEW = 8
"""Draws."""
WITHIN = 4.0
"""Square roots of the number of samples: where a quantile of drawn samples lies around that of the samples."""


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `prediction` against `target_clean`, and with the suffix `_observed` against `target`."""
    prediction = arrays["prediction"]
    return against_both(arrays, lambda target: of_numbers(prediction, target))


def against_both(arrays: Arrays, made: Callable[[Array], Makers]) -> Makers:
    """Make metrics against the truth, and with the suffix `_observed` against the targets as observed."""
    observed = arrays["target"]
    found = dict(made(arrays.get("target_clean", observed)))
    for name, make in made(observed).items():
        kind, of, number = name.partition("/")
        found[f"{kind}_observed{of}{number}"] = make
    return found


def varies(values: Array) -> bool:
    """Tell whether values differ by more than rounding."""
    if not len(values):
        return False
    eps = np.finfo(values.dtype).eps if values.dtype.kind == "f" else 0
    return bool(np.ptp(values) > ROUNDING * eps * np.abs(values).max())


def of_numbers(prediction: Array, target: Array) -> Makers:
    """Make the metrics of predictions (N,) against targets (N,)."""
    if not len(target):
        return {}
    spreads = varies(target), varies(prediction)
    y, p = target.astype(np.float64), prediction.astype(np.float64)
    residual, size, one = y - p, len(y), np.ones(len(y))
    error, square = np.abs(residual), residual**2
    wide = np.abs(y) + np.abs(p)
    found: Makers = {
        "mae": lambda: Mean(error),
        "mse": lambda: Mean(square),
        "rmse": lambda: OfSums(np.stack([square, one], axis=1), lambda s: np.sqrt(s[:, 0] / s[:, 1])),
        "log_cosh": lambda: Mean(error + np.logaddexp(0, -2 * error) - np.log(2)),
        "smape": lambda: Mean(np.divide(2 * error, wide, out=np.zeros(size), where=wide > 0)),
        "median_ae": lambda: Weighed(_ordered(error, error, _middle, near=0.5)),
        "trimmed_rmse": lambda: Weighed(_ordered(error, square, _trimmed, near=1 - TRIMMED)),
    }
    if not (np.abs(y) <= np.finfo(np.float64).eps * np.abs(y).max()).any():
        found["mape"] = lambda: Mean(error / np.abs(y))
    if y.any():
        found["wmape"] = lambda: ratio(error, np.abs(y))
    for number in range(1, FIFTHS + 1):
        found[f"mae_fifth/{number}"] = partial(lambda k: Weighed(_ordered(y, error, partial(_fifth, number=k))), number)
    if spreads[0]:
        found |= _shares_of_variance(y, p)
    if any(spreads):
        found["concordance"] = lambda: OfSums(_moments(y, p), partial(_concordance, shift=float(y.mean() - p.mean())))
    if all(spreads) and np.ptp(p) > SAME_OUTPUT * np.ptp(y):
        found["spearman"] = lambda: Weighed(_spearman(p, y))
    return found


def _shares_of_variance(y: Array, p: Array) -> Makers:
    residual, centred = y - p, y - y.mean()
    sums = np.stack([residual, residual**2, centred, centred**2, np.ones(len(y))], axis=1)

    def variance(s: Array, first: int) -> Array:
        return np.asarray(s[:, first + 1] - s[:, first] ** 2 / s[:, 4])  # of a sum, not of a mean

    return {
        "r2": lambda: OfSums(sums, lambda s: 1 - s[:, 1] / variance(s, 2)),
        "nrmse": lambda: OfSums(sums, lambda s: np.sqrt(s[:, 1] / variance(s, 2))),
        "explained_variance": lambda: OfSums(sums, lambda s: 1 - variance(s, 0) / variance(s, 2)),
    }


def _moments(y: Array, p: Array) -> Array:
    y, p = y - y.mean(), p - p.mean()
    return np.stack([y, p, y * y, p * p, y * p, np.ones(len(y))], axis=1)


def _concordance(s: Array, shift: float) -> Array:
    y, p, yy, pp, yp = (s[:, k] / s[:, 5] for k in range(5))
    return np.asarray(2 * (yp - y * p) / (yy - y**2 + pp - p**2 + (y - p + shift) ** 2))


def _ordered(
    by: Array, values: Array, function: Callable[[Any, Array], Array], near: float | None = None
) -> Callable[[Array], Array]:
    """Make a function of weights of one of the sums of values over the first n samples in an order, at any n.

    `function` takes these sums, from places (B, k) to (B, k), and the numbers of samples (B,). Samples that are equal
    in the order share the mean of their values. If it asks only for places `near` a share of all samples, the sums are
    listed only there, where that does.
    """
    order = np.argsort(by, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(by[order]) > 0])
    size = len(order)
    half = 1 + int(WITHIN * np.sqrt(size))
    low, high = (0, size) if near is None else (max(0, int(near * size) - half), min(size, int(near * size) + half))

    def of_few(drawn: Array) -> Array:
        many, summed = (_from_zero(each, starts) for each in (drawn, drawn * values[order]))
        return function(partial(_between, many, summed), np.rint(many[:, -1]).astype(int))

    def of_few_near(drawn: Array) -> Array:
        taken = drawn.T.take(order[:high], axis=0)
        many, summed = (_window(each, low) for each in (taken, taken * values[order[:high], None]))
        return function(partial(_between, many, summed, part=True), np.rint(drawn.sum(axis=1)).astype(int))

    def weighed(weights: Array) -> Array:
        rows = max(1, IN_CACHE // weights.shape[1])
        blocks = (weights[start : start + rows] for start in range(0, len(weights), rows))
        return np.concatenate([of_few(block.astype(np.float64, order="C").take(order, axis=1)) for block in blocks])

    def weighed_near(weights: Array) -> Array:
        if len(weights) < FEW:  # numpy adds the samples of few draws in another order
            return weighed(weights)
        rows = max(4 * FEW, NEAR_IN_CACHE // size)
        parts = np.array_split(weights.astype(np.float64, copy=False), -(-len(weights) // rows))
        try:
            return np.concatenate([of_few_near(part) for part in parts])
        except _Elsewhere:
            return weighed(weights)

    return weighed if high - low > size // 2 or len(starts) < size else weighed_near


class _Elsewhere(Exception):
    """A place lies outside of the part of an order whose sums are listed."""


def _window(each: Array, low: int) -> Array:
    """Return the sums (B, N - low + 1) up to the places from `low` on of numbers (N, B), added in order."""
    first = each[:low].sum(axis=0, keepdims=True)  # row after row
    return np.asarray(np.cumsum(np.concatenate([first, each[low:]]), axis=0).T)


def _from_zero(each: Array, starts: Array) -> Array:
    """Return the sums up to each place of an order, of which `starts` begin a tie, with a 0 before them."""
    each = each if len(starts) == each.shape[1] else np.add.reduceat(each, starts, axis=1)
    sums = np.zeros((len(each), each.shape[1] + 1))
    np.cumsum(each, axis=1, out=sums[:, 1:])
    return sums


def _between(x: Array, y: Array, places: Array, part: bool = False) -> Array:
    """Interpolate y (B, n) over whole numbers x (B, n), which rise from 0 in each row, at places (B, k).

    Of a `part` of the sums, which rise from more than 0, all places must lie in it.
    """
    if part and not ((x[:, :1] <= places) & (places < x[:, -1:])).all():
        raise _Elsewhere
    rows, last = np.arange(len(x))[:, None], x.shape[1] - 1
    beyond = (x[:, -1].max() + 1) * rows  # so that one search does for all rows
    at = np.searchsorted((x + beyond).ravel(), places + beyond, side="right") - 1 - rows * x.shape[1]
    after = np.minimum(at + 1, last)
    (x0, x1), (y0, y1) = ((each[rows, at], each[rows, after]) for each in (x, y))
    return np.where(x0 == places, y0, (y1 - y0) / np.where(x1 > x0, x1 - x0, 1.0) * (places - x0) + y0)


def _middle(sums: Any, total: Array) -> Array:
    """Return the mean over the places of the one or two in the middle."""
    places = np.stack([(total - 1) // 2, total // 2], axis=1)
    return np.asarray((sums(places + 1) - sums(places)).mean(axis=1))


def _trimmed(sums: Any, total: Array) -> Array:
    kept = total - (TRIMMED * total).astype(int)
    return np.asarray(np.sqrt(sums(kept[:, None])[:, 0] / kept))


def _fifth(sums: Any, total: Array, number: int) -> Array:
    least, more = np.divmod(total, FIFTHS)
    low, high = (k * least + np.minimum(k, more) for k in (number - 1, number))
    found = sums(np.stack([low, high], axis=1))
    return np.asarray((found[:, 1] - found[:, 0]) / (high - low))


def _spearman(p: Array, y: Array) -> Callable[[Array], Array]:
    levels = [np.unique(each, return_inverse=True)[1] for each in (p, y)]
    orders = [np.argsort(level, kind="stable") for level in levels]
    starts = [np.flatnonzero(np.r_[True, np.diff(lv[o]) > 0]) for lv, o in zip(levels, orders, strict=True)]

    def weighed(weights: Array) -> Array:
        drawn = weights.astype(np.float64)
        total = drawn.sum(1, keepdims=True)
        ranks = []
        for level, order, start in zip(levels, orders, starts, strict=True):
            many = np.add.reduceat(drawn[:, order], start, axis=1)
            ranks.append((np.cumsum(many, axis=1) - many / 2)[:, level] - total / 2)  # around their mean
        one, other = ranks
        return np.asarray((drawn * one * other).sum(1) / np.sqrt((drawn * one**2).sum(1) * (drawn * other**2).sum(1)))

    return weighed
