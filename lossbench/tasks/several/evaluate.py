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
from lossbench.tasks.several import KNOWN
from lossbench.tasks.several.names import part_of, renamed
from lossbench.tasks.task import Task

COMMON = ("image", "index", "inputs", "instances")
"""What is the same for all parts, and kept once."""
Predictions = dict[str, Tensor]
"""What is predicted of each part by its task, as `PART/NAME`, and what `COMMON` names."""


def example(
    loss: BoundLoss, num_classes: int | Mapping[str, int | None] | None, samples: int, generator: torch.Generator
) -> Example:
    """Make up outputs, targets and step context of each part, beside one another; `num_classes` may differ by part."""
    outputs, targets = [], []
    context: dict[str, Any] = {}
    for name, part in loss.function.bound.items():
        classes = num_classes.get(name) if isinstance(num_classes, Mapping) else num_classes
        one, target, known = _example(part, classes, samples, generator)
        outputs.append(one)
        targets.append(target.float())
        for key in known.keys() & {"epoch", "features", "image", "index", "inputs"}:
            context.setdefault(key, {})[name] = known[key]
    context = {key: each if len(each) > 1 else next(iter(each.values())) for key, each in context.items()}
    return beside(outputs), beside(targets), _of_all(context)


def _example(part: BoundPart, classes: int | None, samples: int, generator: torch.Generator) -> Example:
    evaluate = KNOWN[part.loss.declaration.task].evaluate
    outputs, target, context = evaluate.example(part.loss, classes, samples, generator)
    shape, wanted = (samples, *part.outputs), (samples, *part.target)
    if outputs.shape != shape:  # images of a run are larger than those that a task makes up
        outputs = torch.randn(shape, generator=generator)
    if target.shape != wanted:
        target = target.flatten(1)[:, :1].expand(-1, max(1, torch.Size(part.target).numel())).reshape(wanted)
    return outputs, target, context


def _of_all(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is the same for all parts once."""
    found = {}
    for key, each in context.items():
        values = list(each.values()) if isinstance(each, Mapping) else [each]
        alike = all(type(one) is type(values[0]) and _equal(one, values[0]) for one in values)
        found[key] = values[0] if alike else each
    return found


def _equal(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link leaves finite outputs in a row for each sample; each part is read by that of its loss."""
    assert linked.ndim == 2 and len(linked) == samples, (
        f"the link returns shape {tuple(linked.shape)}; for several tasks it must be ({samples}, O)."
    )
    assert linked.isfinite().all(), "the link returns numbers that are not finite."


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Turn the outputs of each part into what its task predicts."""
    bound: Mapping[str, BoundPart] = loss.function.bound
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
