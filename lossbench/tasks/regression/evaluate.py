"""How a predicted number is made of outputs, and measured: the same way for every loss."""

import torch
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.example import Example, context_for, outputs_for
from lossbench.tasks.problem import Kept, Problem, in_units_of_the_target
from lossbench.tasks.regression.final_metrics import final_regression_metrics
from lossbench.tasks.regression.metrics import balanced_errors, regression_metrics


class Predictions(TypedDict):
    """What is predicted of N samples, in the units of the target."""

    prediction: Tensor
    """(N,)."""
    target: Tensor
    """(N,), as observed."""
    target_clean: Tensor
    """(N,), the truth."""
    index: Tensor
    """(N,), the place of each sample in its source."""
    inputs: NotRequired[Tensor]
    """(N,), of samples that are a single number."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up outputs, targets from the normal distribution, and step context."""
    outputs = outputs_for(loss, num_classes, samples, generator)
    target = torch.randn(samples, generator=generator)
    return outputs, target, context_for(outputs, samples, generator)


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives one number (N,) to each sample."""
    assert linked.shape == (samples,), (
        f"the link returns shape {tuple(linked.shape)}; for numbers it must be {(samples,)}."
    )
    assert linked.isfinite().all(), "the link returns numbers that are not finite."


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Turn the outputs of a part into numbers in the units of the target."""
    prediction = loss.link(kept["outputs"]) * problem.scale + problem.center
    return {"prediction": prediction, **in_units_of_the_target(kept, problem)}  # type: ignore[typeddict-item]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the numbers; with skewed targets also where these are rare."""
    prediction, clean = predictions["prediction"], predictions["target_clean"]
    metrics = regression_metrics(prediction, predictions["target"], clean)
    if problem.density is not None and problem.density.skewed:
        metrics |= balanced_errors(prediction, clean, problem.density.edges, problem.density.counts)
    return metrics


def measure_final(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure what is measured once."""
    prediction, target, clean = (predictions[key] for key in ("prediction", "target", "target_clean"))
    return final_regression_metrics(prediction, target, clean, problem.num_features)
