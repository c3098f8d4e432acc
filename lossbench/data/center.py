"""By what a target of regression is standardised."""

import numpy as np
from torch import Tensor


def center_and_scale(target: Tensor, standardize: str = "robust") -> tuple[float, float]:
    """Return the median and 1.4826 times the median absolute deviation, which estimates a Gaussian's deviation.

    Where more than half of the values are equal the standard deviation stands in; where all are, 1. Standardised by
    "none" it is 0 and 1.

    Examples
    --------
    >>> import torch
    >>> center_and_scale(torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0]))
    (3.0, 1.4826)

    """
    if standardize == "none":
        return 0.0, 1.0
    values = target.double().numpy()
    center = np.median(values)
    scale = 1.4826 * np.median(np.abs(values - center)) or values.std() or 1.0
    return float(center), float(scale)
