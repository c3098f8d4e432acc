"""The values of a formula, computed so that they stay exact where the formula as it stands would round or overflow.

What is a product, power, root or exponential of positive things is kept as its logarithm as long as a logarithm is asked
for: log(p) is a log-softmax, log(1 - p) the log-sum-exp of the other classes, log(cosh(r)) does not overflow. What
stays outside the domain of a root, power or logarithm is taken at its edge, the smallest normal number, with gradient 0.
All else is as it is written: 1/r is infinite at 0.
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
_P, _ONE = Name("p"), Number(1.0)
_MISS = Call("-", (_ONE, _P))


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
        if node == _MISS and self._log_p is not None:
            return self._log_of_miss().exp()
        if node.name == "log":
            return self.log_of(node.arguments[0])
        if node.name in ("^", "sqrt"):
            return self._power(node)
        if node.name == "/":
            return self._ratio(*node.arguments)
        return _FUNCTIONS[node.name](*map(self.of, node.arguments))

    def log_of(self, node: Node) -> Tensor:
        """Return the logarithm of a formula."""
        log = self._log(node)
        if log is not None:
            return log
        if isinstance(node, Call) and node.name == "+" and _ONE in node.arguments:
            other = node.arguments[1 - node.arguments.index(_ONE)]
            return self.of(other).clamp(min=torch.finfo(self.like.dtype).eps - 1).log1p()
        return self.of(node).clamp(min=self._tiny).log()

    def _log(self, node: Node) -> Tensor | None:
        """Return the logarithm of what is positive by its form, without forming it; None for anything else."""
        if isinstance(node, Number):
            return self._number(math.log(node.value)) if node.value > 0 else None
        if isinstance(node, Name):
            return self._log_p if node == _P else None
        if node == _MISS and self._log_p is not None:
            return self._log_of_miss()
        first, *others = node.arguments
        if node.name == "exp":
            return self.of(first)
        if node.name == "cosh":
            size = self.of(first).abs()
            return size + (0.5 * (-2 * size).expm1()).log1p()
        if node.name == "sigmoid":
            return F.logsigmoid(self.of(first))
        if node.name in ("*", "/"):
            one, other = self._log(first), self._log(others[0])
            return None if one is None or other is None else one + other if node.name == "*" else one - other
        if node.name in ("^", "sqrt"):
            log = self._log(first)
            return None if log is None else self._exponent(node) * log
        return self._log_of_sum(node)

    def _log_of_sum(self, node: Call) -> Tensor | None:
        if node.name != "+":
            return None
        one, other = (self._log(argument) for argument in node.arguments)
        return None if one is None or other is None else torch.logaddexp(one, other)

    def _power(self, node: Call) -> Tensor:
        base = node.arguments[0]
        log = self._log(base)
        if log is not None:
            return (self._exponent(node) * log).exp()
        exact = _whole(node.arguments[1]) if node.name == "^" else None
        if exact is not None:
            return self.of(base).pow(exact)
        inside = self.of(base).clamp(min=self._tiny)
        return inside.sqrt() if node.name == "sqrt" else inside.pow(self.of(node.arguments[1]))

    def _ratio(self, above: Node, below: Node) -> Tensor:
        logs = self._log(above), self._log(below)
        if logs[0] is not None and logs[1] is not None:
            return (logs[0] - logs[1]).exp()
        return self.of(above) / self.of(below)

    def _exponent(self, node: Call) -> Tensor:
        return self._number(0.5) if node.name == "sqrt" else self.of(node.arguments[1])

    def _named(self, name: str) -> Tensor:
        if name == "p" and self._log_p is not None:
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


def _whole(node: Node) -> int | None:
    """Return a whole number that stands in a formula, if it is one: then the base may be below 0."""
    if isinstance(node, Call) and node.name == "neg":
        whole = _whole(node.arguments[0])
        return None if whole is None else -whole
    if isinstance(node, Number) and node.value.is_integer() and node.value <= LARGEST_EXACT_POWER:
        return int(node.value)
    return None
