"""A finished run as the start of another one: what must hold for it. Nothing here imports torch."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lossbench.catalogue.facts import facts_of, loss_names
from lossbench.config.cell import Cell
from lossbench.errors import ConfigError, nearest
from lossbench.locate import CONF
from lossbench.losses.facts import LossFacts
from lossbench.records import record
from lossbench.records.provenance import digest

BY_CLASS = {"binary": "one output", "multiclass": "one output per class"}
"""How many outputs there are, by the task of a loss, where it is not the loss that says so."""
NOT_SEEN = ("batch_size", "eval_batch_size", "path", "root", "run_seed", "sampler")
"""Keys of data that change neither which samples there are nor which of them are trained on."""


def check_warm_start(cell: Cell) -> None:
    """Raise a `ConfigError` unless a cell can start from where its `warm_start` says, if it says so.

    A named loss must have the outputs of the cell's own. A folder must hold a finished run of the same data, network
    and seed: with other data or another seed it could have been trained on what is held out here.
    """
    given = cell.config.get("warm_start")
    if given is None:
        return
    source = cell.source
    if source is not None:
        if "last" not in cell.config.keep:
            kept = ", ".join(cell.config.keep)
            raise ConfigError(f"warm_start={given}: keep=[{kept}] leaves no weights to start from. Add `last` to keep.")
        _require_same_task(cell, str(given))
        _require_same_head(cell, _facts(source.resolved["loss"]), f"warm_start={given}")
        return
    entry = record.read(Path(given))
    if entry is None:
        if "/" in given or Path(given).is_dir():
            raise ConfigError(f"warm_start={given}: there is no run, since it has no record.json.")
        known = nearest(given, loss_names())
        raise ConfigError(f"warm_start={given}: no such loss, and no folder of a run. {known}")
    said = f"warm_start={given}"
    if entry["status"] != "finished":
        raise ConfigError(f"{said}: this run is {entry['status']}. A start must have finished.")
    if not (Path(given) / "checkpoints" / "last.ckpt").is_file():
        raise ConfigError(f"{said}: there is no checkpoints/last.ckpt. rerun=true trains that run again.")
    if entry["seed"] != cell.config.seed:
        raise ConfigError(
            f"{said} is a run of seed {entry['seed']}, but this is seed {cell.config.seed}: runs are paired by their "
            f"seed. Name its loss instead, which finds the run of each seed: warm_start={entry['loss']}"
        )
    theirs, ours = entry["config"], cell.resolved
    if digest({"data": theirs["data"]}, _seen()) != digest({"data": ours["data"]}, _seen()):
        raise ConfigError(f"{said} was trained on other data than data={cell.data} is here, or another part of them.")
    group = "model" if cell.is_supervised else "learner"
    if digest({group: theirs.get(group)}) != digest({group: ours[group]}):
        raise ConfigError(f"{said} has another network: its {group} differs from that of {cell.name}.")
    _require_same_head(cell, _facts(theirs["loss"]), said)


def _seen() -> tuple[str, ...]:
    return tuple(f"data.{name}" for name in NOT_SEEN)


def _require_same_task(cell: Cell, name: str) -> None:
    """Check that both losses are learned in the same way: each can choose the group `task`."""
    typed = any(line.startswith("task=") for line in cell.overrides)
    theirs = cell.choices["task"] if typed else _task_chosen_by(name)
    if theirs == "auto" and (facts := _facts(OmegaConf.load(CONF / "loss" / f"{name}.yaml"))) is not None:
        theirs = cell.choices["task"] if facts.task in cell.task.served_by else theirs  # the data choose
    if theirs != cell.choices["task"]:
        raise ConfigError(
            f"warm_start={name}: loss={cell.loss} is learned as {cell.task.name}, which {name} is not. Weights of one "
            "don't fit the other."
        )


def _task_chosen_by(name: str) -> str:
    node: Any = OmegaConf.to_container(OmegaConf.load(CONF / "loss" / f"{name}.yaml"))
    chosen = (line for line in node.get("defaults", ()) if isinstance(line, dict))
    return next((str(choice) for line in chosen for key, choice in line.items() if "/task" in key), "auto")


def _facts(loss: Any) -> LossFacts | None:
    return facts_of(str(loss["_target_"]))


def _require_same_head(cell: Cell, theirs: LossFacts | None, said: str) -> None:
    """Refuse a head of another size or kind, as far as the losses say it; the rest is seen when weights are loaded."""
    ours = _facts(cell.resolved["loss"])
    if ours is None or theirs is None or ours.is_made_of_others or theirs.is_made_of_others:
        return
    chosen = str(cell.resolved["model"].get("head", "auto")) if cell.is_supervised else "auto"
    their_head, our_head = (facts.head if chosen == "auto" else chosen for facts in (theirs, ours))
    if their_head != our_head:
        raise ConfigError(f"{said}: {theirs.name} has a {their_head} head, but loss={cell.loss} a {our_head} one.")
    their_outputs, our_outputs = (BY_CLASS.get(facts.task, facts.outputs) for facts in (theirs, ours))
    if their_outputs != our_outputs:
        both = {their_outputs, our_outputs} <= set(BY_CLASS.values())
        told = f": {their_outputs} for each sample, not {our_outputs}" if both else ""
        raise ConfigError(
            f"{said}: the head of {theirs.name} has outputs of another size than loss={cell.loss} takes{told}."
        )


def command_of(cell: Cell) -> str:
    """Return the command that makes one run."""
    return " ".join(["python -m lossbench", *map(shlex.quote, cell.overrides)])


def sources_of(cells: Iterable[Cell]) -> list[Cell]:
    """Return the runs that others start from, each once, as far as they are found by the name of a loss."""
    sources = {cell.source.key: cell.source for cell in cells if cell.source is not None}
    return list(sources.values())
