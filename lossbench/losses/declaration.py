"""The one decorator that turns a function into a loss of the catalogue."""

import functools
import inspect
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD

_EACH, _ROWS = "... , ... -> ...", "... O , ... -> ..."
shapes_of_task: Callable[[str], str] = lambda task: ""  # noqa: E731
"""Returns what a task says of the shapes of its losses. `lossbench` sets it: nothing of tasks is imported here."""
Sides = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
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
    shapes : str
        Of outputs, target and values, as "N H W K , N H W -> N": a letter is one size, K that of the classes or labels,
        D the width of embeddings, `...` are any sizes, and what has the same letter is equal. "" is what the task
        says of its losses (`shapes` of `lossbench.tasks.task.Task`), or else only the number of samples is compared.
    broadcasts : bool
        Whether each of its parameters that is a number may also be a tensor (N,), one value for each sample. A stack
        that searches such a loss calls it once for all candidates.

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
    shapes: str = ""
    broadcasts: bool = False

    @functools.cached_property
    def sides(self) -> "Sides":
        """The shapes of outputs, target and values, each as its letters; empty where none are said."""
        return _sides(self.shapes or shapes_of_task(self.task), self.outputs == 1)

    @property
    def per_class(self) -> bool:
        """Whether it takes an output for each class or label."""
        return self.sides[0][-1:] == ("K",)

    @property
    def takes_classes(self) -> bool:
        """Whether its targets are integer class indices, not floating-point numbers."""
        return self.per_class and "K" not in self.sides[1]

    @property
    def takes_embeddings(self) -> bool:
        """Whether it takes vectors, as wide as the learner says, and the class of each."""
        return self.sides[0][-1:] == ("D",)


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
    shapes: str = "",
    broadcasts: bool = False,
) -> Callable[[Declared], Declared]:
    """Declare a function, or an `nn.Module` class, as a loss; see `Declaration` for the arguments.

    What is decorated has its `Declaration` as the attribute `declaration`, and a call of it checks first that the
    target has the shape that belongs to the outputs (`require_shapes`).
    """
    of_values = (reduction, outputs, dict(ranges or {}), coupled, detached, shapes, broadcasts)
    declaration = Declaration(task, link, source, problem, head, *of_values)

    def declare(declared: Declared) -> Declared:
        made: Any = declared
        if inspect.isclass(declared):
            made.forward = _checked(made.forward)
        else:
            made = _checked(declared)
        made.declaration = declaration
        return made

    return declare


def adds(*names: str, terms: Callable[..., Any] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a loss as the sum of several terms, which `combine` can balance; stands below `loss`.

    What is decorated returns the terms (N,), each with its weight, and a call adds them up from the left. What returns
    their sum itself, where that is rounded in another way, names what returns the terms.

    Parameters
    ----------
    *names : str
        Of the terms, in their order.
    terms : callable, optional
        Returns the terms, from the same arguments.

    Examples
    --------
    >>> @adds("near", "far")
    ... def distance(outputs, target):
    ...     return outputs, 2 * target
    >>> distance(1, 2), distance.each_term(1, 2)
    (5, {'near': 1, 'far': 4})

    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        of_call = terms or function

        @functools.wraps(function)
        def added(*given: Any, **settings: Any) -> Any:
            return functools.reduce(operator.add, function(*given, **settings))

        def each_term(*given: Any, **settings: Any) -> dict[str, Any]:
            return dict(zip(names, of_call(*given, **settings), strict=True))

        made: Any = added if terms is None else function
        made.term_names, made.each_term = names, each_term
        return made

    return declare


def shape_of_values(declaration: Declaration, outputs: "Tensor") -> tuple[int, ...]:
    """Return the shape of the values of a loss: one for each sample that the outputs are of."""
    return _needed(declaration.sides, outputs.shape)[1]


def require_shapes(declaration: Declaration, outputs: "Tensor", target: "Tensor", name: str = "the loss") -> None:
    """Raise ValueError unless the target has the shape that belongs to the outputs, so that nothing is broadcast.

    Class probabilities, in the shape of the logits, are left to the loss: some take them.
    """
    sides, shape, found = declaration.sides, outputs.shape, target.shape
    if _fits(sides, shape, found) or (declaration.takes_classes and found == shape):
        return
    if sides[0] and _sizes(sides[0], shape) is None:
        raise ValueError(f"{name}: outputs have shape {tuple(shape)}, but it takes ({', '.join(sides[0])}).")
    needed = _needed(sides, shape)[0]
    what = "integer class indices" if declaration.takes_classes else "a target"
    raise ValueError(
        f"{name}: the target has shape {tuple(found)}; outputs of shape {tuple(shape)} need {what} of shape "
        f"({', '.join(map(str, needed))}{',' * (len(needed) == 1)}) (it does not broadcast). Reshape one of them: "
        "squeeze(1) makes (N,) of (N, 1)."
    )


def _sides(said: str, one_output: bool) -> Sides:
    outputs, _, rest = (_ROWS if said == _EACH and not one_output else said).partition(" , ")
    target, _, values = rest.partition(" -> ")
    return tuple(outputs.split()), tuple(target.split()), tuple(values.split())


@functools.lru_cache(maxsize=1024)
def _fits(sides: Sides, outputs: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Tell whether outputs and target have the sizes of their letters; without letters, as many samples."""
    if not sides[0]:
        return outputs[:1] == target[:1]
    sizes = _sizes(sides[0], outputs)
    return sizes is not None and _sizes(sides[1], target, sizes) is not None


@functools.lru_cache(maxsize=1024)
def _needed(sides: Sides, outputs: tuple[int, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the shapes of target and values that belong to outputs; a size that they leave open is its letter."""
    if not sides[0]:
        return (*outputs[:1], "..."), tuple(outputs[:1])
    sizes = _sizes(sides[0], outputs) or {}
    each = [[sizes.get(name, name) for name in side] for side in sides[1:]]
    target, values = (tuple(n for one in side for n in (one if isinstance(one, tuple) else (one,))) for side in each)
    return target, values


def _sizes(
    named: tuple[str, ...], shape: tuple[int, ...], known: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Return the size of each letter of a shape, `...` being a tuple; None if they don't fit, or what is known."""
    rest = len(shape) - len([name for name in named if name != "..."])
    if rest < 0 or (rest and "..." not in named):
        return None
    found, place = dict(known or {}), 0
    for name in named:
        width = rest if name == "..." else 1
        size = tuple(shape[place : place + width]) if name == "..." else shape[place]
        if found.setdefault(name, int(name) if name.isdigit() else size) != size:
            return None
        place += width
    return found


def require_labels(declaration: Declaration, outputs: "Tensor", target: "Tensor", name: str = "the loss") -> None:
    """Raise ValueError unless all labels are classes that the outputs have.

    Several labels may also be NaN or -1, those of pixels 255: not known.
    """
    several, of_pixels = declaration.task == "multilabel", "W" in declaration.sides[1]
    if not (declaration.takes_classes or several or declaration.task == "binary") or target.numel() == 0:
        return
    if declaration.takes_classes and target.is_floating_point():
        return  # probabilities
    if of_pixels and not len(target := target[target != 255]):
        return
    last = outputs.shape[-1] - 1 if declaration.takes_classes else 1
    low, high = (float(end) for end in target.aminmax())
    if several and math.isnan(low):
        low, high = (float(end) for end in target.nan_to_num(-1).aminmax())
    if not (-1 if several else 0) <= low <= high <= last:
        unknown = "; a label that is not known is NaN or -1" if several else ""
        unknown = "; one that is not known is 255" if of_pixels else unknown
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
