"""Records made small hold what the records hold."""

import json

import pytest

from lossbench.compare.numbers.histories import Compact, History, column, names_in

ROWS = [{"epoch": k, "train/loss": 1.5 - k, "val/n": k * 2} for k in range(4)]


def test_a_table_is_its_rows():
    table = Compact()({"config": {}, "history": ROWS})["history"]
    assert isinstance(table, History)
    assert list(table) == ROWS and table == ROWS and len(table) == 4 and bool(table)
    assert table[-1] == ROWS[-1] and table[1:3] == ROWS[1:3] and repr(table) == repr(ROWS)
    assert json.dumps(list(table)) == json.dumps(ROWS)  # whole numbers stay whole
    for name in ("epoch", "train/loss", "val/none"):
        assert column(table, name) == column(ROWS, name)
    assert list(names_in(table)) == list(names_in(ROWS))


def test_a_table_of_epochs_that_are_tested_now_and_then():
    rows = [{name: value for name, value in row.items() if row["epoch"] % 2 or name != "val/n"} for row in ROWS]
    table = Compact()({"config": {}, "history": rows})["history"]
    assert isinstance(table, History)
    assert list(table) == rows and table[2] == rows[2] and table[1:] == rows[1:] and repr(table) == repr(rows)
    assert column(table, "val/n") == column(rows, "val/n") == [None, 2, None, 6]
    assert list(names_in(table)) == ["epoch", "train/loss", "val/n"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"epoch": 0, "nll": 1.0}, {"nll": 1.0, "epoch": 1}],
        [{"epoch": 0, "nll": 1.0}, {"epoch": 1, "mae": 1.0}],
        [{"epoch": 0, "nll": None}],
        [{"epoch": 0, "nll": 0.5}, {"epoch": 1, "nll": 1}],
        [{"epoch": 0, "ok": True}],
    ],
)
def test_rows_that_are_no_table_stay_as_they_are(rows):
    entry = Compact()({"config": {}, "history": rows})
    assert entry["history"] is rows
    assert column(rows, "nll") == [row.get("nll") for row in rows]


def test_what_records_share_is_there_once():
    small = Compact()
    first, second = (
        small({"key": key, "config": {"loss": {"gamma": 1.0}, "seed": key}, "versions": {"torch": "2"}, "metrics": {}})
        for key in "ab"
    )
    assert first["config"]["loss"] is second["config"]["loss"] and first["versions"] is second["versions"]
    assert first["config"] == {"loss": {"gamma": 1.0}, "seed": "a"} and second["key"] == "b"
    assert small({"config": {"x": 1}})["config"] != small({"config": {"x": 1.5}})["config"]
    assert type(small({"config": {"x": [1]}})["config"]["x"][0]) is int
    assert type(small({"config": {"x": [1.0]}})["config"]["x"][0]) is float


def test_no_history_is_none():
    assert column(None, "nll") == [] and not names_in(None) and "history" not in Compact()({"config": {}})
