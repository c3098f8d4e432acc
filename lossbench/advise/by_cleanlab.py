"""What cleanlab makes of the same held-out probabilities, where it is installed: `pip install 'lossbench[noise]'`."""

import importlib.util

import numpy as np

from lossbench.data.corruptions import Array


def installed() -> bool:
    """Tell whether cleanlab is there, without importing it."""
    return importlib.util.find_spec("cleanlab") is not None


def wrong_by_class(probabilities: Array, observed: Array) -> tuple[float, list[float]] | None:
    """Return cleanlab's share of wrong labels, and of those that each observed class has; None where it has none.

    It counts samples at the average confidence of each class (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068, as
    `cleanlab.count.estimate_joint` does), so that what a probe gets wrong itself counts as wrong labels, too: it is
    the larger, the harder the problem.

    Parameters
    ----------
    probabilities : array, shape (N, K)
        Of observed classes, from a probe that has not seen the sample.
    observed : array of int, shape (N,)
        Observed classes; without samples of one of them cleanlab has no estimate.

    """
    num_classes = probabilities.shape[1]
    if not installed() or np.bincount(observed, minlength=num_classes).min() == 0:
        return None
    from cleanlab.count import estimate_joint

    joint = np.asarray(estimate_joint(observed, probabilities))  # observed classes in rows
    right, rows = joint.diagonal(), joint.sum(1)
    return float(1 - right.sum()), [float(1 - one / row) for one, row in zip(right, rows, strict=True)]
