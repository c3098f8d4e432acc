"""What other programs read of the project: citation, hooks of git, the workflow; and the completions of a shell."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

import lossbench
from tests.support.commands import ROOT

TYPED = {
    "lossbench loss=foc": {"loss=focal", "loss=focal_ctc"},
    "lossbench data=digits_": {"data=digits_imb", "data=digits_noisy"},
    "lossbench trainer.max_ep": {"trainer.max_epochs="},
}
COMPLETE = """
eval "$(lossbench -sc install=bash)"
COMP_LINE="$1" COMP_CWORD=1
COMP_POINT=${#COMP_LINE}
hydra_bash_completion
printf '%s\\n' "${COMPREPLY[@]}"
"""


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version():
    cited, project = read("CITATION.cff"), (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert cited["version"] == lossbench.__version__ and f'version = "{lossbench.__version__}"' in project
    assert cited["cff-version"] == "1.2.0" and cited["license"] == "MIT"
    assert all(cited[key] for key in ("message", "title", "authors"))  # what its schema requires


def test_hooks_of_git_check_what_make_check_does():
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    entries = [hook["entry"] for hook in repository["hooks"]]
    checks = re.findall(r"^\t\$\(VENV\)/bin/(ruff .*?)(?: --check)? \.$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert checks == ["ruff check", "ruff format"]
    assert [entry.removeprefix(".venv/bin/").removesuffix(" --force-exclude") for entry in entries] == checks


def test_the_workflow_runs_what_ci_runs():
    steps = read(".github/workflows/ci.yml")["jobs"]["check"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]


def test_no_file_of_the_package_is_taken_for_tests():
    """Pytest reads the package for its doctests, and would collect the functions of a file that is called so."""
    assert [*(ROOT / "lossbench").rglob("test_*.py")] == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("typed", TYPED)
def test_bash_completes_groups_choices_and_keys(typed, tmp_path):
    script = tmp_path / "lossbench"  # as pip installs it
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lossbench "$@"\n')
    script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", typed],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(done.stdout.split()) >= TYPED[typed]
