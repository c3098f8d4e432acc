"""What must hold before anything starts. No check here imports torch, unless the user brings a loss of their own."""

import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lossbench.catalogue.facts import facts_of, hyperparameters, loss_names, losses_for
from lossbench.catalogue.terms import require_agreement, require_weights, term_nodes, title
from lossbench.config.axes import AXES
from lossbench.config.cell import Cell
from lossbench.config.check_columns import check_columns
from lossbench.config.check_data import check_own_data, check_parts, check_sides, check_views
from lossbench.config.check_method import check_method
from lossbench.config.check_model import check_model, say_of_large_images
from lossbench.config.check_several import check_terms_of_parts
from lossbench.config.check_targets import check_targets
from lossbench.config.check_teacher import check_teacher, check_teachers
from lossbench.config.check_tracking import check_tracking
from lossbench.config.check_trainer import check_trainer
from lossbench.config.check_warm_start import check_warm_start
from lossbench.config.engines import engine_of
from lossbench.config.seeds import without_other_seeds
from lossbench.config.source import said_by
from lossbench.config.tested_epochs import check_test_every
from lossbench.config.values import check_node, check_values, table_of
from lossbench.config.variants import check_names
from lossbench.data.shapes import axis_of, data_for, declared_sources, require_fit, tasks_of
from lossbench.errors import ConfigError, nearest
from lossbench.locate import CONF, locate, own_choices
from lossbench.losses.facts import LossFacts
from lossbench.records.files import check_writable
from lossbench.tasks import task_named, tasks
from lossbench.tasks.task import NEITHER, Task

FAMILIES = {"symmetric": ["exact", "iid", "uniform"], "asymmetric": ["exact", "iid"], "pair": ["exact", "iid"]}


def check(cells: Iterable[Cell]) -> None:
    """Check every cell of a comparison, then what they share: the data files and the folder for results.

    Raises
    ------
    ConfigError
        With one message: the key, its value, what is allowed, and the nearest choice.

    """
    from lossbench.data.files import data_root, ensure_files
    from lossbench.data.own_files import read_own, require_files

    cells = list(cells)
    different = list(without_other_seeds(cells))
    for cell in different:
        check_values(cell)
    check_tracking(cells[0].config.tracking)
    _check_each_fits(different)
    check_teachers(cells)
    check_names(cells)
    _check_baseline(cells)
    engine_of(cells)
    for source, path in {(cell.config.data.get("source"), cell.config.data.get("path")) for cell in cells}:
        require_files(source, path)
    told = [line for cell in cells for line in read_own(cell.resolved["data"], cell.task.name)]
    told += [line for cell in cells for line in say_of_large_images(cell)]
    for line in dict.fromkeys(told):
        print(line, file=sys.stderr)
    for output_dir in {str(cell.config.output_dir) for cell in cells}:
        check_writable(Path(output_dir))
    for source, root in {(cell.config.data.get("source"), cell.config.data.get("root")) for cell in cells}:
        if source is not None:
            ensure_files(source, data_root(root))


def _check_baseline(cells: list[Cell]) -> None:
    """Check that what the others are compared with is run; a single run may be compared later with any loss."""
    wanted = cells[0].config.compare.get("baseline")
    run = {name for cell in cells for name in (cell.loss, cell.method, cell.label)}
    known = run if len(cells) > 1 else run.union(loss_names())
    label = str(wanted).partition("(")[0]  # of loss, additions and parameters, such as focal+drw(gamma=1)
    if wanted is not None and label not in known and (len(cells) > 1 or label.partition("+")[0] not in known):
        raise ConfigError(f"compare.baseline={wanted} is not among the losses of this command. {nearest(label, known)}")


def leave_out_impossible(cells: list[Cell]) -> list[Cell]:
    """Return the cells of a sweep whose parts fit together, if `skip_impossible` asks for it; name and count the rest.

    Raises
    ------
    ConfigError
        If it is asked for and a value is not allowed, or nothing fits.

    """
    if cells[0].config.get("skip_impossible") is False:
        return cells  # `check` looks at their values
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
    check_targets(cell)
    _check_loss(cell)
    check_teacher(cell)
    check_warm_start(cell)
    _check_task(cell)
    check_own_data(cell)
    check_parts(cell)
    check_sides(cell)
    check_model(cell)
    check_views(cell)
    check_trainer(cell)
    check_test_every(cell)
    check_method(cell)
    if cell.source is not None:
        _check_source_run(cell, cell.source)


