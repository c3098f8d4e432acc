"""The losses that `python -m lossbench.losses` can speak of: those of lossbench, and a user's own."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.catalogue.facts import facts_of, hyperparameters, loss_names
from lossbench.errors import ConfigError, nearest
from lossbench.locate import CONF, locate
from lossbench.losses.facts import LossFacts

if TYPE_CHECKING:
    from lossbench.catalogue.examine.loss_under_test import LossUnderTest

YOURS = "yours"
"""The family of a user's losses."""


@dataclass(frozen=True)
class Entry:
    """A loss as its YAML gives it; `parameters` is None for a dotted path, which has no YAML."""

    name: str
    target: str
    parameters: dict[str, Any] | None
    search: dict[str, Any]
    in_catalogue: bool


def find(name: str, config_dir: str | None) -> Entry:
    """Find a loss by the name of its YAML, or by the dotted path of its function.

    Raises
    ------
    ConfigError
        If there is no such loss.

    """
    if name in loss_names():
        return ours(name)
    from lossbench.config.compose import compose_cells, put_user_code_on_path

    arguments = argparse.Namespace(
        config_dir=config_dir, config_name=None, config_path=None, multirun=False, overrides=[f"loss={name}"]
    )
    put_user_code_on_path(arguments)
    own = _own_names(config_dir)
    if name in own:  # composed as a run composes it: it may have a defaults list or interpolations
        return _entry(name, compose_cells(arguments)[0].resolved["loss"], in_catalogue=False)
    if "." in name:
        return Entry(name.rpartition(".")[2], name, None, {}, in_catalogue=False)
    raise ConfigError(f"{name}: no such loss. {nearest(name, [*loss_names(), *own])}")


def ours(name: str) -> Entry:
    """Read a loss that lossbench brings, by the name of its YAML."""
    from omegaconf import OmegaConf

    return _entry(name, OmegaConf.to_container(OmegaConf.load(CONF / "loss" / f"{name}.yaml")), in_catalogue=True)


def own_rows(config_dir: str | None) -> tuple[list[tuple[Entry, LossFacts]], list[str]]:
    """Read the user's losses; of those that can't be read, say why."""
    rows, notes = [], []
    for name in _own_names(config_dir):
        path = f"{config_dir}/loss/{name}.yaml"
        if name in loss_names():
            notes.append(f"{path} is never read: the {name} of lossbench comes first. Give it another name.")
            continue
        try:
            entry = find(name, config_dir)
            rows.append((entry, replace(facts_of_entry(entry), family=YOURS)))
        except ConfigError as error:
            notes.append(f"{path} is not in the list: {error}")
    if config_dir is not None and not rows and not notes:
        notes.append(f"there is no loss in {config_dir}/loss.")
    return rows, notes


def facts_of_entry(entry: Entry, task: str | None = None) -> LossFacts:
    """Return what a loss declares; of one without `@loss`, what it is for a task."""
    return facts_of(entry.target) or subject_of(entry, task).facts


def subject_of(entry: Entry, task: str | None = None) -> "LossUnderTest":
    """Return a loss as it is examined and drawn; `task` is that of one without `@loss` (multiclass).

    Raises
    ------
    ConfigError
        If it is no loss, or declares another task.

    """
    from lossbench.catalogue.examine.loss_under_test import LossUnderTest

    factory, assumed = locate(entry.target), task or "multiclass"
    if not callable(factory):
        raise ConfigError(f"{entry.target} is a {type(factory).__name__}; a loss is a function or an nn.Module class.")
    subject = LossUnderTest(entry.name, factory, entry.parameters, entry.search, assumed, entry.in_catalogue)
    if task is not None and subject.bound_task != task:
        raise ConfigError(f"{entry.name} declares task {subject.bound_task}; task={task} is for losses without @loss.")
    return subject


def _entry(name: str, node: Any, in_catalogue: bool) -> Entry:
    if "_target_" not in node:
        raise ConfigError(f"{name}.yaml has no _target_. Write _target_: my_module.my_loss")
    return Entry(name, node["_target_"], hyperparameters(node), node.get("search") or {}, in_catalogue)


def _own_names(config_dir: str | None) -> list[str]:
    return [] if config_dir is None else sorted(path.stem for path in (Path(config_dir) / "loss").glob("*.yaml"))
