"""How the classes of pixels are made of outputs, and measured: the same way for every loss."""

import torch
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.labelled_pixels import IGNORED
from lossbench.tasks.example import Example, context_for
from lossbench.tasks.problem import Kept, Problem
from lossbench.tasks.segmentation.metrics import pixel_metrics, shape_metrics

SIDE = 8
"""Pixels of a side of a made-up image."""
MOST = 1e4
"""Log-odds that half precision can hold."""


class Predictions(TypedDict):
    """What is predicted of N images of H x W pixels and K classes."""

    log_odds: Tensor
    """(N, H, W, K), half precision: of the probability of each class at each pixel, by the link of the loss."""
    target: Tensor
    """(N, H, W), uint8: classes as observed, 255 where a pixel is left out."""
    index: Tensor
    """(N,), the place of each image in its source."""
    image: NotRequired[Tensor]
    """(N, C, H, W), what is seen, as the source has it."""
    instances: NotRequired[Tensor]
    """(N, H, W), uint8: 0, or the number of the object."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up logits, classes in blocks so that there are regions, a pixel that is left out, and step context."""
    shape = (samples, SIDE, SIDE)
    outputs = torch.randn(*shape, num_classes or 2, generator=generator)
    coarse = torch.randint(num_classes or 2, (samples, SIDE // 4, SIDE // 4), generator=generator)
    target = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)
    target[:, 0, 0] = IGNORED
    context = context_for(outputs, samples, generator)
    del context["teacher_logits"]
    return outputs, target, context


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives probabilities (N, H, W, K) that sum to 1."""
    shape = (samples, SIDE, SIDE, num_classes)
    assert linked.shape == shape, f"the link returns shape {tuple(linked.shape)}; for pixels it must be {shape}."
    assert linked.isfinite().all() and (linked >= 0).all(), "the link returns numbers that are no probabilities."
    assert torch.allclose(linked.sum(-1), torch.ones(shape[:-1]).to(linked)), (
        "the probabilities of a pixel do not sum to 1. Declare the link that fits the outputs (lossbench.losses.links)."
    )


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Turn the outputs of a part into log-odds, kept in half precision: three digits of each."""
    known = {name: kept[name] for name in ("index", "image", "instances") if name in kept}
    log_odds = loss.log_odds(kept["outputs"]).clamp(-MOST, MOST).half()
    return {"log_odds": log_odds, "target": kept["target"].to(torch.uint8), **known}  # type: ignore[typeddict-item]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the pixels."""
    log_odds = predictions["log_odds"].float()
    return pixel_metrics(_probabilities(log_odds), predictions["target"].long(), log_odds)


def measure_final(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the shapes of regions, and their order by probability."""
    log_odds, instances = predictions["log_odds"].float(), predictions.get("instances")
    objects = None if instances is None else instances.long()
    return shape_metrics(_probabilities(log_odds), predictions["target"].long(), objects, log_odds)


def _probabilities(log_odds: Tensor) -> Tensor:
    """Return the probabilities of log-odds, whose rounding is divided out."""
    probabilities = log_odds.sigmoid()
    return probabilities / probabilities.sum(-1, keepdim=True)
