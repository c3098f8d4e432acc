"""How translations are made and measured: the same way for every loss."""

import torch
from torch import Tensor

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem
from lossbench.tasks.text import evaluate as text
from lossbench.tasks.text.evaluate import Predictions

SAMPLES = 3
"""That were drawn for each made-up text."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up translations and their costs; for a loss of drawn samples three of each text."""
    logits, target, context = text.example(loss, num_classes, samples, generator)
    context["costs"] = torch.rand(samples, SAMPLES, generator=generator)
    context["baseline_cost"] = torch.rand(samples, generator=generator)
    if len(loss.declaration.sides[0]) == 4:
        drawn = (samples, SAMPLES, *logits.shape[1:])
        logits = torch.randn(drawn, generator=generator)
        tokens = torch.randint(logits.shape[-1], drawn[:-1], generator=generator)
        target = text.padded(tokens, 3 + torch.arange(samples * SAMPLES).view(samples, SAMPLES) % 5)
    return logits, target, context


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives probabilities of the tokens at each place."""
    text.check_link(linked, samples, num_classes)


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Take from the outputs what each token had."""
    return text.predict(loss, kept, problem)


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the tokens."""
    return {name: value for name, value in text.measure(part, predictions, problem).items() if name == "accuracy"}
