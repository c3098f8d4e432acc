"""What a command asks for more than once, or takes back: it is said in a line, and the command goes on."""

import sys
from collections.abc import Callable, Sequence

from lossbench.config.cell import Cell
from lossbench.config.variants import key_of

SHOWN = 5
"""How many runs a line names."""


def once_each(cells: Sequence[Cell]) -> list[Cell]:
    """Return each run once; say which were asked for again, such as by `seed=0,0`."""
    found: dict[str, Cell] = {}
    again: dict[str, Cell] = {}
    for cell in cells:
        place = str(cell.path)
        (again if place in found else found).setdefault(place, cell)
    if again:
        names = [f"{cell.data} {cell.name}" for cell in again.values()]
        more = f" and {len(names) - SHOWN} others" if len(names) > SHOWN else ""
        print(f"asked for more than once, made once: {', '.join(names[:SHOWN])}{more}", file=sys.stderr)
    return list(found.values())


def say_lost_sweeps(lines: Sequence[str], is_swept: Callable[[str], bool]) -> None:
    """Say which values of a sweep are not run, since the same key comes again: the last holds, as always in Hydra."""
    last = {key_of(line): line for line in lines}
    for number, line in enumerate(lines):
        later = last[key_of(line)]
        if later != line and later in lines[number + 1 :] and is_swept(line):
            print(f"{line} is not swept: {later} comes later, and the last one holds", file=sys.stderr)
