"""How the parts of several tasks are made of outputs, and measured: each as it is alone, under its name."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.multitask import BoundPart, apart, beside
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Part, Problem
from lossbench.tasks.several import KNOWN, SUPPLIED
from lossbench.tasks.several.names import part_of, renamed
from lossbench.tasks.task import Task

COMMON = ("image", "index", "inputs", "instances")
"""What is the same for all parts, and kept once."""
Predictions = dict[str, Tensor]
"""What is predicted of each part by its task, as `PART/NAME`, and what `COMMON` names."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up outputs, targets and step context of each part, beside one another; each loss knows its own classes."""
    made = {name: _example(part, samples, generator) for name, part in loss.function.parts.items()}
    wanted = {key for _, _, context in made.values() for key in context if key in SUPPLIED}
    context = {
        key: {name: known[key] for name, (_, _, known) in made.items() if key in known} for key in sorted(wanted)
    }
    shared = {key: _first(each) for key, each in context.items() if key in ("epoch", "index")}
    outputs, targets = [each[0] for each in made.values()], [each[1].float() for each in made.values()]
    return beside(outputs), beside(targets), {**context, **shared}


def _example(part: BoundPart, samples: int, generator: torch.Generator) -> Example:
    declared = part.loss.declaration
    classes = part.outputs[-1] if declared.per_class else KNOWN[declared.task].classes
    outputs, target, context = KNOWN[declared.task].evaluate.example(part.loss, classes, samples, generator)
    before, after = tuple(target.shape[1:]), part.target
    outputs, target, *values = (_enlarged(each, before, after) for each in (outputs, target, *context.values()))
    return outputs, target, dict(zip(context, values, strict=True))


def _first(values: Mapping[str, Any]) -> Any:
    return next(iter(values.values()))


def _enlarged(value: Any, before: tuple[int, ...], after: tuple[int, ...]) -> Any:
    """Make images of another size of those that a task makes up, by repeating pixels; leave what is no image."""
    axes = (axis for axis in (1, 2) if isinstance(value, Tensor) and tuple(value.shape[axis : axis + 2]) == before)
    axis = next(axes, None)
    if len(before) != 2 or before == after or axis is None:
        return value
    for k in (0, 1):
        value = value.index_select(axis + k, torch.arange(after[k]) * before[k] // after[k])
    return value


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link leaves finite outputs in a row for each sample; each part is read by that of its loss."""
    assert linked.ndim == 2 and len(linked) == samples, (
        f"the link returns shape {tuple(linked.shape)}; for several tasks it must be ({samples}, O)."
    )
    assert linked.isfinite().all(), "the link returns numbers that are not finite."


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Turn the outputs of each part into what its task predicts."""
    bound: Mapping[str, BoundPart] = loss.function.parts
    outputs = apart(kept["outputs"], {name: part.outputs for name, part in bound.items()})
    shapes = {name: part.target for name, part in bound.items()}
    targets = {key: apart(kept[key], shapes) for key in ("target", "target_clean")}
    common = {name: kept[name] for name in COMMON if name in kept}
    found: Predictions = {}
    for name, task, of_part in parts_of(problem):
        one = outputs[name]
        known = {key: _as_target(bound[name].loss, each[name]) for key, each in targets.items()}
        said = {"outputs": one.double() if one.ndim <= 2 else one.float(), **known, **common}  # as `Supervised` does
        predicted = task.evaluate.predict(bound[name].loss, said, of_part)
        found |= {f"{name}/{key}": value for key, value in predicted.items() if key not in COMMON}
    return {**common, **found}


def _as_target(loss: BoundLoss, target: Tensor) -> Tensor:
    return target.long() if loss.declaration.takes_classes or loss.declaration.task == "binary" else target


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure each part as its task does."""
    return _measured(part, predictions, problem, "measure")


def measure_final(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure what each part measures once."""
    return _measured(part, predictions, problem, "measure_final")


def _measured(part: str, predictions: Predictions, problem: Problem, when: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, task, of_part in parts_of(problem):
        call = getattr(task.evaluate, when, None)
        each = {} if call is None else call(part, part_of(name, predictions), of_part)
        found |= {renamed(name, key): value for key, value in each.items()}
    return _means(problem.task, found) | found


def _means(task: Task, found: Mapping[str, float]) -> dict[str, float]:
    """Return the means over the parts that the task shows, of what was measured of all of them."""
    means = {}
    for metric in task.metrics:
        of = metric.name.removeprefix("mean_")
        parts = [found.get(f"{name}_{of}") for name in task.parts]
        if metric.name.startswith("mean_") and metric.name not in found and None not in parts:
            means[metric.name] = sum(value for value in parts if value is not None) / len(parts)
    return means


def parts_of(problem: Problem) -> Iterator[tuple[str, Task, Problem]]:
    """Yield for each part its name, its task, and what is known of its data."""
    for name, kind in problem.task.parts.items():
        task, part = KNOWN[kind], problem.parts.get(name, Part(kind))
        yield name, task, replace(
            problem,
            task=task,
            monitor=task.monitor,
            num_classes=task.classes or part.num_classes,
            class_counts=list(part.class_counts) or None,
            center=part.center,
            scale=part.scale,
            density=None,
            parts={},
        )  # fmt: skip
