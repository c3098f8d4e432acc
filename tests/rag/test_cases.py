"""Rows of files: what is read, and how a mistake in one is told."""

import csv
import json

import pytest

from lossbench.errors import ConfigError
from lossbench.rag.cases import FIELDS, Case, read_cases

WHOLE = {
    "question": "Who?", "id": 7, "answer": "Austen", "contexts": ["a", "b"], "reference": "Jane",
    "context_ids": [1, "x"], "reference_ids": ["x"], "reference_contexts": ["b"], "text": "long", "summary": "short",
    "label_context_relevance": True, "label_answer_faithfulness": 0, "label_answer_relevance": "yes",
}  # fmt: skip


def write(path, *rows):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_every_field_is_read(tmp_path):
    assert set(WHOLE) == set(FIELDS)
    path = write(tmp_path / "a.jsonl", WHOLE, "", {"question": "What\u2028?", "answer": "", "unrelated": 1, "id": None})
    first, second = read_cases(path)
    assert first == Case(
        "Who?", "7", "Austen", ("a", "b"), "Jane", ("1", "x"), ("x",), ("b",), "long", "short", True, False, True,
        f"{path}:1",
    )  # fmt: skip
    assert second == Case("What\u2028?", answer="", place=f"{path}:3")


def test_a_csv_says_the_same(tmp_path):
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["extra", *WHOLE])
        writer.writeheader()
        writer.writerow(
            {name: json.dumps(value) if isinstance(value, list) else value for name, value in WHOLE.items()}
        )
        writer.writerow({"question": "What\nelse?"})
    first, second = read_cases(path)
    like = read_cases(write(tmp_path / "b.jsonl", WHOLE))[0]
    assert {name: getattr(first, name) for name in FIELDS} == {name: getattr(like, name) for name in FIELDS}
    assert second == Case("What\nelse?", answer="", place=f"{path}:3"), "an empty cell is an empty answer, else nothing"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"answer": "x"}, ["question is missing"]),
        ({"question": "  "}, ["question=", "not empty"]),
        ({"question": "q", "reference": ""}, ["reference=", "leave the field out"]),
        ({"question": "q", "contexts": "one"}, ["contexts='one'", "a list of texts"]),
        ({"question": "q", "contexts": [1]}, ["contexts=", "a list of texts"]),
        ({"question": "q", "reference_ids": [1.5]}, ["reference_ids=", "a list of names"]),
        ({"question": "q", "answer": 3}, ["answer='3'", "a text"]),
        ({"question": "q", "label_answer_relevance": "maybe"}, ["label_answer_relevance='maybe'", "true or false"]),
        ({"question": "q", "context": ["a"]}, ["'context' is not known", "Nearest: contexts"]),
        ({"question": "q", "contexts": ["a"], "context_ids": ["1", "2"]}, ["context_ids has 2", "contexts 1"]),
        ("{not json", ["not JSON"]),
        ("[1]", ["an object with named fields"]),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, row, told):
    path = write(tmp_path / "a.jsonl", {"question": "fine"}, row)
    with pytest.raises(ConfigError) as error:
        read_cases(path)
    assert str(error.value).startswith(f"{path}:2: ")
    for words in told:
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("question,contexts\nq,a\n", ":2: contexts='a'. Allowed is a list as JSON writes it"),
        ("question,answer\nq\n", ":2: the row has another number of cells"),
        ("question\nq,a\n", ":2: the row has another number of cells"),
        ("question\n", ": there is no row"),
    ],
)
def test_a_mistake_in_a_csv_is_told_with_its_place(tmp_path, text, told):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_cases(path)
    assert f"{path}{told}" in str(error.value)


def test_a_cell_may_be_long(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"question,answer\nq,{'x' * 200_000}\n")
    assert len(read_cases(path)[0].answer) == 200_000


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "\xe9"}')
    for name, told in {"a.txt": ".jsonl, .csv", "no.jsonl": "no such file", "latin.jsonl": "UTF-8"}.items():
        with pytest.raises(ConfigError, match=told):
            read_cases(tmp_path / name)
