"""The metrics of classes in terms of samples. Left out: what is measured on training or validation samples alone."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, OfSums, Weighed, indicators, mean_of_part
from lossbench.tasks.classification.confidence_bins import BINS, bin_of
from lossbench.tasks.classification.ranking_by_sample import (
    area_of_all,
    area_of_each,
    area_of_pairs_of_classes,
    mean_of_known,
    precision_of_all,
    precision_of_each,
    risk_by_weights,
)
from lossbench.tasks.task import Task

Array = NDArray[Any]
SHOTS = {"many": (101, float("inf")), "medium": (20, 100), "few": (0, 19)}
"""As in `lossbench.tasks.problem`, which imports torch."""


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `probabilities`, `log_odds` (N, K) and `target` (N,); of `target_clean` where it differs."""
    target = arrays["target"]
    found = _of_labels(task, arrays, target)
    clean = arrays.get("target_clean", target)
    if not np.array_equal(clean, target):
        found |= {f"clean/{name}": make for name, make in _of_labels(task, arrays, clean).items()}
    return found


def _of_labels(task: Task, arrays: Arrays, target: Array) -> Makers:
    if not len(target):
        return {}
    probabilities, target = arrays["probabilities"], target.astype(np.int64)

    @cache
    def odds() -> Array:
        return log_odds(arrays)

    predicted, rows = probabilities.argmax(1), np.arange(len(target))
    correct, classes = predicted == target, probabilities.shape[1]
    counts = np.bincount(target, minlength=classes)
    present = counts > 0
    found: Makers = {
        "accuracy": lambda: Mean(correct.astype(np.float64)),
        "balanced_accuracy": lambda: Mean(_mean_recall(correct, target, present)),
        "nll": lambda: Mean(np.logaddexp(0, -odds()[rows, target].astype(np.float64))),
        "brier": lambda: Mean(_brier(probabilities, target)),
    }
    for label in np.flatnonzero(present).tolist():
        found[f"recall/{label}"] = partial(lambda k: Mean(mean_of_part(correct, target == k)), label)
    for group, (low, high) in SHOTS.items() if "class_counts" in arrays else ():
        members = (arrays["class_counts"] >= low) & (arrays["class_counts"] <= high) & present
        if members.any():
            found[f"accuracy_{group}"] = partial(lambda chosen: Mean(_mean_recall(correct, target, chosen)), members)
    if classes > 5:
        found["top5_accuracy"] = lambda: Mean(_among_the_first(odds(), target, 5))
    found |= _of_order(odds, target, present)
    found["aurc"] = lambda: Weighed(risk_by_weights(odds().max(1), correct))
    if task.classes == 2 and present[1]:
        found["auprc"] = lambda: Mean(precision_of_each(odds()[:, 1], target > 0))
    return found | _of_counts(task, predicted, target, present) | _of_confidence(probabilities, correct, target)


def log_odds(arrays: Arrays) -> Array:
    """Return the log-odds; of runs that kept none, those of the probabilities, as far as single precision goes."""
    if "log_odds" in arrays:
        return arrays["log_odds"]
    p, smallest = arrays["probabilities"].astype(np.float64), np.finfo(np.float32).tiny
    return np.asarray(np.log(np.maximum(p, smallest)) - np.log(np.maximum(1 - p, smallest)))


def _mean_recall(correct: Array, target: Array, classes: Array) -> Array:
    return np.asarray(np.mean([mean_of_part(correct, target == k) for k in np.flatnonzero(classes)], axis=0))


def _brier(probabilities: Array, target: Array) -> Array:
    p = probabilities.astype(np.float64)
    return np.asarray((p**2).sum(1) - 2 * p[np.arange(len(p)), target] + 1)


def _among_the_first(odds: Array, target: Array, most: int) -> Array:
    own = odds[np.arange(len(odds)), target][:, None]
    above, equal = (odds > own).sum(1), (odds == own).sum(1)
    return np.asarray(np.clip((most - above) / np.maximum(equal, 1), 0, 1))


def _of_order(odds: Callable[[], Array], target: Array, present: Array) -> Makers:
    true = target[:, None] == np.arange(len(present))
    found: Makers = {
        "micro_auroc": lambda: Mean(area_of_all(odds(), true)),
        "micro_average_precision": lambda: Mean(precision_of_all(odds(), true)),
    }
    if present.sum() > 1:
        there = np.flatnonzero(present)
        found["auroc"] = lambda: Mean(np.mean([area_of_each(odds()[:, k], true[:, k]) for k in there], axis=0))
        found["average_precision"] = lambda: Mean(
            np.mean([precision_of_each(odds()[:, k], true[:, k]) for k in there], axis=0)
        )
        found["ovo_auroc"] = lambda: Mean(area_of_pairs_of_classes(odds(), target, present))
    return found


