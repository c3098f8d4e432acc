"""The metrics of tokens in terms of texts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, OfSums, ratio
from lossbench.tasks.task import Task

Array = NDArray[Any]


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `nll` and `right` (N, T) of the tokens of `target` (N, T)."""
    known = arrays["target"] >= 0
    return of_tokens(arrays["nll"].astype(np.float64).sum(1), (arrays["right"] & known).sum(1), known.sum(1))


def of_tokens(nll: Array, right: Array, tokens: Array) -> Makers:
    """Make the metrics of sums (N,) over the tokens of each text: -log p, the likeliest ones, their number."""
    if not tokens.sum():
        return {}
    return {
        "perplexity": lambda: OfSums(np.stack([nll, tokens], 1), lambda sums: np.exp(sums[:, 0] / sums[:, 1])),
        "bits_per_character": lambda: Mean(ratio(nll, tokens).values / np.log(2)),
        "nll": lambda: ratio(nll, tokens),
        "token_accuracy": lambda: ratio(right, tokens),
    }
