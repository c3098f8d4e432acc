"""Ranges of parameters in the notation of mathematics: "[0, inf)", "(0, 1]"."""

import math
import re
from typing import Any

_NOTATION = re.compile(r"([\[(])\s*(\S+)\s*,\s*(\S+)\s*([\])])")


def contains(interval: str, value: Any) -> bool:
    """Tell whether a number lies in an interval; what is not a number lies in none.

    Parameters
    ----------
    interval : str
        Two bounds in brackets; a square bracket includes its bound, a round one excludes it.
    value : Any
        A list is inside when each of its elements is.

    Raises
    ------
    ValueError
        If the notation can't be read.

    Examples
    --------
    >>> contains("[0, 1)", 0), contains("[0, 1)", 1), contains("(0, inf)", "abc")
    (True, False, False)

    """
    match = _NOTATION.fullmatch(interval.strip())
    if match is None:
        raise ValueError(f"{interval!r} is not an interval; write for example '[0, inf)'")
    if isinstance(value, list | tuple):
        return all(contains(interval, element) for element in value)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    low, high = float(match[2]), float(match[3])
    above = value >= low if match[1] == "[" else value > low
    below = value <= high if match[4] == "]" else value < high
    return above and below
