"""What belongs to a part of several tasks, by its name: keys of metrics, and of what a run keeps. Without torch."""

from collections.abc import Mapping
from typing import Any


def renamed(part: str, key: str) -> str:
    """Return the key of a metric of a part.

    Examples
    --------
    >>> renamed("left", "recall/3"), renamed("left", "clean/nll")
    ('left_recall/3', 'clean/left_nll')

    """
    before, clean, name = key.rpartition("clean/")
    return f"{before}{clean}{part}_{name}"


def part_of(part: str, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a part, by the names of its task, and what is common to all.

    Examples
    --------
    >>> part_of("left", {"index": 0, "left/target": 1, "right/target": 2})
    {'index': 0, 'target': 1}

    """
    own = {key.removeprefix(f"{part}/"): value for key, value in kept.items() if key.startswith(f"{part}/")}
    return {**{key: value for key, value in kept.items() if "/" not in key}, **own}
