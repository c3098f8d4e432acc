"""Columns of a user's table: what each is read as, which are refused, and the numbers that a network gets of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from lossbench.data.corruptions import Array
from lossbench.data.files import DataError

MISSING = "(missing)"
"""The level of a category where a cell is empty."""
ENOUGH = 10
"""Rows from which on a column is said to be an identifier, or to give the target away: fewer may be so by chance."""
MOST_CODES = 20
"""Different numbers among texts that may be names of levels."""
MOST_LEVELS = 100
"""Levels of a category that get an input of their own; the rarest of more are grouped."""


class Column(NamedTuple):
    """A column as it was read.

    Parameters
    ----------
    kind : str
        "number", "boolean", "date", "category", or "empty" where no cell has a value.
    values : array, shape (N,)
        float64, NaN where missing: a boolean is 0 or 1, a date its days since 1970. Of a category the place in
        `levels`, int64, -1 where missing.
    levels : tuple of str
        Of a category, in their order.

    """

    kind: str
    values: Array
    levels: tuple[str, ...] = ()

    @property
    def missing(self) -> Array:
        """Where no value is, bool, shape (N,)."""
        return self.values < 0 if self.kind == "category" else np.isnan(self.values)

    def take(self, rows: Array) -> "Column":
        """Return the values of some rows."""
        return self._replace(values=self.values[rows])

    def texts(self) -> Array:
        """Return a category as texts, `MISSING` where a cell is empty."""
        return np.array([*self.levels, MISSING], dtype=object)[self.values]


def column_of(name: str, found: Any) -> Column:
    """Read a column of Arrow.

    Raises
    ------
    DataError
        If it holds what is no number, text, date or truth value, or a number that is not finite.

    """
    import pyarrow as pa

    kind = found.type
    if pa.types.is_dictionary(kind) and not pa.types.is_string(kind.value_type):
        found, kind = found.cast(kind.value_type), kind.value_type
    if pa.types.is_null(kind) or found.null_count == len(found):
        return Column("empty", np.full(len(found), np.nan))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        column = _category(found)
        _require_no_broken_numbers(name, column)
        return column
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        moments = found.to_numpy().astype("datetime64[s]")
        days = moments.astype(np.int64) / 86400
        return Column("date", np.where(np.isnat(moments), np.nan, days))
    if not (pa.types.is_boolean(kind) or _is_number(kind)):
        raise DataError(
            f"column {name!r} holds {kind}. A column holds numbers, texts, dates or true and false. Leave it out: "
            f"data.drop=[{name}]."
        )
    boolean = pa.types.is_boolean(kind)
    values = found.cast(pa.int8() if boolean else pa.float64(), safe=False).to_numpy().astype(np.float64)
    if len(wrong := np.flatnonzero(np.isinf(values))):
        raise DataError(f"column {name!r} is {values[wrong[0]]} in row {wrong[0] + 1}. Numbers are to be finite.")
    if np.isnan(values).all():
        return Column("empty", values)
    return Column("boolean" if boolean else "number", values)


def _require_no_broken_numbers(name: str, column: Column) -> None:
    """Refuse texts of which nearly all are numbers: one broken cell would make a category of a number."""
    numbers = np.array([_reads_as_number(level) for level in column.levels])
    known = column.values[~column.missing]
    if numbers.sum() > MOST_CODES and numbers[known].mean() >= 0.9 and not numbers.all():
        row = int(np.flatnonzero(~column.missing & ~np.append(numbers, True)[column.values])[0])
        raise DataError(
            f"column {name!r} holds numbers, but {column.levels[column.values[row]]!r} in row {row + 1}. Leave a cell "
            f"empty where nothing is known, or leave the column out: data.drop=[{name}]."
        )


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _category(found: Any) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(found.type):
        found = found.dictionary_encode()
    encoded = found.combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    names = ["" if level is None else level for level in encoded.dictionary.to_pylist()]
    levels, places = np.unique(np.array(names, dtype=object), return_inverse=True)
    used = np.isin(np.arange(len(levels)), places[codes[codes >= 0]])  # a dictionary may have levels that no row has
    number = np.append(np.cumsum(used) - 1, -1)
    codes = number[np.where(codes < 0, len(levels), np.append(places, -1)[codes])]
    return Column("category", codes, tuple(str(level) for level in levels[used]))


def require_features(columns: Mapping[str, Column], target: Array, name: str, *, classes: bool) -> None:
    """Refuse a feature that only numbers the rows, or that says the target.

    Parameters
    ----------
    columns : mapping of str to Column
        The features that nobody has asked for by name.
    target : array, shape (N,) or (N, L)
        What is predicted.
    name : str
        Its name.
    classes : bool
        Whether it is a class: a feature that stands for each class with one value of its own is refused, too.

    Raises
    ------
    DataError
        Naming the column, and how to leave it out.

    """
    for each, column in columns.items():
        way = f"Leave it out: data.drop=[{each}]. To keep it all the same, name the features: data.features=[...]."
        if _is_identifier(column):
            what = "texts that are all different" if column.kind == "category" else "the numbers of the rows"
            raise DataError(
                f"column {each!r} has {what}: an identifier, from which nothing can be learned for other rows. {way} "
                f"Whole numbers can be kept with the predictions: data.id={each}."
            )
        if any(_says(column, part, classes) for part in (target.T if target.ndim > 1 else [target])):
            raise DataError(f"column {each!r} gives the target {name!r} away: one follows from the other. {way}")


def _is_identifier(column: Column) -> bool:
    rows = len(column.values)
    if rows < ENOUGH or column.missing.any():
        return False
    if column.kind == "category":
        return len(column.levels) == rows
    first = column.values[0]
    counted = column.kind == "number" and np.array_equal(column.values, first + np.arange(rows))
    return counted and (first in (0, 1) or rows >= 100)  # ten years in a row are no identifier


def _says(column: Column, target: Array, classes: bool) -> bool:
    """Tell whether a number follows from a column by a line, or a class from a value that stands for it alone."""
    known = ~column.missing
    values, asked = column.values[known], target[known]
    if len(values) < ENOUGH or asked.min() == asked.max():
        return False
    if classes:
        wanted = len(np.unique(asked))
        if len(np.unique(values[:1000])) > wanted:
            return False
        pairs = np.unique(np.stack([values.astype(np.float64), asked.astype(np.float64)]), axis=1)
        return pairs.shape[1] == wanted == len(np.unique(pairs[0]))
    if column.kind == "category" or values.std() == 0:
        return False
    return bool(1 - abs(np.corrcoef(values, asked)[0, 1]) < 1e-9)


@dataclass(frozen=True)
class Encoded:
    """Features as numbers.

    Parameters
    ----------
    train, test : array of float32, shape (N, F)
        Of both parts.
    facts : list of dict
        What each column was read as: JSON-able.
    told : list of str
        What a user should know of it.

    """

    train: Array
    test: Array
    facts: list[dict[str, Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def encode(train: dict[str, Column], test: dict[str, Column]) -> Encoded:
    """Make inputs of columns, by a ColumnTransformer that is fitted on the training part alone.

    A number, boolean or date is the median where it is missing, and standardised; a further input says where it was
    missing. A category has an input for each level, of which the rare ones share one; a level that only the test part
    has is 0 in all of them. Both arguments are emptied, so that a large table is not held twice.

    Raises
    ------
    DataError
        If nothing is left to learn from.

    """
    rows = len(next(iter(train.values())).values) if train else 0
    rare = max(2, min(10, rows // 100))
    kept, told = _with_news(train, rare)
    if not kept:
        raise DataError("no column is left from which the target could be predicted.")
    said = {
        name: {"column": name, "read_as": train[name].kind, "missing": int(train[name].missing.sum())} for name in kept
    }
    words = {name: sorted({*train[name].levels, *test[name].levels}) for name in kept if train[name].kind == "category"}
    gappy = [name for name in kept if name not in words and (train[name].missing.any() or test[name].missing.any())]
    whole = [name for name in kept if name not in (*words, *gappy)]
    transformer = _transformer(rare, whole, gappy, list(words))
    told += [line for name in words if (line := _of_test_alone(name, train[name], test[name], words[name]))]
    inputs = transformer.fit_transform(_frame(train, kept, words)).astype(np.float32)
    tests = transformer.transform(_frame(test, kept, words)).astype(np.float32)
    facts = [*_facts(transformer, {"whole": whole, "filled": gappy}, words)]
    return Encoded(inputs, tests, [said[fact.pop("column")] | fact for fact in facts], told)


def _transformer(rare: int, whole: Sequence[str], gappy: Sequence[str], categories: Sequence[str]) -> Any:
    """Return what encodes columns of numbers, of numbers some of which are missing, and of categories."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    fill = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(copy=False))
    levels = OneHotEncoder(
        handle_unknown="ignore", min_frequency=rare, max_categories=MOST_LEVELS, sparse_output=False, dtype=np.float32
    )
    parts = {
        "whole": (StandardScaler(copy=False), whole),
        "filled": (fill, gappy),
        "missing": (MissingIndicator(features="missing-only", error_on_new=False), gappy),
        "level": (levels, categories),
    }
    return ColumnTransformer([(name, *part) for name, part in parts.items() if part[1]])


