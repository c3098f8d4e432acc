"""Formulas of losses to sympy and back, to find the same in fewer letters. Without sympy it can't be imported.

What goes to sympy is built from what was read, never from text, and what comes back is built from its tree.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import sympy  # type: ignore[import-untyped]

from lossbench.losses.formula import Call, Name, Node, Number, names_of, parts_of

LARGEST = 60
"""Parts of a formula above which it is not given to sympy: its time grows fast."""
_ONE = sympy.Integer(1)
_TO: Mapping[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "^": lambda a, b: a**b, "neg": lambda a: -a, "abs": sympy.Abs, "atan": sympy.atan, "cosh": sympy.cosh,
    "exp": sympy.exp, "log": sympy.log, "max": sympy.Max, "min": sympy.Min, "relu": lambda a: sympy.Max(a, 0),
    "sigmoid": lambda a: 1 / (1 + sympy.exp(-a)), "softplus": lambda a: sympy.log(1 + sympy.exp(a)),
    "sqrt": sympy.sqrt, "tanh": sympy.tanh,
}  # fmt: skip
_FROM = {
    sympy.Abs: "abs",
    sympy.atan: "atan",
    sympy.cosh: "cosh",
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.tanh: "tanh",
}
_WAYS: tuple[Callable[[Any], Any], ...] = (
    lambda form: form,
    # No polynomials: r^0.867 is one of degree 867, which takes sympy hours to factor.
    lambda form: sympy.expand(form, multinomial=False),
    sympy.factor_terms,
    lambda form: sympy.expand_log(sympy.powsimp(form)),
    sympy.logcombine,
)


def forms_of(node: Node) -> Iterator[Node]:
    """Yield a formula in other forms; one that our language lacks, or that sympy can't find, is left out.

    Examples
    --------
    >>> from lossbench.losses.formula import parsed, written
    >>> [written(form) for form in forms_of(parsed("p + p", ("p",)))][0]
    '2*p'

    """
    if len(list(parts_of(node))) > LARGEST:
        return
    # p is a probability; whether a constant is above 0 is not known.
    symbols = {name: sympy.Symbol(name, real=True, positive=name == "p" or None) for name in names_of(node)}
    try:
        first = _to_sympy(node, symbols)
    except (ArithmeticError, TypeError, ValueError):
        return
    for way in _WAYS:
        try:
            yield _from_sympy(way(first))
        except (ArithmeticError, NotImplementedError, TypeError, ValueError):
            continue


def _to_sympy(node: Node, symbols: Mapping[str, Any]) -> Any:
    if isinstance(node, Number):
        return sympy.Rational(f"{node.value:.12g}")
    if isinstance(node, Name):
        return symbols[node.name]
    return _TO[node.name](*(_to_sympy(argument, symbols) for argument in node.arguments))


def _from_sympy(form: Any) -> Node:
    """Return what sympy found in our language.

    Raises
    ------
    ValueError
        If it has something else, as an infinite or complex number.

    """
    for fits, read in _READ:
        if fits(form):
            return read(form)
    raise ValueError(f"{form} is not in the language of formulas")


def _number(form: Any) -> Node:
    value = float(form)
    if not form.is_finite:
        raise ValueError(f"{form} is not finite")
    magnitude: Node = Number(float(f"{abs(value):.12g}"))
    if _is_fraction(form):
        magnitude = Call("/", (Number(float(abs(form.p))), Number(float(form.q))))
    return Call("neg", (magnitude,)) if value < 0 else magnitude


def _is_fraction(form: Any) -> bool:
    """Tell whether a number is one that a few digits don't write."""
    return isinstance(form, sympy.Rational) and float(f"{float(form):.6g}") != float(form) and form.q < 10**6


def _sum(form: Any) -> Node:
    """Return a sum, what is added first, so that 1 - p stays 1 - p, which is computed exactly."""
    terms = list(map(_signed, form.as_ordered_terms()))
    added = [term for sign, term in terms if sign > 0]
    taken = [term for sign, term in terms if sign < 0]
    if not added:
        return Call("neg", (_joined("+", taken),))
    if added == [Name("p")] and taken == [Number(1.0)]:
        return Call("neg", (Call("-", (Number(1.0), Name("p"))),))
    return _joined("-", [_joined("+", added), *taken])


