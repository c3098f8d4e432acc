"""What is known of the data that a learner trains and is measured on."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.generation.frechet import Gaussian
from lossbench.tasks.generation.image_metrics import ImageMetrics
from lossbench.tasks.task import Task

Kept = dict[str, Tensor]
"""What an evaluation keeps of a part: tensors whose first axis is the sample."""


class TargetDensity(NamedTuple):
    """How many training samples there are at which target.

    Parameters
    ----------
    edges : Tensor, shape (B - 1,)
        The inner edges of B bins, in units of the target; the outer bins are open.
    counts : Tensor of int, shape (B,)
        Training samples in each bin, by their observed target.
    skewed : bool
        Whether the training set was made imbalanced.

    """

    edges: Tensor
    counts: Tensor
    skewed: bool


@dataclass(frozen=True)
class Modes:
    """Where the samples of a distribution lie.

    Parameters
    ----------
    centers : Tensor, shape (K, 2)
        The modes, all of the same probability; of a curve K points on it, evenly spaced by probability.
    std : float
        The standard deviation of the noise around them, in each direction.

    """

    centers: Tensor
    std: float


@dataclass(frozen=True)
class Part:
    """What is known of the data of one of several tasks of a network.

    Parameters
    ----------
    task : str
        The name of its task.
    shape : tuple of int
        Of the target of a sample: () for a class or a number, (H, W) for a mask or a map.
    class_names : tuple of str
        Of its classes; empty where there are none.
    class_counts : tuple of int
        Training samples, or pixels, of each class; empty where there are none, or it is not known.
    center, scale : float
        Numbers are trained as (target - center) / scale.

    """

    task: str
    shape: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    center: float = 0.0
    scale: float = 1.0

    @property
    def num_classes(self) -> int | None:
        """The number of its classes; None where there are none."""
        return len(self.class_names) or None


@dataclass(frozen=True)
class Problem:
    """What a learner knows of the data.

    Parameters
    ----------
    task : Task
        What is predicted, and how it is measured.
    num_classes : int or None
        Number of classes (of labels, if a sample may have several); None where there are none.
    class_counts : sequence of int or None
        Training samples of each class, as observed.
    evaluated : sequence of str
        Names of the loaders that are evaluated after each epoch: "test", "val" if there is one, "train" under noise.
    monitor : str
        The metric on "val" that picks the best epoch.
    contaminated : Tensor
        Indices of the training and validation samples that were corrupted.
    center, scale : float
        Regression targets are trained as (target - center) / scale.
    density : TargetDensity, optional
        For regression, how many training samples there are at which target.
    num_features : int or None
        Numbers in the input of a sample.
    images : bool
        Whether inputs are images (C, H, W).
    levels : int or None
        Of images to be generated, how many values a pixel can have, evenly spaced in 0..1.
    gaussian : Gaussian or None
        Mean and covariance of the flattened training samples, for learners that fit densities against it.
    image_metrics : ImageMetrics or None
        Measures generated images against those of each part.
    feature_maps : callable or None
        Maps images (N, C, H, W) in 0..1 to maps of features, for losses that compare these.
    modes : Modes or None
        Where points to be generated lie, if that is known.
    shared : mapping
        What belongs to no single sample, by name, such as the passages among which queries search.
    parts : mapping of str to Part
        Of several tasks of one network, by their names.

    """

    task: Task
    num_classes: int | None
    class_counts: Sequence[int] | None
    evaluated: Sequence[str]
    monitor: str
    contaminated: Tensor
    center: float = 0.0
    scale: float = 1.0
    density: TargetDensity | None = None
    num_features: int | None = None
    images: bool = False
    levels: int | None = None
    gaussian: Gaussian | None = None
    image_metrics: ImageMetrics | None = None
    feature_maps: Callable[[Tensor], Sequence[Tensor]] | None = None
    modes: Modes | None = None
    shared: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)

    def kept_of(self, extras: Mapping[str, Tensor], *more: str) -> Kept:
        """Return what an evaluation keeps of what else is known of samples: what the task says, and `more`."""
        return {name: extras[name] for name in (*self.task.keeps, *more) if name in extras}


SHOTS = {"many": (101, float("inf")), "medium": (20, 100), "few": (0, 19)}
"""Groups of classes, or of bins of a target, by their number of training samples, bounds included (Liu et al. 2019)."""
Values = dict[str, Tensor]
"""Metrics by name, each a single number."""


def with_a_value(metrics: Values) -> dict[str, float]:
    """Return the metrics that are finite numbers."""
    values = {name: float(value) for name, value in metrics.items()}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def with_probabilities(loss: BoundLoss, kept: Kept) -> Kept:
    """Return the outputs, as `logits`, with their probabilities and log-odds by the loss, and what else was kept."""
    outputs = kept["outputs"]
    named = {"logits" if name == "outputs" else name: tensor for name, tensor in kept.items()}
    return {"probabilities": loss.link(outputs), "log_odds": loss.log_odds(outputs), **named}


def in_units_of_the_target(kept: Kept, problem: Problem) -> Kept:
    """Return targets as they were before they were standardised, and what else was kept but the outputs."""
    targets = {key: kept[key].double() * problem.scale + problem.center for key in ("target", "target_clean")}
    return {name: kept[name] for name in kept if name in ("index", "inputs")} | targets


def made_up_problem(task: Task, **known: Any) -> Problem:
    """Return a problem with what is told of it, for predictions that are made up."""
    usual = {"num_classes": None, "class_counts": None, "evaluated": ["val", "test"], "num_features": 4}
    return Problem(task=task, monitor=task.monitor, contaminated=torch.empty(0, dtype=torch.int64), **(usual | known))
