"""The target of a user's table or arrays: what it is seen as, and why; what can't be learned is refused."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from lossbench.data.corruptions import Array
from lossbench.data.files import DataError
from lossbench.data.own_columns import Column
from lossbench.tasks import task_named
from lossbench.tasks.several import name_of, part_names

FEW = 20
"""Whole numbers of at most so many values, each in ten rows on average, are seen as classes."""
MOST_CLASSES = 1000
"""More are taken for an identifier, or a number."""
KINDS = {"class": "multiclass", "labels": "multilabel", "number": "regression", "count": "count"}
"""By the target of a task what a source calls itself."""


class Target(NamedTuple):
    """What is predicted.

    Parameters
    ----------
    values : array
        Numbers (N,), float32; classes (N,), int64, counted from 0; labels (N, L), int64, -1 where not known; of several
        targets each in its column (N, T), float32.
    task : str
        "binary", "multiclass", "regression", "count" or "multilabel", or one of several (`tasks.several.name_of`).
    names : tuple of str
        Of classes or labels.
    parts : mapping of str to mapping
        Of several targets what a source says of each, as `Source.shared["parts"]`.

    """

    values: Array
    task: str
    names: tuple[str, ...] = ()
    parts: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    @property
    def of_classes(self) -> bool:
        """Whether each sample has one class."""
        return task_named(self.task).has_classes


def seen_as(columns: Mapping[str, Column]) -> tuple[str, str]:
    """Return the task of which a target seems to be, and what shows it.

    Parameters
    ----------
    columns : mapping of str to Column
        One, or one for each label.

    Raises
    ------
    DataError
        If it is none that can be learned.

    Examples
    --------
    >>> price = Column("number", np.array([1.5, 2.0, 7.0]))
    >>> seen_as({"price": price, "paid": Column("category", np.array([0, 1, 1]), ("no", "yes"))})[0]
    'several(price=regression,paid=binary)'
    >>> seen_as({"price": Column("number", np.array([1.5, 2.0, 7.0]))})
    ('regression', 'numbers that are not whole')
    >>> seen_as({"paid": Column("category", np.array([0, 1]), ("no", "yes"))})
    ('binary', 'two texts: no, yes')

    """
    if len(columns) > 1:
        return _seen_as_several(columns)
    (name, column), *_ = columns.items()
    known = column.values[~column.missing]
    if not len(known):
        raise DataError(f"the target {name!r} has no value in any row.")
    if column.kind == "date":
        raise DataError(f"the target {name!r} holds dates. Make a number or a class of them.")
    different = _two_values(name, column, known)
    if column.kind == "category":
        shown = ", ".join(column.levels[:6]) + (", ..." if len(column.levels) > 6 else "")
        return _classes(len(different)), f"{_number(len(different))} texts: {shown}"
    if len(different) <= 2:
        return "binary", f"{_number(len(different))} values: {', '.join(_word(each, column) for each in different)}"
    if not (known == np.floor(known)).all():
        return "regression", "numbers that are not whole"
    if len(different) <= FEW and len(known) >= 10 * len(different):
        return "multiclass", f"{len(different)} whole numbers, each in {len(known) // len(different)} rows on average"
    return "regression", f"whole numbers of {len(different)} values"


def _like_several(target: Target, train: Mapping[str, Column], columns: Mapping[str, Column], task: str) -> Target:
    names, parts = part_names(columns), task_named(task).parts
    each = {}
    for column, name in names.items():
        trained = Target(np.empty(0), parts[name], tuple(target.parts[name]["class_names"]))
        each[name] = like(trained, {column: train[column]}, {column: columns[column]}, parts[name])
    return target._replace(values=np.stack([each[name].values.astype(np.float32) for name in parts], 1))


def _seen_as_several(columns: Mapping[str, Column]) -> tuple[str, str]:
    if all(_is_label(each) for each in columns.values()):
        return "multilabel", f"{len(columns)} columns of 0 and 1"
    names = part_names(columns)
    each = {name: seen_as({name: column}) for name, column in columns.items()}
    told = "; ".join(f"{name}: {why}" for name, (_, why) in each.items())
    return name_of({names[name]: task for name, (task, _) in each.items()}), f"several targets ({told})"


def read_target(columns: Mapping[str, Column], task: str, rows: Array | None = None) -> Target:
    """Read a target, of which no row is missing, as a task wants it; `rows` are their places in the file.

    Raises
    ------
    DataError
        If it is constant, is nothing that the task can predict, or has too many classes.

    """
    wanted = task_named(task)
    if wanted.parts:
        return _several(columns, wanted.parts, task, rows)
    if wanted.target == "labels":
        return _labels(columns)
    if len(columns) > 1:
        raise DataError(f"data.task={task} takes one target, not {', '.join(columns)}.")
    (name, column), *_ = columns.items()
    different = _two_values(name, column, column.values)
    if not wanted.has_classes:
        kind = KINDS[wanted.target]
        return Target(_numbers(name, column, kind, rows), kind)
    most = max(2, len(column.values) // 2)
    if len(different) > min(MOST_CLASSES, most):
        raise DataError(
            f"the target {name!r} has {len(different):,} different values in {len(column.values):,} rows: too many "
            f"classes. Allowed are {MOST_CLASSES:,}, and two rows for each. Is it an identifier, or a number "
            "(data.task=regression)?"
        )
    names = tuple(column.levels[int(each)] if column.levels else _word(each, column) for each in different)
    if wanted.classes not in (None, len(names)):
        raise DataError(
            f"data.task={task} has {wanted.classes} classes, but the target {name!r} {len(names)}: "
            f"{', '.join(names[:12])}. Use data.task=multiclass."
        )
    return Target(np.searchsorted(different, column.values), _classes(len(names)), names)


def like(target: Target, train: Mapping[str, Column], columns: Mapping[str, Column], task: str) -> Target:
    """Read the target of a test file with the classes of the training file.

    Raises
    ------
    DataError
        If it has a class that the training file lacks, or is of another kind.

    """
    for name, column in columns.items():
        if (column.kind == "category") != (train[name].kind == "category"):
            raise DataError(f"the target {name!r} is a {column.kind} there and a {train[name].kind} in data.path.")
    if target.parts:
        return _like_several(target, train, columns, task)
    if not target.of_classes:
        return read_target(columns, task)
    (name, column), *_ = columns.items()
    words = np.array(column.levels, dtype=object)[column.values] if column.levels else None
    words = np.array([_word(each, column) for each in column.values], dtype=object) if words is None else words
    unknown = sorted(set(words.tolist()) - set(target.names))
    if unknown:
        row = int(np.flatnonzero(words == unknown[0])[0]) + 1
        raise DataError(
            f"the target {name!r} is {unknown[0]!r} in row {row}, a class that no row of data.path has. It "
            f"has {', '.join(target.names[:12])}."
        )
    numbers = {each: number for number, each in enumerate(target.names)}
    return target._replace(values=np.array([numbers[word] for word in words], dtype=np.int64))


def _several(columns: Mapping[str, Column], parts: Mapping[str, str], task: str, rows: Array | None) -> Target:
    """Read several targets, each as the task of its part wants it."""
    names = part_names(columns)
    if set(names.values()) != set(parts):
        raise DataError(
            f"data.task={task} has the parts {', '.join(parts)}, but the targets are {', '.join(names.values())}. "
            "Leave data.task out, or give each target its task there."
        )
    each = {name: read_target({column: columns[column]}, parts[name], rows) for column, name in names.items()}
    values = np.stack([each[name].values.astype(np.float32) for name in parts], 1)
    told = {name: {"shape": [], "class_names": list(each[name].names)} for name in parts}
    return Target(values, name_of({name: each[name].task for name in parts}), parts=told)


def _two_values(name: str, column: Column, values: Array) -> Array:
    """Return the different values of a target; raise a `DataError` if there is one."""
    different = np.unique(values)
    if len(different) < 2:
        shown = column.levels[0] if column.levels else f"{different[0]:g}"
        raise DataError(f"the target {name!r} is {shown} in every row: there is nothing to predict.")
    return different


def _labels(columns: Mapping[str, Column]) -> Target:
    if len(columns) < 2:
        raise DataError(f"data.task=multilabel needs a column for each label, not {', '.join(columns)} alone.")
    seen_as(columns)
    values = np.stack([np.nan_to_num(each.values, nan=-1) for each in columns.values()], 1).astype(np.int64)
    for name, of_label in zip(columns, values.T, strict=True):
        if len(np.unique(of_label[of_label >= 0])) < 2:
            raise DataError(f"the label {name!r} is the same in every row: there is nothing to predict. Leave it out.")
    return Target(values, "multilabel", tuple(columns))


def _numbers(name: str, column: Column, kind: str, rows: Array | None) -> Array:
    if column.kind == "category":
        raise DataError(
            f"the target {name!r} is {column.levels[column.values[0]]!r} in the first row: a text, but "
            f"data.task={kind} needs numbers. Use data.task={_classes(len(column.levels))}."
        )
    values = column.values
    if kind == "count" and len(wrong := np.flatnonzero((values < 0) | (values != np.floor(values)))):
        row = (wrong if rows is None else rows[wrong])[0] + 1
        raise DataError(
            f"the target {name!r} is {values[wrong[0]]:g} in row {row}, but a count is a whole number from 0."
        )
    return values.astype(np.float32)


def require_two_of_each(target: Target, name: str, rows: Array) -> None:
    """Refuse a class of one sample, which can't be both trained on and tested; `rows` are their places in the file.

    Raises
    ------
    DataError
        Naming the class and its row.

    """
    if not target.of_classes:
        return
    counts = np.bincount(target.values, minlength=len(target.names))
    if len(single := np.flatnonzero(counts == 1)):
        words = ", ".join(repr(target.names[each]) for each in single[:5])
        row = int(rows[target.values == single[0]][0]) + 1
        raise DataError(
            f"the target {name!r} has {len(single)} class{'es' * (len(single) > 1)} of one row: {words} (row {row}"
            f"{' and others' * (len(single) > 1)}). A class needs two, one to train and one to test: add rows, or take "
            "it away."
        )


def tells(target: Target, seen: str, why: str) -> str:
    """Write what a target is read as, and what shows it: what it seems to be, or else that the user says so."""
    alike = target.task == seen or (target.of_classes and task_named(seen).has_classes)
    return f"{target.task}: {why}" if alike else f"{target.task}, as data.task says (it seems {seen}: {why})"


def missing_in(columns: Mapping[str, Column]) -> Array:
    """Return the rows in which a target is missing; of labels all of them: one alone is not known."""
    if not all(_is_label(each) for each in columns.values()):
        return np.logical_or.reduce([each.missing for each in columns.values()])
    return np.logical_and.reduce([each.missing for each in columns.values()])


def _is_label(column: Column) -> bool:
    known = column.values[~column.missing]
    return column.kind in ("number", "boolean") and bool(np.isin(known, (0, 1)).all())


def _classes(count: int) -> str:
    return "binary" if count <= 2 else "multiclass"


def _word(value: float, column: Column) -> str:
    if column.kind == "boolean":
        return ("false", "true")[int(value)]
    return str(int(value)) if value == int(value) else f"{value:g}"


def _number(count: int) -> str:
    return {1: "one", 2: "two"}.get(count, str(count))
