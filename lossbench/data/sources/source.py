"""What a source is, and how one is loaded by its name."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Array
from lossbench.data.files import ensure_files
from lossbench.data.shapes import declared_sources
from lossbench.errors import ConfigError, nearest
from lossbench.tasks import task_named
from lossbench.tasks.problem import Modes
from lossbench.tasks.task import Target

FIXED = 0
"""The seed of draws that are the same under every seed of the user."""


@dataclass(frozen=True)
class Source:
    """A clean data set.

    Parameters
    ----------
    task : str
        Of which task its targets are: the first of what it serves.
    train_inputs, test_inputs : Tensor
        Images (N, C, H, W), uint8 in 0..255 or float32, or table rows (N, F), float32.
    train_target, test_target : Tensor, shape (N,)
        Classes as int64 (binary: 0 and 1), or float32: numbers, counts, or the mode of points to be generated. For
        several labels 0 and 1 as int64, shape (N, L). Of sequences the classes in their order, then -1, shape (N, S).
    mean, std : Tensor
        Of the training inputs, per channel or feature, float32; uint8 images count as 0..1.
    class_names : tuple of str
        K names, of classes or labels; empty where there are none.
    train_target_clean, test_target_clean : Tensor, optional
        The noise-free targets (of counts: their expectation), where the source knows them; else they are the targets.
        Of sequences the class that is seen in each column, shape (N, W): see `lines.lines_of`.
    modes : Modes, optional
        Of points to be generated.
    train_extras, test_extras : mapping of str to Tensor, shape (N, ...)
        What else is known of each sample, by the name by which a loss asks for it; images as uint8.
    shared : mapping
        What belongs to no single sample, by name, such as the passages among which queries search.
    other_targets : mapping
        By the names of further tasks that it serves, their targets, of the training and of the test part, and the names
        of their classes.

    """

    task: str
    train_inputs: Tensor
    train_target: Tensor
    test_inputs: Tensor
    test_target: Tensor
    mean: Tensor
    std: Tensor
    class_names: tuple[str, ...] = ()
    train_target_clean: Tensor | None = None
    test_target_clean: Tensor | None = None
    modes: Modes | None = None
    train_extras: Mapping[str, Tensor] = field(default_factory=dict)
    test_extras: Mapping[str, Tensor] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    other_targets: Mapping[str, tuple[Tensor, Tensor, tuple[str, ...]]] = field(default_factory=dict)

    def seen_as(self, task: str) -> "Source":
        """Return it with the targets of a task."""
        if task not in self.other_targets:
            return self
        train, test, names = self.other_targets[task]
        seen: dict[str, Any] = {"task": task, "train_target": train, "test_target": test, "class_names": names}
        return replace(self, **seen, train_target_clean=None, test_target_clean=None)

    @property
    def num_classes(self) -> int | None:
        """The number of classes or labels; None where there are none."""
        return len(self.class_names) or None

    @property
    def target(self) -> Target:
        """What its targets are, as its task declares it; those of points, which only generation has, are "sample"."""
        return "sample" if self.task == "points" else task_named(self.task).target


Load = TypeVar("Load", bound=Callable[..., Source])


def source(
    *, shape: tuple[int, ...], serves: tuple[str, ...], of_python: bool = False, by_task: bool = False
) -> Callable[[Load], Load]:
    """Declare a function `(root, seed, *, ...)` that loads a data set as a source.

    Its keyword-only parameters are keys of `data` in the config, whose values it declares by `@takes(...)`.
    All are literals: they are read from the source text, before anything is loaded (`shapes.declared_sources`).

    Parameters
    ----------
    shape : tuple of int
        Of one input; () if it is known only when it is loaded.
    serves : tuple of str
        What it can be used as: first of which task its targets are, then what its inputs are (`Task.data`).
    of_python : bool
        Whether it is other data under another version of Python.
    by_task : bool
        Whether it reads its target as the task wants it, and takes this as `task`.

    """

    def declare(load: Load) -> Load:
        return load

    return declare


@lru_cache(maxsize=2)
def load_source(name: str, root: Path, seed: int, **options: Any) -> Source:
    """Load a source by name.

    Parameters
    ----------
    name : str
        One of `shapes.declared_sources`.
    root : Path
        The folder with the files of torchvision's data sets; embedded sources don't look at it.
    seed : int
        For data that are generated.
    **options
        What else the source takes.

    Raises
    ------
    ConfigError
        If there is no such source.
    DataError
        If its files are missing or damaged.

    """
    known = declared_sources()
    if name not in known:
        raise ConfigError(f"data.source={name}: there is no such source. {nearest(name, known)}")
    ensure_files(name, root)
    module = importlib.import_module(f"lossbench.data.sources.{known[name].module}")
    loaded: Source = getattr(module, name)(root, seed, **options)
    return loaded


def split(
    inputs: Array, target: Array, test: Array, *, task: str, axes: tuple[int, ...] = (0,), names: Any = ()
) -> Source:
    """Make a source of arrays, of which some rows are the test part; it is standardised over some axes."""
    train = np.setdiff1d(np.arange(len(target)), test)
    dtype = torch.float32 if task == "regression" else torch.int64
    return Source(
        task=task,
        train_inputs=torch.tensor(inputs[train], dtype=torch.float32),
        train_target=torch.tensor(target[train], dtype=dtype),
        test_inputs=torch.tensor(inputs[test], dtype=torch.float32),
        test_target=torch.tensor(target[test], dtype=dtype),
        mean=torch.tensor(inputs[train].mean(axes), dtype=torch.float32),
        std=torch.tensor(inputs[train].std(axes), dtype=torch.float32),
        class_names=tuple(names),
    )
