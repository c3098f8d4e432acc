"""Temperature scaling: the one number by which logits are divided so that the likelihood is largest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOG_RANGE = (-3.0, 3.0)  # temperatures from 1/20 to 20


def log_tempered(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the logarithm of softmax(logits / T), shape (N, K)."""
    from scipy.special import log_softmax

    scaled: NDArray[np.float64] = log_softmax(logits / temperature, axis=1)
    return scaled


def best_temperature(logits: NDArray[np.float64], target: NDArray[Any]) -> float:
    """Find the temperature with the smallest negative log-likelihood, between 1/20 and 20.

    Parameters
    ----------
    logits : ndarray of float64, shape (N, K)
        Logits, or the logarithms of probabilities.
    target : ndarray, shape (N,)
        Classes.

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Examples
    --------
    >>> logits = np.log([[0.99, 0.01]] * 4)
    >>> T = best_temperature(logits, np.array([0, 0, 0, 1]))
    >>> np.exp(log_tempered(logits, T))[0].round(2).tolist()
    [0.75, 0.25]

    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(target))

    def negative_log_likelihood(log_temperature: float) -> float:
        return -float(log_tempered(logits, float(np.exp(log_temperature)))[rows, target].mean())

    found = minimize_scalar(negative_log_likelihood, bounds=_LOG_RANGE, method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))
