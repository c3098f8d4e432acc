"""A task of a user, from a folder of their own: composed, trained side by side and alone, compared and drawn."""

import json
from pathlib import Path

import pytest

from tests.support.own_task import EVALUATE, FACTS, FIGURES, LOSS_YAML, LOSSES, REPORT, TASK_YAML


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Write the files of the task, two losses and their YAML."""
    files = {
        "side_of_median/__init__.py": FACTS,
        "side_of_median/evaluate.py": EVALUATE,
        "side_of_median/figures.py": FIGURES,
        "side_of_median/report.py": REPORT,
        "side_losses.py": LOSSES,
        "conf/task/side.yaml": TASK_YAML,
        "conf/loss/logistic.yaml": LOSS_YAML.format("logistic", ""),
        "conf/loss/side_hinge.yaml": LOSS_YAML.format("side_hinge", "margin: 1.0\n"),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_task_of_ones_own_is_trained_compared_and_drawn(own, lossbench):
    lines = ["data=diabetes", "trainer.max_epochs=3", "loss=logistic,side_hinge", "seed=0,1", "pictures=always"]
    done = lossbench("--config-dir", "conf", "-m", *lines, cwd=own)
    assert done.returncode == 0, done.stderr
    assert "side accuracy" in done.stdout and "logistic" in done.stdout
    records = {path.parent: json.loads(path.read_text()) for path in own.glob("outputs/*/*/record.json")}
    assert len(records) == 4
    for folder, record in records.items():
        assert record["task"] == "side" and record["task_facts"]["columns"] == ["side_accuracy", "doubt"]
        assert record["monitor"] == "side_accuracy" and record["metrics"]["last"]["test/side_accuracy"] > 0.5
        assert "test/certainty" in record["metrics"]["best_val"]
        assert (folder / "chances.png").is_file() and (folder / "predictions.npz").is_file()
    (report,) = own.glob("outputs/comparisons/*/report.html")
    assert "The right side of each loss" in report.read_text()
    (report.parent / ".stamp").unlink(missing_ok=True)
    again = lossbench("compare.metric=doubt", module="lossbench.compare", cwd=own)  # from the records alone
    assert again.returncode == 0 and "doubt" in again.stdout, again.stderr


def test_what_does_not_fit_is_refused(own, lossbench):
    for lines, told in {
        ("data=digits", "loss=logistic"): "loss=logistic is for side, but data=digits is multiclass",
        ("data=diabetes", "loss=logistic", "weighting=lds"): "weighting=lds needs classes, but data=diabetes is side",
        ("data=diabetes", "loss=mse", "task=side"): "loss=mse is for regression, but data=diabetes is side",
        ("data=diabetes", "loss=logistic", "monitor=certainty"): "monitor=certainty",
        ("data=diabetes", "task=side", "task._target_=side_losses.logistic"): "is not a lossbench.tasks.task.Task",
    }.items():
        refused = lossbench("--config-dir", "conf", *lines, cwd=own)
        assert refused.returncode == 2 and told in refused.stderr, (lines, refused.stderr)
    assert not (own / "outputs").exists()
