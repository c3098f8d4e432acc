"""docs/survey.md names losses and metrics that there are, and leaves no row without one."""

import re
from pathlib import Path

import pytest

from lossbench.locate import own_choices
from lossbench.rag.evaluate import METRICS
from lossbench.tasks import own_tasks

TEXT = (Path(__file__).parents[1] / "docs" / "survey.md").read_text(encoding="utf-8").partition("## Losses")[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith(("| loss |", "| metric |"))
]


def test_every_row_says_where_it_runs_and_how_it_differs():
    assert len(ROWS) > 100
    assert [row for row in ROWS if len(row) != 3 or not row[0] or not row[1]] == []
    assert [row[0] for row in ROWS if not row[2] and "beyond the survey" not in row[0]] == []


def test_every_loss_is_a_choice():
    named = set(re.findall(r"`loss=(\w+)`", TEXT))
    assert len(named) > 90
    assert named <= set(own_choices("loss"))


@pytest.mark.parametrize("task", own_tasks().values(), ids=lambda task: task.name)
def test_every_metric_is_one_of_its_task(task):
    named = set(re.findall(rf"`{task.name}/(\w+)`", TEXT))
    assert named <= set(task.named)


def test_every_metric_is_of_a_task():
    tasks = set(re.findall(r"`(\w+)/\w+`", TEXT))
    assert tasks <= set(own_tasks()) and len(tasks) > 10


def test_every_metric_of_answers_is_one():
    section = TEXT.partition("### Retrieval and answers from documents (section 11)")[2]
    answers = section.rpartition("### Retrieval and answers")[2].partition("answer semantic similarity")[2]
    named = set(re.findall(r"`(\w+)`", answers))
    assert named <= set(METRICS) and len(named) == 12
