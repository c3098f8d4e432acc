"""What docs/rag.md says that can be looked up."""

import doctest
import re

from lossbench.rag.cases import FIELDS
from lossbench.rag.declared import METRICS
from tests.support.commands import ROOT

PAGE = ROOT / "docs" / "rag.md"


def rows(head: str) -> list[list[str]]:
    table = re.search(rf"^\| {head} \|.*?\n\n", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:] if line]


def test_its_example_runs():
    assert doctest.testfile(str(PAGE), module_relative=False).failed == 0
    assert doctest.testfile(str(PAGE), module_relative=False).attempted > 5


def test_it_names_every_metric_with_what_it_costs():
    assert [(row[0].strip("`"), row[-1]) for row in rows("metric")] == [
        (name, metric.calls or "0") for name, metric in METRICS.items()
    ]


def test_it_names_every_field():
    assert sorted(name for row in rows("field") for name in re.findall(r"`(\w+)`", row[0])) == sorted(FIELDS)
