"""Lightning's loggers: what they have is what the record has, once, however a run was trained and told of."""

import json
import logging
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from lossbench.cli.repair import repair
from lossbench.config import check_tracking
from lossbench.config.checks import check
from lossbench.errors import ConfigError
from lossbench.records import record
from lossbench.running.launch import launch
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from lossbench.tracking import loggers
from lossbench.tracking.agreement import curves_of, finals_of
from lossbench.tracking.loggers import epochs_of, place_of, tell
from tests.support.logged import SMALL, event_values, expected, logged_csv, needs, wandb_records, wandb_rows
from tests.support.mlflow_store import differences
from tests.support.records import killed

pytestmark = [pytest.mark.xdist_group("loggers"), pytest.mark.usefixtures("undrawn")]


def test_the_rows_are_those_of_the_record_and_its_parameters_are_beside_them(cell):
    made = cell(*SMALL, "tracking=csv", "loss=focal", "loss.gamma=1.5")
    entry = run(made)
    assert logged_csv(made) == expected(entry)
    parameters = yaml.safe_load((place_of("csv", made.path) / "hparams.yaml").read_text())
    assert parameters["loss"] == "focal" and parameters["loss.gamma"] == 1.5 and parameters["seed"] == 0
    assert not any(key.startswith("tracking.") for key in parameters)
    assert not list(made.path.glob("mlflow*")) and made.key == cell(*SMALL, "loss=focal", "loss.gamma=1.5").key


def test_the_runs_of_a_stack_have_a_file_each(cell):
    common = [*SMALL, "tracking=csv"]
    cells = [cell(*common, f"loss={loss}", f"seed={seed}") for loss in ("cross_entropy", "focal") for seed in (0, 1)]
    run_stack(cells)
    entries = [record.read(made.path) for made in cells]
    assert {entry["engine"]["name"] for entry in entries} == {"stacked"}
    assert [logged_csv(made) for made in cells] == [expected(entry) for entry in entries]


def test_a_run_that_was_stopped_is_told_when_it_is_done_and_then_once(cell, monkeypatch):
    made = cell(*SMALL, "tracking=csv")
    killed(made, 2, 0, monkeypatch)
    assert not place_of("csv", made.path).exists()
    entry = run(made)
    assert logged_csv(made) == expected(entry)
    before = (place_of("csv", made.path) / "metrics.csv").stat().st_mtime_ns
    assert not tell(entry, made.path, made.config.tracking)
    assert (place_of("csv", made.path) / "metrics.csv").stat().st_mtime_ns == before
    made.config.rerun = True
    run(made)
    assert (place_of("csv", made.path) / "metrics.csv").stat().st_mtime_ns != before
    assert len(logged_csv(made)) == 3


def test_a_logger_that_was_killed_while_it_wrote_leaves_nothing_behind(cell, monkeypatch):
    made = cell(*SMALL, "tracking=csv")
    entry, place = run(made), place_of("csv", made.path)
    shutil.rmtree(place)
    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.loggers.CSVLogger.finalize", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            tell(entry, made.path, made.config.tracking)
    assert not place.exists() and len(list(place.parent.glob(".half-*"))) == 1
    assert tell(entry, made.path, made.config.tracking)
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert logged_csv(made) == expected(entry)


def test_a_finished_sweep_with_another_tracking_is_written_there_too(cell, monkeypatch, capsys):
    monkeypatch.setattr("lossbench.running.launch.conclude", lambda *_, **__: {})

    def sweep(tracking: str):
        cells = [cell(*SMALL, f"tracking={tracking}", f"loss={loss}") for loss in ("cross_entropy", "focal")]
        assert launch(cells, start=lambda: [run(each) for each in cells]) == 0
        return cells

    sweep("none")
    cells = sweep("csv")
    assert [logged_csv(made) for made in cells] == [expected(record.read(made.path)) for made in cells]
    assert "Metrics of every run: " in capsys.readouterr().out
    config = OmegaConf.create(
        {"output_dir": cells[0].config.output_dir, "dead": None, "tracking": cells[0].config.tracking}
    )
    repair(config)
    assert "told of 0 runs" in capsys.readouterr().out
    shutil.rmtree(Path(config.output_dir) / "csv")
    repair(config)
    assert "CSVLogger was told of 2 runs" in capsys.readouterr().out
    assert all(logged_csv(made) for made in cells)
    cells = sweep("mlflow")
    assert differences(cells, sweeps=True) == []
    assert "Look at the runs: mlflow ui" in capsys.readouterr().out


