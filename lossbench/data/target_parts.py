"""Several targets beside one another: what is known of each, and its standardisation."""

from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from typing import Any

import torch
from torch import Tensor

from lossbench.data.center import center_and_scale
from lossbench.data.loader import Batch
from lossbench.data.training_set import counts_by_class
from lossbench.losses.multitask import apart
from lossbench.tasks import task_named
from lossbench.tasks.problem import Part


def described(
    tasks: Mapping[str, str], told: Mapping[str, Mapping[str, Any]], target: Tensor, standardize: str
) -> dict[str, Part]:
    """Describe each part of the target of the samples that are trained on; of a task without parts there is none.

    Parameters
    ----------
    tasks : mapping of str to str
        The task of each part.
    told : mapping
        What the source says of each part, as `shared["parts"]`: its `shape`, and its `class_names` if it has some.
    target : Tensor, shape (N, R)
        The targets of all parts.
    standardize : str
        As for a `DataModule`.

    """
    if not tasks:
        return {}
    shapes = {name: tuple(told[name]["shape"]) for name in tasks}
    return {
        name: _described(tasks[name], shapes[name], tuple(told[name].get("class_names") or ()), values, standardize)
        for name, values in apart(target, shapes).items()
    }


def _described(task: str, shape: tuple[int, ...], names: tuple[str, ...], target: Tensor, standardize: str) -> Part:
    kind = task_named(task).target
    counts = counts_by_class(target.long(), len(names), kind) if names else []
    center, scale = center_and_scale(target, standardize) if kind == "number" else (0.0, 1.0)
    return Part(task, shape, names, tuple(counts), center, scale)


def standardised(samples: Batch, parts: Mapping[str, Part]) -> Batch:
    """Standardise those parts of the targets that are numbers."""
    widths = torch.tensor([prod(part.shape) for part in parts.values()])
    center, scale = (
        torch.tensor([getattr(part, name) for part in parts.values()]).repeat_interleave(widths)
        for name in ("center", "scale")
    )
    target, clean = ((each - center) / scale for each in (samples.target, samples.target_clean))
    return samples._replace(target=target, target_clean=clean)


def facts_of_parts(parts: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
    """Return what is known of each part, JSON-able."""
    return {name: {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(part).items()}
            for name, part in parts.items()}  # fmt: skip