def _of_counts(task: Task, predicted: Array, target: Array, present: Array) -> Makers:
    """Make what is a function of how many samples of each class there are, are predicted, and are right."""
    classes = len(present)

    @cache
    def counted() -> Any:
        missing = 3 * classes  # a column that no function reads: where a prediction is wrong there is no hit
        hit = np.where(predicted == target, target, missing)
        return indicators(np.stack([hit, classes + target, 2 * classes + predicted], axis=1), missing + 1)

    def of(function: Callable[[dict[str, Array]], Array]) -> Callable[[], OfSums]:
        return lambda: OfSums(counted(), lambda sums: function(_shares(sums, classes)))

    found: Makers = {
        "macro_f1": of(lambda shares: _over_classes(shares, "f1")),
        "mcc": of(_matthews),
        "cohen_kappa": of(_kappa),
        "worst_class_recall": of(lambda shares: np.nanmin(shares["recall"], axis=1)),
        "g_mean": of(lambda shares: np.exp(mean_of_known(np.log(shares["recall"])))),
    }
    for label in np.flatnonzero(present).tolist():
        for name in ("precision", "f1"):
            found[f"{name}/{label}"] = of(partial(lambda shares, name, k: shares[name][:, k], name=name, k=label))
    for name in ("precision", "recall", "f1", "f2", "f0.5", "specificity", "npv", "fpr", "fdr", "fnr"):
        if task.classes != 2:
            found[f"macro_{name}"] = of(partial(_over_classes, name=name))
        elif present[1]:
            found[name] = of(partial(lambda shares, name: shares[name][:, 1], name=name))
    return found


def _shares(sums: Array, classes: int) -> dict[str, Array]:
    """Return shares (B, K) of each class against the rest, and the counts; NaN where a class has no samples."""
    hits, true, said = (sums[:, start : start + classes] for start in range(0, 3 * classes, classes))
    total = true.sum(1, keepdims=True)
    misses, alarms, negatives, rejected = true - hits, said - hits, total - true, total - said
    precision, recall, specificity = hits / np.maximum(said, 1), hits / true, 1 - alarms / negatives
    f = {
        name: (1 + beta**2) * hits / ((1 + beta**2) * hits + beta**2 * misses + alarms)
        for name, beta in (("f1", 1.0), ("f2", 2.0), ("f0.5", 0.5))
    }
    npv = (rejected - misses) / np.maximum(rejected, 1)
    against = {"specificity": specificity, "npv": npv, "fpr": 1 - specificity, "fdr": 1 - precision, "fnr": 1 - recall}
    return {"hits": hits, "true": true, "said": said, "precision": precision, "recall": recall, **f, **against}


def _over_classes(shares: dict[str, Array], name: str) -> Array:
    """Return the mean over the classes that have samples."""
    there = shares["true"] > 0
    return np.asarray(np.where(there, shares[name], 0).sum(1) / there.sum(1))


def _covariance(shares: dict[str, Array]) -> tuple[Array, Array, Array]:
    true, said = shares["true"], shares["said"]
    total, by_chance = true.sum(1), (true * said).sum(1)
    return total * shares["hits"].sum(1) - by_chance, total, by_chance


def _matthews(shares: dict[str, Array]) -> Array:
    covariance, total, _ = _covariance(shares)
    of_said = np.maximum(total**2 - (shares["said"] ** 2).sum(1), 1)
    return np.asarray(covariance / np.sqrt(of_said * (total**2 - (shares["true"] ** 2).sum(1))))


def _kappa(shares: dict[str, Array]) -> Array:
    covariance, total, by_chance = _covariance(shares)
    return np.asarray(covariance / (total**2 - by_chance))


def _of_confidence(probabilities: Array, correct: Array, target: Array) -> Makers:
    confidence, classes = probabilities.max(1).astype(np.float64), probabilities.shape[1]
    excess, size = confidence - correct, len(target)

    @cache
    def binned() -> Any:
        columns = bin_of(confidence)[:, None] + [0, BINS]
        return indicators(columns, 2 * BINS, np.stack([np.ones(size), excess], axis=1))

    def of_each_class() -> Any:
        of_class = BINS * np.arange(classes) + bin_of(probabilities)
        values = probabilities.astype(np.float64) - (target[:, None] == np.arange(classes))
        columns = np.column_stack([of_class, BINS * classes + target])
        return indicators(columns, (BINS + 1) * classes, np.column_stack([values, np.ones(size)]))

    def over_classes(sums: Array) -> Array:
        gaps = np.abs(sums[:, : BINS * classes]).reshape(len(sums), classes, BINS).sum(2)
        true = sums[:, BINS * classes :]
        return np.asarray((gaps * (true > 0)).sum(1) / (true > 0).sum(1) / true.sum(1))

    return {
        "ece": lambda: OfSums(binned(), lambda sums: np.abs(sums[:, BINS:]).sum(1) / sums[:, :BINS].sum(1)),
        "mce": lambda: OfSums(binned(), lambda sums: (np.abs(sums[:, BINS:]) / np.maximum(1, sums[:, :BINS])).max(1)),
        "classwise_ece": lambda: OfSums(of_each_class(), over_classes),
        "adaptive_ece": lambda: Weighed(_even_bins(confidence, excess)),
    }


def _even_bins(confidence: Array, excess: Array) -> Callable[[Array], Array]:
    """Make the mean gap of 15 bins of equally many samples a function of weights (B, N)."""
    order = np.argsort(confidence, kind="stable")
    ordered, gaps = confidence[order], excess[order]
    past = np.searchsorted(ordered, ordered, "right")  # equal confidences stay in one bin

    def function(weights: Array) -> Array:
        drawn = weights[:, order].astype(np.int64)
        many, summed = np.cumsum(drawn, axis=1), np.cumsum(drawn * gaps, axis=1)
        size = many[:, -1:]
        last = (np.arange(1, BINS) * size + BINS - 1) // BINS - 1
        ends = np.stack([past[np.searchsorted(row, of, "right")] for row, of in zip(many, last, strict=True)])
        edges = np.take_along_axis(summed, ends - 1, axis=1)
        zero = np.zeros((len(weights), 1))
        return np.asarray(np.abs(np.diff(np.hstack([zero, edges, summed[:, -1:]]), axis=1)).sum(1) / size[:, 0])

    return function
