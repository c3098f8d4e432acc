"""The commands that README and the pages of docs/ show are accepted: they are composed and checked, and not run."""

import re
import shlex
import sys

import pytest

from lossbench.cli import race, run, tune
from tests.support.commands import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {
    "lossbench": (run, "lossbench.cli.run.launch"),
    "lossbench.tune": (tune, "lossbench.cli.tune.tune_and_compare"),
    "lossbench.race": (race, "lossbench.race.rounds.run_races"),
}
"""Their modules, and what works when all is checked."""
OF_A_USER = re.compile(
    r"[A-Z]{3,}|\bmine\b|my_module|\.\.\.|houses|answers|outputs/|data\.path=|--(?:help|cfg|info|hydra)|-sc\b|[<|>]"
)
"""Files and code of a user, placeholders, and what only looks."""


def shown() -> list[str]:
    """Return the commands of indented blocks, each once, without seeds and with the ends of what they sweep over."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES).replace("\\\n", " ")
    found = re.findall(r"^ {4,}python -m (lossbench\S*(?: [^\n]*)?)$", text, re.MULTILINE)
    lines = (" ".join(re.sub(r" #.*| seed=\S+", "", line).split()) for line in found)
    lines = (re.sub(r"=([\w.]+),(?:[\w.]+,)*([\w.]+)(?= |$)", r"=\1,\2", line) for line in lines)
    return sorted({line for line in lines if line.partition(" ")[0] in COMMANDS and not OF_A_USER.search(line)})


@pytest.mark.parametrize("line", shown())
def test_a_command_is_accepted(line, tmp_path, monkeypatch):
    module, *words = shlex.split(line)
    command, works = COMMANDS[module]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"python -m {module}", *words, *["seed=0"] * (module == "lossbench")])
    monkeypatch.setattr(works, lambda *_, **__: 0)
    monkeypatch.setattr("lossbench.data.files.ensure_files", lambda *_: None)
    assert command.main() in (0, None)
