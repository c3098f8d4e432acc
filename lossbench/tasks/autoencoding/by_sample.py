"""The metrics of codes and reconstructions in terms of images; left out are those of what is drawn anew."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, OfSums
from lossbench.tasks.task import Task

Array = NDArray[Any]
ACTIVE = 0.01
"""As in `metrics`, which imports torch."""


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of what is kept of each image, and of the means (N, D) of the codes."""

    def kept(name: str) -> Mean:
        return Mean(arrays[name].astype(np.float64))

    found: Makers = {name: partial(kept, name) for name in ("neg_elbo", "reconstruction", "kl", "mse")}
    found["psnr"] = lambda: Mean(-10 * np.log10(np.maximum(arrays["mse"].astype(np.float64), 1e-10)))
    if np.isfinite(arrays["ssim"]).all():
        found["ssim"] = partial(kept, "ssim")
    found["active_units"] = lambda: _active_units(arrays["mean"].astype(np.float64))
    return found


def _active_units(codes: Array) -> OfSums:
    centred, many = codes - codes.mean(0), codes.shape[1]

    def count(s: Array) -> Array:
        first, second = s[:, :many] / s[:, -1:], s[:, many:-1] / s[:, -1:]
        return np.asarray((second - first**2 > ACTIVE).sum(1).astype(np.float64))

    return OfSums(np.hstack([centred, centred**2, np.ones((len(codes), 1))]), count)
