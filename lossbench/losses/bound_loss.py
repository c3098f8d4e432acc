"""A loss with all that it needs for a run."""

import copy
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lossbench.losses.declaration import Declaration, require_labels, require_shapes, shape_of_values
from lossbench.losses.links import log_odds_of

Given = TypeVar("Given")


class WrongValues(ValueError):
    """A loss does not return one number for each sample."""


@dataclass(frozen=True, eq=False)
class BoundLoss:
    """A loss with all that it needs for a run: a callable `(outputs, target) -> (N,)`.

    Parameters
    ----------
    function : callable
        The loss function, or the `nn.Module` that holds its parameters or memory.
    declaration : Declaration
        What the loss says of itself.
    settings : mapping
        Its hyper-parameters and run context, by name.
    step_context : tuple of str
        What each call must supply besides outputs and target, of what the learner of its task supplies.
    factor : float
        What its values are multiplied by, where `optimizer.calibrate` says so.
    checks_shapes : bool
        Whether the function compares the shapes of outputs and target itself, as one that is declared does.
    checks_labels : bool
        Whether to look for labels that the outputs lack, on the CPU; `load_loss` says so, a run has looked before.

    """

    function: Any
    declaration: Declaration
    settings: Mapping[str, Any]
    step_context: tuple[str, ...] = ()
    factor: float = 1.0
    checks_shapes: bool = False
    checks_labels: bool = False

    def __call__(self, outputs: Tensor, target: Tensor, **context: Any) -> Tensor:
        """Return the loss (N,) of each sample: the total of its `terms`, which see for the errors."""
        return self.total(self.terms(outputs, target, **context))

    def terms(self, outputs: Tensor, target: Tensor, **context: Any) -> dict[str, Tensor]:
        """Return what a call adds up, each (N,), none detached, so that losses can be balanced by their gradients.

        A loss that is no sum has one term, `loss`. Of `context`, the function gets only what it asks for.

        Raises
        ------
        ValueError
            If the target has not the shape that belongs to the outputs, or one of its labels is none of theirs.
        WrongValues
            If the function does not return one number for each sample.

        """
        if not self.checks_shapes:
            require_shapes(self.declaration, outputs, target, self.name)
        if self.checks_labels and target.device.type == "cpu" and not torch.compiler.is_compiling():
            with suppress(RuntimeError):  # under torch.func.vmap no value can be asked for
                require_labels(self.declaration, outputs, target, self.name)
        asked = self._asked(context)
        if self.is_sum:
            return self.function.terms(outputs, target, **asked)
        value = self.function(outputs, target, **asked)
        shape = shape_of_values(self.declaration, outputs)
        if not isinstance(value, Tensor) or value.shape != shape:
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise WrongValues(
                f"loss {self.name} returned {found} for outputs of shape {tuple(outputs.shape)}; it must return one "
                f"number per sample, shape {shape}. Leave out the mean: the benchmark takes it."
            )
        return {"loss": value}

    def each_term(self, outputs: Tensor, target: Tensor, **context: Any) -> dict[str, Tensor]:
        """Return all that a call adds up, each (N,): as `terms`, and those of a loss that is declared by `adds`."""
        given = getattr(self._own, "each_term", None)
        if given is None:
            return self.terms(outputs, target, **context)
        require_shapes(self.declaration, outputs, target, self.name)
        return given(outputs, target, **self.function.keywords, **self._asked(context))

    def weighed(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms of `each_term` with their weights, so that they add up to the loss."""
        found = self.function.weighed(terms) if self.is_sum else dict(terms)
        return found if self.factor == 1.0 else {name: self.factor * term for name, term in found.items()}

    @property
    def term_names(self) -> tuple[str, ...]:
        """The names of the terms: `loss` alone where nothing is added."""
        return tuple(self.function.bound) if self.is_sum else getattr(self._own, "term_names", ("loss",))

    @property
    def _own(self) -> Any:
        return getattr(self.function, "func", self.function)

    def _asked(self, context: Mapping[str, Any]) -> dict[str, Any]:
        if not self.step_context:
            return {}
        if lacking := [name for name in self.step_context if name not in context]:
            named = ", ".join(f"{name}=" for name in lacking)
            raise ValueError(f"{self.name} asks for {named} beside outputs and target. Give it by name.")
        return {name: context[name] for name in self.step_context}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the loss (N,) that terms make, by the weights of a sum and the factor of `optimizer.calibrate`."""
        value = self.function.total(terms) if self.is_sum else terms["loss"]
        return value if self.factor == 1.0 else self.factor * value

    @property
    def is_sum(self) -> bool:
        """Whether it is made of other losses."""
        return hasattr(self.function, "terms")

    def known(self, name: str) -> Any:
        """Return a parameter or what it knows of the run, its own or that of a term of it; None if there is none."""
        terms = self.function.bound.values() if self.is_sum else ()
        found = (self.settings.get(name), *(term.known(name) for term in terms))
        return next((value for value in found if value is not None), None)

    @property
    def name(self) -> str:
        """The name of its function or module."""
        return str(getattr(self._own, "__name__", type(self._own).__name__))

    def link(self, outputs: Tensor) -> Any:
        """Turn outputs into probabilities (N, K), a point prediction (N,), or predicted distributions."""
        return self._linked(self.declaration.link, outputs)

    def log_odds(self, outputs: Tensor) -> Tensor:
        """Turn outputs of classes or labels into the log-odds of their probabilities, of the same shape as these."""
        own = getattr(self.declaration.link, "log_odds", None)
        return log_odds_of(self.link(outputs)) if own is None else self._linked(own, outputs)

    def _linked(self, link: Callable[..., Any], outputs: Tensor) -> Any:
        return link(outputs, **{name: self.settings[name] for name in context_names(link)})

    def num_outputs(self, num_classes: int | None) -> int:
        """Return how many outputs of the network it takes for each sample."""
        if self.declaration.per_class and num_classes:
            return num_classes
        outputs = self.declaration.outputs
        if isinstance(outputs, int):
            return outputs
        return outputs(**{name: self.settings[name] for name in context_names(outputs)})

    def copy(self) -> "BoundLoss":
        """Return a loss that can be called without a trace: of one with a memory, a copy."""
        return self.but() if self.module is None else self.but(function=copy.deepcopy(self.module))

    def but(self, **changes: Any) -> "BoundLoss":
        """Return a `BoundLoss`, not what is derived from it, with other values of its fields."""
        return BoundLoss(**{each.name: getattr(self, each.name) for each in fields(BoundLoss)} | changes)

    @property
    def module(self) -> nn.Module | None:
        """The loss as a module, if it has parameters or memory."""
        return self.function if isinstance(self.function, nn.Module) else None


def context_names(function: Callable[..., Any]) -> list[str]:
    """Return the keyword-only parameters without a default: what a function asks for by name."""
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    ]


def asking(function: Callable[..., Given]) -> Callable[[Mapping[str, Any]], Given]:
    """Return what calls a function with that part of all that is known for which it asks by name.

    Examples
    --------
    >>> def share(*, count, total):
    ...     return count / total
    >>> asking(share)({"count": 1, "total": 4, "epoch": 0})
    0.25

    """
    names = context_names(function)
    return lambda known: function(**{name: known[name] for name in names})
