"""Bins of confidence: the one way in which calibration is counted, for tables and diagrams, every epoch and at the end.

There are fifteen equal bins, closed on the right: bin k holds (k / 15, (k + 1) / 15], and the first one also holds 0. A
confidence and an edge are held against each other in single precision, that of the files of a run, so that what is
computed in a run and what is drawn from its files are the same bins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
_INNER_EDGES = (np.arange(1, BINS) / BINS).astype(np.float32)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Predictions sorted into equal bins of their confidence.

    Parameters
    ----------
    count, confidence, correct : ndarray, shape (BINS,)
        Number of predictions, sum of their confidences, number of correct ones.

    """

    count: Array
    confidence: Array
    correct: Array

    def __add__(self, other: "Bins") -> "Bins":
        """Pool the predictions of two runs."""
        return Bins(self.count + other.count, self.confidence + other.confidence, self.correct + other.correct)

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap between confidence and accuracy, weighted by the counts."""
        return float(np.abs(self.confidence - self.correct).sum() / self.count.sum())

    @property
    def largest_error(self) -> float:
        """The maximum calibration error: the largest gap of a bin."""
        return float((np.abs(self.confidence - self.correct) / np.maximum(1, self.count)).max())


def bin_of(confidence: NDArray[Any]) -> NDArray[np.intp]:
    """Return the bin, 0 to 14, of each confidence in [0, 1].

    Examples
    --------
    >>> bin_of(np.array([0.0, 0.2, 0.21, 0.6, 1.0])).tolist()
    [0, 2, 3, 8, 14]

    """
    return np.searchsorted(_INNER_EDGES, confidence.astype(np.float32))


def fill(confidence: NDArray[Any], correct: NDArray[Any]) -> Bins:
    """Sort predictions into bins.

    Parameters
    ----------
    confidence, correct : ndarray, any shape
        In [0, 1]; 1 where the prediction is right, else 0.

    Examples
    --------
    >>> sure_and_wrong, unsure_and_right = [1.0] * 50, [0.95] * 50
    >>> bins = fill(np.array(sure_and_wrong + unsure_and_right), np.repeat([0, 1], 50))
    >>> round(bins.error, 4)  # one bin: |0.975 - 0.5|
    0.475

    """
    place, told = bin_of(confidence.ravel()), confidence.ravel().astype(np.float64)
    weights = (np.ones(len(told)), told, correct.ravel().astype(np.float64))
    return Bins(*(np.bincount(place, weight, BINS).astype(np.float64) for weight in weights))


def bin_confidence(probabilities: NDArray[Any], target: NDArray[Any]) -> Bins:
    """Sort predictions by the probability of the predicted class.

    Parameters
    ----------
    probabilities : ndarray, shape (N, K)
        Rows sum to one.
    target : ndarray, shape (N,)
        True classes.

    Examples
    --------
    >>> bins = bin_confidence(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]))
    >>> round(bins.error, 3)  # |0.9 - 1| / 2 + |0.6 - 0| / 2
    0.35

    """
    return fill(probabilities.max(axis=1), probabilities.argmax(axis=1) == target)
