"""From the command line to the cells of a comparison: composed, checked and named before anything starts.

A cell is one (problem, loss, seed). Its key is the hash of everything that can change its numbers and of nothing else.
"""

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from platform import python_version
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lossbench.catalogue.terms import asks_for
from lossbench.compat.hydra import put_in_place_of
from lossbench.config.axes import AXES, additions, after, axes_of
from lossbench.config.own_code import content_of, files_named, sources_of, taken_by
from lossbench.config.source import said_by
from lossbench.data.own_files import OWN_FILES, task_of_file
from lossbench.data.shapes import declared_sources
from lossbench.errors import ConfigError
from lossbench.locate import CONF, locate, own_choices, target_of
from lossbench.records import record
from lossbench.records.provenance import digest
from lossbench.records.schema import Record, new_record
from lossbench.tasks import bring, task_named
from lossbench.tasks.task import Task

NOT_IN_KEY = (
    "cluster", "compare", "data.memory_limit", "data.path", "data.root", "data.test_every", "engine", "keep",
    "loss.search", "output_dir", "pictures", "protocol.searched", "protocol.study", "rerun", "skip_impossible",
    "teacher", "tracking", "trainer.profiler", "trust", "variant", "variants", "warm_start",
)  # fmt: skip
"""What can't change the numbers of a run; of its teacher, data and warm start, what lies there counts."""
LATER = {
    "data.disjoint": False,
    "data.views": 1,
    "combine": {"_target_": "lossbench.methods.combining.plain_sum", "_partial_": True},
}
"""Settings that came later, with the values that leave a run what it was before, and its key too."""
OURS = "lossbench.data.DataModule"
NOT_IN_PROBLEM = (
    "data.run_seed", "data.sampler", "data.seed", "learner.scheduled_sampling", "loss", "model.head", "seed", *AXES,
)  # fmt: skip
"""What may differ between the runs that one comparison holds against each other."""


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
    of_variant : tuple of str
        Those of them that its variant has brought.

    """

    config: DictConfig
    choices: dict[str, str]
    overrides: tuple[str, ...] = ()
    of_variant: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Find the task of a user's file where `data.task` is auto: all that is made of the config depends on it."""
        data = self.config.get("data")
        if isinstance(data, DictConfig) and data.get("source") in OWN_FILES and data.get("task") == "auto":
            seen = task_of_file(data)
            if seen is not None:
                data.task = seen

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was computed: another process must get to know a task of the user by itself."""
        shared = {name: getattr(self, name) for name in ("config", "choices", "overrides", "of_variant")}
        return {**shared, "_own_files": self._own_files}  # own data may write beside what they read

    @property
    def data(self) -> str:
        """The name of the problem: its YAML, or the class that `data._target_` names instead."""
        target = str(self.config.data["_target_"])
        replaced = self.choices["data"] in own_choices("data") and target != OURS
        return target.rpartition(".")[2] if replaced else self.choices["data"]

    @cached_property
    def loss(self) -> str:
        """The name of the loss: its YAML, or the function that `loss._target_` names instead."""
        return self._named("loss", self.choices["loss"])

    def _named(self, group: str, choice: str) -> str:
        """Return the choice of a group, or the name of the function that its `_target_` names instead."""
        node = self.config.get(group)
        target = str(node.get("_target_")) if isinstance(node, DictConfig) else ""
        replaced = target and choice in own_choices(group) and target_of(group, choice) != target
        return target.rpartition(".")[2] if replaced else choice

    @property
    def named_choices(self) -> dict[str, str]:
        """What was chosen in each group, with the names of the user's own loss, data and functions of the axes."""
        groups = {group: choice for group, choice in self.choices.items() if not group.startswith("hydra/")}
        return {**groups, "data": self.data, "loss": self.loss, **self.axes}

    @cached_property
    def axes(self) -> dict[str, str]:
        """What the loss is combined with: in each group of `axes.AXES` its YAML, or the user's own function."""
        return {axis: self._named(axis, choice) for axis, choice in axes_of(self.choices).items()}

    @property
    def weighting(self) -> str:
        """The name of the weighting."""
        return self.axes["weighting"]

    @cached_property
    def method(self) -> str:
        """The loss and what it is combined with, e.g. "ldam+drw"."""
        return self.loss + additions(self.axes) + after(self.warm_start)

    @property
    def variant(self) -> str | None:
        """The name under which it stands in its sweep, if it has one."""
        name = self.config.get("variant")
        return None if name is None else str(name)

    @property
    def label(self) -> str:
        """What it is called in its sweep: its variant, or else its method."""
        return self.variant or self.method

    @cached_property
    def source(self) -> "Cell | None":
        """The run from whose last weights it starts, where `warm_start` names a loss: the same, but for the loss."""
        name = self.config.get("warm_start")
        if name is None or name not in own_choices("loss"):
            return None
        config, node = copy.deepcopy(self.config), OmegaConf.load(CONF / "loss" / f"{name}.yaml")
        config.loss = without(node, "defaults") if isinstance(node, DictConfig) else node
        for key, value in {"warm_start": None, "variant": None, "rerun": False}.items():
            OmegaConf.update(config, key, value)
        replaced = ("loss=", "loss.", "variant=", "warm_start=")
        lines = (line for line in self.overrides if not line.lstrip("+~").startswith(replaced))
        return Cell(config, {**self.choices, "loss": name}, (*lines, f"loss={name}"))

    @property
    def warm_start(self) -> dict[str, Any] | None:
        """What it starts from: folder, name and key of a run, and when that has finished, its epochs and seconds."""
        given, source = self.config.get("warm_start"), self.source
        if given is None:
            return None
        folder = Path(str(given)) if source is None else source.path
        entry = record.read(folder) or {}
        earlier = entry.get("warm_start") or {}
        done = (entry.get("epochs") or {}).get("done")
        return {
            "folder": str(folder),
            "name": entry.get("name", folder.name) if source is None else source.name,
            "key": entry.get("key", str(folder)) if source is None else source.key,
            "method": (entry.get("loss", folder.name) + additions(entry)) if source is None else source.method,
            "epochs": None if done is None else done + (earlier.get("epochs") or 0),
            "seconds": (entry.get("cost") or {}).get("seconds"),
        }

    @cached_property
    def name(self) -> str:
        """The name of the run, e.g. "ldam+drw-s3"."""
        return f"{self.method.replace(' ', '-')}-s{self.config.seed}"

    @cached_property
    def task(self) -> Task:
        """What is predicted: what the loss, or the command, has chosen in the group `task`; else that of the data.

        Raises
        ------
        ConfigError
            If there is no such task.

        """
        bring_own_task(self.config)
        return task_named(str(self.config.data.task))

    @cached_property
    def is_supervised(self) -> bool:
        """Whether a model maps inputs to outputs, and a loss compares these with targets."""
        return bool(said_by(str(self.config.learner["_target_"]), "takes_a_model"))

    @cached_property
    def is_in_memory(self) -> bool:
        """Whether its data are a `DataModule`, or the user's own, which bring their loaders."""
        return bool(said_by(str(self.config.data["_target_"]), "in_memory"))

    @property
    def monitor(self) -> str:
        """The validation metric that picks the best epoch."""
        return str(self.config.monitor or self.task.monitor)

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The config as a plain dictionary, interpolations resolved; a teacher is left out where the loss asks none."""
        container: Any = OmegaConf.to_container(self.config, resolve=True)
        if container.get("teacher") and not asks_for_teacher(container["loss"]):
            container["teacher"] = None
        if not self.is_in_memory and (taken := taken_by(container["data"]["_target_"])) is not None:
            container["data"] = {name: value for name, value in container["data"].items() if name in taken}
        container.pop("variants", None)
        return container

    @cached_property
    def key(self) -> str:
        """The hash of everything that can change the numbers of the run, and of the protocol that chose its values."""
        teacher = self.resolved.get("teacher")
        taught = {"taught_by": (record.read(Path(teacher)) or {}).get("key", teacher)} if teacher else {}
        sources = sources_of(self.resolved)
        own = {"sources": sources} if sources else {}
        own |= {"own_files": self._own_files} if self._own_files else {}
        start = self.warm_start
        started = {"started_from": start["key"]} if start else {}
        return digest({**self.resolved, **taught, **started, **own, **self._files}, leaving_out=self._not_in_key)

    @property
    def _not_in_key(self) -> tuple[str, ...]:
        usual = {name for name, value in LATER.items() if _at(self.resolved, name) == value}
        other = {"data.test"} if isinstance(self.resolved["data"].get("test"), str) else set()  # what lies there counts
        return (*NOT_IN_KEY, *usual, *other)

    @cached_property
    def _files(self) -> dict[str, str]:
        """What the data are made of beside their settings, such as the hash of what lies at `data.path`."""
        path, test = (self.resolved["data"].get(name) for name in ("path", "test"))
        others = {f"files of {name}": each for name, each in self._own_files.items() if name.startswith("data.")}
        source = declared_sources().get(str(self.resolved["data"].get("source")))
        python = {"python": python_version()} if source is not None and source.of_python else {}
        tested = {"files of the test part": content_of(test)} if isinstance(test, str) else {}
        return {**({"files": content_of(str(path))} if path else {}), **tested, **python, **others}

    @cached_property
    def _own_files(self) -> dict[str, str]:
        """The hash of what lies at each path that an option of the user's own code names, by the option."""
        return files_named(self.resolved)

    @cached_property
    def problem(self) -> str:
        """The hash of what the runs of one comparison share: all but method, head, seed and what was tuned."""
        own_seed = "seed" in self.config.data and not OmegaConf.is_interpolation(self.config.data, "seed")
        data_seed = self.config.data.seed if own_seed else "the run's"
        tuned = tuple(self.resolved.get("protocol", {}).get("searched", ()))
        return digest(
            {**self.resolved, **self._files, "data_seed": data_seed},
            leaving_out=self._not_in_key + NOT_IN_PROBLEM + tuned,
        )

    def record(self, status: str) -> Record:
        """Make the record of the run, as far as it is known before it is built."""
        return new_record(
            self.task,
            key=self.key,
            problem=self.problem,
            name=self.name,
            status=status,
            loss=self.loss,
            axes=self.axes,
            learner=self.choices["learner"],
            seed=self.config.seed,
            choices=self.named_choices,
            config=self.resolved,
            monitor=self.monitor,
            variant=self.variant,
            warm_start=self.warm_start,
        )

    @property
    def folder(self) -> Path:
        """Where the run writes, inside `output_dir`; the same cell always has the same folder."""
        return Path(self.data) / f"{self.name}-{self.key[:8]}"

    @cached_property
    def path(self) -> Path:
        """The folder of the run."""
        return Path(self.config.output_dir) / self.folder


