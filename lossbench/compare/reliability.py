"""Calibration of probabilities: bins of confidence, and temperature scaling fitted on validation data only."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.temperature import best_temperature, log_tempered

BINS = 15

Array = NDArray[np.float64]
_TINY = 1e-12  # probabilities are kept in single precision; below this their logarithm is noise


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
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = (probabilities.argmax(axis=1) == target).astype(np.float64)
    position = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    parts = (np.ones(len(target)), confidence, correct)
    counted, summed, right = (np.bincount(position, part, BINS).astype(np.float64) for part in parts)
    return Bins(counted, summed, right)


def temper(probabilities: NDArray[Any], temperature: float) -> Array:
    r"""Scale the log-probabilities by 1 / T and normalise: :math:`p_k^{1/T} / \sum_j p_j^{1/T}`.

    For a softmax this is the usual temperature scaling of the logits; on probabilities it serves every link.

    Examples
    --------
    >>> temper(np.array([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.667, 0.333]]

    """
    return np.exp(log_tempered(_logarithm(probabilities), temperature))


def fit_temperature(probabilities: NDArray[Any], target: NDArray[Any]) -> float:
    """Find the temperature with the smallest negative log-likelihood, between 1/20 and 20.

    Parameters
    ----------
    probabilities : ndarray, shape (N, K)
        Of the validation samples.
    target : ndarray, shape (N,)
        Their classes.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", 2017.

    Examples
    --------
    >>> overconfident = np.array([[0.99, 0.01]] * 4)
    >>> T = fit_temperature(overconfident, np.array([0, 0, 0, 1]))
    >>> temper(overconfident, T)[0].round(2).tolist()
    [0.75, 0.25]

    """
    return best_temperature(_logarithm(probabilities), target)


def _logarithm(probabilities: NDArray[Any]) -> Array:
    return np.log(np.maximum(probabilities.astype(np.float64), _TINY))
