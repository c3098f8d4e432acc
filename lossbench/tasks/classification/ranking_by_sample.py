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


def _placed(scores: Array, positive: Array) -> Array:
    """Return the share (n,) of the negatives that each positive is above, and of the positives above each negative.

    From a single sort: with ten classes a tenth of the time of `placements`.
    """
    order = np.argsort(scores)
    ordered, true = scores[order], positive[order]
    changes = np.r_[True, ordered[1:] != ordered[:-1]]
    starts, level = np.flatnonzero(changes), np.cumsum(changes) - 1
    above = np.add.reduceat(true, starts, dtype=np.float64)
    below = np.diff(np.r_[starts, len(scores)]) - above
    of_positive = (np.cumsum(below) - below / 2) / below.sum()
    of_negative = 1 - (np.cumsum(above) - above / 2) / above.sum()
    share = np.empty(len(scores))
    share[order] = np.where(true, of_positive[level], of_negative[level])
    return share


def area_of_each(scores: Array, positive: Array) -> Array:
    """Make pseudo-values (N,) of the AUROC of scores (N,), with positives and negatives among them.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic
    curves", 1988: their variance is that of these values.

    """
    share, size = _placed(scores, positive), len(scores)
    area = share[positive].mean()
    stretch = np.where(positive, spread_of_part(size, positive.sum()), spread_of_part(size, (~positive).sum()))
    return np.asarray(area + stretch * (share - area))


def area_of_all(scores: Array, positive: Array) -> Array:
    """Make pseudo-values (N,) of the AUROC of all pairs of a sample and a class, (N, K); a sample is drawn whole."""
    share = _placed(scores.ravel(), positive.ravel()).reshape(scores.shape)
    area, many = share[positive].mean(), positive.sum()
    influence = (share - area) / np.where(positive, many, positive.size - many)
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


def precision_of_each(scores: Array, positive: Array) -> Array:
    """Make pseudo-values (n,) of the average precision of scores (n,), of which one is positive at least.

    They are the jackknife's, moved so that their mean is the average precision of all. Without sample j, each positive
    with a score not above its own has one less in the denominator of its precision, and in the numerator if j is
    positive: all that is needed are two sums from the lowest score on.
    """
    size, order = len(scores), np.argsort(-scores)
    ordered, true = scores[order], positive[order].astype(np.float64)
    changes = np.r_[True, ordered[1:] != ordered[:-1]]
    starts, level = np.flatnonzero(changes), np.cumsum(changes) - 1
    reached = np.r_[starts[1:], size].astype(np.float64)[level]  # how many have at least this score
    hits = np.cumsum(true)[reached.astype(int) - 1]
    total = true.sum()
    each = true * hits / reached
    one_less = true / np.maximum(reached - 1, 1)
    before = (np.cumsum(each) - each)[starts][level]  # of higher scores
    with_hits, without = (np.cumsum(of[::-1])[::-1][starts][level] for of in (hits * one_less, one_less))
    itself = true * (hits - 1) * one_less  # a positive is not among those that stay
    left = before + with_hits - true * without - itself
    remaining = total - true
    average = each.sum() / total
    left_out = np.where(remaining > 0, left / np.maximum(remaining, 1), average)
    values = np.empty(size)
    values[order] = average + (size - 1) * (left_out.mean() - left_out)
    return values


def precision_of_all(scores: Array, positive: Array) -> Array:
    """Make pseudo-values (N,) of the average precision of all pairs of a sample and a class, (N, K)."""
    values = precision_of_each(scores.ravel(), positive.ravel()).reshape(scores.shape)
    average = values.mean()
    return np.asarray(average + (values - average).mean(1))


def of_known(values: Array, known: Array) -> Array:
    """Stretch pseudo-values (m,) of the samples that are known to all of them (N,)."""
    found = np.full(len(known), values.mean())
    if len(values) > 1:
        size, part = len(known), len(values)
        found[known] += np.sqrt(size * (size - 1) / (part * (part - 1))) * (values - values.mean())
    return found


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
