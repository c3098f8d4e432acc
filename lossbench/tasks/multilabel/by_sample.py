"""The metrics of several labels in terms of samples; a sample of which no label is known adds nothing to any."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, OfSums, indicators, ratio
from lossbench.tasks.classification.by_sample import log_odds
from lossbench.tasks.classification.confidence_bins import BINS, bin_of
from lossbench.tasks.classification.ranking_by_sample import (
    area_of_each,
    of_known,
    precision_of_each,
)
from lossbench.tasks.task import Task

Array = NDArray[Any]
Made = Callable[[Array, Array], Array]


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `probabilities` and `log_odds` (N, L) against `target` (N, L), -1 where it is not known."""
    probabilities, target, odds = arrays["probabilities"].astype(np.float64), arrays["target"], log_odds(arrays)
    known, true = target >= 0, target > 0
    if not known.any():
        return {}
    said = probabilities > 0.5
    right, labels = said == true, known.sum(1)
    there = (labels > 0).astype(np.float64)

    def of_labels(values: Array) -> Mean:
        return ratio(np.where(known, values, 0).sum(1), labels)

    positives = true.sum(0)
    found: Makers = {
        "hamming_accuracy": lambda: of_labels(right),
        "subset_accuracy": lambda: ratio((right | ~known).all(1) * there, there),
        "nll": lambda: of_labels(np.logaddexp(0, np.where(true, -odds, odds).astype(np.float64))),
        "brier": lambda: of_labels((probabilities - target) ** 2),
        "ece": lambda: OfSums(_excess(arrays["probabilities"], true, known), _calibration_error),
        "ranking_loss": lambda: ratio(there * label_ranking(odds, true, known)[0], there),
        "coverage_error": lambda: ratio(there * label_ranking(odds, true, known)[1], there),
    }
    for label in np.flatnonzero(positives).tolist():
        found[f"ap/{label}"] = partial(lambda k: Mean(_of_label(precision_of_each, odds, true, known, k)), label)
    if positives.any():
        found["map"] = lambda: Mean(_of_labels(precision_of_each, odds, true, known, np.flatnonzero(positives)))
    both = np.flatnonzero((positives > 0) & (positives < known.sum(0)))
    if len(both):
        found["auroc"] = lambda: Mean(_of_labels(area_of_each, odds, true, known, both))
    return found | _of_decisions(said & known, true)


def _excess(probabilities: Array, true: Array, known: Array) -> Any:
    values = np.where(known, probabilities.astype(np.float64) - true, 0)
    columns = np.column_stack([bin_of(probabilities), np.full(len(true), BINS)])
    return indicators(columns, BINS + 1, np.column_stack([values, known.sum(1)]))


def _calibration_error(sums: Array) -> Array:
    return np.asarray(np.abs(sums[:, :BINS]).sum(1) / sums[:, BINS])


def _of_label(made: Made, odds: Array, true: Array, known: Array, label: int) -> Array:
    """Make pseudo-values of a metric of order of the samples of which a label is known."""
    rows = known[:, label]
    return of_known(made(odds[rows, label], true[rows, label]), rows)


def _of_labels(made: Made, odds: Array, true: Array, known: Array, labels: Array) -> Array:
    return np.asarray(np.mean([_of_label(made, odds, true, known, label) for label in labels], axis=0))


def label_ranking(scores: Array, positive: Array, known: Array) -> tuple[Array, Array]:
    """Return ranking loss and coverage error (N,) of each sample; equal scores count as wrong.

    Examples
    --------
    >>> label_ranking(np.array([[0.3, 0.3, 0.1]]), np.array([[1, 0, 0]]) > 0, np.ones((1, 3)) > 0)
    (array([0.5]), array([2.]))

    """
    told = np.where(known, scores, -np.inf)
    order = np.argsort(-told, axis=1, kind="stable")
    ordered, true = (np.take_along_axis(each, order, axis=1) for each in (told, positive & known))
    columns = np.arange(scores.shape[1])
    changes = np.column_stack([ordered[:, 1:] != ordered[:, :-1], np.ones(len(scores), dtype=bool)])
    ends = np.where(changes, columns, scores.shape[1])
    end = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    alarms = end + 1 - np.take_along_axis(np.cumsum(true, axis=1), end, axis=1)
    labels = true.sum(1)
    pairs = labels * (known.sum(1) - labels)
    return (alarms * true).sum(1) / np.maximum(pairs, 1), ((end + 1) * true).max(1).astype(np.float64)


def _of_decisions(said: Array, true: Array) -> Makers:
    labels = true.shape[1]
    counts = np.hstack([said & true, said & ~true, ~said & true]).astype(np.float64)

    def parts(sums: Array) -> list[Array]:
        return [sums[:, start : start + labels] for start in range(0, 3 * labels, labels)]

    def score(name: str, hit: Array, wrong: Array, missed: Array) -> Array:
        whole = {"precision": hit + wrong, "recall": hit + missed, "f1": hit + (wrong + missed) / 2}[name]
        return np.asarray(hit / np.maximum(whole, 0.5))

    def macro(sums: Array, name: str) -> Array:
        hit, wrong, missed = parts(sums)
        there = hit + missed > 0
        return np.asarray((score(name, hit, wrong, missed) * there).sum(1) / there.sum(1))

    def micro(sums: Array, name: str) -> Array:
        return score(name, *(part.sum(1) for part in parts(sums)))

    found: Makers = {}
    for name in ("precision", "recall", "f1"):
        found[f"micro_{name}"] = partial(OfSums, counts, partial(micro, name=name))
        if true.any():
            found[f"macro_{name}"] = partial(OfSums, counts, partial(macro, name=name))
    for label in np.flatnonzero(true.any(0)).tolist():
        found[f"f1/{label}"] = partial(
            OfSums, counts, partial(lambda sums, k: score("f1", *(part[:, k] for part in parts(sums))), k=label)
        )
    return found