def _at(config: Any, path: str) -> Any:
    """Return what stands at a path of keys, None where nothing does."""
    for name in path.split("."):
        config = config.get(name) if isinstance(config, dict) else None
    return config


def bring_own_task(config: DictConfig) -> None:
    """Make the tasks of the user known that `task._target_` names; what is lossbench's, or none, is left alone.

    Raises
    ------
    ConfigError
        If it can't be imported, or is no task.

    """
    target = OmegaConf.select(config, "task._target_")
    if target is None or target.startswith("lossbench.tasks."):
        return
    own = locate(target)
    for task in own if isinstance(own, tuple) else (own,):
        if not isinstance(task, Task):
            raise ConfigError(f"task._target_={target} is not a lossbench.tasks.task.Task, nor a tuple of some.")
        bring(task)


def asks_for_teacher(loss: Any, unknown: bool = True) -> bool:
    """Tell whether the loss of a config learns from a teacher; `unknown` is said of one that is not lossbench's."""
    node: Any = OmegaConf.to_container(loss, resolve=True) if isinstance(loss, DictConfig) else loss
    return asks_for("teacher_logits", node, unknown)


def without(node: DictConfig, *names: str) -> DictConfig:
    """Return a copy of a config node that lacks some of its keys; its interpolations still reach the whole config."""
    copy: DictConfig = OmegaConf.masked_copy(node, [str(key) for key in node if key not in names])
    put_in_place_of(copy, node)
    return copy


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
