"""Build the learner of a run from its config and its loaded data."""

import inspect
import logging
import math
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from lossbench.catalogue.examine.example_batch import probe
from lossbench.config.axes import AXES
from lossbench.config.cell import Cell, without
from lossbench.config.check_teacher import without_teacher
from lossbench.config.check_trainer import STEPPING, stepping
from lossbench.config.source import said_by
from lossbench.config.tested_epochs import test_every
from lossbench.errors import ConfigError
from lossbench.learners import Learner
from lossbench.learners.combining import Combining
from lossbench.learners.teacher import Teacher
from lossbench.locate import locate
from lossbench.losses.bound_loss import BoundLoss, context_names
from lossbench.losses.class_weights import at_least_one
from lossbench.losses.perceptual import FeatureMaps
from lossbench.methods.combining import Combine
from lossbench.methods.posthoc import Posthoc
from lossbench.models.heads import a_network_each
from lossbench.running.build import (
    build,
    build_loss,
    build_network,
    random_state,
    refusals,
)
from lossbench.running.load_start import start_warm
from lossbench.running.load_teacher import load_teacher
from lossbench.seeding import derive_seed
from lossbench.tasks.generation.frechet import Gaussian
from lossbench.tasks.generation.image_metrics import ImageMetrics
from lossbench.tasks.problem import Problem

log = logging.getLogger(__name__)


def build_learner(
    cell: Cell, data: Any, image_metrics: ImageMetrics | None = None, feature_maps: FeatureMaps | None = None
) -> Learner:
    """Build network, loss, weighting and optimizer for loaded data, and the learner that the config names.

    Parameters
    ----------
    cell : Cell
        A checked cell.
    data : DataModule
        Its data, loaded.
    image_metrics : ImageMetrics, optional
        Measures generated images.
    feature_maps : callable, optional
        Maps images to maps of features, for losses that ask for it.

    Raises
    ------
    ConfigError
        If a part refuses its settings, or parts do not fit together.

    """
    learner = _learner(cell, data, {"image_metrics": image_metrics, "feature_maps": feature_maps})
    learner.combining = _combining(cell, learner)
    start_warm(cell, learner.network)
    if learner.cold and cell.warm_start is None:
        log.warning("%s: %s", cell.name, learner.cold)
    learner.key, learner.stepping = cell.key, stepping(cell.config.scheduler)
    learner.test_every = test_every(cell)
    with refusals(f"optimizer or scheduler ({_settings(cell, 'optimizer', 'scheduler')})"):
        learner.configure_optimizers()  # Lightning does it when the run has begun
    return learner


def _settings(cell: Cell, *groups: str) -> str:
    """Return the settings of some groups as they are given on a command line."""
    settings = {f"{group}.{name}": value for group in groups for name, value in cell.resolved[group].items()}
    return ", ".join(f"{key}={value}" for key, value in settings.items() if not key.endswith("._partial_"))


def _learner(cell: Cell, data: Any, of_images: dict[str, Any]) -> Learner:
    config = cell.config
    loss = _loss(cell, data)
    common = {
        "loss": loss,
        "optimizer": build(without(config.optimizer, "calibrate")),
        "scheduler": _schedule(cell, data),
        "problem": _problem(cell, data, of_images),
        "max_epochs": config.trainer.max_epochs,
        "seed": config.seed,
    }
    kind: Any = locate(config.learner._target_)
    settings: Any = OmegaConf.to_container(without(config.learner, "_target_", "network"), resolve=True)
    if getattr(kind, "takes_a_model", False):
        width = settings.get("dim") or loss.num_outputs(data.num_classes)  # an embedding's, or what the loss takes
        network = build_network(config.model, loss, data.input_shape, width, config.seed, _rows(data))
        return kind(
            network=a_network_each(network) if _trains_apart(cell) else network,
            weighting=build(config.weighting),
            mixup=build(config.mixup),
            posthoc=_posthoc(cell, data),
            teacher=_teacher(cell, data, loss),
            **settings,
            **common,
        )
    with random_state(derive_seed(config.seed, "network")), refusals(f"learner={cell.choices['learner']}"):
        network = build(config.learner.network)(input_shape=data.input_shape, num_classes=data.num_classes)
    return kind(network=network, **settings, **common)


def _trains_apart(cell: Cell) -> bool:
    """Tell whether each of several tasks has a network of its own."""
    return bool(said_by(str(cell.config.combine["_target_"]), "own_networks", False))


