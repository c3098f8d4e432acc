"""The one decorator that turns a function into a loss of the catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Task = Literal[
    "regression", "binary", "multiclass", "multilabel", "distributional", "count", "sequence", "generation"
]  # fmt: skip
Declared = TypeVar("Declared", bound=Callable[..., object])


@dataclass(frozen=True)
class Declaration:
    """What a loss says of itself.

    Parameters
    ----------
    task : str
        What its outputs predict. A multiclass loss also serves binary data, with two logits.
    link : callable
        How its outputs become probabilities or a point prediction (`lossbench.links`), or distributions
        (`lossbench.distributions`).
    source : str
        Authors, year and identifier of the paper that defines it.
    problem : str
        The difficulty it was made for: "imbalance", "noise", "outliers", "calibration", or "" for none.
    head : str
        The last layer it needs: "linear", or "cosine" (features and weights normalised, no bias).
    learner : str
        The way of learning that it is for: a choice of the group `learner`.
    outputs : int or callable
        For a loss of several outputs to each sample that are not classes: how many, or a function of its parameters,
        which it asks for by name as a link does.
    reduction : str
        How the batch is reduced: "mean", or "sum" for the few losses that are defined as sums.
    ranges : mapping
        The values that each parameter may take, in interval notation such as "[0, inf)".
    coupled : bool
        Whether the value of a sample depends on the other samples of its batch, as in a ranking of pairs.
    detached : str
        What its gradient holds constant on purpose, such as "the modulating factor"; "" for nothing.

    """

    task: Task
    link: Callable[..., Any]
    source: str
    problem: str = ""
    head: Literal["linear", "cosine"] = "linear"
    reduction: Literal["mean", "sum"] = "mean"
    learner: str = "supervised"
    outputs: int | Callable[..., int] = 1
    ranges: Mapping[str, str] = field(default_factory=dict)
    coupled: bool = False
    detached: str = ""


def loss(
    *,
    task: Task,
    link: Callable[..., Any],
    source: str,
    problem: str = "",
    head: Literal["linear", "cosine"] = "linear",
    reduction: Literal["mean", "sum"] = "mean",
    learner: str = "supervised",
    outputs: int | Callable[..., int] = 1,
    ranges: Mapping[str, str] | None = None,
    coupled: bool = False,
    detached: str = "",
) -> Callable[[Declared], Declared]:
    """Declare a function, or an `nn.Module` class, as a loss; see `Declaration` for the arguments.

    The decorated object is returned as it was, with its `Declaration` as the attribute `declaration`.
    """
    declaration = Declaration(
        task, link, source, problem, head, reduction, learner, outputs, dict(ranges or {}), coupled, detached
    )

    def declare(function: Declared) -> Declared:
        function.declaration = declaration  # type: ignore[attr-defined]
        return function

    return declare