def _check_source_run(cell: Cell, source: Cell) -> None:
    """Check the run from which another one starts like any other run."""
    try:
        check_cell(source)
    except ConfigError as error:
        raise ConfigError(f"warm_start={cell.config.warm_start}: {error}") from error


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
    return {*config, *groups, "protocol", "advise", "race", "scale", "search", "tune"} - {"defaults", "hydra"}


@cache
def _groups() -> set[str]:
    return {folder.name for folder in CONF.iterdir() if folder.is_dir()}


def _check_choice(key: str, value: Any, allowed: list[str]) -> None:
    if value is not None and value not in allowed:
        raise ConfigError(f"{key}={value} is not known. {nearest(str(value), allowed)}")


def _check_loss(cell: Cell) -> None:
    node: Any = OmegaConf.to_container(cell.config.loss, resolve=True)
    facts = facts_of(node["_target_"])
    _check_source(cell, facts)
    if facts is None:
        _check_learner(cell, cell.task, f"task={cell.task.name}")
        _check_own_loss(node, cell.task)
    elif facts.is_made_of_others:
        _check_terms(cell, node)
    else:
        _check_task_of_loss(cell, facts, f"loss={cell.loss}")
        _check_learner(cell, cell.task, f"loss={cell.loss}")
        if facts.is_made_of_parts:
            check_terms_of_parts(cell, node, _check_own_loss)


def _check_terms(cell: Cell, node: dict[str, Any]) -> None:
    nodes = term_nodes(node["terms"])
    require_weights(nodes, node["weights"])
    said = {key: facts_of(term["_target_"]) for key, term in nodes.items()}
    known = {key: each for key, each in said.items() if each is not None}
    for key, each in known.items():
        _check_task_of_loss(cell, each, title(key, nodes[key]))
        _check_learner(cell, cell.task, title(key, nodes[key]))
        check_node(f"loss.terms.{key}", nodes[key], table_of("loss", nodes[key]))
    if known:
        require_agreement({title(key, nodes[key]): each for key, each in known.items()})
    if len(known) < len(nodes):
        _check_own_loss(node, cell.task)


def _check_task_of_loss(cell: Cell, facts: LossFacts, said: str) -> None:
    if facts.task in cell.task.served_by:
        return
    source = cell.config.data.get("source") if cell.is_in_memory else None
    others = [name for name in (tasks_of(source) if source else ()) if facts.task in task_named(name).served_by]
    error = _does_not_serve(cell, said, facts.task, cell.task.name)
    raise ConfigError(f"{error} It serves {others[0]}, too: task={others[0]}") if others else error


def _does_not_serve(cell: Cell, said: str, wanted: str, found: str) -> ConfigError:
    fitting = data_for(task_named(wanted))
    serving = losses_for(found) if found in tasks() else []
    return ConfigError(
        f"{said} is for {wanted}, but data={cell.data} is {found}."
        + (f" Data of that task: {', '.join(fitting)}." if fitting else "")
        + (f" Losses that serve {found}: {', '.join(serving)}." if serving else "")
    )


def _check_source(cell: Cell, facts: LossFacts | None) -> None:
    """Check that a source serves the task that the loss, or the command, has chosen in the place of its own."""
    data, chosen = cell.config.data, cell.config.task.get("name")
    if not cell.is_in_memory:
        return
    _check_choice("data.source", data.source, list(declared_sources()))
    task, own = str(data.task), declared_sources()[data.source].serves
    typed = any(line.startswith("task=") for line in cell.overrides)
    said = f"task={chosen}" if typed else f"loss={cell.loss}"
    if chosen is not None and chosen != task:
        raise _does_not_serve(cell, said, chosen, task)
    if task not in tasks() and task in own:
        wanted = "none" if facts is None else facts.task
        others = "; ".join(f"{name}: {', '.join(losses_for(name))}" for name in tasks_of(data.source))
        raise ConfigError(
            f"loss={cell.loss} is for {wanted}, but data={cell.data} has {task} to be generated. Losses that serve "
            f"them: {others}."
        )
    if not set(cell.task.data) & set(own):
        if chosen is not None:
            raise _does_not_serve(cell, said, chosen, own[0])
        raise ConfigError(f"data.task={task}: data.source={data.source} is for {' or '.join(tasks_of(data.source))}.")


def _check_learner(cell: Cell, task: Task, said: str) -> None:
    """Check that the loss is learned in the way it was made for, and that no part is chosen that does not train."""
    learner = cell.choices["learner"]
    if learner != task.learner and learner in own_choices("learner"):
        typed = any(line.startswith("learner=") for line in cell.overrides)
        way = "Leave it out." if typed else f"Use learner={task.learner}."
        raise ConfigError(f"{said} is learned by learner={task.learner}, not by learner={learner}. {way}")
    if said_by(str(cell.config.learner["_target_"]), "automatic_optimization", True) is False:
        _check_two_optimizers(cell)
    for group, default in {"model": None, **AXES}.items():
        chosen = [line for line in cell.overrides if line.startswith((f"{group}=", f"{group}."))]
        if not cell.is_supervised and group != "combine" and chosen and {**cell.choices, **cell.axes}[group] != default:
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
                f"{key}={value} is not for learner={cell.choices['learner']}, whose two players have an optimizer "
                "each. Leave it out."
            )


