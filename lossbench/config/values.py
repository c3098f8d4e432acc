"""Which values each key of a config may have.

Each is declared where its owner is, by `lossbench.ranges.takes` or in the decorator of a loss, and read from the
source text, so that nothing here imports torch. The tables are those of owners that are not ours, and of the config.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lossbench.catalogue.facts import facts_of
from lossbench.catalogue.formulas import require_formula
from lossbench.config.axes import AXES
from lossbench.config.cell import Cell
from lossbench.config.engines import ENGINES
from lossbench.config.source import said_by, settings_of
from lossbench.data.shapes import declared_sources
from lossbench.errors import ConfigError, first_line, nearest
from lossbench.locate import CONF, own_choices
from lossbench.losses.facts import LossFacts
from lossbench.ranges import admits, choices, describe

Table = Mapping[str, str]
"""The notation of what each key of a node may be."""

CONFIG: Table = {
    "seed": "int [0, inf)",
    "teacher": "text or null",
    "warm_start": "text or null",
    "variants": "dict or null",
    "variant": "text or null",
    "monitor": "text or null",
    "threads": "int [1, inf) or null",
    "output_dir": "text",
    "pictures": "one of: auto, always, never",
    "keep": "list of one of: last, best, predictions",
    "compile": "bool",
    "engine": f"one of: {', '.join(ENGINES)}",
    "rerun": "bool",
    "skip_impossible": "bool",
    "trust": "list of text",
}
REPAIRING: Table = {"output_dir": "text", "dead": "text or null"}
"""The keys of `python -m lossbench.repair` at its top."""
TASK = {"_target_": "text or null", "name": "text"}
OWNERS: dict[str, tuple[str, ...]] = {
    "scale": ("scale",),
    "sampler": (),
    "task": (),
    "learner": (),
    "learner.network": (),
    "data": ("lossbench.data.foreign.wrap", "lossbench.config.tested_epochs.test_every"),
    "data.contamination": ("lossbench.data.corruptions.contaminate",),
    "data.imbalance": ("lossbench.data.training_set._imbalanced",),
    "data.noise": ("lossbench.data.label_noise.noisy_labels", "lossbench.data.mask_noise.noisy_masks"),
    "trainer": ("pytorch_lightning.Trainer",),
    "loss": (),
    "model": ("lossbench.running.build.build_network",),
    "optimizer": ("torch.optim.Optimizer", "lossbench.running.loss_scale.calibrate"),
    "scheduler": ("torch.optim.lr_scheduler.LRScheduler",),
    "weighting": (),
    "mixup": (),
    "posthoc": (),
    "combine": (),
    "compare": ("lossbench.compare.numbers.analysis.Options",),
    "cluster": (),
    "tracking": ("lossbench.tracking.store.connect", "lossbench.tracking.loggers.tell"),
    "race": ("lossbench.race.decide.Rules",),
    "advise": ("lossbench.cli.advise.advise_on",),
    "search": ("lossbench.search.settings.Settings",),
    "search.lr": ("lossbench.tune.space.search_space",),
    "tune": ("lossbench.tune.study.tune",),
    "tune.lr": ("lossbench.tune.space.search_space",),
}
"""The nodes and who reads their keys, beside what is built from them; first those that others take values from."""
OPTIONAL = ("advise", "race", "scale", "search", "tune")
"""The nodes that only some configs have."""
CHOSEN = ("data", "learner", "loss", "model", "optimizer", *AXES)
"""The groups whose choice names a run, or is asked for: a list of choices, or a node without one, has no name."""
BUILT = ("cluster", "data", "learner", "learner.network", "loss", "model", "optimizer", "scheduler", "trainer", *AXES)
"""The nodes that are built from their `_target_`."""
READ_DIRECTLY = (
    "data.contamination.kind",
    "data.imbalance.kind",
    "data.noise.kind",
    "data.task",
    "tracking.experiment",
    "tracking.telemetry",
    "tracking.uri",
    "trainer.max_epochs",
)
"""Keys without which nothing goes on, whoever wrote the YAML: no signature has a default for them."""

_RATE = {"lr": "number (0, inf)", "weight_decay": "number [0, inf)", "maximize": "bool", "foreach": "bool or null"}
_FUSED = {**_RATE, "fused": "bool or null", "differentiable": "bool", "capturable": "bool"}
_ADAM = {**_FUSED, "betas": "list of 2 number [0, 1)", "eps": "number [0, inf)", "amsgrad": "bool"}
_LIMIT = "number [0, inf) or null"
OF_OTHERS: dict[str, Table] = {
    "scale": {
        "max_epochs": "int [1, inf)", "warmup_epochs": "int [0, inf)", "milestones": "list of int [0, inf)",
        "lr": "number (0, inf)", "weight_decay": "number [0, inf)", "gradient_clip_val": _LIMIT,
        "batch_size": "int [1, inf)",
    },
    "torch.optim.Optimizer": {"lr": _RATE["lr"], "weight_decay": _RATE["weight_decay"]},
    "torch.optim.lr_scheduler.LRScheduler": {
        "gamma": "number (0, inf)", "interval": "one of: epoch, step", "frequency": "int [1, inf)",
        "monitor": "text or null",
    },
    "torch.optim.Adam": _ADAM,
    "torch.optim.AdamW": _ADAM,
    "torch.optim.SGD": {**_FUSED, "momentum": "number [0, 1)", "dampening": "number [0, 1]", "nesterov": "bool"},
    "torch.optim.RMSprop": {
        **_RATE, "alpha": "number [0, 1)", "momentum": "number [0, 1)", "eps": "number [0, inf)", "centered": "bool",
        "capturable": "bool", "differentiable": "bool",
    },
    "torch.optim.lr_scheduler.ConstantLR": {"factor": "number [0, 1]", "total_iters": "int [0, inf)"},
    "torch.optim.lr_scheduler.CosineAnnealingLR": {"T_max": "int [1, inf)", "eta_min": "number [0, inf)"},
    "torch.optim.lr_scheduler.ExponentialLR": {"gamma": "number (0, inf)"},
    "torch.optim.lr_scheduler.MultiStepLR": {"milestones": "list of int [0, inf)", "gamma": "number (0, inf)"},
    "torch.optim.lr_scheduler.OneCycleLR": {
        "max_lr": "number (0, inf)", "total_steps": "int [1, inf) or null", "epochs": "int [1, inf) or null",
        "steps_per_epoch": "int [1, inf) or null", "pct_start": "number [0, 1]", "cycle_momentum": "bool",
    },
    "torch.optim.lr_scheduler.ReduceLROnPlateau": {
        "mode": "one of: max, min", "factor": "number (0, 1)", "patience": "int [0, inf)", "cooldown": "int [0, inf)",
        "threshold": "number [0, inf)", "min_lr": "number [0, inf)", "eps": "number [0, inf)",
    },
    "torch.optim.lr_scheduler.StepLR": {"step_size": "int [1, inf)", "gamma": "number (0, inf)"},
    "pytorch_lightning.Trainer": {
        "max_epochs": "int [1, inf)",
        "max_steps": "int [-1, inf)",
        "max_time": "text or dict or null",
        "accelerator": "text",
        "strategy": "text or dict",
        "devices": "int [-1, inf) or text or list of int [0, inf)",
        "precision": "int or text or null",
        "deterministic": "bool or one of: warn or null",
        "benchmark": "bool or null",
        "gradient_clip_val": "number [0, inf) or null",
        "gradient_clip_algorithm": "one of: norm, value or null",
        "accumulate_grad_batches": "int [1, inf)",
        "check_val_every_n_epoch": "int [1, inf)",
        "limit_train_batches": _LIMIT,
        "limit_val_batches": _LIMIT,
        "overfit_batches": "number [0, inf)",
        "detect_anomaly": "bool",
        "profiler": "one of: simple, advanced, pytorch, xla or dict or null",
        "callbacks": "list of dict or dict or null",
    },
}  # fmt: skip
"""By the `_target_` of a class of torch or Lightning, and of the node `scale`; what is not here is left to them."""
SEARCH: Table = {"low": "number", "high": "number", "log": "bool", "choices": "list of 1+ any"}
_OF_ANNOTATION = {
    "None": "null", "bool": "bool", "float": "number", "int": "int", "str": "text", "Mapping[str, Any]": "dict",
    "Matrix": "list of list of number",
}  # fmt: skip
_WITH_INTERVAL = ("int", "number", "list of list of number")


def check_values(cell: Cell) -> None:
    """Check that a config has its nodes, and that each key has a value of its type and in its range.

    Raises
    ------
    ConfigError
        With the key, its value and what is allowed.

    """
    raw: Any = OmegaConf.to_container(cell.config)
    _check_nothing_is_missing(raw, _paths(raw), cell.overrides)
    for group in CHOSEN:
        if group not in cell.choices:
            raise ConfigError(f"{group}: choose one, {group}=NAME. {nearest('', own_choices(group))}")
    try:
        config = {**cell.resolved, "teacher": cell.config.teacher}  # `resolved` drops one that no loss asks for
    except OmegaConfBaseException as error:
        raise ConfigError(f"The config can't be resolved: {first_line(error)}") from error
    for path in _paths(config):
        node = _at(config, path)
        check_node(path, node, table_of(path, node))


def check_comparing(config: DictConfig) -> None:
    """Check the config of `python -m lossbench.compare`, which has few of the nodes.

    Raises
    ------
    ConfigError
        With the key, its value and what is allowed.

    """
    raw: Any = OmegaConf.to_container(config)
    top = {name: CONFIG[name] for name in ("output_dir", "trust")}
    _check_nothing_is_missing(
        {**dict.fromkeys(CONFIG), **raw}, ("", "compare", "tracking"), config.hydra.overrides.task
    )
    try:
        resolved: Any = OmegaConf.to_container(config.compare, resolve=True)
        tracking: Any = OmegaConf.to_container(config.tracking, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"The config can't be resolved: {first_line(error)}") from error
    check_node("", {name: raw.get(name) for name in top}, top)
    check_node("compare", resolved, {**table_of("compare", resolved), **declared("lossbench.cli.compare.compare")})
    check_node("tracking", tracking, table_of("tracking", tracking))


def _check_nothing_is_missing(config: Mapping[str, Any], paths: Iterable[str], overrides: Iterable[str]) -> None:
    """Refuse what was deleted or set to null or a list, before an interpolation fails for it."""
    deleted = {_key(line): line for line in overrides if line.startswith("~")}
    for path in paths:
        node = _at(config, path)
        if isinstance(node, str) and "${" in node:
            continue
        if not isinstance(node, dict) or (path in BUILT and not isinstance(node.get("_target_"), str)):
            raise _no_node(path, node, deleted)
        for name, allowed in table_of(path, node).items():
            key = _join(path, name)
            if node.get(name) == "???":
                raise ConfigError(f"{key} is needed: give it a value, {key}=... It is {describe(allowed)}.")
            if name not in node and (key in deleted or key in READ_DIRECTLY or not path):
                said = deleted.get(key, f"there is no key {key}")
                raise ConfigError(f"{said}: {key} is needed. Give it a value: {describe(allowed)}.")


def check_node(path: str, node: Mapping[str, Any], table: Table) -> None:
    """Check the keys and values of a node; a key that the table lacks is refused where all who read it are ours."""
    for name, value in node.items():
        key = _join(path, name)
        if name in table and not admits(table[name], value):
            raise _not_allowed(key, value, table[name], node)
        if name not in table and _is_closed(path, node) and key not in OWNERS:
            raise ConfigError(f"{key}={shown(value)}: nothing reads the key {name!r}. {nearest(name, _public(table))}")
    require_formula(str(node.get("_target_")), node, path)
    for name, search in (node.get("search") or {}).items() if path == "loss" else ():
        check_node("loss.search", {name: search}, {name: "dict"})
        check_node(f"loss.search.{name}", search, SEARCH)


def takes_a_list(config: DictConfig, key: str) -> bool:
    """Tell whether a key of a config may be a list."""
    path, _, name = key.rpartition(".")
    node: Any = OmegaConf.select(config, path) if path else config
    if not isinstance(node, DictConfig):
        return False
    return "list of" in table_of(path, OmegaConf.to_container(node)).get(name, "")  # type: ignore[arg-type]


def table_of(path: str, node: Mapping[str, Any]) -> dict[str, str]:
    """Return what the keys of a node may be, as far as their owners say it.

    Parameters
    ----------
    path : str
        Where the node is in the config; "" is its top.
    node : mapping
        Its keys and values; `_target_` names what is built from it.

    """
    if not path:
        return dict(CONFIG)
    if path == "task":
        return TASK
    built = {"_target_": "text", "_partial_": "bool"} if path in BUILT else {}
    search = {"search": "dict or null"} if path == "loss" else {}
    owners = [*OWNERS.get(path, ()), *([str(node["_target_"])] if built else [])]
    if path == "data" and (source := declared_sources().get(str(node.get("source")))) is not None:
        owners.append(f"lossbench.data.sources.{source.module}.{node['source']}")
    return built | search | {name: allowed for owner in owners for name, allowed in declared(owner).items()}


def shown(value: Any) -> str:
    """Write a value as on the command line."""
    return value if isinstance(value, str) else json.dumps(value, default=list)


def _paths(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the nodes that a config must have: those of tuning in a search, and parts of parts where they are ours."""
    yield ""
    for path in OWNERS:
        group, _, part = path.partition(".")
        target = str((config.get(group) or {}).get("_target_")) if isinstance(config.get(group), dict) else ""
        if group in OPTIONAL:
            wanted = group in config
        elif part:
            wanted = target.startswith("lossbench.") and not said_by(target, "takes_a_model")
        else:
            wanted = True
        if wanted:
            yield path


