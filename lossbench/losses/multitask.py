"""The loss of several tasks of one network: a loss for each, and their weighted sum."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.declaration import Declaration, loss, require_shapes
from lossbench.losses.links import identity

__all__ = ["several_tasks"]

NOTHING: Mapping[str, Any] = MappingProxyType({})


class BoundPart(NamedTuple):
    """The loss of one of several tasks, and the shapes of its outputs and of its target for a sample."""

    loss: BoundLoss
    outputs: tuple[int, ...]
    target: tuple[int, ...]


def beside(tensors: Sequence[Tensor]) -> Tensor:
    """Write what there is of each sample in a row: tensors (N, ...) as one (N, R).

    Examples
    --------
    >>> beside([torch.tensor([1.0, 2.0]), torch.zeros(2, 1, 2)])
    tensor([[1., 0., 0.],
            [2., 0., 0.]])

    """
    return torch.cat([each.reshape(len(each), -1) for each in tensors], 1)


def apart(rows: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Take rows (N, R) apart again, into a tensor (N, *shape) for each name.

    Raises
    ------
    ValueError
        If the rows are not as long as the shapes together.

    Examples
    --------
    >>> apart(torch.tensor([[1.0, 2.0, 3.0]]), {"left": (), "right": (2,)})
    {'left': tensor([1.]), 'right': tensor([[2., 3.]])}

    """
    widths = [prod(shape) for shape in shapes.values()]
    if rows.ndim != 2 or rows.shape[1] != sum(widths):
        each = ", ".join(f"{name}: {width}" for name, width in zip(shapes, widths, strict=True))
        raise ValueError(f"the rows have shape {tuple(rows.shape)}, but the parts need (N, {sum(widths)}): {each}.")
    split = rows.split(widths, 1)
    return {name: part.reshape(-1, *shape) for (name, shape), part in zip(shapes.items(), split, strict=True)}


@loss(
    task="digit_pair",
    link=identity,
    source='Caruana 1997, "Multitask Learning", doi:10.1023/A:1007379606734',
    shapes="N O , N Y -> N",
)
class several_tasks(nn.Module):  # noqa: N801  it is called by this name, as are the losses without memory
    """A loss for each of several tasks that one network learns: their sum with fixed weights.

    Formula: sum_t w_t L_t

    Each task has the loss that is plain for it, or another that serves it. Memory and parameters of a loss are kept and
    trained as they are alone; so is its link, by which the outputs of its task are read. A weight means little without
    the scale of its loss, and there is none that suits all: `combine` chooses them, or balances the gradients.

    Parameters
    ----------
    outputs : Tensor (N, O)
        Those of all tasks of each sample beside one another, each in the order of its shape.
    target : Tensor (N, Y)
        The targets likewise, floating point; those that are classes hold whole numbers.
    bind_parts : callable
        Gives the bound loss of each part; a run supplies it.
    parts : mapping
        The names of the tasks by part; a run supplies it.
    terms : mapping of str to str or mapping
        By part the name of a loss, or `{name: focal, gamma: 1.0}` for one with parameters of its own, or
        `{_target_: my_module.my_loss}`. A part that is not named has the baseline of its task.
    weights : mapping of str to float from 0
        By part the weight of its loss; 1 where none is given.

    Returns
    -------
    Tensor (N,)
        Of a call with outputs, target and the step context of all terms; of what differs from part to part, such as
        `features`, a mapping.

    Raises
    ------
    ConfigError
        If there is no such part, loss or parameter, a loss is for another task, or a weight is negative.

    Examples
    --------
    >>> from lossbench import load_loss
    >>> criterion = load_loss(
    ...     "several_tasks", parts={"digit": "multiclass", "size": "regression"}, weights={"size": 0.5}, num_classes=2
    ... )
    >>> criterion(torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
    tensor([2.6931])
    >>> criterion.terms(torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
    {'digit': tensor([0.6931]), 'size': tensor([4.])}

    """

    declaration: Declaration

    def __init__(
        self,
        *,
        bind_parts: Callable[[Any, Any, Any], tuple[dict[str, BoundPart], dict[str, float]]],
        parts: Mapping[str, Any],
        terms: Mapping[str, Any] = NOTHING,
        weights: Mapping[str, Any] = NOTHING,
    ) -> None:
        super().__init__()
        self.parts, self.weights = bind_parts(parts, terms, weights)
        self.bound = {name: part.loss for name, part in self.parts.items()}
        self.declaration = _declaration_of(self.parts)
        self.modules_of_terms = nn.ModuleList([each.module for each in self.bound.values() if each.module is not None])
        self.step_context = tuple(dict.fromkeys(name for each in self.bound.values() for name in each.step_context))

    def terms(self, outputs: Tensor | Mapping[str, Tensor], target: Tensor, **context: Any) -> dict[str, Tensor]:
        """Return the loss (N,) of each part, without its weight.

        Outputs by part, instead of beside one another, leave the graph of a term without what only others depend on.
        """
        if isinstance(outputs, Tensor):
            require_shapes(self.declaration, outputs, target, type(self).__name__)
        shapes = {name: part.outputs for name, part in self.parts.items()}
        of_outputs = apart(outputs, shapes) if isinstance(outputs, Tensor) else outputs
        of_target = apart(target, {name: part.target for name, part in self.parts.items()})
        found = {}
        for name, part in self.parts.items():
            known = {key: value[name] if isinstance(value, Mapping) else value for key, value in context.items()}
            wanted, own = of_target[name], of_outputs[name]
            wanted = wanted.long() if part.loss.declaration.takes_classes else wanted.to(own)
            found[name] = part.loss(own, wanted, **known)
        return found

    def weighed(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each term (N,) with its weight: what the loss adds up."""
        return {name: self.weights[name] * value for name, value in terms.items()}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum (N,) of the terms."""
        return torch.stack([*self.weighed(terms).values()]).sum(0)

    def forward(self, outputs: Tensor, target: Tensor, **context: Any) -> Tensor:
        """Return the loss of each sample (N,)."""
        return self.total(self.terms(outputs, target, **context))


def _declaration_of(parts: Mapping[str, BoundPart]) -> Declaration:
    declarations = [part.loss.declaration for part in parts.values()]
    return replace(
        several_tasks.declaration,
        outputs=sum(prod(part.outputs) for part in parts.values()),
        coupled=any(each.coupled for each in declarations),
        detached="; ".join(each.detached for each in declarations if each.detached),
    )
