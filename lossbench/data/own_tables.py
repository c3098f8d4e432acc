"""Tables of the user's own: a file is read, and what can't be learned from is refused before anything is written."""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lossbench.data.corruptions import Array
from lossbench.data.files import DataError
from lossbench.data.own_columns import Column, column_of, encode, require_features
from lossbench.data.own_parts import (
    Prepared,
    Wanted,
    groups_of,
    ids_of,
    lacking,
    require_no_negative,
    said_of,
    test_rows,
    weights_of,
)
from lossbench.data.own_targets import (
    Target,
    like,
    missing_in,
    read_target,
    require_two_of_each,
    seen_as,
    tells,
)  # fmt: skip
from lossbench.errors import nearest
from lossbench.tasks import task_named

ENDINGS = (".csv", ".parquet", ".tsv", ".txt")
SEPARATORS = (",", ";", "\t")
START = 2**20
"""Bytes of a text by which the types of its columns are guessed."""
NOTHING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "Null", "null", "None", "?")
"""What a cell without a value holds."""


def task_seen(wanted: Wanted) -> tuple[str, str]:
    """Return the task of a table by a look at its target alone, and what shows it.

    Raises
    ------
    DataError
        If there is no such file or column, or it is nothing that can be learned.

    """
    with said_of(f"data.path={wanted.path}"):
        return seen_as(_columns(_read(wanted.path, wanted.target), wanted.target))


@lru_cache(maxsize=2)
def prepare(wanted: Wanted) -> Prepared:
    """Read a table, and make inputs and targets of it; see `own_parts.Wanted`.

    Raises
    ------
    DataError
        If the file can't be read, a column is not there, or nothing can be learned of what is there.

    """
    with said_of(f"data.path={wanted.path}"):
        table = _read(wanted.path)
        names = _features(wanted, table.column_names)
        apart = [name for name in (wanted.weight, wanted.group, wanted.time, wanted.id) if name is not None]
        columns = _columns(table, [*names, *wanted.target, *apart])
        rows = len(table)
        del table
        _give_back()
        targets = {name: columns[name] for name in wanted.target}
        task, why = seen_as(targets)
        known = np.flatnonzero(~missing_in(targets))
        if len(known) < rows:
            columns = {name: column.take(known) for name, column in columns.items()}
        targets = {name: columns[name] for name in wanted.target}
        target = read_target(targets, wanted.task, known)
    said = [f"{rows:,} rows, {len(names)} features; {', '.join(wanted.target)} is {tells(target, task, why)}"]
    if len(known) < rows:
        said.append(lacking(rows - len(known), "row"))
    if task_named(target.task).classes == 2:
        said.append(f"class 1, the positive one, is {target.names[1]}")
    features = {name: columns[name] for name in names}
    if isinstance(wanted.test, str):
        return _with_test_file(wanted, columns, features, target, said)
    with said_of(f"data.path={wanted.path}"):
        require_two_of_each(target, wanted.target[0], known)
        if wanted.weight is not None:
            require_no_negative(columns[wanted.weight], wanted.weight, known)
        if wanted.time is not None and wanted.group is not None:
            raise DataError("data.group and data.time: groups can go on through time. Use one of them.")
        _require(wanted, features, target)
        group = None if wanted.group is None else groups_of(columns[wanted.group])[0]
        time = None if wanted.time is None else _moments(columns[wanted.time], wanted.time)
        tested = test_rows(target, wanted.test, group, time)
        trained = np.delete(np.arange(len(known)), tested)
        parts: list[dict[str, Column]] = [{}, {}]
        features.clear()
        for name in list(columns):  # one by one, so that a large table is not held twice
            column = columns.pop(name)
            for part, chosen in zip(parts, (trained, tested), strict=True):
                part[name] = column.take(chosen)
        groups = [] if group is None else [group[trained], group[tested]]
        values = [target._replace(values=target.values[rows]) for rows in (trained, tested)]
        return _made(wanted, names, parts, values, groups, said)


