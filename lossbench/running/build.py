"""Build the parts of a run from its config; every `instantiate` of the project is here."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from lossbench.catalogue.binding import bind
from lossbench.catalogue.facts import hyperparameters
from lossbench.compat.lightning import NoProfiler, ask_signatures_once
from lossbench.compat.short_steps import shorten_steps
from lossbench.config.cell import without
from lossbench.config.check_trainer import callbacks_of, no_callback
from lossbench.data.foreign import wrap
from lossbench.errors import ConfigError
from lossbench.locate import CONF, locate
from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.multitask import BoundPart, several_tasks
from lossbench.models import Network
from lossbench.models.backbones import hidden_for
from lossbench.models.heads import Heads
from lossbench.models.network import CosineHead
from lossbench.ranges import takes
from lossbench.records.checkpoints import WholeFiles
from lossbench.seeding import derive_seed


def build(node: DictConfig, **context: Any) -> Any:
    """Instantiate a config node, its errors told with their cause."""
    try:
        return instantiate(node, _convert_="all", **context)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise cause from error
        shown = f"{type(cause).__name__}: {cause}" if cause is not None else str(error)
        raise ConfigError(f"_target_={node['_target_']}: {shown}") from error


@contextmanager
def refusals(said: str) -> Iterator[None]:
    """Tell of what a part of a run raises when it is built as of a mistake in its settings."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{said}: {type(error).__name__}: {error}") from error


def build_data(node: DictConfig) -> Any:
    """Load the data of a config node: a `DataModule`, or the user's own seen through the same interface."""
    node = without(node, "test_every")  # when they are evaluated is the learner's affair
    if not getattr(locate(node["_target_"]), "in_memory", False):
        return wrap(node)
    data = build(node)
    data.setup()
    return data


def build_trainer(node: DictConfig, callbacks: list[pl.Callback], folder: Path) -> pl.Trainer:
    """Build the Lightning trainer: the user's options and callbacks, and ours; no output of its own."""
    own = [_callback(callback) for callback in callbacks_of(node)]
    ask_signatures_once()
    try:
        trainer: pl.Trainer = build(
            without(node, "callbacks"),
            callbacks=[*callbacks, *own],
            **({"profiler": NoProfiler()} if node.get("profiler") is None else {}),
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=str(folder),
        )
    except ConfigError as error:
        cause = str(error).removeprefix(f"_target_={node['_target_']}: ")
        raise ConfigError(f"{_refused(node)}: the trainer can't be built. {cause}") from error
    if trainer.num_devices * trainer.num_nodes > 1:
        raise ConfigError(
            f"trainer.devices={node.get('devices')}: a run trains on one device, its numbers are those of one order of "
            "batches. Use trainer.devices=1, or trainer.devices=[1] for another GPU than the first."
        )
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeFiles()
    if isinstance(trainer.profiler, NoProfiler):
        shorten_steps(trainer)
    return trainer


def _refused(node: DictConfig) -> str:
    """Name the options that the trainer refuses even alone, or else all that are not those of its YAML."""
    usual: Any = OmegaConf.to_container(OmegaConf.load(CONF / "trainer" / "default.yaml"))
    changed = [str(name) for name in node if name != "callbacks" and node[name] != usual.get(name)]
    alone = [name for name in changed if not _is_built({"_target_": node["_target_"], name: node[name]})]
    return ", ".join(f"trainer.{name}={node[name]}" for name in alone or changed) or "trainer"


def _is_built(node: dict[str, Any]) -> bool:
    try:
        instantiate(node, _convert_="all", logger=False)
    except InstantiationException:
        return False
    return True


def _callback(node: DictConfig) -> pl.Callback:
    made = build(node)
    if not isinstance(made, pl.Callback):
        raise no_callback(str(node["_target_"]))
    return made


def build_loss(node: DictConfig, task: str, context: dict[str, Any]) -> BoundLoss:
    """Bind the loss of a config node to the run's context."""
    parameters: Any = OmegaConf.to_container(node, resolve=True)
    return bind(locate(node["_target_"]), hyperparameters(parameters), context, task)


@takes(head="one of: auto, cosine, linear", head_scale="number (0, inf)")
def build_network(
    node: DictConfig, loss: BoundLoss, input_shape: list[int], num_outputs: int, seed: int, rows: int | None = None
) -> Network:
    """Build backbone and head, each with initial weights that depend on the seed alone.

    `hidden=auto` of an MLP becomes what fits so many samples to train and validate on.

    Raises
    ------
    ConfigError
        If the model does not fit the inputs, or does not say how many features it has.

    """
    settings = without(node, "head", "head_scale")
    if settings.get("hidden") == "auto" and rows is not None:
        settings.hidden = hidden_for(rows, math.prod(input_shape))
    with random_state(derive_seed(seed, "backbone")), refusals(f"model {node['_target_']}"):
        backbone: nn.Module = build(settings)(input_shape=input_shape)
    num_features = getattr(backbone, "num_features", None)
    if not isinstance(num_features, int):
        raise ConfigError(f"model {node['_target_']} needs an attribute num_features: the width of what it returns.")
    with random_state(derive_seed(seed, "head")):
        if isinstance(loss.function, several_tasks):
            return Network(backbone, _heads(node, loss, num_features, getattr(backbone, "per_pixel", False)))
        return Network(backbone, _head(node, loss, num_features, num_outputs))


def _head(node: DictConfig, loss: BoundLoss, num_features: int, num_outputs: int) -> nn.Module:
    if head_of(node, loss) == "linear":
        return nn.Linear(num_features, num_outputs)
    scales_itself = loss.declaration.head == "cosine"
    return CosineHead(num_features, num_outputs, scale=1.0 if scales_itself else node.get("head_scale", 30.0))


def _heads(node: DictConfig, loss: BoundLoss, num_features: int, per_pixel: bool) -> Heads:
    """Build the head of each of several tasks; what is no map sees a mean and a maximum over pixels."""
    bound: Mapping[str, BoundPart] = loss.function.parts
    maps = [name for name, part in bound.items() if part.target]
    heads = {
        name: _head(
            node, part.loss, num_features * (2 if per_pixel and not part.target else 1),
            part.outputs[-1] if len(part.outputs) > len(part.target) else 1,
        )
        for name, part in bound.items()
    }  # fmt: skip
    return Heads(heads, maps)


def head_of(node: DictConfig, loss: BoundLoss) -> str:
    """Return the head that runs: what the config says, or what the loss asks for."""
    head = str(node.get("head", "auto"))
    return loss.declaration.head if head == "auto" else head


@contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Draw from the global generators at a seed of its own, and leave them as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def hash_of(tensors: Iterable[Tensor]) -> str:
    """Hash the values of tensors, in their order."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
