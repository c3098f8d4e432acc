"""How regressed boxes are measured: the same way for every loss."""

import torch
from torch import Tensor
from typing_extensions import TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.boxes import iou_of
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem, with_a_value

STUCK = 1.0
"""An error above it is that of a box that was not brought home."""


class Predictions(TypedDict):
    """Where N boxes are, in corners x1 y1 x2 y2."""

    boxes: Tensor
    """(N, 4)."""
    start: Tensor
    """(N, 4), where they were at the start."""
    target: Tensor
    """(N, 4), where they belong."""
    error_sum: Tensor
    """(N,), their errors summed over the steps so far."""
    index: Tensor
    """(N,), the place of each pair in its source."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up boxes around others, overlapping, apart or one in the other, and step context."""
    corners = torch.rand(2, samples, 2, generator=generator)
    sizes = 0.2 + torch.rand(2, samples, 2, generator=generator)
    boxes, target = torch.cat([corners, corners + sizes], dim=-1)
    return boxes, target, {"epoch": 0, "index": torch.arange(samples), "inputs": boxes}


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives four corners (N, 4)."""
    assert linked.shape == (samples, 4), f"the link returns shape {tuple(linked.shape)}; for boxes it must be (N, 4)."
    assert linked.isfinite().all(), "the link returns numbers that are not finite."


def error_of(boxes: Tensor, target: Tensor) -> Tensor:
    """Return the error (N,) of boxes (N, 4): |x - x_t| + |y - y_t| + |w - w_t| + |h - h_t|, of centre and size.

    Examples
    --------
    >>> error_of(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.0, 1.0, 2.0]]))
    tensor([1.5000])

    """
    low, high = (boxes - target).unflatten(-1, (2, 2)).unbind(-2)
    return ((low + high) / 2).abs().sum(-1) + (high - low).abs().sum(-1)


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Take the outputs as boxes."""
    known = {name: kept[name] for name in ("start", "target", "error_sum", "index")}
    return {"boxes": loss.link(kept["outputs"]), **known}  # type: ignore[typeddict-item]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the boxes."""
    boxes, target = predictions["boxes"].double(), predictions["target"].double()
    error, apart = error_of(boxes, target), iou_of(predictions["start"].double(), target) == 0
    return with_a_value(
        {
            "error": error.mean(),
            "error_apart": error[apart].mean(),
            "error_overlapping": error[~apart].mean(),
            "stuck": (error > STUCK).double().mean(),
            "iou": iou_of(boxes, target).mean(),
            "error_sum": predictions["error_sum"].double().mean(),
        }
    )
