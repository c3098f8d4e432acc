"""The histories of runs, the most of what a record holds: as tables of numbers, so that 10,000 runs fit into memory."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

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
    whole : frozenset of str
        The names whose numbers are whole.

    """

    __slots__ = ("names", "values", "whole")

    def __init__(self, names: tuple[str, ...], values: np.ndarray[Any, Any], whole: frozenset[str]) -> None:
        self.names, self.values, self.whole = names, values, whole

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [self._row(values) for values in self.values[place].tolist()]
        return self._row(self.values[place].tolist())

    def __iter__(self) -> Iterator[Row]:
        return map(self._row, self.values.tolist())

    def __eq__(self, other: object) -> bool:
        return list(self) == (list(other) if isinstance(other, History) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def _row(self, values: list[float]) -> Row:
        row: Row = dict(zip(self.names, values, strict=True))
        for name in self.whole:
            row[name] = int(row[name])
        return row

    def column(self, name: str) -> list[float | None]:
        """Return a number of each row, None where rows lack it."""
        if name not in self.names:
            return [None] * len(self)
        found = self.values[:, self.names.index(name)].tolist()
        return list(map(int, found)) if name in self.whole else found


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
        for name in ("config", "metrics", "history"):
            if name in entry:
                small[name] = entry[name]
        small["config"] = {name: self._shared(value) for name, value in entry["config"].items()}
        if entry.get("history"):
            small["history"] = self._table(entry["history"])
        return small

    def _shared(self, value: Any) -> Any:
        return self._parts.setdefault(json.dumps(value), value) if isinstance(value, Mapping | list) else value

    def _table(self, rows: list[Row]) -> Sequence[Row]:
        """Return rows of the same finite numbers as a table, all others as they are."""
        names = tuple(rows[0])
        if any(tuple(row) != names for row in rows):
            return rows
        columns = list(zip(*(row.values() for row in rows), strict=True))
        kinds = [set(map(type, each)) for each in columns]
        if any(kind not in ({float}, {int}) for kind in kinds):
            return rows
        whole = frozenset(name for name, kind in zip(names, kinds, strict=True) if kind == {int})
        return History(self._names.setdefault(names, names), np.array(columns, dtype=np.float64).T.copy(), whole)
