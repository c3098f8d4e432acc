"""The histories of runs, the most of what a record holds: as tables of numbers, so that 10,000 runs fit into memory."""

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from lossbench.records.schema import Record

Row = dict[str, Any]


class History(Sequence[Row]):
    """The rows of a history, each made when it is asked for; they take an eighth of the memory of dictionaries.

    Parameters
    ----------
    names : tuple of str
        The keys of each row.
    values : ndarray, shape (E, K)
        The numbers of each row.
    known : ndarray of bool, shape (E, K)
        Which of its names each row has: that of an epoch without a look at the test set lacks some.
    whole : frozenset of str
        The names whose numbers are whole.

    """

    __slots__ = ("known", "names", "values", "whole")

    def __init__(
        self, names: tuple[str, ...], values: NDArray[np.float64], known: NDArray[np.bool_], whole: frozenset[str]
    ) -> None:
        self.names, self.values, self.known, self.whole = names, values, known, whole

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return list(map(self._row, self.values[place].tolist(), self.known[place].tolist()))
        return self._row(self.values[place].tolist(), self.known[place].tolist())

    def __iter__(self) -> Iterator[Row]:
        return map(self._row, self.values.tolist(), self.known.tolist())

    def __eq__(self, other: object) -> bool:
        return list(self) == (list(other) if isinstance(other, History) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def _row(self, values: list[float], known: list[bool]) -> Row:
        row: Row = dict(compress(zip(self.names, values, strict=True), known))
        for name in self.whole & row.keys():
            row[name] = int(row[name])
        return row

    def column(self, name: str) -> list[float | None]:
        """Return a number of each row, None where rows lack it."""
        if name not in self.names:
            return [None] * len(self)
        place = self.names.index(name)
        found = self.values[:, place].tolist()
        if name in self.whole:
            found = list(map(int, found))
        return [value if there else None for value, there in zip(found, self.known[:, place].tolist(), strict=True)]


def column(history: Sequence[Row] | None, name: str) -> list[Any]:
    """Return what each row of a history has under a name, None where it has nothing.

    Examples
    --------
    >>> column([{"epoch": 0, "test/nll": 2.0}, {"epoch": 1}], "test/nll")
    [2.0, None]

    """
    return history.column(name) if isinstance(history, History) else [row.get(name) for row in history or []]


def names_in(history: Sequence[Row] | None) -> Collection[str]:
    """Return all names that rows of a history have, in their order."""
    return (
        history.names if isinstance(history, History) else dict.fromkeys(name for row in history or [] for name in row)
    )


class Compact:
    """Makes records small: histories as tables, and what is the same in many records, such as their config, once."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._parts: dict[str, Any] = {}

    def __call__(self, entry: Record) -> Record:
        """Return a record with the same content, which nobody may change."""
        small: Any = {name: self._shared(value) for name, value in entry.items() if name not in ("history", "metrics")}
        if "metrics" in entry:
            small["metrics"] = {select: _with_shared_names(found) for select, found in entry["metrics"].items()}
        if "history" in entry:
            small["history"] = entry["history"]
        small["config"] = {name: self._shared(value) for name, value in entry["config"].items()}
        if entry.get("history"):
            small["history"] = self._table(entry["history"])
        return small

    def _shared(self, value: Any) -> Any:
        return self._parts.setdefault(json.dumps(value), value) if isinstance(value, Mapping | list) else value

    def _table(self, rows: list[Row]) -> Sequence[Row]:
        """Return rows of numbers as a table if each has names of the longest, in its order; all others as they are."""
        longest = max(rows, key=len)
        names = tuple(longest)
        if alike := all(tuple(row) == names for row in rows):
            known = np.ones((len(rows), len(names)), dtype=bool)
            kinds = [set(map(type, found)) for found in zip(*(row.values() for row in rows), strict=True)]
        else:
            known = np.array([[name in row for name in names] for row in rows])
            if any(tuple(row) != tuple(compress(names, there)) for row, there in zip(rows, known, strict=True)):
                return rows
            kinds = [{type(row[name]) for row in rows if name in row} for name in names]
        if any(kind not in ({float}, {int}) for kind in kinds):
            return rows
        whole = frozenset(name for name, kind in zip(names, kinds, strict=True) if kind == {int})
        told = [list(row.values()) if alike else [row.get(name, 0) for name in names] for row in rows]
        return History(self._names.setdefault(names, names), np.array(told, dtype=np.float64), known, whole)


def _with_shared_names(found: Any) -> Any:
    """Return metrics whose names are those of all runs: read from files, each has copies of its own."""
    return {sys.intern(name): value for name, value in found.items()} if isinstance(found, dict) else found
