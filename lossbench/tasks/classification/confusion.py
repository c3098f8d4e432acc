"""The confusion matrix, for metrics, records and figures alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def confusion_matrix(predicted: Array, target: Array, classes: int) -> Array:
    """Count the samples (K, K) of each true class, the rows, by their predicted class, the columns.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]

    """
    return np.bincount(target.astype(int) * classes + predicted, minlength=classes**2).reshape(classes, classes)


def shares(counts: Array) -> Array:
    """Return the share of each predicted class among the samples of each true class; 0 for a class without any."""
    share: Array = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    return share
