"""How the outputs of each predict-and-compare task are read and measured: the same way for every loss."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from lossbench.further_metrics import further_classification_metrics, further_regression_metrics
from lossbench.losses.binding import BoundLoss
from lossbench.metrics import balanced_errors, classification_metrics, noise_metrics, regression_metrics
from lossbench.metrics_multilabel import multilabel_metrics
from lossbench.metrics_numbers import RECORDED, count_metrics, crps_of_quantiles, distributional_metrics

if TYPE_CHECKING:
    from lossbench.learners.learner import Problem

Predictions = dict[str, Tensor]
Metrics = dict[str, float]
Measure = Callable[[str, Predictions, "Problem"], Metrics]


def _nothing(part: str, predictions: Predictions, problem: "Problem") -> Metrics:
    return {}


class Evaluation(NamedTuple):
    """How a task is evaluated.

    `predict` turns outputs, targets, clean targets and indices of a part into what is predicted; `measure` computes the
    metrics of what is predicted on a part ("val", "test" or "train"), and `measure_further` those of "val" and "test"
    that are computed only once, at the end of a run.
    """

    predict: Callable[[BoundLoss, Predictions, "Problem"], Predictions]
    measure: Measure
    measure_further: Measure = _nothing


def _classify(loss: BoundLoss, together: Predictions, problem: "Problem") -> Predictions:
    named = {"logits" if name == "outputs" else name: tensor for name, tensor in together.items()}
    outputs = together["outputs"]
    return {"probabilities": loss.link(outputs), "log_odds": loss.log_odds(outputs), **named}


def _measure_classes(part: str, predictions: Predictions, problem: "Problem") -> Metrics:
    if part == "train":
        return noise_metrics(*(predictions[key] for key in ("probabilities", "target", "target_clean")))
    counts = problem.class_counts
    return _on_both_labels(predictions, lambda p, y, log_odds: classification_metrics(p, y, counts, log_odds))


def _measure_classes_further(part: str, predictions: Predictions, problem: "Problem") -> Metrics:
    binary = problem.task == "binary"
    return _on_both_labels(predictions, lambda p, y, log_odds: further_classification_metrics(p, y, binary, log_odds))


def _on_both_labels(predictions: Predictions, measure: Callable[[Tensor, Tensor, Tensor | None], Metrics]) -> Metrics:
    """Measure on the labels as observed, and where they are noisy also on the clean ones, as `clean/...`."""
    probabilities, target, clean = (predictions[key] for key in ("probabilities", "target", "target_clean"))
    log_odds = predictions.get("log_odds")  # not in a checkpoint of an earlier version
    metrics = measure(probabilities, target, log_odds)
    if not torch.equal(target, clean):
        metrics |= {f"clean/{metric}": value for metric, value in measure(probabilities, clean, log_odds).items()}
    return metrics


def in_units_of_the_target(together: Predictions, problem: "Problem") -> Predictions:
    """Return targets as they were before they were standardised, and what else was kept but the outputs."""
    targets = {key: together[key].double() * problem.scale + problem.center for key in ("target", "target_clean")}
    return {name: together[name] for name in together if name in ("index", "inputs")} | targets


def _regress(loss: BoundLoss, together: Predictions, problem: "Problem") -> Predictions:
    prediction = loss.link(together["outputs"]) * problem.scale + problem.center
    return {"prediction": prediction, **in_units_of_the_target(together, problem)}


def _measure_numbers(part: str, predictions: Predictions, problem: "Problem") -> Metrics:
    prediction, clean = predictions["prediction"], predictions["target_clean"]
    metrics = regression_metrics(prediction, predictions["target"], clean)
    if problem.density is not None and problem.density.skewed:
        metrics |= balanced_errors(prediction, clean, problem.density.edges, problem.density.counts)
    return metrics


def _measure_numbers_further(part: str, predictions: Predictions, problem: "Problem") -> Metrics:
    prediction, target, clean = (predictions[key] for key in ("prediction", "target", "target_clean"))
    return further_regression_metrics(prediction, target, clean, problem.num_features)


def _measure_labels(part: str, predictions: Predictions, problem: "Problem") -> Metrics:
    return multilabel_metrics(*(predictions[key] for key in ("probabilities", "target", "log_odds")))


def _distribute(loss: BoundLoss, together: Predictions, problem: "Problem") -> Predictions:
    mean, quantiles, log_density = loss.link(together["outputs"])
    target = together["target"].double()
    return {
        "mean": mean * problem.scale + problem.center,
        "quantiles": quantiles[:, RECORDED] * problem.scale + problem.center,
        "log_density": log_density(target) - math.log(problem.scale),
        "crps": crps_of_quantiles(quantiles, target) * problem.scale,
        **in_units_of_the_target(together, problem),
    }


def _measure_distributions(part: str, predictions: Predictions, problem: "Problem") -> dict[str, float]:
    return distributional_metrics(predictions)


def _measure_counts(part: str, predictions: Predictions, problem: "Problem") -> dict[str, float]:
    return count_metrics(predictions["prediction"], predictions["target"], predictions["target_clean"])


EVALUATIONS = {
    "binary": Evaluation(_classify, _measure_classes, _measure_classes_further),
    "count": Evaluation(_regress, _measure_counts),
    "distributional": Evaluation(_distribute, _measure_distributions),
    "multiclass": Evaluation(_classify, _measure_classes, _measure_classes_further),
    "multilabel": Evaluation(_classify, _measure_labels),
    "regression": Evaluation(_regress, _measure_numbers, _measure_numbers_further),
}
