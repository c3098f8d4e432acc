"""From the command line to the cells of a comparison: composed, checked and named before anything starts.

A cell is one (problem, loss, seed). Its key is the hash of everything that can change its numbers and of nothing else.
"""

import argparse
import copy
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from lossbench import CONF, record
from lossbench.catalogue import default_parameters, own_choices
from lossbench.errors import ConfigError
from lossbench.hydra_errors import SEARCHED, clear_errors
from lossbench.method import AXES, additions, axes_of
from lossbench.metric_names import MONITOR, measured_as
from lossbench.own_code import sources_of, taken_by
from lossbench.terms import asks_for

NOT_IN_KEY = (
    "compare", "data.root", "engine", "loss.search", "output_dir", "protocol.searched", "protocol.study", "rerun",
    "skip_impossible", "teacher", "tracking", "trainer.profiler", "trust",
)  # fmt: skip
"""What can't change the numbers of a run; instead of the path of its teacher, the key of that run counts."""
OURS = "lossbench.data.DataModule"
NOT_IN_PROBLEM = ("data.run_seed", "data.sampler", "data.seed", "loss", "model.head", "seed", *AXES)
"""What may differ between the runs that one comparison holds against each other."""

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True, eq=False)
class Cell:
    """One run of a comparison, before it runs.

    Parameters
    ----------
    config : DictConfig
        The composed config, without Hydra's own node.
    choices : dict
        What was chosen in each group, e.g. {"loss": "focal", "data": "digits_imb"}.
    overrides : tuple of str
        The overrides that make it.

    """

    config: DictConfig
    choices: dict[str, str]
    overrides: tuple[str, ...] = ()

    @property
    def data(self) -> str:
        """The name of the problem: its YAML, or the class that `data._target_` names instead."""
        target = str(self.config.data["_target_"])
        replaced = self.choices["data"] in own_choices("data") and target != "lossbench.data.DataModule"
        return target.rpartition(".")[2] if replaced else self.choices["data"]

    @cached_property
    def loss(self) -> str:
        """The name of the loss: its YAML, or the function that `loss._target_` names instead."""
        name, target = self.choices["loss"], str(self.config.loss["_target_"])
        replaced = name in own_choices("loss") and default_parameters(name)["_target_"] != target
        return target.rpartition(".")[2] if replaced else name

    @property
    def named_choices(self) -> dict[str, str]:
        """What was chosen in each group, with the names of the user's own loss and data."""
        groups = {group: choice for group, choice in self.choices.items() if not group.startswith("hydra/")}
        return {**groups, "data": self.data, "loss": self.loss}

    @property
    def axes(self) -> dict[str, str]:
        """What the loss is combined with: the choice in each group of `method.AXES`."""
        return axes_of(self.choices)

    @property
    def weighting(self) -> str:
        """The name of the weighting."""
        return self.axes["weighting"]

    @cached_property
    def method(self) -> str:
        """The loss and what it is combined with, e.g. "ldam+drw"."""
        return self.loss + additions(self.choices)

    @cached_property
    def name(self) -> str:
        """The name of the run, e.g. "ldam+drw-s3"."""
        return f"{self.method}-s{self.config.seed}"

    @property
    def is_supervised(self) -> bool:
        """Whether a model maps inputs to outputs, and a loss compares these with targets."""
        return str(self.config.learner["_target_"]) == "lossbench.learners.Supervised"

    @property
    def monitor(self) -> str:
        """The validation metric that picks the best epoch."""
        return str(self.config.monitor or MONITOR[measured_as(self.config.data.task, self.choices["learner"])])

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The config as a plain dictionary, interpolations resolved; a teacher is left out where the loss asks none."""
        container: Any = OmegaConf.to_container(self.config, resolve=True)
        if container.get("teacher") and not asks_for_teacher(container["loss"]):
            container["teacher"] = None
        if container["data"]["_target_"] != OURS and (taken := taken_by(container["data"]["_target_"])) is not None:
            container["data"] = {name: value for name, value in container["data"].items() if name in taken}
        return container

    @cached_property
    def key(self) -> str:
        """The hash of everything that can change the numbers of the run, and of the protocol that chose its values."""
        teacher = self.resolved.get("teacher")
        taught = {"taught_by": (record.read(Path(teacher)) or {}).get("key", teacher)} if teacher else {}
        sources = sources_of(self.resolved)
        own = {"sources": sources} if sources else {}
        return digest({**self.resolved, **taught, **own}, leaving_out=NOT_IN_KEY)

    @cached_property
    def problem(self) -> str:
        """The hash of what the runs of one comparison share: all but method, head, seed and what was tuned."""
        own_seed = "seed" in self.config.data and not OmegaConf.is_interpolation(self.config.data, "seed")
        data_seed = self.config.data.seed if own_seed else "the run's"
        tuned = tuple(self.resolved.get("protocol", {}).get("searched", ()))
        return digest({**self.resolved, "data_seed": data_seed}, leaving_out=NOT_IN_KEY + NOT_IN_PROBLEM + tuned)

    @property
    def folder(self) -> Path:
        """Where the run writes, inside `output_dir`; the same cell always has the same folder."""
        return Path(self.data) / f"{self.name}-{self.key[:8]}"

    @cached_property
    def path(self) -> Path:
        """The folder of the run."""
        return Path(self.config.output_dir) / self.folder


def asks_for_teacher(loss: Any, unknown: bool = True) -> bool:
    """Tell whether the loss of a config learns from a teacher; `unknown` is said of one that is not lossbench's."""
    node: Any = OmegaConf.to_container(loss, resolve=True) if isinstance(loss, DictConfig) else loss
    return asks_for("teacher_logits", node, unknown)


