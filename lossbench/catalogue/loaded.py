"""A loss of the catalogue as a module of torch: it moves, is saved and learns as part of a model."""

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.errors import ConfigError, nearest
from lossbench.losses.bound_loss import BoundLoss

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda values: values,
    "mean": torch.mean,
    "sum": torch.sum,
}
"""What is made of the values (N,), by the names of torch."""


class LoadedLoss(nn.Module, BoundLoss):
    """A loss that is an `nn.Module`: as a `BoundLoss`, and its parameters and memory are its own.

    They are those of its submodule `function`, so that `state_dict` has them as `function.NAME`. A loss that learns and
    remembers nothing has no submodule, and an empty `state_dict`.

    Parameters
    ----------
    bound : BoundLoss
        The loss; its parameters are shared, not copied.
    reduction : {"none", "mean", "sum"}
        What a call makes of the values (N,). Terms are never reduced.
    rebind : callable
        Binds its function and hyper-parameters to another run context, to draw its curve.

    Raises
    ------
    ConfigError
        If there is no such reduction.

    """

    reduction: str
    rebind: Callable[[Mapping[str, Any]], BoundLoss]

    def __init__(self, bound: BoundLoss, reduction: str, rebind: Callable[[Mapping[str, Any]], BoundLoss]) -> None:
        if reduction not in REDUCTIONS:
            raise ConfigError(f"reduction={reduction!r} is not known. {nearest(str(reduction), REDUCTIONS)}")
        super().__init__()
        known = {each.name: getattr(bound, each.name) for each in fields(BoundLoss)}
        if bound.module is not None:
            self.add_module("function", known.pop("function"))
        vars(self).update(known, reduction=reduction, rebind=rebind)  # the fields of a `BoundLoss` are frozen
        _ = self.declaration.sides  # kept from now on: torch.compile can't enter the lock of a cached property

    def forward(self, outputs: Tensor, target: Tensor, **context: Any) -> Tensor:
        """Return the loss (N,) of each sample, or what `reduction` makes of them; for errors see `BoundLoss.terms`."""
        return REDUCTIONS[self.reduction](self.total(self.terms(outputs, target, **context)))

    def extra_repr(self) -> str:
        """Return its name, and its settings, long ones cut short."""
        reduced = [] if self.reduction == "none" else [f"reduction={self.reduction!r}"]
        return ", ".join([self.name, *(f"{name}={value}" for name, value in self._told().items()), *reduced])

    def _told(self) -> dict[str, str]:
        settings = {name: value for name, value in self.settings.items() if not callable(value)}
        return {
            name: reprlib.repr(value.tolist() if torch.is_tensor(value) else value) for name, value in settings.items()
        }

    def _repr_html_(self) -> str:
        """Return what a notebook shows: formula, settings and their ranges, source, and the curve where it has one."""
        from lossbench.catalogue.card import card  # matplotlib takes its time

        return card(self, self._told(), self.rebind)
