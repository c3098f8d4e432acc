"""The types of a text's columns are guessed by its start, and are those that Arrow finds in all of it."""

import pyarrow as pa
import pytest
from pyarrow import csv as arrow

from lossbench.data import own_tables
from lossbench.errors import ConfigError

LATER = {
    "whole, then not": ("1", "2.5", pa.float64()),
    "whole, then text": ("1", "red", pa.string()),
    "number, then text": ("0.5", "red", pa.string()),
    "nothing, then number": ("", "2.5", pa.float64()),
    "nothing, then text": ("NA", "red", pa.string()),
    "true, then text": ("true", "perhaps", pa.string()),
    "day, then text": ("2026-01-31", "later", pa.string()),
    "day, then moment": ("2026-01-31", "2026-01-31 12:00:00", pa.timestamp("s")),
    "text, then number": ("red", "1", pa.string()),
    "the same": ("1", "2", pa.int64()),
}


@pytest.mark.parametrize(("first", "then", "kind"), LATER.values(), ids=LATER)
def test_a_column_that_changes_further_down_has_the_type_of_all(tmp_path, monkeypatch, first, then, kind):
    monkeypatch.setattr(own_tables, "START", 300)
    path = tmp_path / "t.csv"
    path.write_text("a, b\n" + f"{first},1.5\n" * 200 + f"{then},2.5\n" * 200)
    table = own_tables._read(str(path))
    options = arrow.ConvertOptions(strings_can_be_null=True, null_values=own_tables.NOTHING)
    whole = arrow.read_csv(path, convert_options=options)
    assert table.schema.field("a").type == whole.schema.field("a").type == kind
    assert table["a"].to_pylist() == whole["a"].to_pylist() and table.column_names == ["a", "b"]


def test_a_start_that_ends_within_quotes_and_a_broken_line_further_down(tmp_path, monkeypatch):
    monkeypatch.setattr(own_tables, "START", 64)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + '"one\ntwo, and more of it",3\n' * 20)
    assert set(own_tables._read(str(path))["a"].to_pylist()) == {"one\ntwo, and more of it"}
    path.write_text("a,b\n" + "1,2\n" * 50 + "1,2,3\n")
    with pytest.raises(ConfigError, match="line 52: Expected 2 columns, got 3"):
        own_tables._read(str(path))
