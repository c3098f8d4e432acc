"""A small language for losses: what a formula of some names may say, read without torch and without running it.

A formula has numbers, names, `+ - * / ^` (also `**`), brackets and the functions of `FUNCTIONS`. It is data: no part of
it is handed to Python. `^` binds most and to the right, then the sign, then `* /`, then `+ -`; `-p^2` is `-(p^2)`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

FUNCTIONS = {
    "abs": 1, "atan": 1, "cosh": 1, "exp": 1, "log": 1, "max": 2, "min": 2, "relu": 1, "sigmoid": 1, "softplus": 1,
    "sqrt": 1, "tanh": 1,
}  # fmt: skip
"""How many arguments each takes."""
CONSTANTS = ("c1", "c2", "c3")
"""Numbers that a formula may name and its loss is given apart, so that they can be tuned while it stays the same."""
VARIABLES = {"expression": ("p",), "expression_residual": ("r", "y")}
"""By loss what its formula is of, beside the constants; it must have the first."""
MAX_LENGTH = 500
MAX_DEPTH = 40

_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}
_SIGN = 3
_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<mark>\*\*|[-+*/^(),])"
)


class FormulaError(ValueError):
    """A formula that can't be read; its message says where, what is allowed and what is nearest."""


@dataclass(frozen=True)
class Number:
    """A number from 0; one below has a sign."""

    value: float


@dataclass(frozen=True)
class Name:
    """A variable or constant."""

    name: str


@dataclass(frozen=True)
class Call:
    """An operation: one of `+ - * / ^`, "neg" for the sign, or a function."""

    name: str
    arguments: "tuple[Node, ...]"


Node = Number | Name | Call


@lru_cache(maxsize=4096)
def parsed(text: str, names: tuple[str, ...]) -> Node:
    """Read a formula of some names.

    Parameters
    ----------
    text : str
        Up to 500 letters, brackets up to 40 deep.
    names : tuple of str
        What it may be of.

    Raises
    ------
    FormulaError
        With the place, what stands there, what is allowed, and the nearest name.

    Examples
    --------
    >>> parsed("2*p", ("p",))
    Call(name='*', arguments=(Number(value=2.0), Name(name='p')))
    >>> parsed("lg(p)", ("p",))
    Traceback (most recent call last):
    lossbench.losses.formula.FormulaError: 'lg(p)', place 1: there is no function 'lg'. Nearest: log. Allowed: abs, \
atan, cosh, exp, log, max, min, relu, sigmoid, softplus, sqrt, tanh.

    """
    reader = _Reader(text, names)
    node = reader.operations(1)
    if reader.kind:
        reader.fail(f"{reader.seen} can't follow what stands before it. An operator is missing: + - * / ^")
    return node


@lru_cache(maxsize=4096)
def of_loss(loss: str, text: str) -> Node:
    """Read the formula of a loss: of its variables, of which it has the first, and of constants.

    Raises
    ------
    FormulaError
        If it can't be read, or is not of the first variable, so that nothing could be learned.

    Examples
    --------
    >>> written(of_loss("expression", "-log(p) + c1*(1-p)**2"))
    '-log(p) + c1*(1 - p)^2'

    """
    variables = VARIABLES[loss]
    node = parsed(text, (*variables, *CONSTANTS))
    if variables[0] not in names_of(node):
        raise FormulaError(f"{text!r} has no {variables[0]}, so that nothing could be learned from it.")
    return node


def names_of(node: Node) -> set[str]:
    """Return the variables and constants of a formula.

    Examples
    --------
    >>> sorted(names_of(parsed("c1*p + p", ("p", "c1"))))
    ['c1', 'p']

    """
    return {each.name for each in parts_of(node) if isinstance(each, Name)}


def parts_of(node: Node) -> Iterator[Node]:
    """Yield a formula and all that it is made of, from the left."""
    yield node
    for argument in node.arguments if isinstance(node, Call) else ():
        yield from parts_of(argument)


