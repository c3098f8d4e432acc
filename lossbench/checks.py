"""What must hold before anything starts. No check here imports torch, unless the user brings a loss of their own."""

import os
import re
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lossbench import CONF, record
from lossbench.catalogue import (
    SERVES,
    LossFacts,
    data_for,
    facts_of,
    hyperparameters,
    locate,
    loss_names,
    losses_for,
    own_choices,
)
from lossbench.cells import Cell
from lossbench.check_trainer import check_trainer
from lossbench.engine import engine_of
from lossbench.errors import ConfigError, nearest
from lossbench.method import AXES, check_method
from lossbench.metric_names import (
    BASELINE,
    DIRECTIONS,
    FURTHER,
    METRICS,
    NEITHER,
    NUMBERED,
    SAME_AS,
    measured_as,
    numbered_at_every_epoch,
    require_epochs,
)
from lossbench.own_code import check_own_data
from lossbench.shapes import ALSO_SERVES, INPUT_SHAPES, TASKS, require_fit
from lossbench.teacher import check_teacher, check_teachers
from lossbench.terms import require_agreement, require_weights, term_nodes, title
from lossbench.values import OF_OTHERS, check_node, check_values, table_of

LEAST_ROOM = 2**21
"""Bytes that must be free for results: an empty database of MLflow has one MiB."""
FAMILIES = {"symmetric": ["exact", "iid", "uniform"], "asymmetric": ["exact", "iid"], "pair": ["exact", "iid"]}


def check(cells: Iterable[Cell]) -> None:
    """Check every cell of a comparison, then what they share: the data files and the folder for results.

    Raises
    ------
    ConfigError
        With one message: the key, its value, what is allowed, and the nearest choice.

    """
    from lossbench.data.files import data_root, ensure_files

    cells = list(cells)
    for cell in cells:
        check_values(cell)
    _check_each_fits(cells)
    check_teachers(cells)
    _check_baseline(cells)
    engine_of(cells)
    for output_dir in {str(cell.config.output_dir) for cell in cells}:
        check_writable(Path(output_dir))
    for source, root in {(cell.config.data.get("source"), cell.config.data.get("root")) for cell in cells}:
        if source is not None:
            ensure_files(source, data_root(root))


def _check_baseline(cells: list[Cell]) -> None:
    """Check that what the others are compared with is run; a single run may be compared later with any loss."""
    wanted = cells[0].config.compare.get("baseline")
    run = {name for cell in cells for name in (cell.loss, cell.method)}
    known = run if len(cells) > 1 else run.union(loss_names())
    label = str(wanted).partition("(")[0]  # of loss, additions and parameters, such as focal+drw(gamma=1)
    if wanted is not None and label not in known and (len(cells) > 1 or label.partition("+")[0] not in known):
        raise ConfigError(f"compare.baseline={wanted} is not among the losses of this command. {nearest(label, known)}")


def leave_out_impossible(cells: list[Cell]) -> list[Cell]:
    """Return the cells of a sweep whose parts fit together, if `skip_impossible` asks for it; name and count the rest.

    Raises
    ------
    ConfigError
        If a value is not allowed, or nothing fits.

    """
    for cell in cells:
        check_values(cell)
    if not cells[0].config.skip_impossible:
        return cells
    unfit = {id(cell): message for cell in cells if (message := _misfit(cell)) is not None}
    kept = [cell for cell in cells if id(cell) not in unfit]
    if not kept:
        raise ConfigError(f"skip_impossible=true leaves out all {len(cells)} runs. The first: {_misfit(cells[0])}")
    if unfit:
        print(f"left out: {len(unfit)} of {len(cells)} runs, whose parts don't fit together", file=sys.stderr)
    for message in dict.fromkeys(unfit.values()):
        names = ", ".join(f"{cell.data} {cell.name}" for cell in cells if unfit.get(id(cell)) == message)
        print(f"  {names}: {message}", file=sys.stderr)
    return kept


