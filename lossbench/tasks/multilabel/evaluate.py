"""How predicted labels are made of outputs, and measured: the same way for every loss."""

import torch
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.example import Example, context_for, outputs_for
from lossbench.tasks.multilabel.metrics import multilabel_metrics
from lossbench.tasks.problem import Kept, Problem, with_probabilities


class Predictions(TypedDict):
    """What is predicted of N samples and L labels."""

    probabilities: Tensor
    """(N, L), of each label, by the link of the loss."""
    log_odds: Tensor
    """(N, L), those of the probabilities."""
    logits: Tensor
    """(N, L), the outputs."""
    target: Tensor
    """(N, L), 1 and 0 as observed, -1 where it is not known."""
    target_clean: Tensor
    """(N, L), the true labels."""
    index: Tensor
    """(N,), the place of each sample in its source."""
    inputs: NotRequired[Tensor]
    """(N,), of samples that are a single number."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up outputs, labels by the digits of the sample's number, from none to all of four, and step context."""
    outputs = outputs_for(loss, num_classes, samples, generator)
    target = (torch.arange(samples).unsqueeze(1) >> torch.arange(outputs.shape[1]) % 4 & 1).float()
    return outputs, target, context_for(outputs, samples, generator)


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives a probability (N, L) to each label."""
    shape = (samples, num_classes)
    assert linked.shape == shape, f"the link returns shape {tuple(linked.shape)}; for labels it must be {shape}."
    assert linked.isfinite().all(), "the link returns numbers that are not finite."
    assert (linked >= 0).all() and (linked <= 1).all(), (
        f"the link returns {linked.min().item():.6g} to {linked.max().item():.6g}; each label has "
        "a probability of its own. Declare the link that fits the outputs (lossbench.losses.links)."
    )


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Turn the outputs of a part into probabilities."""
    return with_probabilities(loss, kept)  # type: ignore[return-value]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the labels."""
    return multilabel_metrics(predictions["probabilities"], predictions["target"], predictions["log_odds"])
