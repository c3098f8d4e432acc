"""What is made of a user's table or arrays: both parts as arrays, and what is said of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lossbench.data.corruptions import Array, choose_per_class, part_of
from lossbench.data.files import DataError
from lossbench.data.grouped import choose_groups
from lossbench.data.own_columns import Column
from lossbench.data.own_targets import Target
from lossbench.errors import ConfigError
from lossbench.seeding import numpy_stream


@dataclass(frozen=True)
class Wanted:
    """What is asked of a file: the keys of `data` that say so. It is hashable."""

    path: str
    target: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    id: str | None = None
    test: float | str = 0.2
    task: str = "auto"


@dataclass(frozen=True)
class Prepared:
    """Both parts, their inputs as a network gets them but for their mean and deviation.

    Parameters
    ----------
    inputs : two arrays
        Of the training and of the test part, as the next ones: float32, or images as uint8.
    targets : two Target
        What is predicted.
    extras : two mappings of str to array
        "weight" (of training), "group", "id".
    mean, std : array, optional
        Of the inputs, where they are not standardised.
    facts : mapping
        For the record: JSON-able.
    told : list of str
        For the user: first what was read, then what should be known.

    """

    inputs: Sequence[Array]
    targets: Sequence[Target]
    extras: Sequence[Mapping[str, Array]]
    mean: Array | None = None
    std: Array | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    told: Sequence[str] = ()


def wanted_of(node: Mapping[str, Any], task: str) -> Wanted:
    """Return what the keys of `data` ask of a file, for a task."""

    def several(value: Any) -> tuple[str, ...]:
        return () if value is None else (value,) if isinstance(value, str) else tuple(value)

    return Wanted(
        str(node["path"]),
        target=several(node.get("target")),
        features=None if node.get("features") is None else several(node["features"]),
        drop=several(node.get("drop")),
        **{name: node.get(name) for name in ("weight", "group", "time", "id")},
        test=node.get("test", 0.2),
        task=task,
    )


@contextmanager
def said_of(where: str) -> Iterator[None]:
    """Put a file before what is said of what it holds."""
    try:
        yield
    except ConfigError as error:
        raise DataError(f"{where}: {error}") from error


def lacking(count: int, what: str) -> str:
    """Say that samples without a target are left out.

    Examples
    --------
    >>> lacking(1, "row"), lacking(3, "test row")
    ('1 row has no target: left out', '3 test rows have no target: left out')

    """
    return f"{count} {what} has no target: left out" if count == 1 else f"{count} {what}s have no target: left out"


def test_rows(target: Target, share: float, group: Array | None = None, time: Array | None = None) -> Array:
    """Return the rows of the test part, in ascending order; a draw is the same under every seed.

    Parameters
    ----------
    target : Target
        Each class is drawn from by itself, at least one sample of it and never all.
    share : float
        Of all rows, in (0, 1).
    group : array of int, shape (N,), optional
        Whole groups are drawn.
    time : array, shape (N,), optional
        The last ones are taken instead, with all that have the time of the first of them.

    """
    rows, stream = len(target.values), numpy_stream(0, "own", "test")
    most = max(1, min(part_of(rows, share), rows - 1))
    labels = target.values if target.of_classes else np.zeros(rows, dtype=np.int64)
    if time is not None:
        found = np.flatnonzero(time >= np.sort(time)[rows - most])
        if len(found) == rows:
            raise DataError("data.time: the last rows have the time of the first. Nothing is left to train on.")
        if lost := np.setdiff1d(labels[found], np.delete(labels, found)).tolist():
            raise DataError(
                f"data.time: the class {target.names[lost[0]]!r} comes in the last {len(found)} rows alone, the test "
                "part. Train on longer: a smaller data.test."
            )
        return found
    if group is not None:
        return choose_groups(labels, group, share, stream)
    counts = np.bincount(labels)
    sizes = [max(0, min(max(1, part_of(int(count), share)), int(count) - 1)) for count in counts]
    return choose_per_class(labels, sizes, stream)


def weights_of(column: Column, name: str) -> Array:
    """Return the weights of samples, of mean 1, float32.

    Raises
    ------
    DataError
        If one is missing or negative, or all are 0.

    """
    values = column.values
    what = f"a {column.kind}" if column.kind not in ("number", "boolean") else ""
    if not what and len(wrong := np.flatnonzero(~(values >= 0))):
        what = f"{values[wrong[0]]:g} in row {wrong[0] + 1}"
    if what or not values.any():
        raise DataError(
            f"data.weight={name} is {what or '0 everywhere'}: weights are numbers from 0, not all of them 0."
        )
    return (values / values.mean()).astype(np.float32)


def require_no_negative(column: Column, name: str, rows: Array) -> None:
    """Raise a `DataError` at a negative weight; in a test row too, where none counts: it is a mistake all the same."""
    if column.kind == "number" and len(wrong := np.flatnonzero(column.values < 0)):
        found = f"{column.values[wrong[0]]:g} in row {rows[wrong[0]] + 1}"
        raise DataError(f"data.weight={name} is {found}: weights are numbers from 0, not all of them 0.")


def ids_of(column: Column, name: str) -> Array:
    """Return whole numbers that the predictions of a run keep, int64.

    Raises
    ------
    DataError
        If they are anything else.

    """
    values = column.values
    if column.kind != "number" or np.isnan(values).any() or (values != np.floor(values)).any():
        raise DataError(
            f"data.id={name} holds {'texts' if column.kind == 'category' else 'more than whole numbers'}: the files of "
            "a run keep numbers alone. Number the rows in a column, or leave it out, then `index` is the place in the "
            "test part."
        )
    return values.astype(np.int64)


def groups_of(*columns: Column) -> list[Array]:
    """Return the numbers of groups of samples, alike in all parts.

    Raises
    ------
    DataError
        If a row has none.

    """
    for column in columns:
        if len(gaps := np.flatnonzero(column.missing)):
            raise DataError(f"data.group: row {gaps[0] + 1} has no group. Give it one of its own.")
    words = [column.texts().astype(str) if column.kind == "category" else column.values for column in columns]
    if len({each.dtype.kind for each in words}) > 1:
        raise DataError("data.group holds texts in one file and numbers in the other.")
    _, number = np.unique(np.concatenate(words), return_inverse=True)
    return np.split(number.astype(np.int64), np.cumsum([len(each) for each in words])[:-1])
