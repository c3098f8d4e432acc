"""The losses that lossbench brings, by the names of their YAML files; read without importing torch."""

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lossbench.errors import ConfigError, nearest
from lossbench.locate import CONF, own_choices
from lossbench.losses.facts import LossFacts, declared_losses
from lossbench.tasks import task_named, tasks

NOT_PARAMETERS = ("_target_", "_partial_", "defaults", "search")
"""The keys of a loss's YAML that are no hyper-parameters."""


def facts_of(target: str) -> LossFacts | None:
    """Return the facts of the loss that a `_target_` names, or None if it is not one of lossbench's own."""
    package, _, name = target.rpartition(".")
    return declared_losses().get(name) if package.startswith("lossbench.losses") else None


def loss_names() -> list[str]:
    """Return the names of the losses that lossbench brings."""
    return own_choices("loss")


def losses_for(task: str) -> list[str]:
    """Return the names of the losses that serve a task of data."""
    served_by = task_named(task).served_by
    targets = {name: facts_of(yaml_of(name)["_target_"]) for name in loss_names()}
    return [name for name, facts in targets.items() if facts is not None and facts.task in served_by]


def step_context() -> set[str]:
    """Return all that changes from step to step and that a loss may ask for, of whatever task."""
    return {name for task in tasks().values() for name in task.context}


def default_parameters(name: str) -> dict[str, Any]:
    """Read `conf/loss/NAME.yaml`: `_target_` and the default hyper-parameters.

    Raises
    ------
    ConfigError
        If there is no such file.

    """
    if not (CONF / "loss" / f"{name}.yaml").is_file():
        raise ConfigError(f"loss={name}: no such loss. {nearest(name, loss_names())}")
    node = copy.deepcopy({**yaml_of(name)})
    return {key: value for key, value in node.items() if key == "_target_" or key not in NOT_PARAMETERS}


def yaml_of(name: str) -> Mapping[str, Any]:
    """Return what `conf/loss/NAME.yaml` says, to be read only: it is kept for the next who asks."""
    return _read(CONF / "loss" / f"{name}.yaml")


@cache
def _read(path: Path) -> dict[str, Any]:
    """Read a YAML file of `conf/` once: all losses together take a third of a second."""
    from omegaconf import OmegaConf

    node: Any = OmegaConf.to_container(OmegaConf.load(path))
    return node


def hyperparameters(node: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a loss's config node: all but what Hydra and the tuning read."""
    return {str(key): node[key] for key in node if key not in NOT_PARAMETERS}
