"""What values a parameter may have, in a notation that is short and reads like text.

"int [1, inf)", "number (0, 1) or null", "bool", "text", "dict", "one of: bca, t", "list of int [1, inf)",
"list of 2 number [0, 1)", "list of 1+ text". An interval alone, "[0, 1)", is what `contains` reads.
"""

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

_NOTATION = re.compile(r"([\[(])\s*(\S+)\s*,\s*(\S+)\s*([\])])")
_WORDS = {
    "int": "a whole number",
    "number": "a number",
    "bool": "true or false",
    "dict": "keys with values",
    "any": "anything",
}
_TYPES: dict[str, Any] = {"int": int, "number": (int, float), "bool": bool, "dict": dict, "text": str, "any": object}
Declared = TypeVar("Declared", bound=Callable[..., object])


def takes(**allowed: str) -> Callable[[Declared], Declared]:
    """Declare the values that the settings of a function or class may have, by their names in the config.

    They are read from the source text (`lossbench.config.values`), so they are written as plain strings.
    """

    def declare(declared: Declared) -> Declared:
        made: Any = declared
        made.takes = allowed
        return declared

    return declare


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


def within(range_of: str, value: Any) -> bool:
    """Tell whether a parameter of a loss is in its range: an interval, or "one of: image, batch"."""
    return admits(range_of, value) if range_of.startswith("one of: ") else contains(range_of, value)


def admits(allowed: str, value: Any) -> bool:
    """Tell whether a value is one of those that a notation allows.

    Raises
    ------
    ValueError
        If the notation can't be read.

    Examples
    --------
    >>> admits("int [1, inf) or null", None), admits("int [1, inf)", 1.5), admits("list of 2 number [0, 1)", [0, 0.9])
    (True, False, True)
    >>> admits("one of: bca, t", "bca"), admits("list of int", 3), admits("text", "")
    (True, False, False)

    """
    return any(_is(kind, value) for kind in allowed.split(" or "))


def choices(allowed: str) -> list[str]:
    """Return the words that a notation allows.

    Examples
    --------
    >>> choices("one of: bca, t or null"), choices("int [1, inf)")
    (['bca', 't'], [])

    """
    named = (kind.removeprefix("one of: ").split(", ") for kind in allowed.split(" or ") if kind.startswith("one of: "))
    return [word for words in named for word in words]


def describe(allowed: str) -> str:
    """Write a notation in words.

    Examples
    --------
    >>> describe("int [1, inf) or null"), describe("list of 2 number [0, 1)"), describe("one of: bca, t")
    ('a whole number in [1, inf) or null', 'a list of 2, each a number in [0, 1)', 'one of: bca, t')

    """
    return " or ".join(map(_told, allowed.split(" or ")))


def _is(kind: str, value: Any) -> bool:
    count, of_list, interval = _read(kind)
    if of_list is not None:
        return isinstance(value, list) and _has_length(value, count) and all(_is(of_list, each) for each in value)
    if kind.startswith("one of: "):
        return isinstance(value, str) and value in choices(kind)
    if kind == "null":
        return value is None
    name = kind.partition(" ")[0]
    if interval is not None and not contains(interval, value):
        return False
    is_bool = isinstance(value, bool)
    return name == "any" or (isinstance(value, _TYPES[name]) and is_bool == (name == "bool") and value != "")


@cache
def _read(kind: str) -> tuple[str, str | None, str | None]:
    """Return the length of a list, as it is written, and what it is of, or else the interval."""
    if match := re.fullmatch(r"list of (?:(\d+\+?) )?(.+)", kind):
        return match[1] or "0+", match[2], None
    name, _, interval = kind.partition(" ")
    if name not in _TYPES and kind != "null" and not kind.startswith("one of: "):
        raise ValueError(f"{kind!r} can't be read; write for example 'int [1, inf) or null'")
    return "", None, interval if interval and name in ("int", "number") else None


def _has_length(values: list[Any], count: str) -> bool:
    return len(values) >= int(count[:-1]) if count.endswith("+") else len(values) == int(count)


def _told(kind: str) -> str:
    count, of_list, interval = _read(kind)
    if of_list is not None:
        length = "" if count == "0+" else f" of {count.replace('+', ' or more')}"
        return f"a list{length}, each {_told(of_list)}"
    name = kind.partition(" ")[0]
    return _WORDS.get(name, kind) + (f" in {interval}" if interval else "")