def _check_own_loss(node: dict[str, Any], task: Task) -> None:
    """Bind a user's loss and call it once on made-up outputs: its shape is seen before any training."""
    target = locate(node["_target_"])
    from lossbench.catalogue.binding import bind
    from lossbench.catalogue.examine.example_batch import probe

    num_classes = task.classes or {"class": 10, "labels": 5, "mask": 3}.get(task.target)
    context = {
        "class_counts": list(range(num_classes or 0, 0, -1)),
        "num_classes": num_classes,
        "max_epochs": 1,
        "num_samples": 100,
        "train_size": 100,
        "num_features": 4,
    }
    loss = bind(target, hyperparameters(node), context, task.name)
    probe(loss, num_classes, name=str(node["_target_"]))


def _check_task(cell: Cell) -> None:
    data, task = cell.config.data, cell.task
    _check_metrics(cell)
    if data.get("source") in declared_sources():
        require_fit(str(cell.config.model["_target_"]).rpartition(".")[2], declared_sources()[data.source].shape)
    _check_features(cell)
    if "cosine" not in task.axes and cell.config.model.get("head") == "cosine":
        raise ConfigError(f"model.head=cosine needs classes, but data={cell.data} is {task.name}. Use linear or auto.")
    if "calibrate" not in task.axes and cell.config.optimizer.get("calibrate") == "gradient":
        raise ConfigError(f"optimizer.calibrate=gradient has no baseline for {task.name}. Use none.")
    for group in ("imbalance", "noise", "contamination"):
        kind = (data.get(group) or {}).get("kind", "none")
        axis = axis_of(group, kind)
        if kind != "none" and axis not in task.axes:
            wanted = " or ".join(each.name for each in tasks().values() if axis in each.axes)
            raise ConfigError(
                f"data/{group}={kind} is for {wanted}, but data={cell.data} is {task.name}. "
                f"Use none, or other data: {', '.join(data_for(task))}."
            )


def _check_features(cell: Cell) -> None:
    """Check that a model of ours has features of each pixel where each is predicted, and only there."""
    target = str(cell.config.model["_target_"])
    if not cell.is_supervised or not target.startswith("lossbench."):
        return
    if said_by(target, "per_pixel", False) is not cell.task.per_pixel:
        of, fitting = (
            ("a whole input", ("unet", "pixel_mlp")) if cell.task.per_pixel else ("each pixel", ("mlp", "lenet"))
        )
        raise ConfigError(
            f"model={cell.choices['model']} has features of {of}, which does not fit {cell.task.name} "
            f"(data={cell.data}). Use model={' or model='.join(fitting)}."
        )


def _check_metrics(cell: Cell) -> None:
    """Check the metrics that pick the best epoch, sort the losses or are goals; the first is needed at every epoch."""
    task = cell.task
    every_epoch, further = task.names("epoch"), task.names("end")
    asked = [(key, OmegaConf.select(cell.config, key)) for key in ("monitor", "compare.metric")]
    goals = OmegaConf.select(cell.config, "compare.front") or ()
    asked += [("compare.front", goal) for goal in goals if not str(goal).startswith("train/")]
    for key, metric in asked:
        names = every_epoch if key == "monitor" else [*every_epoch, *further]
        name = str(metric).removeprefix("clean/")
        if metric is None or task.is_numbered(name, "epoch" if key == "monitor" else ""):
            continue
        if name in task.same_as:
            raise ConfigError(
                f"{key}={metric} is the {task.same_as[name]} where each sample has one class. Use that name."
            )
        if name in further and key == "monitor":
            raise ConfigError(
                f"monitor={metric} is computed only at the end of a run, and can't pick an epoch. "
                f"{nearest(name, every_epoch)} Losses can be sorted by it: compare.metric={metric}"
            )
        if name in task.named and task.named[name].better == "neither":
            raise ConfigError(f"{key}={metric} {NEITHER} {nearest(name, names)}")
        if name not in names:
            raise ConfigError(f"{key}={metric} is not known. {nearest(name, names)}")
    check_columns(cell)
    compare = cell.config.get("compare") or {}
    task.require_every_epoch(str(compare.get("metric")), compare.get("select", "last"))
