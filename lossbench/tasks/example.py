"""Made-up outputs and step context for the tasks whose learner predicts and compares."""

from typing import Any

import torch
from torch import Tensor

from lossbench.losses.bound_loss import BoundLoss

Example = tuple[Tensor, Tensor, dict[str, Any]]
"""Outputs, target and step context."""


def outputs_for(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Tensor:
    """Draw outputs (N, O) of the width that a loss takes, (N,) for a single one."""
    width = loss.num_outputs(num_classes)
    single = width == 1 and not loss.declaration.per_class
    return torch.randn((samples,) if single else (samples, width), generator=generator)


def context_for(outputs: Tensor, samples: int, generator: torch.Generator) -> dict[str, Any]:
    """Draw what a supervised learner supplies at each step."""
    return {
        "epoch": 0,
        "features": torch.randn(samples, 4, generator=generator),
        "index": torch.arange(samples),
        "inputs": torch.randn(samples, 4, generator=generator),
        "teacher_logits": torch.randn(outputs.shape, generator=generator),
    }
