"""A loss under examination, bound to a made-up run."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch

from lossbench.catalogue.binding import bind
from lossbench.losses.bound_loss import BoundLoss, context_names
from lossbench.losses.declaration import Declaration
from lossbench.losses.facts import RUN_CONTEXT, LossFacts
from lossbench.losses.links import softmax
from lossbench.tasks import task_named

CLASS_COUNTS = (100, 30, 10, 3)


@dataclass(frozen=True)
class LossUnderTest:
    """A loss under examination.

    Parameters
    ----------
    name : str
        Its YAML's name, or the name of its function.
    factory : callable
        The loss function, or the `nn.Module` class.
    parameters : mapping or None
        The hyper-parameters of its YAML; None for a loss without one.
    search : mapping
        The search ranges of its YAML.
    task : str
        The task that a loss without a declaration is taken to serve.
    in_catalogue : bool
        Whether it is a loss of lossbench, for which all points count.

    """

    name: str
    factory: Callable[..., Any]
    parameters: Mapping[str, Any] | None = None
    search: Mapping[str, Any] = field(default_factory=dict)
    task: str = "multiclass"
    in_catalogue: bool = False

    @property
    def declaration(self) -> Declaration | None:
        """What its decorator says, if it has one."""
        declaration: Declaration | None = getattr(self.factory, "declaration", None)
        return declaration

    @property
    def facts(self) -> LossFacts:
        """What it says of itself, read from the imported object; empty where it says nothing."""
        said: dict[str, Any] = {"task": "", "link": "", "source": ""}
        if self.declaration is not None:
            outputs = self.declaration.outputs
            said = {
                **{each.name: getattr(self.declaration, each.name) for each in fields(self.declaration)},
                "link": getattr(self.declaration.link, "__name__", ""),
                "outputs": outputs if isinstance(outputs, int) else outputs.__name__,
            }
        forward = getattr(self.factory, "forward", None)
        calls = [self.factory] if forward is None else [self.factory, forward]
        needs = [name for call in calls for name in context_names(call) if name not in (self.parameters or {})]
        return LossFacts(
            name=self.name,
            family=self.factory.__module__.rpartition(".")[2],
            needs=tuple(needs),
            memory=_remembers(self.factory),
            terms=getattr(self.factory, "term_names", ()),
            docstring=inspect.cleandoc(self.factory.__doc__ or ""),
            **said,
        )

    @property
    def bound_task(self) -> str:
        """The task it declares, or else the one it is taken to serve."""
        return self.task if self.declaration is None else self.declaration.task

    @property
    def takes_classes_or_labels(self) -> bool:
        """Whether it takes an output for each class or label."""
        return (self.declaration or Declaration(self.task, softmax, "")).per_class

    def bind(self, **changes: Any) -> BoundLoss:
        """Bind it to its hyper-parameters and to a made-up run, both with changes; always with the same seed."""
        task = task_named(self.bound_task)
        counts = list(CLASS_COUNTS[: task.classes])
        context: dict[str, Any] = {"max_epochs": 10, "num_samples": sum(counts), "num_features": 4}
        context["train_size"] = sum(counts)
        if task.target in ("class", "labels", "mask", "parts"):
            context |= {"class_counts": counts, "num_classes": len(counts)}
        own = {key: value for key, value in changes.items() if key not in RUN_CONTEXT}
        context |= {key: value for key, value in changes.items() if key in RUN_CONTEXT}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return bind(self.factory, {**(self.parameters or {}), **own}, context, self.task)


def _remembers(factory: Callable[..., Any]) -> bool:
    """Tell whether a loss is a module that keeps a buffer from step to step."""
    made = [vars(each).get("__init__") for each in inspect.getmro(factory)] if inspect.isclass(factory) else []
    return any("register_buffer" in init.__code__.co_names for init in made if inspect.isfunction(init))
