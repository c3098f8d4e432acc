"""How depth is made of outputs, and measured: the same way for every loss."""

import torch
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.depth.metrics import depth_metrics
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem

HEIGHT, WIDTH = 4, 5
"""Pixels of a made-up image."""


class Predictions(TypedDict):
    """What is predicted of N images, in units of the target."""

    depth: Tensor
    """(N, H, W), float32, by the link of the loss."""
    target: Tensor
    """(N, H, W), float32; 0, negative or NaN where it is not known."""
    index: Tensor
    """(N,), the place of each image in its source."""
    image: NotRequired[Tensor]
    """(N, 3, H, W), uint8, what is seen."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up outputs, depths of which some are not known, and step context: a pair of views beside each image."""
    outputs = torch.randn(samples, HEIGHT, WIDTH, loss.num_outputs(None), generator=generator).squeeze(-1)
    target = torch.randn(samples, HEIGHT, WIDTH, generator=generator).exp()
    target[torch.rand(target.shape, generator=generator) < 0.1] = 0
    intrinsics = torch.tensor([[WIDTH, 0, (WIDTH - 1) / 2], [0, WIDTH, (HEIGHT - 1) / 2], [0, 0, 1]])
    poses = torch.eye(4).repeat(samples, 2, 1, 1)
    poses[:, 0, 0, 3] = -0.2
    poses[:, 1, :3, 3] = 0.1 * torch.randn(samples, 3, generator=generator)
    image = torch.rand(samples, 3, HEIGHT, WIDTH, generator=generator)
    return (
        outputs,
        target,
        {
            "epoch": 0,
            "features": torch.randn(samples, HEIGHT, WIDTH, 4, generator=generator),
            "image": image,
            "index": torch.arange(samples),
            "inputs": image,
            "intrinsics": intrinsics.repeat(samples, 1, 1),
            "other_views": torch.rand(samples, 2, 3, HEIGHT, WIDTH, generator=generator),
            "poses": poses,
        },
    )


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives a depth (N, H, W), from 0, to each pixel."""
    shape = (samples, HEIGHT, WIDTH)
    assert linked.shape == shape, f"the link returns shape {tuple(linked.shape)}; for depth it must be {shape}."
    assert linked.isfinite().all() and (linked >= 0).all(), "the link returns depths that are negative or not finite."


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Turn the outputs of a part into depths."""
    known = {name: kept[name] for name in ("index", "target", "image") if name in kept}
    return {"depth": loss.link(kept["outputs"]), **known}  # type: ignore[typeddict-item]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the depths."""
    return depth_metrics(predictions["depth"].double(), predictions["target"].double())
