"""Losses that are made of other losses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.catalogue import hyperparameters, locate
from lossbench.errors import ConfigError
from lossbench.links import softmax
from lossbench.losses.binding import BoundLoss, bind
from lossbench.losses.declaration import Declaration, loss
from lossbench.terms import require_agreement, require_weights, term_nodes, title

__all__ = ["weighted_sum"]

TERMS = {"0": "cross_entropy", "1": "mae_prob"}
WEIGHTS = [1.0, 1.0]


@loss(
    task="multiclass",
    link=softmax,
    source="Zadeh 1963, doi:10.1109/TAC.1963.1105511",
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
    run_context : mapping
        What the run supplies to each term.
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

    References
    ----------
    Zadeh 1963, "Optimality and Non-Scalar-Valued Performance Criteria".

    Examples
    --------
    >>> from lossbench.losses import load_loss
    >>> criterion = load_loss("weighted_sum", terms=["cross_entropy", "mae_prob"], weights=[1.0, 0.5])
    >>> criterion(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([1.1931])
    >>> criterion.parts
    {'term_0': tensor([0.6931]), 'term_1': tensor([1.])}

    """

    declaration: Declaration

    def __init__(
        self,
        *,
        run_context: Mapping[str, Any],
        terms: Mapping[str, Any] | Sequence[Any] = TERMS,
        weights: Sequence[float] = WEIGHTS,
    ) -> None:
        super().__init__()
        nodes = term_nodes(terms)
        require_weights(nodes, weights)
        self._bound = {
            f"term_{key}": bind(locate(node["_target_"]), hyperparameters(node), **run_context)
            for key, node in nodes.items()
        }
        titles = [title(*item) for item in nodes.items()]
        self.declaration = _declaration_of(titles, list(self._bound.values()), run_context["context"])
        self.weights = list(weights)
        self.terms = nn.ModuleList([term.module for term in self._bound.values() if term.module is not None])
        needed = [name for term in self._bound.values() for name in term.step_context]
        self.step_context = tuple(dict.fromkeys(needed))
        self.parts: dict[str, Tensor] = {}

    def forward(self, outputs: Tensor, target: Tensor, **context: Any) -> Tensor:
        """Return the loss of each sample (N,); `parts` holds the terms of this call."""
        values = {name: term(outputs, target, **context) for name, term in self._bound.items()}
        self.parts = {name: value.detach() for name, value in values.items()}
        weighted = [weight * value for weight, value in zip(self.weights, values.values(), strict=True)]
        return torch.stack(weighted).sum(0)


def _declaration_of(titles: Sequence[str], terms: Sequence[BoundLoss], context: Mapping[str, Any]) -> Declaration:
    """Return what a sum says of itself: what its terms agree on, and the link of the first."""
    declarations = [term.declaration for term in terms]
    require_agreement(dict(zip(titles, declarations, strict=True)))
    widths = [term.num_outputs(context.get("num_classes")) for term in terms]
    if len(set(widths)) > 1:
        told = ", ".join(f"{name}: {width}" for name, width in zip(titles, widths, strict=True))
        raise ConfigError(f"the terms of a sum must take the same number of outputs, but these differ: {told}.")
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
