"""What the losses of a stack have in common: all, or all but numbers that one call takes as tensors."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.facts import RUN_CONTEXT


def identity(loss: BoundLoss) -> str:
    """Return what two losses have in common that give the same values: function, parameters, context and factor."""
    return _told(loss, loss.settings)


def family_of(loss: BoundLoss) -> str:
    """Return what members of one family have in common: as `identity`, without the numbers of a loss that broadcasts.

    Examples
    --------
    >>> from lossbench import load_loss
    >>> one, other = load_loss("gce", q=0.5), load_loss("gce", q=0.7)
    >>> family_of(one) == family_of(other), identity(one) == identity(other)
    (True, False)

    """
    numbers = _numbers(loss) if loss.declaration.broadcasts else {}
    fixed = {name: value for name, value in loss.settings.items() if name not in numbers}
    return _told(loss, {**fixed, "numbers": sorted(numbers)})


class Numbers:
    """The numbers in which losses of one function differ.

    Parameters
    ----------
    losses : sequence of BoundLoss
        Of one family, as `family_of` says, or all the same.

    """

    def __init__(self, losses: Sequence[BoundLoss]) -> None:
        each = [_numbers(loss) for loss in losses] if losses[0].declaration.broadcasts else [{}]
        columns = {name: [numbers[name] for numbers in each] for name in each[0]}
        self.differing = {name: values for name, values in columns.items() if len(set(values)) > 1}
        self._made: dict[Any, dict[str, Tensor]] = {}

    def given_to(self, loss: BoundLoss, samples: int, outputs: Tensor) -> BoundLoss:
        """Return a loss that has these numbers as tensors (runs x samples,), like the outputs that it is called on.

        Without any, it is the loss itself.
        """
        if not self.differing:
            return loss
        key = samples, outputs.dtype, outputs.device
        if key not in self._made:
            like: dict[str, Any] = {"dtype": outputs.dtype, "device": outputs.device}
            made = {name: torch.tensor(values, **like) for name, values in self.differing.items()}
            self._made[key] = {name: values.repeat_interleave(samples) for name, values in made.items()}
        return loss.but(function=partial(loss.function, **self._made[key]))


def _numbers(loss: BoundLoss) -> dict[str, float]:
    """Return the hyper-parameters that are numbers."""
    return {
        name: value
        for name, value in loss.settings.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in RUN_CONTEXT
    }


def _told(loss: BoundLoss, parameters: Any) -> str:
    function = getattr(loss.function, "func", loss.function)
    told = {name: value.tolist() if torch.is_tensor(value) else value for name, value in sorted(parameters.items())}
    return repr((function.__module__, function.__qualname__, told, loss.factor))
