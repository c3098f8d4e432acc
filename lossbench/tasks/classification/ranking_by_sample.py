"""Metrics of order in terms of samples: those of `ranking`, in NumPy alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from lossbench.tasks.by_sample import spread_of_part

Array = NDArray[Any]


def placements(scores: Array, among: Array) -> Array:
    """Return the share (n,) of others that each score is above, ties half.

    Examples
    --------
    >>> placements(np.array([0.5, 2.0]), np.array([0.5, 1.0])).tolist()
    [0.25, 1.0]

    """
    ordered = np.sort(among)
    return np.asarray((np.searchsorted(ordered, scores) + np.searchsorted(ordered, scores, "right")) / (2 * len(among)))


def area_of_each(scores: Array, positive: Array) -> Array:
    """Make pseudo-values (N,) of the AUROC of scores (N,), with positives and negatives among them.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic
    curves", 1988: their variance is that of these values.

    """
    size, above, below = len(scores), scores[positive], scores[~positive]
    of_positive, of_negative = placements(above, below), 1 - placements(below, above)
    area = of_positive.mean()
    values = np.full(size, area)
    values[positive] += spread_of_part(size, len(above)) * (of_positive - area)
    values[~positive] += spread_of_part(size, len(below)) * (of_negative - area)
    return values


def area_of_all(scores: Array, positive: Array) -> Array:
    """Make pseudo-values (N,) of the AUROC of all pairs of a sample and a class, (N, K); a sample is drawn whole."""
    above, below = scores[positive], scores[~positive]
    of_positive = placements(above, below)
    area = of_positive.mean()
    influence = np.zeros(scores.shape)
    influence[positive] = (of_positive - area) / len(above)
    influence[~positive] = (1 - placements(below, above) - area) / len(below)
    return np.asarray(area + len(scores) * influence.sum(1))


def area_of_pairs_of_classes(scores: Array, target: Array, present: Array) -> Array:
    """Make pseudo-values (N,) of the mean AUROC (Hand and Till) of each class against each other, scores (N, K)."""
    size, classes = len(target), np.flatnonzero(present)
    members = {label: np.flatnonzero(target == label) for label in classes}
    pairs = len(classes) * (len(classes) - 1)
    area, influence = 0.0, np.zeros(size)
    for one in classes:
        for other in classes[classes != one]:
            own, others = scores[members[one], one], scores[members[other], one]
            of_own = placements(own, others)
            mean = of_own.mean()
            area += mean / pairs
            influence[members[one]] += (of_own - mean) / pairs
            influence[members[other]] += (1 - placements(others, own) - mean) / pairs
    for rows in members.values():
        influence[rows] *= spread_of_part(size, len(rows))
    return np.asarray(area + influence)


def precision_by_weights(scores: Array, positive: Array) -> Callable[[Array], Array]:
    """Make the average precision of scores (n,) a function of weights (B, n), NaN where no positive is drawn."""
    order = np.argsort(-scores, kind="stable")
    ordered, true = scores[order], positive[order]
    last = len(scores) - 1 - np.searchsorted(ordered[::-1], ordered[true])  # of equal scores

    def function(weights: Array) -> Array:
        drawn = weights[:, order].astype(np.float64)
        hits = np.cumsum(drawn * true, axis=1)
        reached = np.maximum(np.cumsum(drawn, axis=1)[:, last], 1e-12)
        return np.asarray((drawn[:, true] * hits[:, last] / reached).sum(1) / hits[:, -1])

    return function


def mean_precision_by_weights(scores: Array, positive: Array, known: Array | None = None) -> Callable[[Array], Array]:
    """Make the mean over K columns, (N, K), of the average precision, of those that have a positive among the drawn."""
    rows = [np.arange(len(scores)) if known is None else np.flatnonzero(column) for column in _columns(positive, known)]
    each = [
        precision_by_weights(scores[own, k], positive[own, k]) for k, own in enumerate(rows) if positive[own, k].any()
    ]
    kept = [own for k, own in enumerate(rows) if positive[own, k].any()]

    def function(weights: Array) -> Array:
        found = np.stack([one(weights[:, own]) for one, own in zip(each, kept, strict=True)])
        return mean_of_known(found.T)

    return function


def _columns(positive: Array, known: Array | None) -> Array:
    return positive.T if known is None else known.T


def mean_of_known(values: Array) -> Array:
    """Return the mean over the last axis of what is not NaN; NaN where nothing is."""
    there = ~np.isnan(values)
    return np.asarray(np.where(there, values, 0).sum(-1) / there.sum(-1))


def risk_by_weights(confidence: Array, correct: Array) -> Callable[[Array], Array]:
    r"""Make the area under the curve of risk over coverage a function of weights (B, N).

    n drawn samples of one confidence, m after those of a higher one of which e are wrong, have error rates
    (e + r j) / (m + j), j = 1 ... n, where r is their own: the sum is r n + (e - r m) (H(m + n) - H(m)).
    """
    order = np.argsort(-confidence, kind="stable")
    ordered, wrong = confidence[order], 1.0 - correct[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def function(weights: Array) -> Array:
        drawn = weights[:, order].astype(np.float64)
        many, errors = (np.add.reduceat(each, starts, axis=1) for each in (drawn, drawn * wrong))
        after, all_errors = np.cumsum(many, axis=1), np.cumsum(errors, axis=1)
        before, rate = after - many, errors / np.maximum(many, 1)
        terms = errors + (all_errors - errors - rate * before) * (digamma(after + 1) - digamma(before + 1))
        return np.asarray(terms.sum(1) / after[:, -1])

    return function