def _with_test_file(
    wanted: Wanted, columns: dict[str, Column], features: dict[str, Column], target: Target, said: list[str]
) -> Prepared:
    where = f"data.test={wanted.test}"
    if wanted.time is not None:
        raise DataError(f"data.time={wanted.time}, but {where} is the test part already. Leave one of them out.")
    with said_of(f"data.path={wanted.path}"):
        _require(wanted, features, target)
    names = [*features, *wanted.target, *[name for name in (wanted.group, wanted.id) if name is not None]]
    with said_of(where):
        tests = _columns(_read(str(wanted.test)), names)
        for name in features:
            kinds = {each[name].kind for each in (columns, tests)} - {"empty"}
            if "category" in kinds and len(kinds) > 1:
                raise DataError(
                    f"column {name!r} is a {tests[name].kind} there, but a {columns[name].kind} in data.path."
                )
        tests |= {name: _as_empty(columns[name], tests[name]) for name in features if tests[name].kind == "empty"}
        known = np.flatnonzero(~missing_in({name: tests[name] for name in wanted.target}))
        if not len(known):
            raise DataError(f"the target {wanted.target[0]!r} has no value in any row.")
        if gaps := len(tests[wanted.target[0]].values) - len(known):
            said.append(lacking(gaps, "test row"))
        tests = {name: column.take(known) for name, column in tests.items()}
        of_test = {name: tests[name] for name in wanted.target}
        values = [target, like(target, {name: columns[name] for name in wanted.target}, of_test, wanted.task)]
        groups = [] if wanted.group is None else groups_of(columns[wanted.group], tests[wanted.group])
        if groups and len(both := np.intersect1d(groups[0], groups[1])):
            raise DataError(
                f"data.group={wanted.group}: {len(both)} groups are in data.path, too. Keep each in one file."
            )
    with said_of(f"data.path={wanted.path}"):
        names = list(features)
        features.clear()
        return _made(wanted, names, [columns, tests], values, groups, said)


def _made(
    wanted: Wanted,
    names: list[str],
    parts: Sequence[dict[str, Column]],
    targets: list[Target],
    groups: list[Array],
    said: list[str],
) -> Prepared:
    encoded = encode(*({name: part.pop(name) for name in names} for part in parts))
    extras: list[dict[str, Array]] = [{}, {}]
    if wanted.weight is not None:
        extras[0]["weight"] = weights_of(parts[0][wanted.weight], wanted.weight)
    for part, numbers in zip(extras, groups, strict=False):
        part["group"] = numbers
    if wanted.id is not None:
        for part, columns in zip(extras, parts, strict=True):
            part["id"] = ids_of(columns[wanted.id], wanted.id)
    said = [f"{said[0]}; {len(encoded.train):,} rows to train, {len(encoded.test):,} to test", *said[1:], *encoded.told]
    facts = {
        "target": list(wanted.target),
        "columns": encoded.facts,
        "inputs": encoded.train.shape[1],
        "rows": {"train": len(encoded.train), "test": len(encoded.test)},
        "told": said,
    }
    return Prepared((encoded.train, encoded.test), targets, extras, facts=facts, told=said)


def _require(wanted: Wanted, features: Mapping[str, Column], target: Target) -> None:
    if wanted.features is None and target.parts:
        for (name, told), values in zip(target.parts.items(), target.values.T, strict=True):
            require_features(features, values, name, classes=bool(told["class_names"]))
    elif wanted.features is None:
        require_features(features, target.values, ", ".join(wanted.target), classes=bool(target.names))


def _features(wanted: Wanted, found: list[str]) -> list[str]:
    """Return the names of the features, all that are asked for being there."""
    keys: dict[str, tuple[str, ...]]
    keys = {"target": wanted.target, "features": wanted.features or (), "drop": wanted.drop}
    keys |= {key: (name,) for key in ("weight", "group", "time", "id") if (name := getattr(wanted, key)) is not None}
    for key, names in keys.items():
        for name in names:
            if name not in found:
                raise DataError(f"data.{key}={name}: there is no such column. {nearest(name, found)}")
    taken = {name for key, names in keys.items() if key != "features" for name in names}
    if wanted.features is not None:
        if both := sorted(taken.intersection(wanted.features)):
            raise DataError(f"data.features has {both[0]!r}, which is no feature: another key of data has it.")
        return list(dict.fromkeys(wanted.features))
    left = [name for name in found if name not in taken]
    if not left:
        raise DataError(f"no column is left from which {', '.join(wanted.target)} could be predicted.")
    return left


def _columns(table: Any, names: Iterable[str]) -> dict[str, Column]:
    for name in names:
        if name not in table.column_names:
            raise DataError(f"there is no column {name!r}. {nearest(name, table.column_names)}")
    return {name: column_of(name, table[name]) for name in names}


def _as_empty(like_this: Column, column: Column) -> Column:
    """Return a column without values as one of the kind that another part has."""
    if like_this.kind != "category":
        return column._replace(kind=like_this.kind)
    return Column("category", np.full(len(column.values), -1))


def _moments(column: Column, name: str) -> Array:
    if column.kind not in ("date", "number") or column.missing.any():
        gaps = f"missing in row {np.flatnonzero(column.missing)[0] + 1}" if column.missing.any() else f"a {column.kind}"
        raise DataError(f"data.time={name} is {gaps}. It is to be a number or a date (2026-01-31) in every row.")
    return column.values