def _check_each_fits(cells: list[Cell]) -> None:
    """Check that the parts of each cell fit together; say how to leave out those that don't, where others do."""
    for cell in cells:
        try:
            check_fit(cell)
        except ConfigError as error:
            if all(_misfit(other) is not None for other in cells):
                raise
            raise ConfigError(f"{error} (skip_impossible=true leaves such runs out of a sweep.)") from error


def is_left_out(cell: Cell) -> bool:
    """Tell whether a cell is left out of its sweep because its parts don't fit together."""
    return bool(cell.config.skip_impossible) and _misfit(cell) is not None


def _misfit(cell: Cell) -> str | None:
    """Return why the parts of a cell don't fit together, or None."""
    try:
        check_fit(cell)
    except ConfigError as error:
        return str(error)
    return None


def check_cell(cell: Cell) -> None:
    """Check one config: its values, and that its parts fit together."""
    check_values(cell)
    check_fit(cell)


def check_fit(cell: Cell) -> None:
    """Check that loss, weighting, corruption, model and head of a config fit the task and each other."""
    _check_keys(cell)
    noise = cell.config.data.get("noise")
    if noise is not None and noise.kind in FAMILIES:
        _check_choice("data.noise.family", noise.family, FAMILIES[noise.kind])
    _check_targets(cell)
    _check_loss(cell)
    check_teacher(cell)
    _check_task(cell)
    check_own_data(cell)
    check_trainer(cell)
    check_method(cell)


def _check_keys(cell: Cell) -> None:
    """See to it that each key at the top of a config is read by something, be it by an interpolation."""
    known = _top_keys()
    for key in sorted(set(map(str, cell.config)) - known):
        if not re.search(r"\$\{(oc\.select:)?" + re.escape(key) + r"\b", OmegaConf.to_yaml(cell.config)):
            typed = next((line for line in cell.overrides if line.lstrip("+").startswith(key)), key)
            raise ConfigError(f"{typed}: nothing reads the key {key!r}. {nearest(key, known | _groups())}")


@cache
def _top_keys() -> set[str]:
    config: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    groups = {str(group) for default in config["defaults"] if isinstance(default, dict) for group in default}
    return {*config, *groups, "protocol", "scale", "tune"} - {"defaults", "hydra"}


@cache
def _groups() -> set[str]:
    return {folder.name for folder in CONF.iterdir() if folder.is_dir()}


