"""The one decorator that turns a function into a loss of the catalogue."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD

ELEMENTWISE = ("binary", "count", "distributional", "regression")
"""The tasks whose losses give a value for each output, or for each row of outputs if they take several to a sample."""
PER_CLASS = ("multiclass", "multilabel")
"""The tasks whose losses take an output for each class or label."""
LIKE_OUTPUTS = ("denoising", "gan", "multilabel", "vae")
"""The tasks whose targets have the shape of the outputs."""
Declared = TypeVar("Declared", bound=Callable[..., object])


@dataclass(frozen=True)
class Declaration:
    """What a loss says of itself.

    Parameters
    ----------
    task : str
        What its outputs predict. A multiclass loss also serves binary data, with two logits.
    link : callable
        How its outputs become probabilities or a point prediction (`lossbench.losses.links`), or distributions
        (`lossbench.losses.distributions`).
    source : str
        Authors, year and identifier of the paper that defines it.
    problem : str
        The difficulty it was made for: "imbalance", "noise", "outliers", "calibration", or "" for none.
    head : str
        The last layer it needs: "linear", or "cosine" (features and weights normalised, no bias).
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

    task: str
    link: Callable[..., Any]
    source: str
    problem: str = ""
    head: Literal["linear", "cosine"] = "linear"
    reduction: Literal["mean", "sum"] = "mean"
    outputs: int | Callable[..., int] = 1
    ranges: Mapping[str, str] = field(default_factory=dict)
    coupled: bool = False
    detached: str = ""

    @property
    def per_class(self) -> bool:
        """Whether it takes an output for each class or label."""
        return self.task in PER_CLASS

    @property
    def takes_classes(self) -> bool:
        """Whether its targets are integer class indices, not floating-point numbers."""
        return self.task == "multiclass"


def loss(
    *,
    task: str,
    link: Callable[..., Any],
    source: str,
    problem: str = "",
    head: Literal["linear", "cosine"] = "linear",
    reduction: Literal["mean", "sum"] = "mean",
    outputs: int | Callable[..., int] = 1,
    ranges: Mapping[str, str] | None = None,
    coupled: bool = False,
    detached: str = "",
) -> Callable[[Declared], Declared]:
    """Declare a function, or an `nn.Module` class, as a loss; see `Declaration` for the arguments.

    What is decorated has its `Declaration` as the attribute `declaration`, and a call of it checks first that the
    target has the shape that belongs to the outputs (`require_shapes`).
    """
    declaration = Declaration(
        task, link, source, problem, head, reduction, outputs, dict(ranges or {}), coupled, detached
    )

    def declare(declared: Declared) -> Declared:
        made: Any = declared
        if inspect.isclass(declared):
            made.forward = _checked(made.forward)
        else:
            made = _checked(declared)
        made.declaration = declaration
        return made

    return declare


def shape_of_values(declaration: Declaration, outputs: "Tensor") -> tuple[int, ...]:
    """Return the shape of the values of a loss: one for each sample that the outputs are of."""
    if declaration.per_class or (declaration.task in ELEMENTWISE and declaration.outputs != 1):
        return tuple(outputs.shape[:-1])
    return tuple(outputs.shape if declaration.task in ELEMENTWISE else outputs.shape[:1])


def require_shapes(declaration: Declaration, outputs: "Tensor", target: "Tensor", name: str = "the loss") -> None:
    """Raise ValueError unless the target has the shape that belongs to the outputs, so that nothing is broadcast.

    Class probabilities, in the shape of the logits, are left to the loss: some take them. Of lines, and of tasks that
    are not lossbench's, only the number of samples is compared.
    """
    needed = shape_of_values(declaration, outputs)
    found = tuple(target.shape)
    if declaration.task == "sequence":
        fits = target.ndim == 2 and outputs.ndim == 3 and found[:1] == needed
    elif declaration.task in LIKE_OUTPUTS:
        needed = tuple(outputs.shape)
        fits = found == needed
    elif declaration.takes_classes or declaration.task in ELEMENTWISE:
        fits = found == needed or (declaration.takes_classes and found == tuple(outputs.shape))
    else:
        fits = found[:1] == needed
    if not fits:
        wanted = f"({needed[0] if needed else 'N'}, S)" if declaration.task == "sequence" else str(needed)
        what = "integer class indices" if declaration.task == "multiclass" else "a target"
        raise ValueError(
            f"{name}: the target has shape {found}; outputs of shape {tuple(outputs.shape)} need {what} of shape "
            f"{wanted} (it does not broadcast). Reshape one of them: squeeze(1) makes (N,) of (N, 1)."
        )


def require_labels(declaration: Declaration, outputs: "Tensor", target: "Tensor", name: str = "the loss") -> None:
    """Raise ValueError unless all labels are classes that the outputs have; several labels may also be NaN or -1."""
    if declaration.task not in ("binary", "multiclass", "multilabel") or target.numel() == 0:
        return
    if declaration.task == "multiclass" and target.is_floating_point():
        return  # probabilities
    last = outputs.shape[-1] - 1 if declaration.task == "multiclass" else 1
    low, high = (float(end) for end in target.aminmax())
    several = declaration.task == "multilabel"
    if several and math.isnan(low):
        low, high = (float(end) for end in target.nan_to_num(-1).aminmax())
    if not (-1 if several else 0) <= low <= high <= last:
        unknown = "; a label that is not known is NaN or -1" if several else ""
        raise ValueError(
            f"{name}: the labels of the target go from {low:g} to {high:g}; outputs of shape {tuple(outputs.shape)} "
            f"({declaration.task}) are those of labels from 0 to {last}{unknown}."
        )


def _checked(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loss function, or the `forward` of a module, that checks the shapes of each call."""
    named = [name for name, each in inspect.signature(call).parameters.items() if each.kind is _POSITIONAL]
    of_module = named[:1] == ["self"]
    named = named[: 2 + of_module]

    @functools.wraps(call)
    def checked(*given: Any, **settings: Any) -> Any:
        if len(given) < len(named):
            given = (*given, *(settings.pop(name) for name in named[len(given) :] if name in settings))
        if len(given) == 2 + of_module:
            owner: Any = given[0] if of_module else checked
            name = type(owner).__name__ if of_module else call.__name__
            require_shapes(owner.declaration, given[-2], given[-1], name)
        return call(*given, **settings)

    return checked