def _is_closed(path: str, node: Mapping[str, Any]) -> bool:
    if path in BUILT:
        return str(node["_target_"]).startswith("lossbench.")
    return path not in ("", "scale")


def _no_node(path: str, node: Any, deleted: Mapping[str, str]) -> ConfigError:
    said = f"there is no {path}" if node is None else f"{path}={shown(node)}"
    what = "a node with a _target_" if path in BUILT else "a node"
    if isinstance(node, dict):
        said, what = f"{path}._target_={shown(node.get('_target_'))}", "a node whose _target_ names a class or function"
    group = path.replace(".", "/")
    known = f" Choose one: {group}=NAME. {nearest('', own_choices(group))}" if (CONF / group).is_dir() else ""
    said = deleted.get(path) or deleted.get(f"{path}._target_") or said
    return ConfigError(f"{said}: {path} must be {what}.{known}")


def _not_allowed(key: str, value: Any, allowed: str, node: Mapping[str, Any]) -> ConfigError:
    words = choices(allowed)
    if words and isinstance(value, str):
        return ConfigError(f"{key}={value} is not known. {nearest(value, words)}")
    listed = "list of" in allowed and not isinstance(value, (list, dict)) and value is not None
    written = f" A list is written in brackets: {key}='[{value}]'." if listed else ""
    said = f"{key}={shown(value)} is out of range: allowed is {describe(allowed)}.{written}"
    return ConfigError(f"{said}{_default(key, node)}")


