"""Value, slope and curvature of losses over the margin of the true class, or over the residual."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.catalogue.examine.example_batch import example_batch
from lossbench.catalogue.loss_picture import POINTS, REACH, Curve, check_drawable, draw_curves
from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks import task_named

TEACHER = 2.0
"""The margin of the teacher, for a loss that learns from one."""
Curves = tuple[Tensor, Tensor, Tensor]


def curves(loss: BoundLoss, x: Tensor) -> Curves:
    """Return value, slope and curvature of a loss over the margin or the residual, in float64.

    Formula: L(x), dL/dx, d^2L/dx^2

    For classification x is the margin of the true class: two classes have the logits (x/2, -x/2) and the true class is
    0; a loss of one logit has the logit x and the true class is 1. For regression x is the residual, target -
    prediction, at a target of 0.

    Parameters
    ----------
    loss : BoundLoss
        The loss; one that asks for class counts is bound to two of them (`TWO_CLASSES`).
    x : Tensor (N,)
        Margins or residuals.

    Returns
    -------
    tuple of three Tensor (N,)
        In float64. Where a derivative jumps, its own derivative is that of one side.

    Examples
    --------
    >>> from lossbench import load_loss
    >>> [curve.item() for curve in curves(load_loss("mse"), torch.tensor([3.0]))]
    [9.0, 6.0, 2.0]

    """
    loss = loss.copy()  # one value for each point, whatever a loaded loss makes of them
    free = x.detach().double().requires_grad_()
    outputs, target = _outputs_and_target(loss, free)
    one_sample = example_batch(loss, 2, samples=1)[2]
    context = {
        key: entry.expand(len(x), *entry.shape[1:]) if torch.is_tensor(entry) else entry
        for key, entry in one_sample.items()
    }
    if "teacher_logits" in loss.step_context:
        context["teacher_logits"] = _outputs_and_target(loss, torch.full_like(x, TEACHER, dtype=torch.float64))[0]
    if loss.declaration.coupled or loss.module is not None:  # each point as if it came alone, and first
        rows = range(len(x))
        points = [{key: _row(entry, row) for key, entry in context.items()} for row in rows]
        value = torch.cat([loss.copy()(outputs[row : row + 1], target[row : row + 1], **points[row]) for row in rows])
    else:
        value = loss(outputs, target, **context)
    return with_derivatives(value, free)


def draw_loss_curves(
    losses: Mapping[str, BoundLoss], path_stem: Path, baseline: str = "", endings: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Draw bound losses by their label, as `loss_picture.draw_curves` says; return the paths of the files.

    Raises
    ------
    ConfigError
        If there are too many losses to tell apart, they can't share an axis, or the files can't be written.

    """
    check_drawable({label: drawn_over(loss) for label, loss in losses.items()})
    return draw_curves({label: sampled(loss) for label, loss in losses.items()}, path_stem, baseline, endings)


def sampled(loss: BoundLoss) -> Curve:
    """Return the curves of a loss as they are drawn, and what is said of them."""
    declaration, over = loss.declaration, drawn_over(loss)
    reach = REACH["residual" if over == "residual" else declaration.head]
    x = torch.from_numpy(np.linspace(-reach, reach, POINTS))
    heights = torch.stack(curves(loss, x))
    asks = {
        "class_counts": "class_counts" in loss.settings,
        "cosine": declaration.head == "cosine",
        "teacher_logits": "teacher_logits" in loss.step_context,
    }
    with torch.random.fork_rng(devices=[]):
        at_one = torch.stack(curves(loss, torch.tensor([-1.0, 1.0]))[:2])
    asked = tuple(name for name, holds in asks.items() if holds)
    return Curve(x.numpy(), heights.numpy(), at_one.numpy(), over, asked)


def drawn_over(loss: BoundLoss) -> str:
    """Return over what a loss is drawn: "margin" or "residual"; "" if it can't be drawn."""
    return task_named(loss.declaration.task).curves


def _outputs_and_target(loss: BoundLoss, x: Tensor) -> tuple[Tensor, Tensor]:
    if drawn_over(loss) == "residual":
        return -x, torch.zeros_like(x)
    if not loss.declaration.takes_classes:
        return x, torch.ones_like(x)
    return torch.stack([x / 2, -x / 2], dim=1), torch.zeros(len(x), dtype=torch.int64)


def _row(entry: Any, row: int) -> Any:
    return entry[row : row + 1] if torch.is_tensor(entry) else entry


def with_derivatives(value: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return values at points x, and what automatic differentiation makes of them: slope and curvature."""
    slope = _derivative(value, x)
    return value.detach(), slope.detach(), _derivative(slope, x).detach()


def _derivative(y: Tensor, x: Tensor) -> Tensor:
    if not y.requires_grad:  # a slope that is constant
        return torch.zeros_like(x)
    (derivative,) = torch.autograd.grad(y.sum(), x, create_graph=True, materialize_grads=True)
    return derivative
