"""Formulas of losses drawn at random, changed a little, and simplified; without torch.

A formula is text, as `lossbench.losses.formula` reads it. What is drawn or changed here falls towards the truth and is
finite on a few points (`GRID`), so that a search spends its runs on formulas that may learn. Its loss may
still break the contract of the catalogue, which looks at gradients and at outputs without bounds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from lossbench.losses.formula import (
    CONSTANTS,
    MAX_LENGTH,
    Call,
    FormulaError,
    Name,
    Node,
    Number,
    names_of,
    parsed,
    parts_of,
    written,
)

Array = np.ndarray[Any, np.dtype[Any]]

NUMBERS = (0.1, 0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
"""From which the numbers of new formulas are drawn."""
TRIES = 200
TRUTH: Mapping[str, Callable[[Array], Array]] = {"p": lambda p: p >= 0.9, "r": lambda r: r == 0}
"""By first variable where a loss must be least."""
GRID = {
    "p": (1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99, 0.999),
    "r": (-20.0, -5.0, -2.0, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0),
    "y": (-2.0, 0.3, 3.0),
    **dict.fromkeys(CONSTANTS, (1.0,)),
}
"""By name the values at which formulas are looked at."""

_SEEDS: Mapping[str, tuple[str, ...]] = {
    "p": ("p", "1 - p", "1 - p", "log(p)", "-log(p)"),
    "r": ("r", "abs(r)", "abs(r)", "r^2", "relu(r)", "relu(-r)"),
    "y": ("y", "abs(y)"),
}
"""What formulas grow from, by variable; what is named twice comes twice as often."""
_UNARY = ("neg", "exp", "log", "sqrt", "tanh", "abs", "cosh", "sigmoid", "softplus", "atan", "relu")
_BINARY = ("+", "+", "-", "*", "*", "/", "^", "max", "min")
_TINY = np.finfo(np.float64).tiny
_NUMPY: Mapping[str, Callable[..., Array]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "neg": np.negative, "abs": np.abs,
    "atan": np.arctan, "cosh": np.cosh, "exp": np.exp, "max": np.maximum, "min": np.minimum, "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0), "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "softplus": lambda x: np.logaddexp(0, x), "log": lambda x: np.log(np.maximum(x, _TINY)),
    "sqrt": lambda x: np.sqrt(np.maximum(x, _TINY)),
}  # fmt: skip


def random_expression(rng: np.random.Generator, depth: int = 3, variables: Sequence[str] = ("p",)) -> str:
    """Draw a formula that is promising.

    Parameters
    ----------
    rng : numpy.random.Generator
        What is drawn depends on it alone.
    depth : int from 0
        How many operations may lie within each other.
    variables : sequence of str
        What the formula is of, as in `lossbench.losses.formula.VARIABLES`; it has the first.

    Returns
    -------
    str
        If all 200 draws fail, which a depth above 0 hardly lets happen, `-log(p)` or `abs(r)`.

    Examples
    --------
    >>> random_expression(np.random.default_rng(0), depth=2)
    '-sqrt(p)'

    """
    for _ in range(TRIES):
        found = _turned(_drawn(rng, depth, variables), variables)
        if found is not None:
            return found
    return {"p": "-log(p)", "r": "abs(r)"}[variables[0]]


def mutate(expression: str, rng: np.random.Generator, variables: Sequence[str] = ("p",), depth: int = 2) -> str:
    """Change a formula at one place: another number, function or part, a part left out or put into an operation.

    The result is promising and another formula; if 200 changes give none, it is the formula as it was.

    Examples
    --------
    >>> mutate("-log(p) + 0.5*(1 - p)", np.random.default_rng(1))
    '-log(p) + (1 - p)'

    """
    node = _read(expression, variables)
    for _ in range(TRIES):
        place = int(rng.integers(len(list(parts_of(node)))))
        found = _turned(_at(node, place, lambda part: _changed(part, rng, depth, variables)), variables)
        if found is not None and found != written(node):
            return found
    return written(node)


def crossed(expression: str, other: str, rng: np.random.Generator, variables: Sequence[str] = ("p",)) -> str:
    """Put a part of one formula in the place of a part of another; promising, or else the formula as it was.

    Examples
    --------
    >>> crossed("-log(p)", "(1 - p)^2", np.random.default_rng(0))
    '1 - p'

    """
    node, parts = _read(expression, variables), list(parts_of(_read(other, variables)))
    for _ in range(TRIES):
        part = parts[int(rng.integers(len(parts)))]
        place = int(rng.integers(len(list(parts_of(node)))))
        found = _turned(_at(node, place, _always(part)), variables)
        if found is not None and found != written(node):
            return found
    return written(node)


def simplified(expression: str, variables: Sequence[str] = ("p",)) -> str:
    """Write a formula shorter, by rules for 0 and 1 and, where sympy is installed, by its; equal on `GRID`.

    Examples
    --------
    >>> simplified("1*(-log(p)) + 0 + (2 - 1)*(1 - p)"), simplified("--abs(r)", ("r",))
    ('1 - p - log(p)', 'abs(r)')

    """
    node = _read(expression, variables)
    try:
        from lossbench.search.algebra import forms_of

        forms = [node, _folded(node), *forms_of(_folded(node))]
    except ImportError:
        forms = [node, _folded(node)]
    points = points_of(variables) | {name: np.asarray(0.7 + 0.6 * at) for at, name in enumerate(CONSTANTS)}
    with np.errstate(all="ignore"):
        expected = _values(node, points)
        equal = [form for form in forms if np.allclose(_values(form, points), expected, 1e-8, 1e-10, equal_nan=True)]
    return written(min(map(_folded, equal), key=lambda form: (len(list(parts_of(form))), len(written(form)))))


def _read(expression: str, variables: Sequence[str]) -> Node:
    return parsed(expression, (*variables, *CONSTANTS))


def _number(value: float) -> Node:
    rounded = float(f"{abs(value):.12g}")
    return Number(rounded) if value >= 0 else Call("neg", (Number(rounded),))


def _always(new: Node) -> Callable[[Node], Node]:
    return lambda _: new


def _choice(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _drawn(rng: np.random.Generator, depth: int, variables: Sequence[str]) -> Node:
    """Draw a formula of whatever values."""
    if depth == 0 or rng.random() < 0.2:
        if rng.random() < 0.3:
            return Number(_choice(rng, NUMBERS))
        variable = variables[0] if rng.random() < 0.8 else _choice(rng, variables)
        return _read(_choice(rng, _SEEDS[variable]), variables)
    if rng.random() < 0.4:
        return Call(_choice(rng, _UNARY), (_drawn(rng, depth - 1, variables),))
    first = _drawn(rng, depth - 1, variables)
    name = _choice(rng, _BINARY)
    second = Number(_choice(rng, NUMBERS)) if name == "^" else _drawn(rng, depth - 1, variables)
    return Call(name, (first, second))


def _changed(part: Node, rng: np.random.Generator, depth: int, variables: Sequence[str]) -> Node:
    """Change a part of a formula."""
    kind = rng.random()
    if isinstance(part, Number) and kind < 0.7:
        return _number(float(f"{part.value * np.exp(rng.normal(0, 0.5)):.3g}"))
    if isinstance(part, Call) and kind < 0.3:
        alike = _UNARY if len(part.arguments) == 1 else _BINARY
        return Call(_choice(rng, alike), part.arguments)
    if isinstance(part, Call) and kind < 0.5:
        return _choice(rng, part.arguments)
    if kind < 0.75:
        added = _drawn(rng, 1, variables)
        return Call(_choice(rng, _BINARY), (part, added)) if rng.random() < 0.6 else Call(_choice(rng, _UNARY), (part,))
    return _drawn(rng, depth, variables)


def _at(node: Node, place: int, change: Callable[[Node], Node]) -> Node:
    """Return a formula with its part at a place, in the order of `parts_of`, changed."""
    if place == 0:
        return change(node)
    assert isinstance(node, Call)
    arguments, start = list(node.arguments), 1
    for number, argument in enumerate(arguments):
        size = len(list(parts_of(argument)))
        if place < start + size:
            arguments[number] = _at(argument, place - start, change)
            break
        start += size
    return Call(node.name, tuple(arguments))


def _turned(node: Node, variables: Sequence[str]) -> str | None:
    """Write a formula, or the same with the other sign, if one is promising and can be read again."""
    for each in map(_folded, (node, Call("neg", (node,)))):
        if _is_promising(each, variables):
            text = written(each)
            return text if _is_readable(text, variables) else None
    return None


def _is_readable(text: str, variables: Sequence[str]) -> bool:
    try:
        return len(text) <= MAX_LENGTH and bool(_read(text, variables))
    except FormulaError:  # too deep
        return False


def _is_promising(node: Node, variables: Sequence[str]) -> bool:
    if variables[0] not in names_of(node):
        return False
    points = points_of(variables)
    with np.errstate(all="ignore"):
        values = np.broadcast_to(_values(node, points), points[variables[0]].shape)
    if not np.isfinite(values).all():
        return False
    right = TRUTH[variables[0]](points[variables[0]])
    rows = values.reshape(len(GRID[variables[0]]), -1)
    inside = right.reshape(rows.shape)[:, 0]
    least, elsewhere = rows[inside].min(0), rows[~inside]
    spread = 1e-6 * (1 + np.abs(least))
    return bool((elsewhere >= least - 1e-12).all() and (elsewhere[[0, -1]] > least + spread).all())


def points_of(variables: Sequence[str]) -> dict[str, Array]:
    """Return each combination of the values of variables, by name, the first variable changing last."""
    grid = np.array(list(product(*(GRID[name] for name in variables))))
    return {**{name: grid[:, at] for at, name in enumerate(variables)}, **{name: np.ones(()) for name in CONSTANTS}}


def _values(node: Node, values: Mapping[str, float | Array]) -> Array:
    if isinstance(node, Number):
        return np.asarray(node.value)
    if isinstance(node, Name):
        return np.asarray(values[node.name], dtype=float)
    arguments = [_values(argument, values) for argument in node.arguments]
    if node.name != "^":
        return _NUMPY[node.name](*arguments)
    base, exponent = arguments
    whole = not names_of(node.arguments[1]) and float(exponent).is_integer()
    return np.power(base if whole else np.maximum(base, _TINY), exponent)


def _folded(node: Node) -> Node:
    """Return a formula without what has no influence: sums of numbers, 0, 1 and double signs."""
    if not isinstance(node, Call):
        return node
    arguments = tuple(map(_folded, node.arguments))
    node = Call(node.name, arguments)
    if node.name != "neg" and not names_of(node):
        with np.errstate(all="ignore"):
            value = float(_values(node, {}))
        return _number(value) if float(f"{value:.6g}") == value else node  # atan(2) says more than its digits
    return next(_rules(node.name, arguments[0], arguments[-1]), node)


def _under_sign(node: Node) -> Node | None:
    """Return a formula without the sign at its front, if it has one: x*y of -x*y."""
    if not isinstance(node, Call) or node.name not in ("neg", "*", "/"):
        return None
    if node.name == "neg":
        return node.arguments[0]
    inside = _under_sign(node.arguments[0])
    return None if inside is None else Call(node.name, (inside, *node.arguments[1:]))


def _rules(name: str, first: Node, last: Node) -> Iterator[Node]:
    """Yield what is the same as an operation of two formulas, and shorter."""
    zero, one, inside = Number(0.0), Number(1.0), _under_sign(last)
    if name == "neg" and inside is not None:
        yield inside
    if name == "neg" and isinstance(last, Call) and last.name in ("*", "/"):  # the sign stands at the front
        yield Call(last.name, (_folded(Call("neg", last.arguments[:1])), *last.arguments[1:]))
    if inside is not None and name in ("+", "-"):
        yield next(_rules(other := "-" if name == "+" else "+", first, inside), Call(other, (first, inside)))
    if name in ("+", "-") and last == zero:
        yield first
    if name == "+" and first == zero:
        yield last
    if name == "-" and first == zero:
        yield Call("neg", (last,))
    if name == "*" and zero in (first, last):
        yield zero
    if (name in ("*", "/", "^") and last == one) or (name in ("max", "min") and first == last):
        yield first
    if name == "*" and first == one:
        yield last
