"""The values of a formula, computed so that they stay exact where the formula as it stands would round or overflow.

The logarithm of what is positive by its form is computed without forming it: log(p) is a log-softmax, log(1 - p) the
log-sum-exp of the other classes, log(cosh(r)) does not overflow. Ratios, powers and roots of it are taken by it. What
is outside the domain of another root, power or logarithm is taken at its edge, the smallest normal number, with
gradient 0. All else is as it is written: 1/r is infinite at 0.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.formula import Call, Name, Node, Number

LARGEST_EXACT_POWER = 64
_FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "+": torch.add, "-": torch.sub, "*": torch.mul, "neg": torch.neg, "abs": torch.abs, "atan": torch.atan,
    "cosh": torch.cosh, "exp": torch.exp, "max": torch.maximum, "min": torch.minimum, "relu": torch.relu,
    "sigmoid": torch.sigmoid, "softplus": F.softplus, "tanh": torch.tanh,
}  # fmt: skip
_LOG_OF: Mapping[str, Callable[..., Tensor]] = {"*": torch.add, "/": torch.sub, "+": torch.logaddexp}
"""By operation its logarithm, from those of its arguments."""
_P, _ONE = Name("p"), Number(1.0)
_MISS, _LESS_MISS = Call("-", (_ONE, _P)), Call("-", (_P, _ONE))


def _log_cosh(value: Tensor) -> Tensor:
    return value.abs() + (0.5 * (-2 * value.abs()).expm1()).log1p()


_LOG_OF_FUNCTION: Mapping[str, Callable[..., Tensor]] = {
    "cosh": _log_cosh,
    "exp": torch.Tensor.clone,
    "sigmoid": F.logsigmoid,
}


class Values:
    """The values of formulas of the same names.

    Parameters
    ----------
    known : mapping of str to Tensor or float
        The value of each name; tensors of one floating-point type and of shapes that broadcast.
    like : Tensor
        Its type and device are those of the numbers.
    log_p, log_miss : Tensor, callable
        Where p is among the names: log(p), and what gives log(1 - p).

    """

    def __init__(
        self,
        known: Mapping[str, Tensor | float],
        like: Tensor,
        log_p: Tensor | None = None,
        log_miss: Callable[[], Tensor] | None = None,
    ) -> None:
        self.known, self.like, self._log_p, self._give_log_miss = known, like, log_p, log_miss
        self._log_miss: Tensor | None = None
        self._tiny = torch.finfo(like.dtype).tiny

    def of(self, node: Node) -> Tensor:
        """Return the value of a formula."""
        if isinstance(node, Number):
            return self._number(node.value)
        if isinstance(node, Name):
            return self._named(node.name)
        if node in (_MISS, _LESS_MISS) and self._log_p is not None:
            return self._log_of_miss().exp() if node == _MISS else -self._log_of_miss().exp()
        if node.name == "log":
            return self.log_of(node.arguments[0])
        if node.name in ("/", "^", "sqrt"):
            return self._log(node).exp() if _is_positive(node) else self._plain(node)
        return _FUNCTIONS[node.name](*map(self.of, node.arguments))

    def log_of(self, node: Node) -> Tensor:
        """Return the logarithm of a formula."""
        if _is_positive(node):
            return self._log(node)
        if isinstance(node, Call) and node.name == "+" and _ONE in node.arguments:
            other = node.arguments[1 - node.arguments.index(_ONE)]
            return self.of(other).clamp(min=torch.finfo(self.like.dtype).eps - 1).log1p()
        return self.of(node).clamp(min=self._tiny).log()

    def _log(self, node: Node) -> Tensor:
        """Return the logarithm of what is positive by its form, without forming it."""
        if isinstance(node, Number):
            return self._number(math.log(node.value))
        if isinstance(node, Name):
            assert self._log_p is not None
            return self._log_p
        if node == _MISS:
            return self._log_of_miss()
        if node.name in _LOG_OF:
            return _LOG_OF[node.name](*map(self._log, node.arguments))
        if node.name in ("^", "sqrt"):
            return self._exponent(node) * self._log(node.arguments[0])
        return _LOG_OF_FUNCTION[node.name](self.of(node.arguments[0]))

    def _plain(self, node: Call) -> Tensor:
        """Return a ratio, power or root of what may have any sign."""
        if node.name == "/":
            return self.of(node.arguments[0]) / self.of(node.arguments[1])
        base, exact = self.of(node.arguments[0]), _whole(node.arguments[-1]) if node.name == "^" else None
        if exact is not None:
            return base.pow(exact)
        inside = base.clamp(min=self._tiny)
        return inside.sqrt() if node.name == "sqrt" else inside.pow(self.of(node.arguments[1]))

    def _exponent(self, node: Call) -> Tensor:
        return self._number(0.5) if node.name == "sqrt" else self.of(node.arguments[1])

    def _named(self, name: str) -> Tensor:
        if name == "p":
            assert self._log_p is not None
            return self._log_p.exp()
        value = self.known[name]
        return value.to(self.like.dtype) if isinstance(value, Tensor) else self._number(value)

    def _number(self, value: float) -> Tensor:
        return self.like.new_full((), value)  # no copy to a device, as `new_tensor` would make

    def _log_of_miss(self) -> Tensor:
        if self._log_miss is None:
            assert self._give_log_miss is not None
            self._log_miss = self._give_log_miss()
        return self._log_miss


def _is_positive(node: Node) -> bool:
    """Tell whether a formula is above 0 by its form, whatever its names are, p being a probability."""
    if isinstance(node, Number):
        return node.value > 0
    if isinstance(node, Name) or node == _MISS:
        return node in (_P, _MISS)
    if node.name in _LOG_OF_FUNCTION:
        return True
    if node.name in ("^", "sqrt"):
        return _is_positive(node.arguments[0])
    return node.name in _LOG_OF and all(map(_is_positive, node.arguments))


def _whole(node: Node) -> int | None:
    """Return a whole number that stands in a formula, if it is one: then the base may be below 0."""
    if isinstance(node, Call) and node.name == "neg":
        whole = _whole(node.arguments[0])
        return None if whole is None else -whole
    if isinstance(node, Number) and node.value.is_integer() and node.value <= LARGEST_EXACT_POWER:
        return int(node.value)
    return None