def written(node: Node) -> str:
    """Write a formula as `parsed` reads it, with no bracket too many.

    Examples
    --------
    >>> written(parsed("((1-p)**2)*(-log(p))", ("p",)))
    '(1 - p)^2*(-log(p))'

    """
    return _written(node)[0]


def in_python(node: Node) -> str:
    """Write a formula as Python of torch, of tensors that have the names; plain, without what keeps a loss finite.

    Examples
    --------
    >>> in_python(parsed("-log(p) + 0.5*max(1-p, 0)^2", ("p",)))
    '-torch.log(p) + 0.5 * torch.maximum(1 - p, torch.tensor(0)) ** 2'

    """
    return _written(node, python=True)[0]


def filled(node: Node, numbers: Mapping[str, float]) -> Node:
    """Return a formula with numbers in the place of names.

    Examples
    --------
    >>> written(filled(parsed("p^c1 - c2*p", ("p", "c1", "c2")), {"c1": 0.5, "c2": -1.0}))
    'p^0.5 - (-1*p)'

    """
    if isinstance(node, Name) and node.name in numbers:
        value = float(numbers[node.name])
        return Call("neg", (Number(-value),)) if value < 0 else Number(value)
    if isinstance(node, Call):
        return Call(node.name, tuple(filled(argument, numbers) for argument in node.arguments))
    return node


def printed(loss: str, parameters: Mapping[str, Any]) -> tuple[str, str]:
    """Write a loss by formula, its constants as numbers: the formula, and a function of torch that needs nothing else.

    The function is the formula as it stands, so that it is not finite at all outputs at which the loss is.

    Parameters
    ----------
    loss : str
        One of `VARIABLES`.
    parameters : mapping
        Its `expression` and constants.

    Examples
    --------
    >>> formula, python = printed("expression", {"expression": "-log(p) + c1*(1 - p)", "c1": 2.0})
    >>> formula
    '-log(p) + 2*(1 - p)'
    >>> print(python)
    import torch
    <BLANKLINE>
    <BLANKLINE>
    def searched(logits, target):
        p = logits.softmax(-1).gather(-1, target[..., None]).squeeze(-1)
        return -torch.log(p) + 2 * (1 - p)
    <BLANKLINE>

    """
    node = of_loss(loss, str(parameters["expression"]))
    node = filled(node, {name: parameters[name] for name in CONSTANTS if name in parameters})
    lines = ["import torch", "", "", *_HEADS[loss], f"    return {in_python(node)}", ""]
    return written(node), "\n".join(lines)


_HEADS = {
    "expression": (
        "def searched(logits, target):",
        "    p = logits.softmax(-1).gather(-1, target[..., None]).squeeze(-1)",
    ),
    "expression_residual": ("def searched(prediction, target):", "    r, y = target - prediction, target"),
}


def _written(node: Node, python: bool = False) -> tuple[str, int]:
    """Return a formula and how strongly its last operation binds."""
    if isinstance(node, Number):
        return f"{node.value:.12g}", 9
    if isinstance(node, Name):
        return node.name, 9
    name = node.name
    if name in FUNCTIONS:
        inside = [_argument(each) if python else written(each) for each in node.arguments]
        return f"{_IN_TORCH.get(name, f'torch.{name}') if python else name}({', '.join(inside)})", 9
    if name == "neg":
        return "-" + _bracketed(node.arguments[0], _SIGN + 1, python), _SIGN
    binds, (left, right) = _BINDS[name], node.arguments
    power, wide = name == "^", python or _BINDS[name] == 1
    last = _bracketed(right, 9 if _has_sign(right) else binds + (not power), python)
    ends = _bracketed(left, binds + power, python), last
    sign = "**" if power and python else name
    return (f" {sign} " if wide else sign).join(ends), binds


def _bracketed(node: Node, binds: int, python: bool) -> str:
    text, own = _written(node, python)
    return text if own >= binds else f"({text})"


def _has_sign(node: Node) -> bool:
    """Tell whether a formula is written with a sign in front."""
    if not isinstance(node, Call) or node.name in FUNCTIONS:
        return False
    return node.name == "neg" or _has_sign(node.arguments[0])


