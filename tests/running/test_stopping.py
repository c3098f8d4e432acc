"""Ctrl-C and SIGTERM from the first moment of a command on: one line and an exit code."""

import os
import signal
import subprocess
import sys

import pytest

from lossbench.errors import Killed
from lossbench.records import record
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from lossbench.running.stopping import stop_signals
from tests.support.commands import ROOT

AT_AN_IMPORT = """
import os, runpy, sys
module, number, place, *words = sys.argv[1:]
class Signal:
    sent = False
    def find_spec(self, name, path=None, target=None):
        if name == place and not Signal.sent:
            Signal.sent = True
            os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, Signal())
sys.argv[1:] = words
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""A command that gets a signal when it begins to import something."""

PLACES = {
    "lossbench": ["lossbench.cli.run", "omegaconf", "hydra", "filelock", "rich"],
    "lossbench.compare": ["lossbench.cli.compare", "hydra", "numpy", "scipy", "rich"],
    "lossbench.tune": ["lossbench.cli.tune", "omegaconf", "hydra", "filelock"],
    "lossbench.race": ["lossbench.cli.race", "omegaconf", "hydra", "filelock"],
    "lossbench.losses": ["lossbench.cli.losses", "rich", "lossbench.catalogue.facts"],
    "lossbench.repair": ["lossbench.cli.repair", "omegaconf", "hydra", "rich"],
}
"""What each command imports in its first second."""
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def command(cwd, module, number, place, *words):
    """Run a command that gets a signal when it begins to import a module."""
    return subprocess.run(
        [sys.executable, "-c", AT_AN_IMPORT, module, str(int(number)), place, *words],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize(("module", "place"), [(module, place) for module in PLACES for place in PLACES[module]])
def test_a_signal_before_anything_was_begun_is_one_line_and_an_exit_code(tmp_path, module, place, number, code):
    ended = command(tmp_path, module, number, place)
    assert ended.stderr == f"stopped by {number.name}, before anything was begun.\n"
    assert ended.returncode == code and not ended.stdout and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@pytest.mark.parametrize(
    ("module", "place", "words", "then"),
    [
        (
            "lossbench",
            "torch",
            ["engine=single", "tracking=none"],
            " The same command again goes on from where it was.",
        ),
        ("lossbench.losses", "matplotlib", ["plot=focal"], ""),
    ],
)
def test_a_signal_while_something_goes_on_is_one_line_and_an_exit_code(
    tmp_path, module, place, words, then, number, code
):
    ended = command(tmp_path, module, number, place, *words)
    assert ended.returncode == code and ended.stderr.splitlines()[-1] == f"stopped by {number.name}.{then}"
    assert "Traceback" not in ended.stderr


def test_an_error_that_comes_of_a_signal_does_not_take_its_place():
    with pytest.raises(Killed) as told, stop_signals("It goes on."):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            raise AttributeError("half made")  # as OmegaConf where it is interrupted
    assert (told.value.exit_code, told.value.then) == (143, "It goes on.")
    with pytest.raises(AttributeError, match="another"), stop_signals():
        raise AttributeError("another")


def test_a_signal_while_runs_go_on_is_killed_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Killed), stop_signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("engine", ["single", "stacked"])
@pytest.mark.parametrize("place", ["RunTracker", "progress.run_done", "write_outcome"])
def test_a_run_that_is_stopped_as_it_begins_or_ends_is_not_left_running(place, engine, cell, monkeypatch):
    made = cell("data=digits", "data.max_train=100", "data.max_test=50", "trainer.max_epochs=1")
    train = run if engine == "single" else lambda one: run_stack([one])

    def stop(*_, **__):
        raise Killed(15)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(f"lossbench.running.run.{place}", stop)
        train(made)
    entry = record.read(made.path)
    assert (entry["status"], entry.get("signal")) == (("finished", None) if "done" in place else ("killed", 15))
    train(made)
    assert record.read(made.path)["status"] == "finished"


def interrupted(*_, **__):
    """Be stopped, as a library that makes an error of its own of it."""
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        raise RuntimeError("half made")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("engine", ["single", "stacked"])
def test_an_error_that_a_library_makes_of_a_signal_is_no_failure_of_the_run(engine, cell, monkeypatch):
    made = cell("data=digits", "data.max_train=100", "data.max_test=50", "trainer.max_epochs=1")
    monkeypatch.setattr("lossbench.running.run.train", interrupted)
    monkeypatch.setattr("pytorch_lightning.Trainer.fit", interrupted)
    with pytest.raises(Killed) as told, stop_signals():
        run(made) if engine == "single" else run_stack([made])
    assert told.value.exit_code == 143 and record.read(made.path)["status"] == "killed"


def test_an_error_that_a_library_makes_of_a_signal_is_no_failure_of_a_trial(cell, monkeypatch):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed: pip install lossbench[tune]")
    from lossbench.tune import study

    monkeypatch.setattr(study, "_mean_score", interrupted)
    found = optuna.create_study()
    with pytest.raises(Killed), stop_signals():
        study._run_trial(found, found.ask(), cell("data=digits"))
    assert found.trials[0].state.name == "FAIL"