def without(node: DictConfig, *names: str) -> DictConfig:
    """Return a copy of a config node that lacks some of its keys; its interpolations still reach the whole config."""
    copy: DictConfig = OmegaConf.masked_copy(node, [str(key) for key in node if key not in names])
    copy._set_parent(node._get_parent())
    return copy


def digest(config: dict[str, Any], leaving_out: tuple[str, ...] = ()) -> str:
    """Hash a config; keys given with dots are left out, and 2 and 2.0 are the same number.

    Examples
    --------
    >>> digest({"a": 2, "b": {"c": 1}}) == digest({"b": {"c": 1, "d": 0}, "a": 2.0}, leaving_out=("b.d",))
    True

    """

    def canonical(node: Any, path: str = "") -> Any:
        if isinstance(node, dict):
            inside = {key: f"{path}.{key}" if path else str(key) for key in node}
            return {
                str(key): canonical(node[key], inside[key]) for key in sorted(node) if inside[key] not in leaving_out
            }
        if isinstance(node, list):
            return [canonical(element, path) for element in node]
        return int(node) if isinstance(node, float) and node.is_integer() else node

    return hashlib.sha256(json.dumps(canonical(config)).encode()).hexdigest()


def cell_of(config: DictConfig) -> Cell:
    """Make the cell of a composed config that still has Hydra's node."""
    choices = {str(group): str(choice) for group, choice in config.hydra.runtime.choices.items()}
    return Cell(without(config, "hydra"), choices, tuple(config.hydra.overrides.task))


def _folder_of_run(*, _root_: DictConfig) -> str:
    return str(cell_of(_root_).folder)


def escaped(path: str) -> str:
    """Escape what would end a path inside the URI of a database."""
    return str(path).replace("%", "%25").replace("?", "%3F")


OmegaConf.register_new_resolver("lossbench.folder", _folder_of_run, replace=True)
OmegaConf.register_new_resolver("lossbench.escaped", escaped, replace=True)


def compose_cells(arguments: argparse.Namespace) -> list[Cell]:
    """Compose every cell that a command line asks for.

    Parameters
    ----------
    arguments : argparse.Namespace
        The arguments as Hydra's own parser read them.

    Raises
    ------
    ConfigError
        If a group, a choice or a key does not exist, or a value can't be read.

    """
    with _composer(arguments) as compose_config:
        overrides = OverridesParser.create().parse_overrides(arguments.overrides)
        swept = [override for override in overrides if override.is_sweep_override()]
        first = compose_config([override.input_line for override in overrides if not override.is_sweep_override()])
        require_our_folders(first)
        multirun = arguments.multirun or str(first.hydra.mode) == "RunMode.MULTIRUN"
        if swept and not multirun:
            raise ConfigError(f"{swept[0].input_line}: several values need -m (--multirun) before the overrides.")
        if not multirun:
            return [cell_of(first)]
        parameters = [f"{key}={value}" for key, value in dict(first.hydra.sweeper.get("params") or {}).items()]
        lines = parameters + arguments.overrides
        return list(_compose_each(_expand(lines), compose_config))


def compose_one(arguments: argparse.Namespace) -> DictConfig:
    """Compose the config of a command that makes no runs; its mistakes are told as those of `compose_cells`."""
    with _composer(arguments) as compose_config:
        config: DictConfig = compose_config(arguments.overrides)
    _require_to_stay(config)
    return config


