"""What is run together, what side by side; and the workers that run it."""

import json
import signal
import time

import pytest

from lossbench.config.engines import engine_of
from lossbench.errors import ConfigError
from lossbench.running import plan as planning
from lossbench.running.plan import plan
from tests.support.commands import start, wait_for

SWEEP = ["data=digits_imb", "trainer.max_epochs=2"]


def sizes(chosen):
    return sorted((len(task.cells), task.stacked) for task in chosen.items)


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(planning, "cores", lambda: 2)
    monkeypatch.setattr(planning, "_device", lambda cell: "cpu")


def test_runs_of_one_problem_are_stacked_and_divided_among_the_cores(cell):
    few = [cell(*SWEEP, f"loss={name}", f"seed={seed}") for name in ("focal", "ldam") for seed in range(3)]
    assert sizes(plan(few, "auto")) == [(6, True)]
    many = few * 5
    assert sizes(plan(many, "auto")) == [(15, True), (15, True)] and plan(many, "auto").workers == 2
    assert sizes(plan(few * 40, "auto")) == [(60, True)] * 4
    assert sizes(plan(few, "packed")) == [(1, False)] * 6


def test_what_runs_share_decides_which_stack_they_are_in(cell):
    own = [
        ["loss=ldam", "seed=1", "weighting=drw", "optimizer.lr=0.1", "scheduler=cosine", "model.head=cosine"],
        ["loss=focal", "data.seed=3"],
        ["loss=focal", "data.batch_size=64"],
        ["loss=focal", "model.hidden=[32]"],
        ["loss=focal", "optimizer=sgd"],
        ["loss=focal", "trainer.max_epochs=3"],
        ["loss=focal", "data=digits"],
    ]
    chosen = plan([cell(*SWEEP, *lines) for lines in own], "auto")
    assert sizes(chosen) == [(1, True)] * 5 + [(2, True)]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["model._target_=torch.nn.Identity"], "torch.nn.Identity has no stacked form"),
        (["optimizer._target_=torch.optim.LBFGS"], "torch.optim.LBFGS may mix"),
        (["compile=true"], "compile=true"),
        (["trainer.precision=16-mixed"], "trainer.precision=16-mixed"),
        (["trainer.accumulate_grad_batches=2"], "trainer.accumulate_grad_batches=2"),
        (
            ["trainer.callbacks=[{_target_: pytorch_lightning.callbacks.ModelSummary}]"],
            "callbacks other than EarlyStopping",
        ),
        (["data=cifar_imb", "model=resnet32"], "ResNet32 gains nothing"),
    ],
)
def test_what_can_not_be_stacked_is_run_side_by_side_and_says_why(lines, why, cell):
    chosen = plan([cell(*SWEEP), cell(*SWEEP, *lines)], "auto")
    assert sizes(chosen) == [(1, False), (1, True)]
    assert any(why in note for note in chosen.notes) and len(chosen.notes) == 2
    assert chosen.notes[0] == "1 run trains in a stack of 1 run"


def test_a_model_that_gains_nothing_can_be_stacked_all_the_same(cell):
    cells = [cell("data=cifar_imb", "model=resnet32", f"seed={seed}") for seed in range(2)]
    assert sizes(plan(cells, "stacked")) == [(2, True)]


def test_too_few_lenets_are_faster_alone_and_memory_bounds_a_stack(cell, monkeypatch):
    cells = [cell("data=mnist", f"seed={seed}") for seed in range(12)]
    assert sizes(plan(cells[:3], "auto")) == [(1, False)] * 3
    assert sizes(plan(cells, "auto")) == [(12, True)]

    class Scarce:
        available = 400 * 2**20

    monkeypatch.setattr(planning.psutil, "virtual_memory", lambda: Scarce)
    assert sizes(plan(cells, "auto")) == [(4, True)] * 3


def test_the_launcher_of_hydra_and_the_engine_exclude_each_other(cell):
    one = cell(*SWEEP, "engine=stacked")
    two = [type(one)(one.config, {**one.choices, "hydra/launcher": "joblib"})] * 2
    with pytest.raises(ConfigError, match=r"engine=stacked .* hydra/launcher=joblib"):
        engine_of(two)
    assert engine_of([one]) == "stacked" and engine_of([cell(*SWEEP)]) == "single"
    assert engine_of([cell(*SWEEP)] * 2) == "auto"


OWN = """
import os
import torch.nn.functional as F
def dies(logits, target, *, epoch):
    if epoch >= 1:
        os._exit(9)
    return F.cross_entropy(logits, target, reduction="none")
"""


@pytest.mark.parametrize("chosen", ["stacked", "packed"])
def test_a_worker_that_dies_takes_no_other_run_along(chosen, lossbench, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "mine" / "loss").mkdir(parents=True)
    (tmp_path / "mine" / "loss" / "dies.yaml").write_text("_target_: own.dies\n_partial_: true\n")
    sweep = ["-m", "--config-dir", "mine", "loss=dies,focal", *SWEEP, f"engine={chosen}", "tracking=none"]
    result = lossbench(*sweep)
    assert result.returncode == 1, result.stderr
    records = {
        path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("outputs/digits_imb/*/record.json")
    }
    ended = {name.partition("-")[0]: (entry["status"], entry["engine"]["name"]) for name, entry in records.items()}
    assert ended == {"dies": ("failed", "packed"), "focal": ("finished", "packed")}
    assert "exit code 9" in result.stderr and "1 of 2 runs are done" in result.stderr


@pytest.mark.parametrize("chosen", ["stacked", "packed"])
def test_a_stopped_sweep_records_what_its_workers_were_at(chosen, tmp_path):
    arguments = ["-m", "data=digits_imb", "seed=0,1", "trainer.max_epochs=3000", f"engine={chosen}", "tracking=none"]
    process = start(tmp_path, *arguments)
    wait_for(lambda: len(list(tmp_path.glob("outputs/digits_imb/*/record.json"))) == 2)
    time.sleep(2.0)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    entries = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/digits_imb/*/record.json")]
    assert [entry["status"] for entry in entries] == ["killed", "killed"]
    assert "0 of 2 runs are done" in output


def test_workers_end_with_the_command_that_started_them(tmp_path):
    import psutil

    process = start(tmp_path, "-m", "data=digits_imb", "seed=0,1", "trainer.max_epochs=3000", "tracking=none")
    wait_for(lambda: len(list(tmp_path.glob("outputs/digits_imb/*/record.json"))) == 2)
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(started, timeout=60)
    assert started and not alive


def test_a_run_in_a_worker_leaves_the_files_of_hydra(lossbench, tmp_path):
    assert lossbench("-m", *SWEEP, "loss=focal,ldam", "tracking=none").returncode == 0
    (folder,) = tmp_path.glob("outputs/digits_imb/ldam-*")
    assert "loss=ldam" in (folder / ".hydra" / "overrides.yaml").read_text()
    assert "max_epochs: 2" in (folder / ".hydra" / "config.yaml").read_text()
    assert not (folder / "lossbench.log").exists()  # nothing went wrong
