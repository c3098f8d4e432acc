"""Which models can see which data and what can be predicted of it, known before either is loaded."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lossbench.errors import ConfigError
from lossbench.locate import CONF, own_choices
from lossbench.tasks import tasks
from lossbench.tasks.task import Task


@dataclass(frozen=True)
class SourceFacts:
    """What a source says of itself: the file that it is in, and what its decorator says."""

    module: str
    shape: tuple[int, ...]
    serves: tuple[str, ...]
    of_python: bool = False
    by_task: bool = False


@cache
def declared_sources() -> dict[str, SourceFacts]:
    """Return the facts of every source by its name, read from the source text: importing them takes torch."""
    found = {}
    for path in sorted((Path(__file__).parent / "sources").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for call in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if (
                    isinstance(node, ast.FunctionDef)
                    and isinstance(call, ast.Call)
                    and ast.unparse(call.func) == "source"
                ):
                    said: dict[str, Any] = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
                    found[node.name] = SourceFacts(path.stem, **said)
    return dict(sorted(found.items()))


KINDS_APART = ("boundary", "label_density", "less_foreground", "missing", "rare")
"""The kinds of corruption that not every task takes that takes their group."""


def axis_of(group: str, kind: str) -> str:
    """Return what a task lists in its `axes` if its data can be corrupted so: the kind, or else the group."""
    return kind if kind in KINDS_APART else group


SMALLEST_IMAGE = {"ConvNet": 2, "LeNet": 12, "ResNet32": 4}
"""The pixels a side that a convolutional model needs."""


def tasks_of(source: str) -> list[str]:
    """Return the names of the tasks that a source serves."""
    return [task.name for task in tasks().values() if set(task.data) & set(declared_sources()[source].serves)]


def data_for(task: Task) -> list[str]:
    """Return the names of the data that lossbench brings that serve a task, last those that need files of the user.

    Corrupted ones are left out, and those that choose another task themselves.
    """
    fitting = []
    for name in own_choices("data"):
        text = (CONF / "data" / f"{name}.yaml").read_text(encoding="utf-8")
        source, chosen = (
            re.search(key, text, re.MULTILINE) for key in (r"^  source: (\S+)", r"^  - override /task: (\S+)")
        )
        served = declared_sources()[source[1]].serves if source else ()
        if set(task.data) & set(served) and (chosen is None or chosen[1] == task.name):
            fitting.append(("path: ???" in text, name))
    return [name for _, name in sorted(fitting)]


def require_fit(model: str, input_shape: Sequence[int]) -> None:
    """Raise a `ConfigError` if a model of lossbench can't see inputs of a shape.

    Parameters
    ----------
    model : str
        Name of the model's class; others than those of `SMALLEST_IMAGE` take any shape.
    input_shape : sequence of int
        Shape of one input; empty if it is not known.

    """
    smallest = SMALLEST_IMAGE.get(model, 0)
    if smallest and input_shape and (len(input_shape) != 3 or min(input_shape[1:]) < smallest):
        raise ConfigError(
            f"model={model.lower()} needs images of at least {smallest}x{smallest} pixels, "
            f"but this data has inputs of shape {tuple(input_shape)}. Use model=mlp, or other data."
        )


def require_halves(input_shape: Sequence[int], levels: int) -> None:
    """Raise a `ConfigError` if the sides of images can't be halved at each level of a U-Net but the first.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width.
    levels : int
        Of the network.

    """
    divisor = 2 ** (levels - 1)
    if any(side % divisor for side in input_shape[1:]):
        raise ConfigError(
            f"model=unet needs images whose height and width are divisible by {divisor}, as it has {levels} levels "
            f"(model.channels); this data has inputs of shape {tuple(input_shape)}. Use fewer levels, or other data."
        )


def require_parts(task: Task, source: str, *, disjoint: bool, views: int, augment: bool) -> None:
    """Raise a `ConfigError` if the classes of a source can't be kept apart, or its inputs can't be seen twice.

    Parameters
    ----------
    task : Task
        What is predicted.
    source : str
        A name of `declared_sources`.
    disjoint : bool
        Whether the parts have different classes.
    views, augment : int, bool
        How often each image comes in training, and whether it is cropped and flipped.

    """
    for key, asked in {"disjoint=true": disjoint, "views=2": views == 2}.items():
        if asked and key.partition("=")[0] not in task.axes:
            fitting = " or ".join(each.name for each in tasks().values() if key.partition("=")[0] in each.axes)
            raise ConfigError(
                f"data.{key} is for {fitting or 'no task'}, but data.source={source} is {task.name} here. "
                f"Leave it out, or choose a loss of {fitting or 'another task'}."
            )
    said = declared_sources()[source]
    if disjoint and (not task.has_classes or said.serves[0] == "binary"):
        raise ConfigError(
            f"data.disjoint=true needs two classes at least in each part, but data.source={source} has "
            f"{'two in all' if task.has_classes else 'none'}. Use data.disjoint=false, or other data."
        )
    if views == 2 and said.shape and len(said.shape) != 3:
        raise ConfigError(
            f"data.views=2 turns and shifts images, but data.source={source} has inputs of shape {said.shape}. Use 1."
        )
    if views == 2 and augment:
        raise ConfigError("data.views=2 augments each view by itself: use data.augment=false.")


def require_groups(samples: int, batch_size: int) -> None:
    """Raise a `ConfigError` if a batch has no room for so many samples of a class, or if they are no pair."""
    if samples < 2:
        raise ConfigError(f"sampler.samples={samples} pairs nothing: of each class a batch needs 2 samples at least.")
    if samples > batch_size:
        raise ConfigError(
            f"sampler.samples={samples} of a class don't fit into a batch of data.batch_size={batch_size}. "
            + (f"Allowed: 2 to {batch_size}, or a larger batch." if batch_size > 1 else "Use a larger batch.")
        )