def check_writable(folder: Path) -> None:
    """Raise a `ConfigError` unless files can be written into the folder, which need not exist yet.

    Raises
    ------
    DiskFull
        If there is no room for what a run writes before it trains; Hydra and MLflow tell of that in tracebacks.

    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        with (
            record.telling_a_full_disk(existing),
            tempfile.NamedTemporaryFile(dir=existing, prefix=".lossbench-", buffering=0) as file,
        ):
            file.write(bytes(LEAST_ROOM))
            writable = os.access(existing, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise ConfigError(f"output_dir={folder}: can't write there. Choose another folder: output_dir=DIR.")


def _check_choice(key: str, value: Any, allowed: list[str]) -> None:
    if value is not None and value not in allowed:
        raise ConfigError(f"{key}={value} is not known. {nearest(str(value), allowed)}")


def _check_targets(cell: Cell) -> None:
    """Import what the user brings in place of our own parts."""
    for group in ("data", "learner", "model", "optimizer", "scheduler", "trainer", "weighting"):
        target = str(cell.config[group]["_target_"])
        if not target.startswith("lossbench.") and target not in OF_OTHERS:
            locate(target)


def _check_loss(cell: Cell) -> None:
    node: Any = OmegaConf.to_container(cell.config.loss, resolve=True)
    facts = facts_of(node["_target_"])
    task = cell.config.data.task
    _check_choice("data.task", task, list(SERVES))
    if cell.config.data["_target_"] == "lossbench.data.DataModule":
        _check_choice("data.source", cell.config.data.source, list(INPUT_SHAPES))
    _check_source(cell)
    if facts is None:
        _check_own_loss(node, task, cell.choices["learner"])
    elif facts.is_made_of_others:
        _check_terms(cell, facts, node)
    else:
        _check_learner(cell, facts.learner, f"loss={cell.loss}")
        _check_task_of_loss(cell, facts, f"loss={cell.loss}")


def _check_terms(cell: Cell, facts: LossFacts, node: dict[str, Any]) -> None:
    nodes = term_nodes(node["terms"])
    require_weights(nodes, node["weights"])
    said = {key: facts_of(term["_target_"]) for key, term in nodes.items()}
    known = {key: each for key, each in said.items() if each is not None}
    for key, each in known.items():
        _check_learner(cell, each.learner, title(key, nodes[key]))
        _check_task_of_loss(cell, each, title(key, nodes[key]))
        check_node(f"loss.terms.{key}", nodes[key], table_of("loss", nodes[key]))
    if known:
        require_agreement({title(key, nodes[key]): each for key, each in known.items()})
    if len(known) < len(nodes):
        _check_own_loss(node, cell.config.data.task, cell.choices["learner"])


def _check_task_of_loss(cell: Cell, facts: LossFacts, said: str) -> None:
    task = cell.config.data.task
    if facts.task not in SERVES[task]:
        fitting = data_for(facts.task)
        raise ConfigError(
            f"{said} is for {facts.task}, but data={cell.data} is {task}. "
            + (f"Data of that task: {', '.join(fitting)}. " if fitting else "")
            + f"Losses that serve {task}: {', '.join(losses_for(task))}."
        )


def _check_source(cell: Cell) -> None:
    """Check that a source serves the task that the learner of the loss has put in the place of its own."""
    data, wanted = cell.config.data, cell.config.learner.get("task")
    own = TASKS.get(str(data.get("source")))
    if own is None or data["_target_"] != "lossbench.data.DataModule":
        return
    if wanted is not None and wanted != own and wanted not in ALSO_SERVES.get(own, ()):
        raise ConfigError(
            f"loss={cell.loss} is for {wanted}, but data={cell.data} is {own}. "
            f"Data of that task: {', '.join(data_for(wanted))}. Losses that serve {own}: {', '.join(losses_for(own))}."
        )
    if data.task not in (served := (own, *ALSO_SERVES.get(own, ()))):
        raise ConfigError(f"data.task={data.task}: data.source={data.source} is for {' or '.join(served)}.")


def _check_learner(cell: Cell, wanted: str, said: str) -> None:
    """Check that the loss is learned in the way it was made for, and that no part is chosen that does not train."""
    learner = cell.choices["learner"]
    if learner != wanted and wanted in own_choices("learner"):
        raise ConfigError(f"{said} is learned by learner={wanted}, not by learner={learner}. Leave it out.")
    if learner == "gan":
        _check_two_optimizers(cell)
    for group, default in {"model": None, **AXES}.items():
        chosen = [line for line in cell.overrides if line.startswith((f"{group}=", f"{group}."))]
        if not cell.is_supervised and chosen and cell.choices[group] != default:
            raise ConfigError(
                f"{chosen[0]}: {group} is for what predicts and compares, loss={cell.loss} trains the networks of "
                f"learner={learner}. Its settings: python -m lossbench loss={cell.loss} --cfg job --package learner"
            )


def _check_two_optimizers(cell: Cell) -> None:
    """Refuse what Lightning, or compiling, does for one optimizer and one forward pass only."""
    options = {"trainer.gradient_clip_val": None, "trainer.accumulate_grad_batches": 1, "compile": False}
    for key, default in options.items():
        if (value := OmegaConf.select(cell.config, key)) != default:
            raise ConfigError(
                f"{key}={value} is not for learner=gan, whose two players have an optimizer each. Leave it out."
            )


def _check_own_loss(node: dict[str, Any], task: str, learner: str) -> None:
    """Bind a user's loss and call it once on made-up outputs: its shape is seen before any training."""
    target = locate(node["_target_"])
    from lossbench.losses.binding import bind
    from lossbench.probe import probe

    num_classes = {"binary": 2, "multiclass": 10, "multilabel": 5}.get(task)
    context = {
        "class_counts": list(range(num_classes or 0, 0, -1)),
        "num_classes": num_classes,
        "max_epochs": 1,
        "num_samples": 100,
        "train_size": 100,
        "num_features": 4,
    }
    loss = bind(target, hyperparameters(node), context, task, learner)  # type: ignore[arg-type]
    probe(loss, num_classes, name=str(node["_target_"]))


