"""What every command answers alike."""

import runpy
import sys

import pytest

from lossbench import __version__

MODULES = ["", ".advise", ".compare", ".losses", ".play", ".race", ".rag", ".repair", ".search", ".tune"]


@pytest.mark.parametrize("module", [f"lossbench{name}" for name in MODULES])
def test_the_version_is_that_of_lossbench(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lossbench", "loss=nothing", "--version"])
    monkeypatch.setattr("lossbench.cli.command.exit_on_signals", lambda when: None)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 0 and capsys.readouterr().out == f"lossbench {__version__}\n"


@pytest.mark.parametrize("shown", ["--cfg", "--info"])
def test_the_config_of_a_sweep_is_asked_for_one_run_at_a_time(lossbench, shown):
    refused = lossbench("-m", shown, "job" if shown == "--cfg" else "all", "loss=mse,huber")
    assert refused.returncode == 2 and not refused.stdout
    assert refused.stderr.startswith(f"error: {shown} ")
    assert refused.stderr.endswith("-m asks for several runs. Leave out -m and all but one value.\n")