@needs("tensorboard")
def test_tensorboard_shows_the_values_of_the_record(cell):
    made = cell(*SMALL, "tracking=tensorboard", "loss=focal")
    entry = run(made)
    values = event_values(place_of("tensorboard", made.path))
    rows = expected(entry)
    assert values.keys() == {name for row in rows for name in row}
    for name, points in values.items():
        assert [step for step, _ in points] == [row["epoch"] for row in rows if name in row]
        assert [value for _, value in points] == pytest.approx([row[name] for row in rows if name in row], rel=1e-6)
    assert place_of("tensorboard", made.path) == Path(made.config.output_dir) / "tensorboard" / made.folder
    tell(entry | {"ended": 0.0}, made.path, made.config.tracking)  # as after rerun=true
    assert event_values(place_of("tensorboard", made.path)) == values


@needs("wandb")
def test_wandb_keeps_runs_offline_with_project_group_and_tags(cell, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    made = cell(*SMALL, "tracking=wandb", "tracking.experiment=mine", "loss=focal")
    entry, place = run(made), place_of("wandb", made.path)
    (folder,) = place.glob("offline-run-*")
    messages = wandb_records(folder)
    (described,) = [message.run for message in messages if message.WhichOneof("record_type") == "run"]
    assert (described.project, described.display_name) == ("mine", "focal-s0")
    assert described.run_group == f"digits-{entry['problem'][:8]}" and {"digits", "focal"} <= set(described.tags)
    rows = wandb_rows(messages)
    assert [row.pop("trainer/global_step") for row in rows] == [0, 1, 2, 2]
    *before, last, finals = [{name: row[name] for name in row if name[0] != "_"} for row in rows]
    assert [*before, last | finals] == expected(entry)
    config = {item.key: json.loads(item.value_json) for message in messages for item in message.config.update}
    assert config["loss"] == "focal" and config["seed"] == 0 and config["config"]["loss"]["gamma"] == 2.0
    assert not tell(entry, made.path, made.config.tracking)
    (made.path / loggers.TOLD).unlink()  # killed before it was noted: the part that is there is written anew
    assert tell(entry, made.path, made.config.tracking)
    assert len(list(place.glob("offline-run-*"))) == 1


@needs("wandb")
def test_wandb_asks_for_no_key_in_the_middle_of_a_sweep(cell, monkeypatch):
    import wandb

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "login", lambda **_: False)
    with pytest.raises(ConfigError, match=r"nobody is logged in.*WANDB_API_KEY.*WANDB_MODE=offline"):
        check([cell(*SMALL, "tracking=wandb")])

    def unreachable(**_):
        raise wandb.errors.AuthenticationError("no route")

    monkeypatch.setattr(wandb, "login", unreachable)
    with pytest.raises(ConfigError, match=r"no route.*WANDB_MODE=offline"):
        check([cell(*SMALL, "tracking=wandb")])


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_missing_package_is_told_before_anything_is_written(cell, monkeypatch, tmp_path, package):
    made = cell(*SMALL, f"tracking={package}", output_dir=tmp_path / "out")
    monkeypatch.setattr(check_tracking, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=f"pip install {package}"):
        check([made])
    assert not (tmp_path / "out").exists()


def test_a_folder_of_runs_is_no_package(monkeypatch, tmp_path):
    (tmp_path / "wandb_of_runs").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_spec("wandb_of_runs") is not None and not check_tracking._is_installed("wandb_of_runs")


def test_a_logger_that_fails_costs_a_warning(cell, monkeypatch, caplog):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setitem(loggers._WRITERS, "csv", full)
    made = cell(*SMALL, "tracking=csv")
    with caplog.at_level(logging.WARNING):
        assert run(made)["status"] == "finished"
    assert "CSVLogger could not be told of cross_entropy-s0: no space left" in caplog.text


def test_a_run_that_diverged_has_its_epochs_and_nan_for_what_is_no_number():
    entry = {"history": [{"epoch": 0, "train/loss": None}], "metrics": {"last": None, "best_val": None}}
    ((epoch, row),) = epochs_of(entry).items()
    assert epoch == 0 and row["train/loss"] != row["train/loss"]
    assert epochs_of({"metrics": {"last": None, "best_val": None}}) == {0: {"epoch": 0}}
    assert curves_of({"metrics": {}}) == {} and finals_of(entry) == {}


def test_an_unknown_logger_is_refused(cell):
    with pytest.raises(ConfigError, match=r"tracking\.logger=comet is not known.*csv, tensorboard, wandb"):
        cell(*SMALL, "tracking.logger=comet")
