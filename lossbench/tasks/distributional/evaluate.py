"""How a predicted distribution is made of outputs, and measured: the same way for every loss."""

import math
from typing import Any

from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.distributions import LEVELS, Predictive
from lossbench.tasks.distributional.metrics import RECORDED, crps_of_quantiles, distributional_metrics
from lossbench.tasks.problem import Kept, Problem, in_units_of_the_target
from lossbench.tasks.regression.evaluate import example

__all__ = ["Predictions", "check_link", "example", "measure", "predict"]


class Predictions(TypedDict):
    """What is predicted of N samples, in the units of the target."""

    mean: Tensor
    """(N,)."""
    quantiles: Tensor
    """(N, 39), at 0.025, 0.05 to 0.975."""
    log_density: Tensor
    """(N,), at the observed target."""
    crps: Tensor
    """(N,)."""
    target: Tensor
    """(N,), as observed."""
    target_clean: Tensor
    """(N,), the truth."""
    index: Tensor
    """(N,), the place of each sample in its source."""
    inputs: NotRequired[Tensor]
    """(N,), of samples that are a single number."""


def check_link(linked: Any, samples: int, num_classes: int) -> None:
    """Assert that the link gives distributions: mean (N,), quantiles (N, Q) at `LEVELS` and a log density."""
    assert isinstance(linked, Predictive), f"the link returns {type(linked).__name__}; it must be a Predictive."
    mean, quantiles, log_density = linked
    found, wanted = (tuple(mean.shape), tuple(quantiles.shape)), ((samples,), (samples, len(LEVELS)))
    assert found == wanted, f"the shapes of mean and quantiles are {found}; they must be {wanted}."
    assert (quantiles.diff(dim=1) >= 0).all(), "some quantiles are below those of lower levels."
    finite = [tensor.isfinite().all() for tensor in (mean, quantiles, log_density(mean))]
    assert all(finite), "mean, quantiles or log density of the predicted distribution are not finite."


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Turn the outputs of a part into distributions in the units of the target."""
    mean, quantiles, log_density = loss.link(kept["outputs"])
    target = kept["target"].double()
    predicted: Any = {
        "mean": mean * problem.scale + problem.center,
        "quantiles": quantiles[:, RECORDED] * problem.scale + problem.center,
        "log_density": log_density(target) - math.log(problem.scale),
        "crps": crps_of_quantiles(quantiles, target) * problem.scale,
        **in_units_of_the_target(kept, problem),
    }
    found: Predictions = predicted
    return found


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the distributions."""
    return distributional_metrics(predictions)
