"""How a predicted count is made of outputs, and measured: the same way for every loss."""

import torch

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.counts.metrics import count_metrics
from lossbench.tasks.example import Example, context_for, outputs_for
from lossbench.tasks.problem import Problem
from lossbench.tasks.regression.evaluate import Predictions, check_link, predict

__all__ = ["Predictions", "check_link", "example", "measure", "predict"]


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up outputs, counts from 0 to 3 that take turns, and step context."""
    outputs = outputs_for(loss, num_classes, samples, generator)
    return outputs, torch.arange(samples) % 4.0, context_for(outputs, samples, generator)


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the counts."""
    return count_metrics(predictions["prediction"], predictions["target"], predictions["target_clean"])