def _check_task(cell: Cell) -> None:
    data, task = cell.config.data, str(cell.config.data.task)
    classes, numbers = task in ("binary", "multiclass"), task in ("distributional", "regression")
    _check_metrics(cell)
    if data.get("source") in INPUT_SHAPES:
        shape = INPUT_SHAPES[data.source]
        require_fit(str(cell.config.model["_target_"]).rpartition(".")[2], shape)
        if cell.choices["learner"] == "vae" and len(shape) != 3:
            raise ConfigError(
                f"loss={cell.loss} is for images in 0..1, but data={cell.data} has inputs of shape {shape}. "
                "For points: denoise_mse, flow_matching, or the loss of a GAN."
            )
    if not classes and cell.config.model.get("head") == "cosine":
        raise ConfigError(f"model.head=cosine needs classes, but data={cell.data} is {task}. Use linear or auto.")
    if task not in BASELINE and cell.config.optimizer.get("calibrate") == "gradient":
        raise ConfigError(f"optimizer.calibrate=gradient has no baseline for {task}. Use none.")
    by_density = (data.get("imbalance") or {}).get("kind") == "label_density"
    fits = {"imbalance": numbers if by_density else classes, "noise": classes, "contamination": numbers}
    for group, fit in fits.items():
        kind = (data.get(group) or {}).get("kind", "none")
        if kind != "none" and not fit:
            number = group == "contamination" or kind == "label_density"
            wanted = "regression" if number else "classification with one class to a sample"
            raise ConfigError(
                f"data/{group}={kind} is for {wanted}, but data={cell.data} is {task}. "
                f"Use none, or other data: {', '.join(data_for(task))}."
            )


def _check_metrics(cell: Cell) -> None:
    """Check the metrics that pick the best epoch and that sort the losses; the first is needed at every epoch."""
    task = measured_as(str(cell.config.data.task), cell.choices["learner"])
    further = FURTHER.get(task, [])
    for key, names in {"monitor": METRICS[task], "compare.metric": [*METRICS[task], *further]}.items():
        metric = OmegaConf.select(cell.config, key)
        name = str(metric).removeprefix("clean/")
        if metric is None or name.startswith(numbered_at_every_epoch(task) if key == "monitor" else NUMBERED):
            continue
        if name in SAME_AS and task in ("binary", "multiclass"):
            raise ConfigError(f"{key}={metric} is the {SAME_AS[name]} where each sample has one class. Use that name.")
        if name in further and key == "monitor":
            raise ConfigError(
                f"monitor={metric} is computed only at the end of a run, and can't pick an epoch. "
                f"{nearest(name, METRICS[task])} Losses can be sorted by it: compare.metric={metric}"
            )
        if DIRECTIONS.get(name) == "neither":
            raise ConfigError(f"{key}={metric} {NEITHER} {nearest(name, names)}")
        if name not in names:
            raise ConfigError(f"{key}={metric} is not known. {nearest(name, names)}")
    compare = cell.config.get("compare") or {}
    require_epochs(str(compare.get("metric")), compare.get("select", "last"), task)
