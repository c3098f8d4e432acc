"""Queries and passages of the user's own."""

import json

import pytest

from lossbench.data.files import DataError
from lossbench.data.own_files import require_files
from lossbench.data.own_pairs import read_pairs
from lossbench.data.sources.source import load_source

CSV = """query,passage,grade
how to leave,"break, it ends",2
how to leave,continue goes on,0
how to skip,continue goes on,
how to end,return ends,1
how to end,"break, it ends",1
"""


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_is_read(tmp_path):
    source = load_source("pairs", tmp_path, 0, path=written(tmp_path, "a.csv", CSV), test=0.4)
    assert source.shared["texts"] == ["break, it ends", "continue goes on", "return ends"]
    asked = source.shared["queries_train"] + source.shared["queries_test"]
    assert sorted(asked) == ["how to end", "how to leave", "how to skip"] and len(source.test_inputs) == 1
    answers = {}
    for part in ("train", "test"):
        rows = zip(
            source.shared[f"queries_{part}"],
            getattr(source, f"{part}_target").tolist(),
            getattr(source, f"{part}_extras")["grades"].tolist(),
            strict=True,
        )
        answers |= {query: (target, grades) for query, target, grades in rows}
    assert answers == {
        "how to leave": ([0, -1], [2, 0]),
        "how to skip": ([1, -1], [1, 0]),
        "how to end": ([2, 0], [1, 1]),
    }
    assert source.shared["bm25_train"].shape == (2, 3)


def test_the_same_as_lines_of_json_and_tabs(tmp_path):
    rows = [("q one", "p one", 1), ("q two", "p two", 3)]
    lines = [json.dumps({"query": q, "passage": p, "grade": g}) for q, p, g in rows]
    tabs = ["query\tpassage\tgrade", *("\t".join(map(str, row)) for row in rows)]
    one = load_source("pairs", tmp_path, 0, path=written(tmp_path, "a.jsonl", "\n".join(lines) + "\n"))
    two = load_source("pairs", tmp_path, 0, path=written(tmp_path, "a.tsv", "\n".join(tabs) + "\n"))
    for name in ("texts", "queries_train", "queries_test", "hash"):
        assert one.shared[name] == two.shared[name]


def test_the_column_of_parts_is_kept(tmp_path):
    text = "query,passage,part\na b,p,train\nc d,q,test\ne f,q,train\n"
    source = load_source("pairs", tmp_path, 0, path=written(tmp_path, "a.csv", text))
    assert (source.shared["queries_train"], source.shared["queries_test"]) == (["a b", "e f"], ["c d"])


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.txt", "", "it ends with .txt. It is to be a file .csv, .jsonl, .tsv"),
        ("a.csv", "query,passage\n", "has no rows"),
        ("a.csv", "query,text\na,b\n", "line 2: there is no passage"),
        ("a.jsonl", '{"query": 1}\n', "line 1: there is no passage"),
        ("a.jsonl", "no json\n", "can't be read"),
        ("a.csv", "query,passage,grade\na,b,good\n", "grade=good, but a grade is a whole number"),
        ("a.csv", "query,passage,grade\na,b,-1\n", "grade=-1"),
        ("a.csv", "query,passage,grade\na,b,2000\n", "grade=2000, but a grade is a whole number from 0 to 30"),
        ("a.csv", "query,passage,part\na,b,dev\n", "part=dev, but a part is one of: train, test"),
        ("a.csv", "query,passage,part\na,b,train\na,c,test\n", "'a' have different parts"),
        ("a.csv", "query,passage,part\na,b,train\nc,d,\n", "each row needs one"),
        ("a.csv", "query,passage,part\na,b,train\nc,d,train\n", "both train and test must occur"),
        ("a.csv", "query,passage,grade\na,b,0\nc,d,1\n", "no passage answers the query 'a'"),
        ("a.csv", "query,passage\na,b\n", "has one query"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, name, text, match):
    with pytest.raises(DataError, match=match):
        require_files("pairs", written(tmp_path, name, text))


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(DataError, match=r"data.path=none.csv: there is no file. It is to be"):
        require_files("pairs", "none.csv")


def test_rows_that_contradict_each_other_are_refused(tmp_path):
    twice = CSV + "how to end,return ends,1\n"
    assert len(read_pairs(written(tmp_path, "twice.csv", twice))) == 6
    with pytest.raises(
        DataError, match=r"line 5 gives a passage the grade 1 for the query 'how to end', line 7 the grade 3"
    ):
        read_pairs(written(tmp_path, "other.csv", CSV + "how to end,return ends,3\n"))
