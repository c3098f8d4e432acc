"""What the targets of several labels say: how many a sample has, and how rare they are."""

import numpy as np

from lossbench.data.corruptions import Array


def labels_per_sample(target: Array) -> float:
    """Return the mean number of labels of a sample; -1 is a label that is not known, and counts as absent.

    Examples
    --------
    >>> labels_per_sample(np.array([[1, 1, 0], [0, 0, -1]]))
    1.0

    """
    return float(np.mean((target > 0).sum(1)))


def negatives_per_positive(target: Array) -> float:
    """Return the known absent labels over the present ones, over all labels.

    Examples
    --------
    >>> negatives_per_positive(np.array([[1, 1, 0], [0, 0, -1]]))
    1.5

    """
    return float((target == 0).sum() / max(1, int((target > 0).sum())))