def _combining(cell: Cell, learner: Learner) -> Combining | None:
    """Build what combines the terms of the loss; None where the loss itself adds them up."""
    if cell.axes["combine"] == AXES["combine"] or _trains_apart(cell):
        return None
    title, names = f"combine={cell.axes['combine']}", learner.term_names
    if len(names) < 2 or not learner.tells_terms:
        raise ConfigError(
            f"{title}: learner={cell.choices['learner']} tells of one term of loss={cell.loss}. Use combine=sum."
        )
    factory, known = build(cell.config.combine), {"terms": names, "seed": cell.config.seed}
    taken = set(inspect.signature(factory).parameters) - set(cell.config.combine)
    with random_state(derive_seed(cell.config.seed, "combine")), refusals(title):
        method = factory(**{name: value for name, value in known.items() if name in taken})
    if not isinstance(method, Combine):
        raise ConfigError(
            f"{title} returned {type(method).__name__}; it must return a lossbench.methods.combining.Combine."
        )
    return Combining(method, names, title)


def _rows(data: Any) -> int:
    """Return the samples to train and validate on, which are as many under every seed."""
    sizes = data.facts().get("sizes", {})
    return int(sizes["train"] + sizes["val"]) if sizes else int(data.train_size)


def _schedule(cell: Cell, data: Any) -> Any:
    """Build the schedule; one that counts steps, and does not know how many, is told."""
    node = cell.config.scheduler
    total = node.get("total_steps", 0) is None
    steps = math.ceil(len(data.train_dataloader()) / cell.config.trainer.get("accumulate_grad_batches", 1))
    length = {"total_steps": steps * cell.config.trainer.max_epochs} if total else {}
    return build(without(node, *STEPPING), **length)


def _loss(cell: Cell, data: Any) -> BoundLoss:
    """Bind the loss to what the run knows, and call it once on made-up outputs."""
    context = {
        "parts": getattr(data, "parts", None) or None,
        "class_counts": None if data.train_class_counts is None else at_least_one(data.train_class_counts),
        "num_classes": data.num_classes,
        "max_epochs": cell.config.trainer.max_epochs,
        "num_samples": data.num_train,
        "train_size": data.train_size,
        "num_features": cell.config.learner.get("dim"),
    }
    context = {name: value for name, value in context.items() if value is not None}
    empty = [str(number) for number, count in enumerate(data.train_class_counts or ()) if not count]
    if empty and data.task.target != "tokens":  # of a vocabulary some are only read, as those of the languages
        told = (
            "%s: no training sample of class %s; in weights, priors and margins it counts as one with a single sample"
        )
        log.warning(told, cell.name, ", ".join(empty))
    with random_state(derive_seed(cell.config.seed, "loss")):
        loss = build_loss(cell.config.loss, data.task.name, context)
    probe(loss, data.num_classes, cell.loss)
    return loss


def _problem(cell: Cell, data: Any, of_images: dict[str, Any]) -> Problem:
    return Problem(
        task=data.task,
        num_classes=data.num_classes,
        class_counts=data.train_class_counts,
        evaluated=list(data.evaluation_loaders),
        monitor=cell.monitor,
        contaminated=data.contaminated,
        center=data.target_center,
        scale=data.target_scale,
        density=getattr(data, "target_density", None),
        num_features=math.prod(data.input_shape),
        images=len(data.input_shape) == 3,
        levels=_levels(data),
        gaussian=_gaussian(data),
        modes=data.modes,
        shared=data.shared,
        parts=getattr(data, "parts", {}),
        **of_images,
    )


def _levels(data: Any) -> int | None:
    """Count the values that a pixel can have, by the smallest step between those of the first held-out images.

    None where no images are generated.
    """
    if len(data.input_shape) != 3 or data.task.target != "sample":
        return None
    values = next(iter([*data.evaluation_loaders.values()][-1])).inputs.unique()
    steps = values.diff()
    return 1 + round(1 / float(steps[steps > 1 / 512].min())) if len(values) > 1 else 2


def _gaussian(data: Any) -> Gaussian | None:
    """Fit a Gaussian to the training samples where a learner asks for one."""
    if "log_noise" not in data.task.context:
        return None
    return Gaussian.of(torch.cat([batch.inputs.flatten(1) for batch in data.train_dataloader()]))


def _posthoc(cell: Cell, data: Any) -> Posthoc:
    """Build what is done to outputs; what is fitted on the validation part needs one that has samples."""
    posthoc: Posthoc = build(cell.config.posthoc)
    if "validation" in context_names(posthoc) and "val" not in data.evaluation_loaders:
        raise ConfigError(
            f"posthoc={cell.axes['posthoc']} is fitted on the validation part, but data={cell.data} has none."
        )
    return posthoc


def _teacher(cell: Cell, data: Any, loss: BoundLoss) -> Teacher | None:
    """Load the network that teaches, if the loss asks for one."""
    if "teacher_logits" not in loss.step_context:
        return None
    if cell.config.get("teacher") is None:
        raise without_teacher(cell.loss, cell.data)
    return load_teacher(Path(cell.config.teacher), data.input_shape, data.num_classes)