def _default(key: str, node: Mapping[str, Any]) -> str:
    """Tell the default of a loss's parameter, or of a key of the config itself."""
    facts = facts_of(str(node.get("_target_"))) if key.startswith("loss.") else None
    default = _defaults(facts.name if facts else "").get(key.rpartition(".")[2] if facts else key)
    return "" if default is None else f" The default{f' of {facts.name}' if facts else ''} is {shown(default)}."


@cache
def _defaults(loss: str) -> dict[Any, Any]:
    path = CONF / "loss" / f"{loss}.yaml" if loss else CONF / "config.yaml"
    found: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}
    return dict(found)


def _key(line: str) -> str:
    """Return the key that an override such as ~data/noise@data.noise deletes."""
    written = line.lstrip("~").partition("=")[0]
    return (written.rpartition("@")[2] or written).replace("/", ".")


def _at(config: Mapping[str, Any], path: str) -> Any:
    node: Any = config
    for name in path.split(".") if path else []:
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _public(table: Table) -> list[str]:
    return [name for name in table if not name.startswith("_")]


def declared(owner: str) -> dict[str, str]:
    """Return what a function or class says of its settings, a loss in its decorator; {} where it says nothing."""
    if owner in OF_OTHERS:
        return dict(OF_OTHERS[owner])
    if not owner.startswith("lossbench."):
        return {}
    if (facts := facts_of(owner)) is not None:
        return of_loss(facts)
    return settings_of(owner)


def of_loss(facts: LossFacts) -> dict[str, str]:
    """Return what the parameters of a loss may be: types from its signature, ranges from its decorator."""
    return {name: notation(text, facts.ranges.get(name, "")) for name, text in facts.annotations.items()}


def notation(annotation: str, interval: str = "") -> str:
    """Write what a parameter may be, from its annotation and its interval.

    Examples
    --------
    >>> notation("float | None", "[0, inf)"), notation("Sequence[int]")
    ('number [0, inf) or null', 'list of int')

    """
    kinds = []
    for part in annotation.split(" | "):
        name = part[len("Sequence[") : -1] if part.startswith("Sequence[") else part
        kind = interval if interval.startswith("one of: ") else _OF_ANNOTATION.get(name, "any")
        kinds.append(("list of " if name != part else "") + kind + (f" {interval}" if kind in _WITH_INTERVAL else ""))
    return " or ".join(map(str.strip, kinds))
