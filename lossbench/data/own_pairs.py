"""Queries and passages of the user's own, read from one file of rows."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lossbench.data.files import DataError

ENDINGS = (".csv", ".jsonl", ".tsv")
PARTS = ("train", "test")
HIGHEST = 30
"""Of grades: the gain 2^30 - 1 is still a number in single precision."""
EXAMPLE = "columns query, passage and, if wanted, grade (0: does not answer; default 1) and part (train or test)"


class Pair(NamedTuple):
    """A row: a query, a passage, how well that answers, and the part that the query is in, "" where it is drawn."""

    query: str
    passage: str
    grade: int
    part: str


def read_pairs(path: str) -> list[Pair]:
    """Read a file of pairs: CSV or TSV with a first line of names, or JSONL with an object on each line.

    Raises
    ------
    DataError
        If there is no such file, a row lacks a query or a passage, a grade is no whole number from 0, a passage has two
        grades for a query, a part is neither train nor test, a query is in both or only some rows have one, or no
        passage answers a query.

    """
    place = Path(path).expanduser()
    if place.suffix.lower() not in ENDINGS or not place.is_file():
        what = "there is no file" if not place.is_file() else f"it ends with {place.suffix or 'nothing'}"
        raise DataError(f"data.path={path}: {what}. It is to be a file {', '.join(ENDINGS)} with {EXAMPLE}.")
    try:
        rows = list(_rows(place))
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise DataError(f"data.path={path} can't be read: {error}. It is to be UTF-8 text with {EXAMPLE}.") from error
    pairs = [_pair(f"data.path={path}, line {line}", row) for line, row in rows]
    if not pairs:
        raise DataError(f"data.path={path} has no rows. It is to have {EXAMPLE}.")
    _check_grades(path, pairs, [line for line, _ in rows])
    _check_queries(path, pairs)
    return pairs


def _rows(place: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with place.open(encoding="utf-8-sig", newline="") as opened:
        if place.suffix.lower() == ".jsonl":
            for number, line in enumerate(opened, 1):
                if line.strip():
                    row = json.loads(line)
                    yield number, row if isinstance(row, dict) else {}
        else:
            reader = csv.DictReader(opened, delimiter="\t" if place.suffix.lower() == ".tsv" else ",")
            for row in reader:
                yield reader.line_num, row


def _pair(where: str, row: dict[str, Any]) -> Pair:
    query, passage = (str(row.get(name) or "").strip() for name in ("query", "passage"))
    if not query or not passage:
        lacking = "passage" if query else "query"
        raise DataError(f"{where}: there is no {lacking}. Each row has {EXAMPLE}.")
    given, part = row.get("grade"), str(row.get("part") or "").strip()
    grade = "1" if given in (None, "") else str(given).strip()
    if not grade.isdecimal() or int(grade) > HIGHEST:
        raise DataError(
            f"{where}: grade={given}, but a grade is a whole number from 0 to {HIGHEST}: nDCG gives it the gain "
            "2^grade - 1. Use few levels, such as 0, 1, 2."
        )
    if part and part not in PARTS:
        raise DataError(f"{where}: part={part}, but a part is one of: {', '.join(PARTS)}.")
    return Pair(query, passage, int(grade), part)


def _check_grades(path: str, pairs: list[Pair], lines: list[int]) -> None:
    """Refuse a passage that answers the same query with two grades; the same row twice says nothing new."""
    first: dict[tuple[str, str], tuple[int, int]] = {}
    for pair, line in zip(pairs, lines, strict=True):
        grade, before = first.setdefault((pair.query, pair.passage), (pair.grade, line))
        if grade != pair.grade:
            raise DataError(
                f"data.path={path}: line {before} gives a passage the grade {grade} for the query {pair.query!r}, line "
                f"{line} the grade {pair.grade}. Keep one of them."
            )


def _check_queries(path: str, pairs: list[Pair]) -> None:
    parts: dict[str, set[str]] = {}
    best: dict[str, int] = {}
    for pair in pairs:
        parts.setdefault(pair.query, set()).add(pair.part)
        best[pair.query] = max(best.get(pair.query, 0), pair.grade)
    if wrong := next((query for query, each in parts.items() if len(each) > 1), None):
        raise DataError(f"data.path={path}: the rows of the query {wrong!r} have different parts. Give them one.")
    if lost := next((query for query, grade in best.items() if not grade), None):
        raise DataError(f"data.path={path}: no passage answers the query {lost!r}. Leave it out, or grade one from 1.")
    named = {part for each in parts.values() for part in each}
    if named - {""} and named != set(PARTS):
        raise DataError(f"data.path={path}: with a column part each row needs one, and both train and test must occur.")
    if len(parts) < 2:
        raise DataError(f"data.path={path} has one query. Two at least are needed: one to train, one to test.")
