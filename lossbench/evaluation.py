"""How the outputs of each predict-and-compare task are read and measured: the same way for every loss."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from lossbench.losses.binding import BoundLoss
from lossbench.metrics import balanced_errors, classification_metrics, noise_metrics, regression_metrics

if TYPE_CHECKING:
    from lossbench.learners.learner import Problem

Predictions = dict[str, Tensor]


class Evaluation(NamedTuple):
    """How a task is evaluated.

    `predict` turns outputs, targets, clean targets and indices of a part into what is predicted; `measure` computes the
    metrics of what is predicted on a part ("val", "test" or "train").
    """

    predict: Callable[[BoundLoss, Predictions, "Problem"], Predictions]
    measure: Callable[[str, Predictions, "Problem"], dict[str, float]]


def _classify(loss: BoundLoss, together: Predictions, problem: "Problem") -> Predictions:
    named = {"logits" if name == "outputs" else name: tensor for name, tensor in together.items()}
    return {"probabilities": loss.link(together["outputs"]), **named}


def _measure_classes(part: str, predictions: Predictions, problem: "Problem") -> dict[str, float]:
    probabilities, target, clean = (predictions[key] for key in ("probabilities", "target", "target_clean"))
    if part == "train":
        return noise_metrics(probabilities, target, clean)
    metrics = classification_metrics(probabilities, target, problem.class_counts)
    if not torch.equal(target, clean):
        on_clean = classification_metrics(probabilities, clean, problem.class_counts)
        metrics |= {f"clean/{metric}": value for metric, value in on_clean.items()}
    return metrics


def in_units_of_the_target(together: Predictions, problem: "Problem") -> Predictions:
    """Return targets as they were before they were standardised, and what else was kept but the outputs."""
    targets = {key: together[key].double() * problem.scale + problem.center for key in ("target", "target_clean")}
    return {name: together[name] for name in together if name in ("index", "inputs")} | targets


def _regress(loss: BoundLoss, together: Predictions, problem: "Problem") -> Predictions:
    prediction = loss.link(together["outputs"]) * problem.scale + problem.center
    return {"prediction": prediction, **in_units_of_the_target(together, problem)}


def _measure_numbers(part: str, predictions: Predictions, problem: "Problem") -> dict[str, float]:
    prediction, clean = predictions["prediction"], predictions["target_clean"]
    metrics = regression_metrics(prediction, predictions["target"], clean)
    if problem.density is not None and problem.density.skewed:
        metrics |= balanced_errors(prediction, clean, problem.density.edges, problem.density.counts)
    return metrics


EVALUATIONS = {
    "binary": Evaluation(_classify, _measure_classes),
    "multiclass": Evaluation(_classify, _measure_classes),
    "regression": Evaluation(_regress, _measure_numbers),
}