def _frame(columns: dict[str, Column], names: Sequence[str], words: Mapping[str, Sequence[str]]) -> Any:
    """Return columns as a table of numbers, and empty the mapping that held them."""
    import pandas as pd

    made = {name: _numbered(columns[name], words[name]) if name in words else columns[name].values for name in names}
    columns.clear()
    return pd.DataFrame(made)


def _of_test_alone(name: str, train: Column, test: Column, words: Sequence[str]) -> str:
    """Say which levels only the test part has; "" if there are none."""
    known, found = (_numbered(part, words) for part in (train, test))
    unknown = np.setdiff1d(np.unique(found), np.unique(known))
    which = _some([[*words, MISSING][number] for number in unknown])
    count = int(np.isin(found, unknown).sum())
    return f"{name}: {count} test rows have a level that no training row has: {which}" if count else ""


def _numbered(column: Column, words: Sequence[str]) -> Array:
    """Return the place of each text in a list of all of both parts, behind it where a cell is empty."""
    places: Array = np.array([*np.searchsorted(words, column.levels), len(words)] if words else [0], dtype=np.int64)
    return places[column.values]


def _with_news(columns: Mapping[str, Column], rare: int) -> tuple[list[str], list[str]]:
    """Return the columns that tell rows apart, and what is to be said of the others, and of gaps and dates."""
    kept, told = [], []
    for name, column in columns.items():
        known = column.values[~column.missing]
        gaps = len(column.values) - len(known)
        counts = np.bincount(known, minlength=len(column.levels)) if column.kind == "category" else None
        if not len(known) or (known.min() == known.max() and not gaps):
            told.append(f"{name}: left out, {'no row has a value' if not len(known) else 'all rows are alike'}")
        elif counts is not None and counts.max() < rare:
            told.append(f"{name}: left out, none of its {len(counts)} texts stands in {rare} rows")
        else:
            kept.append(name)
            if gaps:
                filled = "a level of its own" if counts is not None else "the median, and an input that says so"
                have = "has" if gaps == 1 else "have"
                told.append(f"{name}: {gaps} of {len(column.values)} training rows {have} no value: {filled}")
            if column.kind == "date":
                told.append(f"{name}: dates, read as days since 1970-01-01")
            if counts is not None and (few := int((counts[counts > 0] < rare).sum())) > 1:
                told.append(f"{name}: {few} of {len(counts)} levels stand in fewer than {rare} rows: one input for all")
    return kept, told


def _facts(
    transformer: Any, numbers: Mapping[str, Sequence[str]], words: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    """Yield what was fitted of each column: enough to make the same inputs again."""
    fitted = transformer.named_transformers_
    for part in (part for part, names in numbers.items() if names):
        scaler = fitted[part][-1] if part == "filled" else fitted[part]
        values = {"mean": scaler.mean_, "scale": scaler.scale_}
        values |= {"median": fitted[part][0].statistics_} if part == "filled" else {}
        for place, name in enumerate(numbers[part]):
            yield {"column": name} | {key: float(each[place]) for key, each in values.items()}
    if words:
        found = zip(words, fitted["level"].categories_, fitted["level"].infrequent_categories_, strict=True)
        for name, levels, few in found:
            texts = [*words[name], MISSING]
            rare = set() if few is None else set(few)
            own = [texts[int(level)] for level in levels if level not in rare]
            yield {"column": name, "levels": own, "grouped": [texts[int(level)] for level in sorted(rare)]}


def _some(words: Sequence[str], most: int = 5) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} others" if len(words) > most else "")
