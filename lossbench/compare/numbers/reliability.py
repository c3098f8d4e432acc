"""Temperature scaling of kept log-odds, fitted on validation data only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.methods.temperature import best_temperature, log_tempered

Array = NDArray[np.float64]


def temper(log_odds: NDArray[Any], temperature: float) -> Array:
    r"""Scale the log-probabilities by 1 / T and normalise: :math:`p_k^{1/T} / \sum_j p_j^{1/T}`.

    For a softmax this is the usual temperature scaling of the logits; on log-probabilities it serves every link.

    Parameters
    ----------
    log_odds : ndarray, shape (N, K)
        log(p / (1 - p)) of the probabilities, which also tells those of 1 apart.
    temperature : float
        T.

    Examples
    --------
    >>> temper(np.log([[4.0, 0.25]]), 2.0).round(3).tolist()  # the probabilities 0.8 and 0.2
    [[0.667, 0.333]]

    """
    return np.exp(log_tempered(_log_probabilities(log_odds), temperature))


def fit_temperature(log_odds: NDArray[Any], target: NDArray[Any]) -> float:
    """Find the temperature with the smallest negative log-likelihood, between 1/20 and 20.

    Parameters
    ----------
    log_odds : ndarray, shape (N, K)
        Of the validation samples.
    target : ndarray, shape (N,)
        Their classes.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", 2017.

    Examples
    --------
    >>> overconfident = np.log([[99.0, 1 / 99]] * 4)
    >>> T = fit_temperature(overconfident, np.array([0, 0, 0, 1]))
    >>> temper(overconfident, T)[0].round(2).tolist()
    [0.75, 0.25]

    """
    return best_temperature(_log_probabilities(log_odds), target)


def _log_probabilities(log_odds: NDArray[Any]) -> Array:
    return -np.logaddexp(0.0, -log_odds.astype(np.float64))
