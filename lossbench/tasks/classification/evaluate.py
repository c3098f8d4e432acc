"""How predicted classes are made of outputs, and measured: the same way for every loss."""

from collections.abc import Callable

import torch
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.classification.final_metrics import final_classification_metrics
from lossbench.tasks.classification.metrics import classification_metrics, noise_metrics
from lossbench.tasks.example import Example, context_for, outputs_for
from lossbench.tasks.problem import Kept, Problem, with_probabilities

Metrics = dict[str, float]


class Predictions(TypedDict):
    """What is predicted of N samples and K classes."""

    probabilities: Tensor
    """(N, K), by the link of the loss."""
    log_odds: Tensor
    """(N, K), those of the probabilities."""
    logits: Tensor
    """The outputs: (N, K), or (N,) of a loss that takes one."""
    target: Tensor
    """(N,), classes as observed."""
    target_clean: Tensor
    """(N,), true classes."""
    index: Tensor
    """(N,), the place of each sample in its source."""
    inputs: NotRequired[Tensor]
    """(N,), of samples that are a single number."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up outputs, classes that take turns, and step context."""
    outputs = outputs_for(loss, num_classes, samples, generator)
    target = torch.arange(samples) % (num_classes or 1)
    target = target if loss.declaration.takes_classes else target.float()
    return outputs, target, context_for(outputs, samples, generator)


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives probabilities (N, K) whose rows sum to one."""
    shape = (samples, num_classes)
    assert linked.shape == shape, f"the link returns shape {tuple(linked.shape)}; for classes it must be {shape}."
    assert linked.isfinite().all(), "the link returns numbers that are not finite."
    assert (linked >= 0).all() and torch.allclose(linked.sum(1), torch.ones(samples)), (
        f"the probabilities of a sample sum to {linked.sum(1)[0].item():.6g}, the smallest is "
        f"{linked.min().item():.6g}. Declare the link that fits the outputs (lossbench.losses.links)."
    )


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Turn the outputs of a part into probabilities."""
    return with_probabilities(loss, kept)  # type: ignore[return-value]


def measure(part: str, predictions: Predictions, problem: Problem) -> Metrics:
    """Measure the classes; on the training part, what label noise has done."""
    if part == "train":
        return noise_metrics(predictions["probabilities"], predictions["target"], predictions["target_clean"])
    counts = problem.class_counts
    return _on_both_labels(predictions, lambda p, y, log_odds: classification_metrics(p, y, counts, log_odds))


def measure_final(part: str, predictions: Predictions, problem: Problem) -> Metrics:
    """Measure what is measured once."""
    binary = problem.task.classes == 2
    return _on_both_labels(predictions, lambda p, y, log_odds: final_classification_metrics(p, y, binary, log_odds))


def _on_both_labels(predictions: Predictions, measured: Callable[[Tensor, Tensor, Tensor | None], Metrics]) -> Metrics:
    """Measure on the labels as observed, and where they are noisy also on the clean ones, as `clean/...`."""
    probabilities, target, clean = (predictions[key] for key in ("probabilities", "target", "target_clean"))
    log_odds = predictions.get("log_odds")  # not in a checkpoint of an earlier version
    metrics = measured(probabilities, target, log_odds)
    if not torch.equal(target, clean):
        metrics |= {f"clean/{metric}": value for metric, value in measured(probabilities, clean, log_odds).items()}
    return metrics
