"""The command as users type it, each in a process of its own: errors, endings, exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT, WITHOUT_TORCH, Command, ended, start, wait_for

MISTAKES = {
    "loss=focl": ["loss=focl", "Nearest: focal", "cross_entropy"],
    "loss.gama=1 loss=focal": ["loss.gama=1", "Nearest: gamma"],
    "los=focal": ["los=focal", "Nearest: loss"],
    "trainer.max_epoch=3": ["trainer.max_epoch=3", "Nearest: max_epochs"],
    "loss=focal data=outliers": ["loss=focal", "data=outliers is regression", "huber", "mse"],
    "loss=cross_entropy data=digits_multilabel": ["for multiclass", "data=digits_multilabel is multilabel", "zlpr"],
    "loss=multilabel_bce data=digits": ["loss=multilabel_bce is for multilabel", "data=digits is multiclass"],
    "data=digits_multilabel data/noise=symmetric": ["data/noise=symmetric", "is multilabel"],
    "data=digits_multilabel data/imbalance=exp": ["data/imbalance=exp", "is multilabel"],
    "data=digits_multilabel weighting=inverse": ["weighting=inverse", "is multilabel"],
    "data=digits_multilabel monitor=mapp": ["monitor=mapp", "Nearest: map"],
    "loss=gaussian_nll data=digits": ["loss=gaussian_nll is for distributional", "data=digits is multiclass", "ldam"],
    "loss=gaussian_nll data=breast_cancer": ["loss=gaussian_nll is for distributional", "is binary"],
    "loss=poisson_nll data=diabetes": ["loss=poisson_nll is for count", "data=diabetes is regression", "huber"],
    "loss=mse learner=gan data=diabetes": ["loss=mse is learned by learner=supervised", "Leave it out"],
    "loss=mse task=distributional data=diabetes": ["loss=mse is for regression", "gaussian_nll"],
    "task=regression data=digits": [
        "task=regression is for regression, but data=digits is multiclass",
        "cross_entropy",
    ],
    "data=ring loss=focal": ["loss=focal is for multiclass, but data=ring has points to be generated", "wgan_gp"],
    "task=captioning": ["task=captioning: there is no such choice", "sequence"],
    "loss=quantile_set loss.levels=1 data=diabetes": ["loss.levels=1", "[2, 99]"],
    "data=counts data/contamination=vertical": ["data/contamination=vertical", "is count"],
    "loss=focal loss.gamma=-1": ["loss.gamma=-1", "[0, inf)", "default of focal is 2.0"],
    "loss=weighted_sum loss.terms.1=focl": ["loss.terms.1=focl", "Nearest: focal"],
    "loss=weighted_sum loss.terms.1=ldam": ["loss.terms.0=cross_entropy and loss.terms.1=ldam", "head"],
    "loss=distillation data=digits": ["teacher=FOLDER", "python -m lossbench loss=cross_entropy data=digits"],
    "loss=cross_entropy teacher=nowhere": ["teacher=nowhere", "use distillation"],
    "data/noise=symmetric data.noise.rate=1.5": ["data.noise.rate=1.5", "[0, 1]"],
    "data/noise=symmetric data.noise.family=exat": ["data.noise.family=exat", "Nearest: exact"],
    "data.imbalance.factor=0.5": ["data.imbalance.factor=0.5", "[1, inf)"],
    "trainer.max_epochs=abc": ["trainer.max_epochs=abc", "[1, inf)"],
    "model=lenet": ["model=lenet", "(1, 8, 8)", "model=mlp"],
    "weighting=drw data=outliers": ["weighting=drw", "needs classes"],
    "+experiments=cao2019_cifar_lt": ["+experiments=cao2019_cifar_lt", "Nearest: experiment"],
    "sampler=class_balanced data=outliers": ["sampler=class_balanced", "needs classes"],
    "posthoc=logit_adjustment loss=ldam": ["posthoc=logit_adjustment", "loss=ldam"],
    "posthoc=temperatur": ["posthoc=temperatur", "Nearest: temperature"],
    "mixup=mixup loss=elr": ["mixup=mixup", "loss=elr"],
    "data/noise=pairs": ["noise=pairs", "Nearest: pair"],
    "data/contamination=vertical": ["data/contamination=vertical", "regression"],
    "monitor=accurcy": ["monitor=accurcy", "Nearest: accuracy"],
    "monitor=mcc": ["monitor=mcc", "only at the end", "compare.metric=mcc"],
    "compare.metric=mc": ["compare.metric=mc", "Nearest: mcc", "worst_class_recall"],
    "compare.metric=micro_f1": ["compare.metric=micro_f1", "the accuracy"],
    "compare.metric=mcc compare.select=oracle": ["compare.metric=mcc", "compare.select=last or best_val"],
    "compare.select=lst": ["compare.select=lst", "Nearest: last"],
    "focal": ["focal: each word after the command is KEY=VALUE, such as loss=focal."],
    "max_epochs=3": ["there is no key 'max_epochs'", "Nearest: trainer.max_epochs. Allowed: "],
    "loss=focal,ldam": ["loss=focal,ldam", "-m"],
    "-m loss=focal,mse seed=0,1": ["loss=mse", "multiclass"],
    "output_dir=/proc/nowhere": ["output_dir=/proc/nowhere", "output_dir=DIR"],
    "tracking.uri=./mlruns": ["tracking.uri=./mlruns", "sqlite:///FILE"],
    "tracking.uri=http://127.0.0.1:9": ["no server answers", "tracking.uri=http://127.0.0.1:9"],
    "model._target_=nowhere.Model": ["nowhere", "current folder"],
    "trainer.callbacks=[{_target_:nowhere.Stop}]": ["_target_=nowhere.Stop", "current folder"],
    "trainer.callbacks=[{_target_:pytorch_lightning.callbacks.EarlyStoping}]": [
        "EarlyStoping",
        "Nearest: EarlyStopping",
    ],
    "--cfg job --package los": ["--package los", "Nearest: loss"],
    "seed=0 -m loss=focal,ldam": ["loss=focal,ldam", "before a flag and after it"],
    "--config-dir nowhere": ["--config-dir nowhere", "no such folder"],
}


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_told_before_anything_starts(tmp_path, command):
    result = ended(*command.split(), cwd=tmp_path, loaded=WITHOUT_TORCH)
    message = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode == 2, result.stderr
    assert len(message) == 1
    for part in MISTAKES[command]:
        assert part in message[0]
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("mistake", "parts"),
    [
        ("compare.intervl=t", ["compare.intervl=t", "Nearest: interval"]),
        ("select=lst", ["compare.select=lst", "Nearest: last"]),
        ("collumns=[ece]", ["there is no key 'collumns'", "Nearest: compare.columns"]),
        ("columns=[ece", ["compare.columns=[ece: "]),
        ("data=digts", ["no runs of data=digts", "outputs"]),
    ],
)
def test_mistakes_of_compare_are_told(lossbench, mistake, parts):
    result = lossbench(mistake, module="lossbench.compare")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert all(part in result.stderr for part in ["error: ", *parts]), result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["--info", "searchpath"], ["--hydra-help"]])
def test_looking_needs_no_torch(tmp_path, arguments):
    result = ended(*arguments, cwd=tmp_path, loaded=WITHOUT_TORCH)
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir())


def test_comparing_imports_nothing_of_the_training_side():
    modules = "lossbench.compare.present, lossbench.cli.compare"
    code = f"import sys, {modules}; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    unused = {"torch", "torchmetrics", "pytorch_lightning", "mlflow", "pandas", "sklearn", "optuna"}
    assert not unused & set(result.stdout.split())


ONE_EPOCH = ["tracking=none", "trainer.max_epochs=1"]
IMPORTS = """
import runpy, sys
sys.argv[0] = "lossbench"
try:
    runpy.run_module("lossbench", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code
found = {name.partition(".")[0] for name in sys.modules} | set(sys.modules) & {"lossbench.compare.present"}
print("imported:", *sorted(found))
"""


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--help"], {"lightning_fabric", "matplotlib", "mlflow", "numpy", "pandas", "scipy", "sklearn", "torch"}),
        (
            ["data=outliers", *ONE_EPOCH],
            {"lossbench.compare.present", "mlflow", "optuna", "pandas", "sklearn", "sqlalchemy"},
        ),
        (["data=digits", *ONE_EPOCH], {"lossbench.compare.present", "mlflow", "optuna", "sqlalchemy"}),
    ],
)
def test_a_command_imports_only_what_it_uses(tmp_path, arguments, unused):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", IMPORTS, *arguments]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    imported = next(line for line in result.stdout.splitlines() if line.startswith("imported:"))
    assert not unused & set(imported.split())


def test_missing_data_files_are_told_in_one_paragraph(lossbench, tmp_path):
    result = lossbench("data=cifar_imb", f"data.root={tmp_path / 'nowhere'}")
    assert result.returncode == 2 and str(tmp_path / "nowhere") in result.stderr
    assert "data=digits" in result.stderr and "data_batch_1" in result.stderr


LOSSES = """
import torch.nn.functional as F
def scalar(logits, target): return F.cross_entropy(logits, target)
def to_the_power(logits, target, *, power=1.0): return F.cross_entropy(logits, target, reduction="none") ** power
def breaks_down(logits, target, *, epoch):
    value = F.cross_entropy(logits, target, reduction="none")
    return value * (float("nan") if epoch >= 1 else 1.0)
"""


@pytest.fixture
def own_losses(tmp_path):
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "own_losses.py").write_text(LOSSES)
    yaml = "_target_: own_losses.to_the_power\n_partial_: true\npower: 1.5\n"
    (tmp_path / "conf" / "loss" / "mine.yaml").write_text(yaml)


@pytest.mark.usefixtures("own_losses")
def test_a_loss_of_the_user_that_takes_the_mean_is_told(lossbench, tmp_path):
    result = lossbench("loss._target_=own_losses.scalar")
    assert result.returncode == 2 and "one number per sample" in result.stderr
    assert not (tmp_path / "outputs" / "digits_imb").exists()


@pytest.mark.usefixtures("own_losses")
def test_a_sweep_with_a_diverging_loss_goes_on_and_is_recorded(lossbench, tmp_path):
    losses = ["--config-dir", "conf", "loss=mine,cross_entropy"]
    sweep = ["-m", *losses, "seed=0,1", "trainer.max_epochs=2", "engine=single"]
    first = lossbench(*sweep)
    assert first.returncode == 0, first.stderr
    diverging = lossbench("-m", "loss._target_=own_losses.breaks_down", "seed=0,1", "trainer.max_epochs=2")
    assert diverging.returncode == 1
    assert diverging.stderr.count("diverged") >= 2 and "breaks_down-s1" in diverging.stderr
    again = lossbench(*sweep)
    assert again.returncode == 0 and "all 4 runs were made before: reused" in again.stderr
    seen, seen_again = ([line for line in each.stdout.splitlines() if "://" in line] for each in (first, again))
    assert seen_again == seen and len(seen) > 3 and "Report: " in again.stdout
    table = lossbench(module="lossbench.compare")
    assert table.returncode == 0 and "mine" in table.stdout and "breaks_down seed 0: diverged" in table.stdout
    (written,) = (tmp_path / "outputs" / "comparisons").glob("*/table.md")
    assert "| mine" in written.read_text()
    _check_mlflow(tmp_path)


def _check_mlflow(folder: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    experiment = client.get_experiment_by_name("digits_imb")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    child, parent = runs["mine-s1"], runs["mine, cross_entropy x 2 seeds"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params["loss.power"] == "1.5" and child.data.params["loss"] == "mine"
    assert child.info.status == parent.info.status == "FINISHED"
    assert runs["breaks_down-s0"].data.tags["lossbench.status"] == "diverged"
    steps = [metric.step for metric in client.get_metric_history(child.info.run_id, "test/accuracy")]
    assert steps == [0, 1]
    record = json.loads(next(folder.glob("outputs/digits_imb/mine-s1-*/record.json")).read_text())
    assert child.data.metrics["final/accuracy"] == pytest.approx(record["metrics"]["last"]["test/accuracy"])
    assert child.data.metrics["final/mcc"] == pytest.approx(record["metrics"]["last"]["test/mcc"])
    best = record["metrics"]["best_val"]
    assert child.data.metrics["best_val/macro_f0.5"] == pytest.approx(best["test/macro_f0.5"])
    names = {file.path for file in client.list_artifacts(child.info.run_id)}
    assert {"config.yaml", "record.json", "predictions.npz"} <= names and not any(
        name.endswith("png") for name in names
    )


LONG = ["trainer.max_epochs=5000", "data=digits_imb"]


def start_training(folder: Path, *arguments: str) -> Command:
    """Start a long run and wait until it has trained some epochs."""
    process = start(folder, *arguments)
    wait_for(lambda: any(folder.glob("outputs/*/*/checkpoints/last.ckpt")))
    return process


def mlflow_statuses(folder: Path) -> list[tuple[str, str]]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    experiment = client.get_experiment_by_name("digits_imb")
    runs = client.search_runs([experiment.experiment_id])
    return sorted((run.info.run_name, run.info.status) for run in runs)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_is_recorded_as_killed(tmp_path, number, code):
    process = start_training(tmp_path, *LONG)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    assert "0 of 1 runs are done" in output and "same command again" in output
    (path,) = tmp_path.glob("outputs/*/*/record.json")
    assert json.loads(path.read_text())["status"] == "killed"
    assert mlflow_statuses(tmp_path) == [("cross_entropy-s0", "KILLED")]


def test_a_run_left_by_sigkill_is_closed_by_the_next_start(lossbench, tmp_path):
    process = start_training(tmp_path, "-m", *LONG, "seed=0,1", "engine=single")
    process.kill()
    process.communicate(timeout=60)
    assert {status for _, status in mlflow_statuses(tmp_path)} == {"RUNNING"}
    assert lossbench("trainer.max_epochs=1").returncode == 0
    assert mlflow_statuses(tmp_path) == [
        ("cross_entropy x 2 seeds", "KILLED"),
        ("cross_entropy-s0", "FINISHED"),
        ("cross_entropy-s0", "KILLED"),
    ]


def test_the_command_works_with_workers(lossbench, tmp_path):
    pytest.importorskip("joblib")
    arguments = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1", "trainer.max_epochs=1"]
    result = lossbench(*arguments)
    assert result.returncode == 0, result.stderr
    statuses = mlflow_statuses(tmp_path)
    assert [name for name, _ in statuses] == [
        "cross_entropy x 2 seeds",
        "cross_entropy, all seeds",
        "cross_entropy-s0",
        "cross_entropy-s1",
    ]
    assert {status for _, status in statuses} == {"FINISHED"}