def _read(path: str, only: Iterable[str] = ()) -> Any:
    """Read a file, or some columns of it, as a table of Arrow."""
    import pyarrow as pa

    place = Path(path).expanduser()
    if not place.is_file():
        raise DataError(f"there is no file at {place.absolute()}. It is to be a table: {', '.join(ENDINGS)}.")
    if place.suffix.lower() not in ENDINGS:
        raise DataError(f"it ends with {place.suffix or 'nothing'}. It is to be a table: {', '.join(ENDINGS)}.")
    if not place.stat().st_size:
        raise DataError("the file is empty.")
    try:
        table = _parquet(place, only) if place.suffix.lower() == ".parquet" else _text(place, only)
    except (OSError, pa.ArrowException) as error:
        told = re.sub(r"Row #(\d+)", r"line \1", str(error).partition("\n")[0])
        raise DataError(f"it can't be read as a table: {told[:300]}") from error
    if not len(table):
        raise DataError("it has no rows.")
    return table


def _parquet(place: Path, only: Iterable[str]) -> Any:
    from pyarrow import parquet

    file = parquet.ParquetFile(place)
    _require_names(file.schema_arrow.names, only)
    return file.read(columns=list(only) or None)


def _text(place: Path, only: Iterable[str]) -> Any:
    """Read a text: Arrow takes several threads, but says the line of a mistake only with one."""
    import pyarrow as pa
    import pyarrow.csv as arrow

    names, separator, decimal = _sniffed(place)
    _require_names([name.strip() for name in names], only)
    parse = arrow.ParseOptions(delimiter=separator, newlines_in_values=_has_quotes(place))
    options: dict[str, Any] = {"strings_can_be_null": True, "null_values": NOTHING, "decimal_point": decimal}
    raw = dict(zip((name.strip() for name in names), names, strict=True))  # as in "size, rooms"
    options["include_columns"] = [raw[name] for name in only] or None

    def read(source: Any, threads: bool, **types: Any) -> Any:
        settings, convert = arrow.ReadOptions(use_threads=threads), arrow.ConvertOptions(**options, **types)
        return arrow.read_csv(source, read_options=settings, parse_options=parse, convert_options=convert)

    try:
        table = read(place, True, column_types=_types_at_the_start(place, lambda start: read(start, False)))
    except pa.ArrowInvalid:  # as further down a text among numbers
        try:
            table = read(place, True)
        except pa.ArrowInvalid:
            table = read(place, False)
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise DataError("it is not UTF-8. Save it as CSV in UTF-8.")
    return table.rename_columns([name.strip() for name in table.column_names])


def _types_at_the_start(place: Path, read: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the types that Arrow finds in the first lines of a text, by the raw names of its columns.

    Told the types, Arrow keeps nothing of a text that it has read; else all of it, to change a type later on. What is a
    type there and can be read in all lines is what Arrow would find in all: it takes the narrowest that fits.
    """
    import pyarrow as pa

    with place.open("rb") as opened:
        start = opened.read(START)
    if len(start) == START:
        start = start[: start.rfind(b"\n") + 1]
    try:
        schema = read(pa.BufferReader(start)).schema
    except pa.ArrowInvalid:
        return {}
    return {field.name: field.type for field in schema if not pa.types.is_null(field.type)}


def _sniffed(place: Path) -> tuple[list[str], str, str]:
    """Return the names of the columns of a text, what separates them, and the decimal point of its numbers."""
    with place.open("rb") as opened:
        start = opened.read(2**16).decode("utf-8-sig", errors="replace")
    lines = start.splitlines()
    first = next((line for line in lines if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", first)
    separator = max(SEPARATORS, key=bare.count)  # the comma where there is none
    names = next(csv.reader([first], delimiter=separator), [])
    commas = separator != "," and re.search(rf"(^|{separator})-?\d+,\d+({separator}|$)", start, re.MULTILINE)
    return names, separator, "," if commas else "."


def _give_back() -> None:
    """Let Arrow give the memory back that it keeps of what it has read."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _has_quotes(place: Path) -> bool:
    """Tell whether a text has quotes, in which lines may end: without them Arrow reads on several threads."""
    with place.open("rb") as opened:
        return any(b'"' in block for block in iter(lambda: opened.read(2**20), b""))


def _require_names(names: list[str], only: Iterable[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"two columns are called {twice[0]!r}. Give each a name of its own.")
    for name in only:
        if name not in names:
            raise DataError(f"data.target={name}: there is no such column. {nearest(name, names)}")
