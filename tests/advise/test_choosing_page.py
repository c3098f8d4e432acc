"""docs/choosing.md is what its script writes, and what the survey's pairing names is there."""

import importlib.util
import re

import pytest

from lossbench.advise.pairing import PROBLEMS, TASKS
from lossbench.catalogue.facts import loss_names
from lossbench.locate import own_choices
from lossbench.rag.declared import METRICS
from lossbench.tasks import own_tasks
from tests.support.commands import ROOT


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("choosing_page", ROOT / "scripts" / "choosing_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_writes(script):
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text) == text, "the rules have changed: run python scripts/choosing_page.py"


def test_the_tables_have_every_cell(script):
    rows = [line for line in script.page(script.MARKER).splitlines() if line.startswith("|")]
    assert {line.count(" | ") for line in rows} == {len(script.PAIRED) - 1, len(script.RULED) - 1}


@pytest.mark.parametrize("row", [*TASKS, *PROBLEMS], ids=lambda row: row.what)
def test_what_a_pairing_names_is_here(row):
    words = re.findall(r"`([^`]+)`", " ".join((row.losses, row.metrics, row.caution, row.beyond)))
    assert words
    for word in words:
        task, slash, metric = word.partition("/")
        group, equals, choice = word.partition("=")
        if equals:
            assert choice in own_choices(group), word
        elif task == "rag":
            assert metric in {each.name for each in METRICS.values()}, word
        elif slash:
            assert metric in {each.name for each in own_tasks()[task].metrics}, word
        else:
            assert word in loss_names(), word


def test_the_survey_has_as_many_tasks_and_problems():
    assert (len(TASKS), len(PROBLEMS)) == (21, 22)  # of the first table one row is of two tasks
