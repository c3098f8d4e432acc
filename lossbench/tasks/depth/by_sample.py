"""The metrics of depth in terms of images; left out is `whdr`, whose pairs of pixels are drawn by torch."""

from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, ratio
from lossbench.tasks.task import Task

Array = NDArray[Any]
SMALLEST_DEPTH, HIGH_ERROR = 1e-3, 0.2
"""As in `metrics`, which imports torch."""
_ROOTS, _DELTAS = ("rmse", "rmse_log", "scale_invariant"), ("delta_1", "delta_2", "delta_3")
OF_IMAGE = ("abs_rel", "sq_rel", "log10", "high_error", *_ROOTS, *_DELTAS)
CHANGED = tuple(f"{name}_{how}" for how in ("scaled", "aligned") for name in ("abs_rel", "rmse", "delta_1"))


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `depth` against `target` (N, H, W): means over the images that have a valid pixel."""
    depth, target = arrays["depth"], arrays["target"]
    valid = np.isfinite(target) & (target > 0)
    some = np.asarray(valid.reshape(len(valid), -1).any(1))
    if not some.any() or not np.isfinite(depth[valid]).all():
        return {}

    @cache
    def measured() -> dict[str, Array]:
        nothing = dict.fromkeys((*OF_IMAGE, *CHANGED), 0.0)
        each = [
            of_image(p[v].astype(np.float64), d[v].astype(np.float64)) if v.any() else nothing
            for p, d, v in zip(depth, target, valid, strict=True)
        ]
        return {name: np.array([one[name] for one in each]) for name in nothing}

    return {name: partial(lambda key: ratio(measured()[key], some), name) for name in (*OF_IMAGE, *CHANGED)}


def of_image(p: Array, d: Array) -> dict[str, float]:
    """Measure the valid pixels of an image, predicted and true."""
    p = np.maximum(p, SMALLEST_DEPTH)
    found = _errors(p, d)
    for how, changed in (("scaled", np.median(d) / np.median(p) * p), ("aligned", _aligned(p, d))):
        errors = _errors(changed, d)
        found |= {f"{name}_{how}": errors[name] for name in ("abs_rel", "rmse", "delta_1")}
    return found


def _errors(p: Array, d: Array) -> dict[str, float]:
    residual, log_error, factor = p - d, np.log(p) - np.log(d), np.maximum(p / d, d / p)
    return {
        "abs_rel": (np.abs(residual) / d).mean(),
        "sq_rel": (residual**2 / d).mean(),
        "log10": np.abs(np.log10(p) - np.log10(d)).mean(),
        "high_error": (np.abs(residual) / d > HIGH_ERROR).mean(),
        "rmse": np.sqrt((residual**2).mean()),
        "rmse_log": np.sqrt((log_error**2).mean()),
        "scale_invariant": log_error.std(),
        **{f"delta_{k}": (factor < 1.25**k).mean() for k in (1, 2, 3)},
    }


def _aligned(p: Array, d: Array) -> Array:
    """Return depths whose inverse is the best line in 1 / p, between `SMALLEST_DEPTH` and the largest d."""
    x, y = 1 / p, 1 / d
    spread = x.var()
    flat = spread <= (16 * np.finfo(np.float64).eps * x.mean()) ** 2
    slope = 0.0 if flat else ((x - x.mean()) * (y - y.mean())).mean() / spread
    return np.asarray(1 / np.clip(y.mean() + slope * (x - x.mean()), 1 / d.max(), 1 / SMALLEST_DEPTH))