def only_looks(arguments: argparse.Namespace) -> bool:
    """Tell whether a command line asks for something to read, which Hydra answers by itself, but not for a sweep."""
    shown = not arguments.multirun and (arguments.cfg or arguments.info or arguments.shell_completion)
    return bool(arguments.help or arguments.hydra_help or shown)


def _compose_each(lines_of_cells: list[list[str]], compose_config: Any) -> Iterator[Cell]:
    """Compose the cells of a sweep; those that differ in the seed alone are composed once, which is far faster."""
    composed: dict[tuple[str, ...], Cell] = {}
    for lines in lines_of_cells:
        seeds = [line for line in lines if re.fullmatch(r"seed=\d+", line)]
        others = tuple(line for line in lines if line not in seeds)
        if others not in composed:
            composed[others] = cell_of(compose_config(lines))
        like = composed[others]
        config = copy.deepcopy(like.config)
        if seeds:
            config.seed = int(seeds[-1].partition("=")[2])
        overrides = (*(line for line in like.overrides if not line.startswith("seed=")), *seeds)
        yield Cell(config, like.choices, overrides)


def _expand(lines: list[str]) -> list[list[str]]:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    overrides = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(lines)
    own = [override for override in overrides if not override.key_or_group.startswith("hydra.sweeper")]
    for override in own:
        if override.is_interval_sweep():
            raise ConfigError(f"{override.input_line}: an interval has no list of values to run. {SEARCHED}")
    found: list[list[str]] = BasicSweeper.split_arguments(own, max_batch_size=None)[0]
    if not found:
        raise ConfigError("the sweep has no run: a glob(...) or range(...) in it stands for nothing.")
    return found


@contextmanager
def _composer(arguments: argparse.Namespace) -> Iterator[Any]:
    """Give what composes the config of some overrides, its errors told as a `ConfigError`."""
    if arguments.multirun and (arguments.cfg or arguments.info):
        looked = f"--cfg {arguments.cfg}" if arguments.cfg else f"--info {arguments.info}"
        raise ConfigError(
            f"{looked} shows one config, but -m asks for several runs. Leave out -m and all but one value."
        )
    searchpath = []
    if arguments.config_dir is not None:
        folder = Path(arguments.config_dir).resolve()
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {arguments.config_dir}: no such folder.")
        searchpath = [f"hydra.searchpath=[file://{folder}]"]
    config_name = arguments.config_name or "config"

    def compose_raw(overrides: list[str]) -> DictConfig:
        return compose(config_name, [*searchpath, *overrides], return_hydra_config=True)

    def compose_config(overrides: list[str]) -> DictConfig:
        with clear_errors(overrides, compose_raw):
            return compose_raw(overrides)

    with (
        initialize_config_dir(str(arguments.config_path or CONF), version_base="1.3", job_name="lossbench"),
        clear_errors(arguments.overrides, compose_raw),
    ):
        yield compose_config


def require_our_folders(config: DictConfig) -> None:
    """Refuse settings of Hydra by which runs would not be found again, or would be swept by another sweeper.

    Raises
    ------
    ConfigError
        With the setting, and what is for that here.

    """
    ours: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))["hydra"]  # type: ignore[index, call-overload]
    given: Any = OmegaConf.to_container(config.hydra)
    for group, name in (("run", "dir"), ("sweep", "dir"), ("sweep", "subdir")):
        if given[group][name] != ours[group][name]:
            raise ConfigError(
                f"hydra.{group}.{name}={given[group][name]}: a run is found again by its folder, DATA/NAME-KEY in "
                "output_dir. Leave it out, and choose output_dir=DIR."
            )
    _require_to_stay(config)
    if (sweeper := (given["sweeper"] or {}).get("_target_")) != BASIC_SWEEPER:
        raise ConfigError(f"hydra.sweeper={sweeper}: a comparison runs every combination of its values. {SEARCHED}")


def _require_to_stay(config: DictConfig) -> None:
    if config.hydra.job.chdir:
        raise ConfigError("hydra.job.chdir=true: a command stays in its folder. Leave it out; output_dir=DIR.")


def put_user_code_on_path(arguments: argparse.Namespace) -> None:
    """Make modules importable from the current folder and from the folder of --config-dir."""
    for folder in (arguments.config_dir, "."):
        path = str(Path(folder).resolve()) if folder else ""
        if path and path not in sys.path:
            sys.path.insert(0, path)
