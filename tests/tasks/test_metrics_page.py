"""docs/metrics.md has every metric of every task, and is what its script writes."""

import importlib.util
import re

import pytest

from lossbench.tasks import own_tasks
from tests.support.commands import ROOT


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("metrics_page", ROOT / "scripts" / "metrics_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_writes(script):
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text) == text, "the metrics of the tasks have changed: run python scripts/metrics_page.py"


def own_metrics(task):
    """All but those of the parts of a task, which stand with the task of each part."""
    return [metric for metric in task.metrics if not metric.name.startswith(tuple(f"{part}_" for part in task.parts))]


def test_every_metric_stands_in_the_section_of_its_task(script):
    below = script.PAGE.read_text(encoding="utf-8").partition(script.MARKER)[2]
    parts = re.split(r"^## (\w+)\n", below, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert sections.keys() == own_tasks().keys()
    for name, task in own_tasks().items():
        missing = [
            script.key(metric) for metric in own_metrics(task) if f"`{script.key(metric)}`" not in sections[name]
        ]
        assert not missing, f"not in the section of {name}: {missing}"


def test_every_metric_is_explained_once_and_the_same_everywhere(script):
    rows = re.findall(r"^\| `([^`]+)` \| \S+ \| (?:epoch|end) \| (.+) \|$", "\n".join(script.sections().values()), re.M)
    explained = {metric for task in own_tasks().values() for metric in own_metrics(task) if not metric.truth}
    assert len(rows) == len(explained) and all(len(meaning) > 10 for _, meaning in rows)
