"""What is seen of data before anything is looked for, and what a finding is."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.data import DataModule
from lossbench.data.corruptions import Array
from lossbench.data.foreign import ForeignDataModule
from lossbench.data.mapped import held
from lossbench.errors import ConfigError
from lossbench.losses.multitask import apart
from lossbench.tasks import task_named
from lossbench.tasks.problem import Part
from lossbench.tasks.task import Task


@dataclass(frozen=True)
class Finding:
    """Something found.

    Parameters
    ----------
    name : str
        Its name, by which rules ask for it.
    value : float, int, str or list of float
        What rules compare.
    told : str
        A sentence with the evidence in numbers.

    """

    name: str
    value: float | int | str | list[float]
    told: str


@dataclass(frozen=True)
class Seen:
    """What is seen of the data: inputs and observed targets of training and validation, the number of test samples."""

    task: Task
    parts: tuple[Tensor, ...]
    target: Array
    test_samples: int
    num_classes: int | None
    class_names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.parts[0].shape[1:])

    def inputs(self, rows: Array) -> Array:
        """Return the inputs of some rows, in ascending order; all of them may be too many to be copied."""
        starts = np.cumsum([0, *map(len, self.parts)])
        chosen = [rows[(rows >= start) & (rows < end)] - start for start, end in pairwise(starts)]
        return np.concatenate(
            [held(part[torch.from_numpy(some)]).numpy() for part, some in zip(self.parts, chosen, strict=True)]
        )


Found = dict[str, Finding]


def seen_of(data: Any) -> Seen:
    """Return what is seen of data; see `findings.look`."""
    loaders = getattr(data, "evaluation_loaders", None)
    if not loaders:
        raise ConfigError("advice looks at data after setup(): call it first.")
    if isinstance(data, ForeignDataModule):
        parts = [data.samples(name) for name in ("train", "val") if name in data.sizes]
        test = data.sizes["test"]
    else:
        parts = [data.train_dataloader().samples, *([loaders["val"].samples] if "val" in loaders else [])]
        test = len(loaders["test"].samples.index)
    if getattr(data, "disjoint", False):
        parts = parts[:1]  # its numbers of classes are those that are trained on
    target = np.concatenate([part.target.numpy() for part in parts])
    if data.num_classes is None and target.dtype.kind == "f":
        target = target.astype(np.float64) * data.target_scale + data.target_center
    inputs = tuple(part.inputs for part in parts)
    return Seen(data.task, inputs, target, test, data.num_classes, tuple(data.class_names))


def parts_of(data: DataModule) -> dict[str, Seen]:
    """Return what is seen of each part of several tasks, as if it were a task of its own; else nothing."""
    described: dict[str, Part] = getattr(data, "parts", None) or {}
    if not described:
        return {}
    seen = seen_of(data)
    targets = apart(torch.from_numpy(seen.target), {name: part.shape for name, part in described.items()})
    return {name: _of_part(seen, part, targets[name].numpy()) for name, part in described.items()}


def _of_part(seen: Seen, part: Part, target: Array) -> Seen:
    task = task_named(part.task)
    own = target * part.scale + part.center if task.target == "number" else target.astype(np.int64)
    return replace(seen, task=task, target=own, num_classes=len(part.class_names) or None, class_names=part.class_names)