def _argument(node: Node) -> str:
    text = _written(node, python=True)[0]
    return text if names_of(node) else f"torch.tensor({text})"


_IN_TORCH = {
    "max": "torch.maximum", "min": "torch.minimum", "softplus": "torch.nn.functional.softplus",
}  # fmt: skip


class _Reader:
    """Reads a formula from the left; `kind` and `token` are what stands at `place`, "" at the end."""

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self.text, self.names, self.depth = text, names, 0
        self.start, self.end, self.kind, self.token = 0, 0, "", ""
        if len(text) > MAX_LENGTH:
            raise FormulaError(f"a formula of {len(text)} letters is too long: allowed are {MAX_LENGTH}.")
        self.step()

    @property
    def seen(self) -> str:
        return repr(self.token) if self.kind else "the end"

    def fail(self, what: str) -> NoReturn:
        raise FormulaError(f"{self.text!r}, place {self.start + 1}: {what}.")

    def step(self) -> None:
        """Go to the next number, name or mark."""
        self.start, self.kind, self.token = self.end, "", ""
        if self.end == len(self.text):
            return
        found = _TOKEN.match(self.text, self.end)
        if found is None:
            self.fail(f"{self.text[self.end]!r} is no part of a formula, which has numbers, names, + - * / ^ ( ) and ,")
        self.kind, self.token, self.end = str(found.lastgroup), found.group(), found.end()
        if self.kind == "space":
            self.step()
        elif self.token == "**":
            self.token = "^"

    def operations(self, least: int) -> Node:
        """Read an operand and the operators after it that bind at least so strongly."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"brackets, signs and powers are more than {MAX_DEPTH} deep")
        left = self._operand()
        while self.kind == "mark" and (binds := _BINDS.get(self.token, 0)) >= least:
            name = self.token
            self.step()
            left = Call(name, (left, self.operations(binds + (name != "^"))))
        self.depth -= 1
        return left

    def _operand(self) -> Node:
        token, kind = self.token, self.kind
        if kind == "number":
            return self._number()
        if kind == "name":
            return self._named()
        if token in ("+", "-"):
            self.step()
            inside = self.operations(_SIGN)
            return Call("neg", (inside,)) if token == "-" else inside
        if token != "(":
            self.fail(f"{self.seen} can't stand here. Needed is a number, a bracket, or one of: {self._allowed()}")
        self.step()
        inside = self.operations(1)
        self._close()
        return inside

    def _number(self) -> Node:
        value = float(self.token)
        if value == float("inf"):
            self.fail(f"{self.token} is too large a number")
        self.step()
        return Number(value)

    def _named(self) -> Node:
        name = self.token
        called = self.text[self.end :].lstrip().startswith("(")
        if called and name not in FUNCTIONS:
            what = f"{name!r} is no function" if name in self.names else f"there is no function {name!r}"
            self.fail(f"{what}. {_nearest(name, list(FUNCTIONS))}")
        if not called and name in FUNCTIONS:
            self.fail(f"{name} is a function and needs brackets: {name}({', '.join(['...'] * FUNCTIONS[name])})")
        if not called and name not in self.names:
            self.fail(f"there is no {name!r}. {_nearest(name, [*self.names, *FUNCTIONS])}")
        self.step()
        if not called:
            return Name(name)
        arguments: list[Node] = []
        while not arguments or self.token == ",":
            self.step()
            arguments.append(self.operations(1))
        if len(arguments) != FUNCTIONS[name]:
            self.fail(f"{name} has {len(arguments)} arguments and takes {FUNCTIONS[name]}")
        self._close()
        return Call(name, tuple(arguments))

    def _close(self) -> None:
        if self.token != ")":
            self.fail(f"{self.seen} can't stand here. Needed is an operator, + - * / ^, or a closing bracket")
        self.step()

    def _allowed(self) -> str:
        return ", ".join(sorted([*self.names, *FUNCTIONS]))


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return (f"Nearest: {close[0]}. " if close else "") + f"Allowed: {', '.join(sorted(known))}"
