"""How detections are kept, and measured: the same way for every loss."""

import torch
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.detection.metrics import average_precisions
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem

SHOWN = 8
"""Of so many images the files keep what is seen."""
AT_ONCE = ("ap", "ap50", "ap75")
"""What is told after each epoch; all of it is measured in one go."""


class Predictions(TypedDict):
    """What is found in N images, at most D boxes in each, of M true ones; corners x1 y1 x2 y2 in pixels."""

    boxes: Tensor
    """(N, D, 4), by falling scores; zeros are padding."""
    scores: Tensor
    """(N, D), in [0, 1]."""
    labels: Tensor
    """(N, D), int16: classes; -1 is padding."""
    target_boxes: Tensor
    """(N, M, 4)."""
    target: Tensor
    """(N, M), int64: classes; -1 is padding."""
    index: Tensor
    """(N,), the place of each image in its source."""
    image: NotRequired[Tensor]
    """(8, C, H, W), the first images, as the source has them."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up logits of places, a third of them background, or the outputs of grids, or bins; and step context."""
    classes = num_classes or 10
    if len(loss.declaration.sides[0]) == len("NSSO"):
        outputs, target = (torch.rand(samples, 3, 3, width + classes, generator=generator) for width in (10, 5))
        target[..., 4:] = (target[..., 4:] < 0.5).float()
        return outputs, target, {"epoch": 0}
    if len(loss.declaration.sides[0]) == len("N4R"):
        bins = torch.randn(samples, 4, 8, generator=generator)
        return bins, 7 * torch.rand(samples, 4, generator=generator), {"epoch": 0}
    label = torch.randint(classes, (samples,), generator=generator)
    there = torch.arange(samples) % 3 > 0
    target = torch.nn.functional.one_hot(label, classes).float() * there.unsqueeze(1)
    quality = torch.rand(samples, generator=generator) * there
    return torch.randn(samples, classes, generator=generator), target, {"epoch": 0, "quality": quality}


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives a probability of each class at each place, (M, K), outputs of grids, or bins."""
    assert linked.isfinite().all(), "the link returns numbers that are not finite."
    if linked.ndim == 4:
        assert linked.shape[3] > num_classes, "the outputs of a cell must be boxes, and a number for each class."
        return
    if linked.ndim == 3:
        assert linked.shape[:2] == (samples, 4), "the outputs of a box must be the bins of four sides."
        return
    shape = (samples, num_classes)
    assert linked.shape == shape, f"the link returns shape {tuple(linked.shape)}; for places it must be {shape}."
    assert (linked >= 0).all() and (linked <= 1).all(), (
        "the link returns numbers that are no probabilities. Declare the link that fits the outputs "
        "(lossbench.losses.links)."
    )


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Cut the padding to the most boxes that an image has, and keep a few images."""
    most = max(1, int((kept["labels"] >= 0).sum(1).max())) if len(kept["labels"]) else 1
    # Copies: views would keep all of it in the checkpoint.
    found: dict[str, Tensor] = {name: kept[name][:, :most].clone() for name in ("boxes", "scores", "labels")}
    found |= {name: kept[name] for name in ("target_boxes", "target", "index")}
    if "image" in kept:
        found["image"] = kept["image"][:SHOWN].clone()
    return {**found, "labels": found["labels"].short()}  # type: ignore[typeddict-item]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the average precision."""
    measured = average_precisions(predictions)
    return {name: measured[name] for name in AT_ONCE if name in measured}


def measure_final(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure it by size and class, recalls, and as PASCAL VOC has it."""
    measured = average_precisions(predictions)
    return {name: value for name, value in measured.items() if name not in AT_ONCE}