def _signed(form: Any) -> tuple[int, Node]:
    """Return the sign of a formula as it is written, and the rest."""
    node = _from_sympy(form)
    return (-1, node.arguments[0]) if isinstance(node, Call) and node.name == "neg" else (1, node)


def _product(form: Any) -> Node:
    above: list[Node] = []
    below: list[Node] = []
    sign = 1
    for each in form.as_ordered_factors():
        factor = each
        base, exponent = factor.as_base_exp()
        under = exponent.is_number and exponent.is_negative and base != sympy.E and _logistic(factor) is None
        if isinstance(factor, sympy.Rational) and factor.q != 1 and (abs(factor.p) == 1 or _is_fraction(factor)):
            below.append(Number(float(factor.q)))  # x/3 and not 0.333*x
            factor = sympy.Integer(factor.p)
        own, node = _signed(1 / factor if under else factor)
        sign *= own
        if node != Number(1.0):
            (below if under else above).append(node)
    whole = _joined("*", above) if above else Number(1.0)
    if below:
        whole = Call("/", (whole, _joined("*", below)))
    return whole if sign > 0 else Call("neg", (whole,))


def _power(form: Any) -> Node:
    base, exponent = form.as_base_exp()
    if base == sympy.E:
        return Call("exp", (_from_sympy(exponent),))
    if exponent == sympy.Rational(1, 2):
        return Call("sqrt", (_from_sympy(base),))
    if exponent.is_number and exponent.is_negative:
        return Call("/", (Number(1.0), _from_sympy(base**-exponent)))
    sign, inside = _signed(base)
    if sign < 0 and exponent.is_Integer:  # (p - 1)^2 is (1 - p)^2
        raised = Call("^", (inside, _from_sympy(exponent)))
        return raised if exponent.is_even else Call("neg", (raised,))
    return Call("^", (_from_sympy(base), _from_sympy(exponent)))


def _beside_one(form: Any) -> Any:
    """Return x of 1 + exp(x); None if a formula is something else."""
    if not form.is_Add or _ONE not in form.args or len(form.args) != 2:
        return None
    (other,) = (each for each in form.args if each != _ONE)
    return other.args[0] if other.func is sympy.exp else None


def _logistic(form: Any) -> Any:
    """Return x of 1 / (1 + exp(-x)); None if a formula is something else."""
    inside = _beside_one(form.args[0]) if form.is_Pow and form.args[1] == -1 else None
    return None if inside is None else -inside


def _extreme(form: Any) -> Node:
    name = "max" if form.func is sympy.Max else "min"
    arguments = sorted(form.args, key=sympy.default_sort_key)
    if name == "max" and len(arguments) == 2 and sympy.Integer(0) in arguments:
        (other,) = (each for each in arguments if each != 0)
        return Call("relu", (_from_sympy(other),))
    return _joined(name, list(map(_from_sympy, arguments)))


def _joined(name: str, nodes: Sequence[Node]) -> Node:
    return reduce(lambda one, other: Call(name, (one, other)), nodes)


def _softened(form: Any) -> Any:
    return _beside_one(form.args[0]) if form.func is sympy.log else None


_READ: tuple[tuple[Callable[[Any], bool], Callable[[Any], Node]], ...] = (
    (lambda form: form.is_Symbol, lambda form: Name(str(form))),
    (lambda form: form.is_Number or form.is_NumberSymbol, _number),
    (lambda form: form.is_Add, _sum),
    (lambda form: form.is_Mul, _product),
    (lambda form: _logistic(form) is not None, lambda form: Call("sigmoid", (_from_sympy(_logistic(form)),))),
    (lambda form: _softened(form) is not None, lambda form: Call("softplus", (_from_sympy(_softened(form)),))),
    (lambda form: form.func is sympy.exp or form.is_Pow, _power),
    (lambda form: form.func in (sympy.Max, sympy.Min), _extreme),
    (lambda form: form.func in _FROM, lambda form: Call(_FROM[form.func], tuple(map(_from_sympy, form.args)))),
)
"""What a form of sympy is, and how it is written in our language; the first that fits is taken."""
