"""The cases: what was asked, retrieved and answered, a row each of a JSONL or CSV file."""

import csv
import difflib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lossbench.errors import ConfigError
from lossbench.rag.asking import encodable, truth


@dataclass(frozen=True)
class Case:
    """One question and what a system made of it; None is what a row does not give.

    Parameters
    ----------
    question : str
        What was asked, not empty.
    id : str or None
        By which two systems are paired; the question if there is none.
    answer : str or None
        What the system answered; "" is an answer that says nothing.
    contexts : tuple of str or None
        What it retrieved, the best first.
    reference : str or None
        The right answer, not empty.
    context_ids, reference_ids : tuple of str or None
        Names of what was retrieved, in the order of `contexts`, and of what should have been.
    reference_contexts : tuple of str or None
        What should have been retrieved, word by word, where there are no ids.
    text, summary : str or None
        A text and a summary of it; without `text` it is the contexts that were summarised.
    label_context_relevance, label_answer_faithfulness, label_answer_relevance : bool or None
        What a human says of the case, for `lossbench.rag.ppi`.
    place : str
        The file and line it comes from, for messages.

    Examples
    --------
    >>> Case("Who wrote Emma?", answer="Jane Austen.").answer
    'Jane Austen.'

    """

    question: str
    id: str | None = None
    answer: str | None = None
    contexts: tuple[str, ...] | None = None
    reference: str | None = None
    context_ids: tuple[str, ...] | None = None
    reference_ids: tuple[str, ...] | None = None
    reference_contexts: tuple[str, ...] | None = None
    text: str | None = None
    summary: str | None = None
    label_context_relevance: bool | None = None
    label_answer_faithfulness: bool | None = None
    label_answer_relevance: bool | None = None
    place: str = ""


FIELDS = tuple(field.name for field in fields(Case) if field.name != "place")
LISTS = ("contexts", "context_ids", "reference_ids", "reference_contexts")
MAY_BE_EMPTY = ("answer", "summary")
"""Texts that mean something when they are empty."""


def read_cases(path: Path | str) -> list[Case]:
    """Read the cases of a file.

    Parameters
    ----------
    path : Path or str
        `.jsonl`: an object in each line. `.csv`: a head with the names of the fields; lists are written as JSON, and an
        empty cell is not given, but for `answer`. Fields with other names are passed over.

    Raises
    ------
    ConfigError
        With file, line, field and what is allowed.

    """
    path = Path(path)
    readers = {".jsonl": _of_jsonl, ".csv": _of_csv}
    if path.suffix.lower() not in readers:
        raise ConfigError(f"data.path={path}: the name of the file must end in one of {', '.join(readers)}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"data.path={path}: there is no such file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"data.path={path}: it can't be read as a text in UTF-8: {error}.") from error
    cases = [case_of(row, f"{path}:{line}") for line, row in readers[path.suffix.lower()](path, text)]
    if not cases:
        raise ConfigError(f"data.path={path}: there is no row in it.")
    return cases


def case_of(row: dict[str, Any], place: str = "the row") -> Case:
    """Make a case of a row.

    Raises
    ------
    ConfigError
        With the place, the field and what is allowed.

    Examples
    --------
    >>> case_of({"question": "Who?", "contexts": "Emma"}, "a.jsonl:1")
    Traceback (most recent call last):
    lossbench.errors.ConfigError: a.jsonl:1: contexts='Emma'. Allowed is a list of texts.

    """
    for name in row.keys() - set(FIELDS):
        if close := difflib.get_close_matches(str(name), FIELDS, n=1, cutoff=0.85):
            known = ", ".join(FIELDS)
            raise ConfigError(f"{place}: the field {name!r} is not known. Nearest: {close[0]}. Allowed: {known}.")
    given = {name: _value(name, row[name], place) for name in FIELDS if row.get(name) is not None}
    if "question" not in given:
        raise ConfigError(f"{place}: question is missing. Each row needs one: a text.")
    case = Case(**given, place=place)
    if case.contexts is not None and case.context_ids is not None and len(case.contexts) != len(case.context_ids):
        raise ConfigError(
            f"{place}: context_ids has {len(case.context_ids)} and contexts {len(case.contexts)}. Allowed is one id "
            "for each context, in the same order."
        )
    return case


def _value(name: str, value: Any, place: str) -> Any:
    wrong = f"{place}: {name}={str(value)[:60]!r}."
    if name.startswith("label_"):
        try:
            return truth(value)
        except ValueError:
            raise ConfigError(f"{wrong} Allowed is true or false, yes or no, 1 or 0.") from None
    if name in LISTS:
        allowed = (str, int) if name.endswith("_ids") else (str,)
        if not isinstance(value, list) or not all(isinstance(each, allowed) for each in value):
            raise ConfigError(f"{wrong} Allowed is a list of {'names' if name.endswith('_ids') else 'texts'}.")
        return tuple(encodable(str(each)) for each in value)
    if name == "id" and isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise ConfigError(f"{wrong} Allowed is a text.")
    if not value.strip() and name not in MAY_BE_EMPTY:
        raise ConfigError(f"{wrong} Allowed is a text that is not empty; leave the field out where there is none.")
    return encodable(value)


def _of_jsonl(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):  # splitlines would break a text at other characters, too
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}:{number}: the line is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{path}:{number}: the line is {line[:40]!r}. Allowed is an object with named fields.")
        yield number, row


def _of_csv(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(2**31 - 1)  # of the whole process; by default a cell ends at 131072 characters
    reader = csv.DictReader(io.StringIO(text, newline=""))
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ConfigError(f"{path}:{line}: the line is not CSV: {error}.") from error
        line = max(line, 2)
        if None in cells or None in cells.values():
            raise ConfigError(f"{path}:{line}: the row has another number of cells than the head.")
        yield line, {name: _cell(name, cell, f"{path}:{line}") for name, cell in cells.items()}


def _cell(name: str, cell: str, place: str) -> Any:
    if not cell.strip():
        return "" if name == "answer" else None
    if name not in LISTS:
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        raise ConfigError(
            f'{place}: {name}={cell[:60]!r}. Allowed is a list as JSON writes it: ["...", "..."].'
        ) from None
