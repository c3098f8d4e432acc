"""Losses that are made of other losses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.declaration import Declaration, loss
from lossbench.losses.links import softmax

__all__ = ["weighted_sum"]

TERMS = {"0": "cross_entropy", "1": "mae_prob"}
WEIGHTS = [1.0, 1.0]


@loss(
    task="multiclass",
    link=softmax,
    source='Zadeh 1963, "Optimality and Non-Scalar-Valued Performance Criteria", doi:10.1109/TAC.1963.1105511',
    ranges={"weights": "[0, inf)"},
)
class weighted_sum(nn.Module):  # noqa: N801  it is called by this name, as are the losses without memory
    """Several losses at once: their sum with fixed weights.

    Formula: sum_i w_i L_i

    The terms may be any losses that take the same outputs of the same head; memory and parameters of a term are kept
    and trained as they are alone. Outputs are read by the link of the first term. A weight means little without the
    scale of its term: the same weights are another compromise for each choice of losses.

    Parameters
    ----------
    bind_terms : callable
        Gives the bound loss of each term; a run supplies it.
    terms : mapping of str to str or mapping
        By the numbers "0", "1" and so on: the name of a loss, or `{name: focal, gamma: 1.0}` for one with parameters of
        its own, or `{_target_: my_module.my_loss}`.
    weights : list of float from 0
        The weight of each term.

    Returns
    -------
    Tensor (N,)
        Of a call with outputs, target and the step context of all terms.

    Raises
    ------
    ConfigError
        If a loss or parameter does not exist, weights don't fit, or terms need another task, head, learner or
        reduction.

    Examples
    --------
    >>> from lossbench import load_loss
    >>> criterion = load_loss("weighted_sum", terms=["cross_entropy", "mae_prob"], weights=[1.0, 0.5])
    >>> criterion(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([1.1931])
    >>> criterion.terms(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    {'term_0': tensor([0.6931]), 'term_1': tensor([1.])}

    """

    declaration: Declaration

    def __init__(
        self,
        *,
        bind_terms: Callable[[Any, Any], dict[str, BoundLoss]],
        terms: Mapping[str, Any] | Sequence[Any] = TERMS,
        weights: Sequence[float] = WEIGHTS,
    ) -> None:
        super().__init__()
        self.bound = bind_terms(terms, weights)
        self.declaration = _declaration_of(list(self.bound.values()))
        self.weights = list(weights)
        self.modules_of_terms = nn.ModuleList([each.module for each in self.bound.values() if each.module is not None])
        needed = [name for term in self.bound.values() for name in term.step_context]
        self.step_context = tuple(dict.fromkeys(needed))

    def terms(self, outputs: Tensor, target: Tensor, **context: Any) -> dict[str, Tensor]:
        """Return each term (N,), without its weight."""
        return {name: term(outputs, target, **context) for name, term in self.bound.items()}

    def weighed(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each term (N,) with its weight."""
        return {name: weight * terms[name] for name, weight in zip(self.bound, self.weights, strict=True)}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum (N,) of the terms."""
        return torch.stack(list(self.weighed(terms).values())).sum(0)

    def forward(self, outputs: Tensor, target: Tensor, **context: Any) -> Tensor:
        """Return the loss of each sample (N,)."""
        return self.total(self.terms(outputs, target, **context))


def _declaration_of(terms: Sequence[BoundLoss]) -> Declaration:
    """Return what a sum says of itself: what its terms agree on, and the link of the first."""
    declarations = [term.declaration for term in terms]
    return replace(
        declarations[0],
        link=terms[0].link,
        outputs=terms[0].num_outputs(None),
        source=weighted_sum.declaration.source,
        ranges=weighted_sum.declaration.ranges,
        problem="",
        coupled=any(each.coupled for each in declarations),
        detached="; ".join(each.detached for each in declarations if each.detached),
    )
