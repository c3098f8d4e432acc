"""The learner of detectors: each place of a map says which object is there, and how far the sides of its box are."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.catalogue.binding import load_loss
from lossbench.errors import ConfigError, nearest
from lossbench.learners.detection_targets import assign, boxes_of, centreness, decode, distances_of
from lossbench.learners.grid_targets import grid_boxes, grid_targets
from lossbench.learners.learner import Called, Learner, in_full_precision
from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.boxes import iou_of
from lossbench.losses.facts import declared_losses
from lossbench.models.centre_points import Places
from lossbench.models.yolo_grid import YoloGrid
from lossbench.ranges import takes
from lossbench.tasks.detection.metrics import require_coco
from lossbench.tasks.problem import Kept

KINDS = {
    "class_loss": (("detection", "M K , M K -> M"),),
    "box_loss": (("boxes", "N 4 , N 4 -> N"), ("detection", "N 4 R , N 4 -> N")),
}
"""Of which tasks the losses of each setting are, and the shapes that they take."""


@takes(class_loss="text", box_loss="text", box_weight="number [0, inf)")
class Detector(Learner):
    """Train a small FCOS by a loss of the classes at all places, and one of the boxes at those that have an object.

    The loss of a run trains the one or the other, by what it takes: boxes (`box_dfl`: the bins of their sides) or
    logits of classes. The other part has the loss that is named here, the same for all runs of a comparison. Of an
    image the loss is

        (sum over places of the class loss + box_weight * sum over positives of the box loss) * N / P

    with P positives, at least 1, in the batch of N images: the mean over the batch is divided by positives, as in FCOS.

    Boxes are compared in strides of the network, which are 4 pixels: so what a loss of boxes takes in the unit of the
    boxes is in strides. A network with `quality` learns the centreness of positives beside them, by cross-entropy; a
    score is then the root of probability times centreness, else the probability.

    What is added up are the terms `classes`, `boxes` and `centreness`, which `combine` can balance; of `box_dfl` there
    are its `overlap` and `sides` in place of `boxes`.

    A loss of the whole outputs of a grid, `yolo_v1`, trains a `YoloGrid` and nothing of this is used.

    Parameters
    ----------
    class_loss, box_loss : str
        Names of losses; that of the part which the loss of the run trains is not used.
    box_weight : float
        Weight of the boxes against the classes.
    **common
        As for every `Learner`; the network is a `lossbench.models.centre_points.CentrePoints`.

    Raises
    ------
    ConfigError
        If there is no such loss, one asks for what is not there or has another network, or the package that measures is
        not installed.

    References
    ----------
    Tian et al. 2022, "FCOS: A Simple and Strong Anchor-Free Object Detector", arXiv:2006.09214.

    """

    adds_terms = True
    """Whether it adds terms up itself, whatever the loss."""

    def __init__(self, class_loss: str, box_loss: str, box_weight: float, **common: Any) -> None:
        super().__init__(**common)
        require_coco()
        of_boxes, classes, boxes = (
            self.loss.declaration.task == "boxes" or _takes_bins(self.loss),
            _named("class_loss", class_loss),
            _named("box_loss", box_loss),
        )
        self.class_loss, self.box_loss = (classes, self.loss) if of_boxes else (self.loss, boxes)
        if missing := set(self.box_loss.step_context) - {"epoch"}:
            raise ConfigError(
                f"loss {self.box_loss.name} asks for {', '.join(sorted(missing))}, which learner=detector does not "
                "supply: it compares the boxes of places, not samples."
            )
        self.box_weight, self.num_classes = box_weight, int(self.problem.num_classes or 0)
        self.has_grid = len(self.loss.declaration.sides[0]) == len("NSSO")
        if self.has_grid != isinstance(self.network, YoloGrid):
            fitting = "yolo_grid" if self.has_grid else "centre_points"
            raise ConfigError(
                f"loss {self.loss.name} does not fit the outputs of {type(self.network).__name__}. "
                f"Use learner/network={fitting}."
            )
        self.has_bins = not self.has_grid and _takes_bins(self.box_loss)
        if self.has_bins and not getattr(self.network, "bins", 0):
            raise ConfigError(
                f"loss {self.box_loss.name} takes a distribution over bins for each side of a box, which "
                f"{type(self.network).__name__} does not have here. Use learner/network=centre_bins."
            )
        own = self.box_loss.term_names if self.has_bins else ()
        self.box_terms = own if len(own) > 1 else ("boxes",)

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the loss (N,) of each image of a batch, of which the history has the parts."""
        if self.has_grid:
            return super().per_sample_loss(batch)
        return torch.stack(list(self.per_sample_terms(batch).values())).sum(0)

    @property
    def term_names(self) -> tuple[str, ...]:
        """The parts of the loss of an image; of a grid those of its loss."""
        if self.has_grid:
            return super().term_names
        of_quality = ("centreness",) if getattr(self.network, "has_quality", False) else ()
        return ("classes", *self.box_terms, *of_quality)

    def per_sample_terms(self, batch: Any) -> dict[str, Tensor]:
        """Return the parts (N,) of the loss of each image of a batch."""
        if self.has_grid:
            return super().per_sample_terms(batch)
        places, network = self._places(batch.inputs), self.network
        targets = assign(network.locations, batch.extras["boxes"], batch.target, network.stride)
        there = targets.labels >= 0
        boxes = boxes_of(network.locations, places.distances)[there]
        true = targets.boxes[there].to(boxes)
        nothing = torch.zeros_like(there, dtype=boxes.dtype)
        quality = nothing.masked_scatter(there, iou_of(boxes.detach(), true))
        classes = F.one_hot(targets.labels + 1, self.num_classes + 1)[..., 1:].to(boxes)
        known = {"epoch": self.current_epoch, "quality": quality.flatten()}
        of_classes = self.class_loss(places.logits.flatten(0, 1), classes.flatten(0, 1), **known)
        distances = distances_of(network.locations, targets.boxes)[there]
        if places.bins is not None and self.has_bins:
            of_boxes = self._of_boxes(places.bins[there], distances.to(boxes))
        else:
            of_boxes = self._of_boxes(boxes, true)
        terms = {"classes": of_classes.view(there.shape)}
        for name, values in zip(self.box_terms, of_boxes, strict=True):
            terms[name] = self.box_weight * nothing.masked_scatter(there, values)
        if places.quality is not None:
            central = centreness(distances).to(boxes)
            wrong = F.binary_cross_entropy_with_logits(places.quality[there], central, reduction="none")
            terms["centreness"] = nothing.masked_scatter(there, wrong)
        share = len(there) / there.sum().clamp(min=1)
        of_images = {name: share * of_places.sum(1) for name, of_places in terms.items()}
        self.add_terms(**of_images)
        return of_images

    def _of_boxes(self, said: Tensor, true: Tensor) -> Sequence[Tensor]:
        """Return the terms of the loss of the boxes of positives, by corners or by the bins of their distances."""
        true, epoch = true / self.network.stride, self.current_epoch
        if not self.has_bins:
            return [self.box_loss(said / self.network.stride, true, epoch=epoch)]
        return list(self.box_loss.weighed(self.box_loss.each_term(said, true, epoch=epoch)).values())

    def kept(self, batch: Any) -> Kept:
        """Keep the boxes that are found, the true ones, and what else the task asks for."""
        height, width = batch.inputs.shape[-2:]
        found = decode(*self._scores_and_boxes(batch.inputs), (height, width))
        extras = self.problem.kept_of(batch.extras)
        truth = {"target": batch.target, "target_boxes": batch.extras["boxes"], "index": batch.index}
        return {**found._asdict(), **truth, **extras}

    def _scores_and_boxes(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores (N, L, K) and the boxes (N, L, 4) of all places."""
        if self.has_grid:
            outputs = self.loss.link(in_full_precision(self.network(inputs)))
            return grid_boxes(outputs, size=inputs.shape[-1], num_classes=self.num_classes)
        places = self._places(inputs)
        scores = self.class_loss.link(places.logits)
        if places.quality is not None:
            scores = (scores * places.quality.sigmoid().unsqueeze(-1)).sqrt()
        return scores, boxes_of(self.network.locations, places.distances)

    def called_with(self, batch: Any) -> Called:
        """Return what a loss of the whole outputs of a grid is called with."""
        outputs = in_full_precision(self.network(batch.inputs))
        shape = {"cells": outputs.shape[1], "size": batch.inputs.shape[-1], "num_classes": self.num_classes}
        target = grid_targets(batch.extras["boxes"], batch.target, **shape)
        return outputs, target.to(outputs), {"epoch": self.current_epoch}

    def _places(self, inputs: Tensor) -> Places:
        logits, distances, *others = self.network(inputs)
        others = [None if each is None else in_full_precision(each) for each in others]
        return Places(in_full_precision(logits), in_full_precision(distances), *others)


def _takes_bins(loss: BoundLoss) -> bool:
    """Tell whether a loss takes logits of bins for each side of a box."""
    return len(loss.declaration.sides[0]) == len("N4R")


def _named(setting: str, name: str) -> BoundLoss:
    """Load the loss that a setting names."""
    known = [each for each, facts in declared_losses().items() if (facts.task, facts.shapes) in KINDS[setting]]
    if name not in known:
        raise ConfigError(f"learner.{setting}={name} is not known. {nearest(name, known)}")
    return load_loss(name)
