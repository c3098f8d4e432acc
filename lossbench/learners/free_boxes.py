"""The learner of boxes without a network: each box goes by its own gradient (Zheng et al. 2020)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert

from lossbench.learners.learner import Called, Learner, in_full_precision
from lossbench.losses.boxes import iou_of
from lossbench.ranges import takes
from lossbench.tasks.boxes.evaluate import error_of
from lossbench.tasks.problem import Kept


@takes(pairs="int [1, inf)")
class BoxOffsets(nn.Module):
    """How far each box has moved from where it started: its centre, width and height.

    Parameters
    ----------
    input_shape : sequence of int
        (4,).
    num_classes : None
        Not used.
    pairs : int
        Number of boxes.

    """

    error_sum: Tensor

    def __init__(self, input_shape: Sequence[int], num_classes: int | None = None, pairs: int = 1) -> None:
        super().__init__()
        self.offsets = nn.Parameter(torch.zeros(pairs, *input_shape))
        self.register_buffer("error_sum", torch.zeros(pairs))

    def forward(self, boxes: Tensor, index: Tensor) -> Tensor:
        """Return boxes (N, 4), given in corners with their numbers (N,), where they have moved to."""
        moved = box_convert(boxes, "xyxy", "cxcywh") + self.offsets[index]
        return box_convert(moved, "cxcywh", "xyxy")


class FreeBoxes(Learner):
    """Bring boxes to their targets by steps of a loss's gradient, all pairs in one batch.

    B <- B - lr (2 - IoU) dL/dB of centre, width and height, the factor being a constant of the step: a box that is
    nearly there goes slower. What is evaluated are the boxes that are trained; nothing is to be generalised.

    Parameters
    ----------
    **common
        As for every `Learner`; the network is a `BoxOffsets`.

    References
    ----------
    Zheng et al. 2020, "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression", arXiv:1911.08287.

    """

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the loss (N,) of each pair, weighted by 2 - IoU."""
        boxes, target, context = self.called_with(batch)
        value = self.loss(boxes, target, **context)
        return self._pace(boxes, batch) * value

    def per_sample_terms(self, batch: Any) -> dict[str, Tensor]:
        """Return the terms (N,) of each pair, weighted likewise."""
        boxes, target, context = self.called_with(batch)
        terms = self.loss.each_term(boxes, target, **context)
        self.add_terms(**terms)
        pace = self._pace(boxes, batch)
        return {name: pace * term for name, term in self.loss.weighed(terms).items()}

    def called_with(self, batch: Any) -> Called:
        """Return where the boxes are and belong."""
        boxes = in_full_precision(self.network(batch.inputs, batch.index))
        return boxes, batch.target, {"epoch": self.current_epoch, "index": batch.index, "inputs": batch.inputs}

    @torch.no_grad()
    def _pace(self, boxes: Tensor, batch: Any) -> Tensor:
        """Return how fast each box goes; note how far off it is."""
        pace, error = 2 - iou_of(boxes, batch.target), error_of(boxes, batch.target)
        self.network.error_sum[batch.index] += error
        self.add_terms(error=error)
        return pace

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the sum over the pairs, so that each goes by its own gradient."""
        mean = super().training_step(batch, batch_idx)
        return mean if self.loss.declaration.reduction == "sum" else len(batch.index) * mean

    def kept(self, batch: Any) -> Kept:
        """Keep where the boxes are, were and belong."""
        known = {"start": batch.inputs, "target": batch.target, "index": batch.index}
        return {
            "outputs": self.network(batch.inputs, batch.index),
            "error_sum": self.network.error_sum[batch.index],
            **known,
        }
