"""`make demo`: which torch it takes, what it says, and that README shows the comparison that it makes."""

import importlib.util
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.support.commands import ROOT


@pytest.fixture
def demo():
    spec = importlib.util.spec_from_file_location("demo", ROOT / "scripts" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def here(demo, tmp_path, monkeypatch):
    """A checkout on a Linux without GPU that reaches everything; what is started is kept and nothing runs."""
    (tmp_path / "pyproject.toml").touch()
    started = []

    def run(command, check=False, cwd=None):
        started.append(command)
        if command[1:3] == ["-m", "venv"]:
            (tmp_path / ".venv").mkdir()
        return SimpleNamespace(returncode=1 if command[1] == "-c" else 0)

    monkeypatch.setattr(demo, "ROOT", tmp_path)
    monkeypatch.setattr(demo, "subprocess", SimpleNamespace(run=run, CalledProcessError=subprocess.CalledProcessError))
    monkeypatch.setattr(demo.sys, "platform", "linux")
    monkeypatch.setattr(demo, "has_gpu", lambda: False)
    monkeypatch.setattr(demo, "reachable", lambda address: True)
    for name in ("TORCH", "VENV", "PIP_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    return started


def taken(started):
    """What pip was told to install, one entry a call."""
    return [" ".join(command[command.index("install") + 1 :]) for command in started if "install" in command]


def test_it_says_each_step_in_a_line_and_ends_with_the_comparison(demo, here, capsys, tmp_path):
    assert demo.main() == 0
    torch, package = taken(here)
    assert torch.endswith(f"torch>=2.2 torchvision>=0.17 --index-url {demo.CPU_INDEX}") and "-qq" in torch
    assert package.endswith(f"-e {tmp_path}")
    assert here[-1][1:] == list(demo.COMMAND)
    lines = capsys.readouterr().out.splitlines()
    assert [line[11:30] for line in lines] == [
        "making the environm", "installing torch fo", "installing lossbenc", "python -m lossbench",
    ]  # fmt: skip
    here.clear()
    report = tmp_path / "outputs" / "comparisons" / "digits_imb-1" / "report.html"
    report.parent.mkdir(parents=True)
    report.touch()
    assert demo.main() == 0 and len(here) == 1
    assert report.as_uri() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("torch", "gpu", "system", "reached", "cpu_build"),
    [
        ("", False, "linux", True, True),
        ("", True, "linux", True, False),
        ("cpu", True, "linux", True, True),
        ("cuda", False, "linux", True, False),
        ("", False, "darwin", True, False),
        ("", False, "win32", True, False),
        ("", False, "linux", False, False),
    ],
)
def test_which_build_of_torch_it_takes(demo, here, monkeypatch, capsys, torch, gpu, system, reached, cpu_build):
    monkeypatch.setenv("TORCH", torch)
    monkeypatch.setattr(demo, "has_gpu", lambda: gpu)
    monkeypatch.setattr(demo.sys, "platform", system)
    monkeypatch.setattr(demo, "reachable", lambda address: reached)
    assert demo.main() == 0
    assert any(demo.CPU_INDEX in words for words in taken(here)) == cpu_build
    assert ("can't be used" in capsys.readouterr().out) == (not reached)


def test_an_unknown_build_is_refused(demo, here, monkeypatch, capsys):
    monkeypatch.setenv("TORCH", "rocm")
    assert demo.main() == 2 and not here
    assert "TORCH=rocm: allowed are cpu and cuda" in capsys.readouterr().err


def test_an_address_that_does_not_answer_is_left_soon(demo):
    assert demo.reachable("http://127.0.0.1:1/", seconds=5.0) is False
    assert demo.reachable("http://192.0.2.1/", seconds=0.05) is False  # an address that nobody has (RFC 5737)


def test_requirements_of_torch_are_those_of_the_package(demo):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{requirement}"' in text for requirement in demo.TORCH)


def test_readme_opens_with_the_verdict_of_this_very_demo(demo):
    """`python scripts/readme_picture.py` writes it; the picture is small enough to be looked at anywhere."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    opening = text[: text.index("## Start")]
    losses = next(word for word in demo.COMMAND if word.startswith("loss=")).removeprefix("loss=").split(",")
    assert "docs/images/report.png" in opening and "make demo" in opening
    assert len(re.findall(r"^> ", opening, re.MULTILINE)) > 3
    seeds = next(word for word in demo.COMMAND if word.startswith("seed=")).count(",") + 1
    assert any(f"> {loss} has the best mean" in opening for loss in losses) and f"{seeds} seeds" in opening
    assert f"{len(losses)} losses x {seeds} seeds" in text
    assert (ROOT / "docs" / "images" / "report.png").stat().st_size < 200_000


def test_make_demo_is_this_script():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "demo:\n\t@$(PYTHON) scripts/demo.py\n" in text


def test_the_picture_is_of_two_sections_and_the_verdict_a_quotation(monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    spec = importlib.util.spec_from_file_location("readme_picture", ROOT / "scripts" / "readme_picture.py")
    picture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(picture)
    page = '<head></head><section id="s1"><h2>Differences to focal</h2></section><section id="s2"><h2>Numbers</h2>'
    assert "section:not(#s1):not(#s2)" in picture.only_shown(page)
    assert picture.only_shown("<head></head>") == "<head></head>"
    quoted = picture.quoted("focal is best,  and\nthat is [+0.1, +0.2] sure. " * 9)
    assert all(line.startswith("> ") and len(line) <= 120 for line in quoted.splitlines())
    assert picture.QUOTE.sub("", f"a\n{quoted}b\n") == "a\nb\n"
