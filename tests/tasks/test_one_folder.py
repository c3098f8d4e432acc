"""A task is one folder: adding one edits no file that is there, and few files know a task by its name."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from lossbench.tasks import own_tasks
from tests.support.commands import ROOT
from tests.support.own_task import EVALUATE, FACTS, FIGURES, LOSS_YAML, LOSSES, REPORT, SAMPLE

NEW = {
    "lossbench/tasks/sides/__init__.py": FACTS + "\nTASKS = (TASK,)\n",
    "lossbench/tasks/sides/evaluate.py": EVALUATE,
    "lossbench/tasks/sides/figures.py": FIGURES,
    "lossbench/tasks/sides/report.py": REPORT,
    "lossbench/tasks/sides/sample.py": SAMPLE,
    "lossbench/losses/sides.py": '"""Losses of sides."""\n' + LOSSES,
    "conf/task/side.yaml": "_target_: lossbench.tasks.sides.TASKS\nname: side\n",
    "conf/loss/logistic.yaml": LOSS_YAML.format("logistic", "_partial_: true\n"),
    "conf/loss/side_hinge.yaml": LOSS_YAML.format("side_hinge", "_partial_: true\nmargin: 1.0\n"),
}
"""What the recipe of CONTRIBUTING adds, beside pages and tests."""
COPIED = ("lossbench", "conf", "tests/support", "pyproject.toml", "tests/__init__.py", "tests/conftest.py",
          "tests/tasks/__init__.py", "tests/tasks/test_contract.py")  # fmt: skip

COMPARISONS = {
    "advise/findings.py": "whole numbers have deviances of counts, where the target of the task is one",
    "data/foreign.py": "a target that is a count needs neither classes nor a scale",
    "data/own_targets.py": "a count of a user's table must be a whole number from 0",
    "data/shapes.py": "a source of two classes has none to leave out",
    "data/sources/source.py": "a source declares what it serves: the type of its targets, and several labels",
    "learners/detector.py": "a run's loss trains the boxes or the classes of a detector",
}
"""Files that compare with the name of a task, or of what a target is, and why."""
NAMED = {
    "advise/rules.py": "which losses a finding speaks for is said by task",
    "advise/rules_of_tasks.py": "and which the task alone speaks for",
    "catalogue/binding.py": "a function without a declaration is taken to be of classes",
    "catalogue/examine/loss_under_test.py": "the same, where it is examined",
    "cli/loss_entries.py": "an example in a docstring's place: the default of the command",
    "config/check_combine.py": "what it advises: data of several tasks",
    "config/check_warm_start.py": "two classes and several start from the same losses",
    "data/own_targets.py": "what a column of a user's table is seen as",
    "data/help_questions.py": "a source declares what it serves",
    "play/tables.py": "the task that the page opens with",
    "tracking/read.py": "runs without a record are taken to be of classes",
}
"""Files that have the name of a task without comparing, and why."""
ALSO_WORDS = {"boxes", "count", "depth", "embedding", "sequence", "text"}
"""Names of tasks that are also keys, kinds of targets or plain words."""


def test_a_task_is_added_without_an_edit_of_what_is_there(tmp_path: Path):
    """As CONTRIBUTING says: it keeps the contract of tasks, its losses are trained side by side, compared and drawn."""
    for name in COPIED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    for name, text in NEW.items():
        assert not (tmp_path / name).exists()
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.replace("side_losses.", "lossbench.losses."), encoding="utf-8")

    def done(*arguments: str) -> str:
        kept = {**os.environ, "PYTHONPATH": str(tmp_path)}
        ended = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=tmp_path, env=kept, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    told = done("pytest", "-n0", "-q", "tests/tasks/test_contract.py", "-k", "side", "-p", "no:cacheprovider")
    assert told.count(".") >= 9, told  # each rule, and the picture of a run
    lines = ["data=diabetes", "trainer.max_epochs=2", "loss=logistic,side_hinge", "seed=0,1", "pictures=never"]
    assert "side accuracy" in done("lossbench", "-m", *lines)
    (report,) = tmp_path.glob("outputs/comparisons/*/report.html")
    assert "The right side of each loss" in report.read_text(encoding="utf-8")


def test_few_files_know_a_task_by_its_name():
    """Whoever compares with a name, or just has it, is on a list with its reason; at most 15 lines compare."""
    spec = importlib.util.spec_from_file_location("imports_for_names", ROOT / "scripts" / "imports.py")
    imports = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = imports
    spec.loader.exec_module(imports)
    compared = list(imports.task_comparisons(ROOT / "lossbench"))
    assert {line.partition(":")[0] for line in compared} == COMPARISONS.keys(), compared
    assert len(compared) <= 15
    names, found = own_tasks().keys() - ALSO_WORDS, set()
    for path in (ROOT / "lossbench").rglob("*.py"):
        place = path.relative_to(ROOT / "lossbench")
        if place.parts[0] not in ("losses", "tasks") and place.parts[:2] != ("data", "sources"):
            tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            found |= {place.as_posix() for node in tree if isinstance(node, ast.Constant) and node.value in names}
    assert (
        found
        == (COMPARISONS.keys() - {"advise/findings.py", "data/foreign.py", "data/sources/source.py"}) | NAMED.keys()
    )
