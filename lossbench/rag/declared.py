"""What a metric says of itself: the fields it needs, its range, how often it asks a judge."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Metric:
    """A metric and what is known of it.

    Parameters
    ----------
    function : callable
        `(case, judge, embed, *, settings) -> float or None`, with those of them that it asks for by name.
    needs : tuple of str
        Fields that a case must have; of "a|b" one.
    calls : str
        Calls of the judge for a case, "" for none.
    bounds : (float, float)
        Smallest and largest value.
    label : str
        The field in which people say the same as the judge; "" for none.

    """

    function: Callable[..., float | None]
    needs: tuple[str, ...]
    calls: str
    bounds: tuple[float, float]
    label: str

    @property
    def name(self) -> str:
        """The name in tables."""
        return self.function.__name__

    @property
    def asks(self) -> tuple[str, ...]:
        """What the function asks for by name, beside the case."""
        return tuple(inspect.signature(self.function).parameters)[1:]

    @property
    def meaning(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


METRICS: dict[str, Metric] = {}
"""Every metric by its name, in the order in which they are declared."""


def metric(
    needs: tuple[str, ...], calls: str = "", bounds: tuple[float, float] = (0.0, 1.0), label: str = ""
) -> Callable[[Function], Function]:
    """Declare a metric; the arguments are those of `Metric`."""

    def declare(function: Function) -> Function:
        METRICS[function.__name__] = Metric(function, needs, calls, bounds, label)
        return function

    return declare
