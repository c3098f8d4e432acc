"""MLflow agrees with the records, whatever was stopped, deleted or gone in between."""

import json
import logging
import math
import os
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar
from unittest.mock import Mock

import pytest
from omegaconf import OmegaConf

from lossbench.cli.repair import repair
from lossbench.errors import ConfigError, Killed
from lossbench.records import record
from lossbench.running.launch import launch
from lossbench.running.run import run
from lossbench.tracking import agreement
from lossbench.tracking.repair import mend, mend_cells
from lossbench.tracking.run import RunTracker
from lossbench.tracking.store import connect, database_of, hide_credentials, prepare, sqlite_uri
from lossbench.tracking.sweep import Parent, close_parents
from tests.support.mlflow_store import differences, runs_of
from tests.support.records import killed

pytestmark = pytest.mark.xdist_group("store")

SMALL = ["data=digits", "model.hidden=[8]", "data.max_train=200", "data.max_test=50", "trainer.max_epochs=3"]


class Gone:
    """A client of a store that has gone away."""

    def __getattr__(self, name):
        raise ConnectionError("no route to the store")


def test_a_store_that_goes_away_costs_a_warning_at_the_end_of_a_sweep(caplog, tmp_path):
    parent = Parent({"folders": [], "experiment": "digits_imb"}, tmp_path, Gone(), "1", "run")
    with caplog.at_level(logging.WARNING):
        close_parents({"digits_imb": parent}, "finished", {}, "http://gone")
    assert "no route to the store" in caplog.text


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A folder with a store that is made once: that takes seconds."""
    folder = tmp_path_factory.mktemp("store") / "50% a#b?"
    folder.mkdir()
    return folder


@pytest.fixture
def cells(cell, store, monkeypatch):
    """Cells that are recorded in that store; no pictures."""
    monkeypatch.setattr("lossbench.running.artifacts.draw_run", lambda *_: [])
    monkeypatch.setattr("lossbench.running.launch.conclude", lambda *_, **__: {})

    def make(name: str, *losses: str):
        tracking = [f'tracking.uri="{sqlite_uri(store / "mlflow.db")}"', f"tracking.experiment={name}"]
        return [cell(*SMALL, "tracking=mlflow", *tracking, f"loss={loss}", output_dir=store / name) for loss in losses]

    return make


def sweep(cells) -> int:
    return launch(cells, start=lambda: [run(each) for each in cells])


def test_a_sweep_is_recorded_whole_and_a_call_with_nothing_to_do_leaves_the_store_alone(cells, store, monkeypatch):
    made = cells("whole", "cross_entropy", "focal")
    assert sweep(made) == 0
    assert (store / "mlflow.db").is_file() and not list(store.parent.glob("50%25*"))
    assert differences(made) == []
    monkeypatch.setattr("lossbench.tracking.repair.connect", lambda _: pytest.fail("the store was opened"))
    assert sweep(made) == 0


def test_a_curve_has_so_many_points_and_the_last_and_a_run_that_goes_on_keeps_to_them(cells, monkeypatch):
    (made,) = cells("points", "cross_entropy")
    made.config.trainer.max_epochs, made.config.tracking.points = 8, 3
    made = type(made)(made.config, made.choices)
    prepare([made])
    killed(made, 5, 0, monkeypatch)
    run(made)
    client, entry = connect(made.config.tracking), record.read(made.path)
    steps = [point.step for point in client.get_metric_history(entry["mlflow_run_id"], "val/accuracy")]
    assert sorted(steps) == [0, 3, 6, 7] and len(entry["history"]) == 8
    assert len(runs_of([made])) == 1


def test_what_was_killed_before_the_tracker_was_told_is_told_by_the_next_call(cells, monkeypatch):
    made = cells("untold", "cross_entropy", "focal")
    with monkeypatch.context() as patch:

        def killed(self, entry):
            raise Killed(15)

        patch.setattr(RunTracker, "finish", killed)
        patch.setattr("lossbench.running.launch.mend_cells", lambda *_: None)  # as SIGKILL has it
        with pytest.raises(Killed):
            sweep(made)
    assert record.read(made[0].path)["status"] == "finished" and record.read(made[1].path) is None
    assert [found.info.status for found in runs_of(made)] == ["RUNNING"]
    assert sweep(made) == 0
    assert differences(made) == []


def test_a_run_that_is_stopped_while_its_files_are_written_does_not_stay_running(cells, monkeypatch):
    made = cells("unwritten", "cross_entropy", "focal")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("lossbench.running.run.write_outcome", Mock(side_effect=Killed(15)))
        sweep(made)
    assert record.read(made[0].path)["status"] == "killed"
    assert [found.info.status for found in runs_of(made)] == ["KILLED"]
    assert sweep(made) == 0
    assert differences(made) == []


def test_a_sweep_that_is_stopped_while_its_report_is_written_has_it_after_the_next_call(cells, tmp_path, monkeypatch):
    made = cells("unreported", "cross_entropy", "focal")
    (tmp_path / "report.html").touch()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("lossbench.running.launch.conclude", Mock(side_effect=Killed(15)))
        sweep(made)
    assert differences(made) == ["parents: ['KILLED']"]
    monkeypatch.setattr("lossbench.running.launch.conclude", lambda *_, **__: {"digits": [tmp_path]})
    assert sweep(made) == 0 and differences(made) == []
    (parent,) = runs_of(made, "tags.`lossbench.kind` = 'sweep'")
    listed = connect(made[0].config.tracking).list_artifacts(parent.info.run_id, "comparison")
    assert [file.path for file in listed] == ["comparison/report.html"]


def test_a_sweep_that_was_killed_before_its_end_is_ended_by_the_next_call(cells, monkeypatch):
    made = cells("unended", "cross_entropy", "focal")
    with monkeypatch.context() as patch:
        patch.setattr("lossbench.running.launch.close_parents", lambda *_: None, raising=False)
        patch.setattr("lossbench.tracking.sweep.close_parents", lambda *_: None)
        patch.setattr("lossbench.running.launch.mend_cells", lambda *_: None)
        assert sweep(made) == 0
    assert differences(made)
    assert sweep(made) == 0
    assert differences(made) == []


@pytest.mark.parametrize("told", ["(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.name", "no route"])
def test_data_that_a_run_beside_it_names_at_the_same_time_are_named_again(told):
    entry = {"data": {"sizes": {}, "source": "made"}, "hashes": {}, "choices": {"data": "digits"}}
    client, known = Mock(), agreement.Known()
    client.log_inputs.side_effect = [RuntimeError(told), None]
    if told == "no route":
        with pytest.raises(RuntimeError):
            agreement.log_data(client, "run", entry, known)
    else:
        agreement.log_data(client, "run", entry, known)
    assert known.data == (client.log_inputs.call_count == 2) == (told != "no route")


def test_a_run_that_goes_on_is_the_same_run_of_mlflow_and_has_every_value_once(cells, monkeypatch):
    (made,) = cells("goes_on", "cross_entropy")
    prepare([made])
    with monkeypatch.context() as patch:
        patch.setattr("lossbench.running.run._FLUSH_SECONDS", 0, raising=False)
        patch.setattr("lossbench.tracking.run._FLUSH_SECONDS", -1)

        def killed(*_, **__):
            raise SystemExit  # as a kill: nothing is recorded

        patch.setattr("lossbench.running.run.write_outcome", killed)
        with pytest.raises(SystemExit):
            run(made)
    (before,) = runs_of([made])
    assert record.read(made.path)["status"] == "running" and before.data.metrics
    assert run(made)["status"] == "finished"
    (after,) = runs_of([made])
    assert after.info.run_id == before.info.run_id
    assert differences([made], sweeps=False) == []


def test_values_that_the_record_does_not_have_are_replaced_with_their_run(cells):
    (made,) = cells("stale", "cross_entropy")
    prepare([made])
    entry = run(made)
    entry["history"][0]["train/loss"] = 8.0
    record.write(made.path, entry)
    ((_, told),) = mend(Path(made.config.output_dir), [made.path], made.config.tracking)
    assert told == "1 values were missing"
    assert record.read(made.path)["mlflow_run_id"] != entry["mlflow_run_id"]
    assert differences([made], sweeps=False) == []


def test_runs_without_tracking_are_sent_later_and_deleted_ones_stay_deleted(cells):
    (made,) = cells("later", "cross_entropy")
    OmegaConf.update(made.config, "tracking.uri", None)
    run(made)
    del made.__dict__["resolved"]
    uri = cells("later", "cross_entropy")[0].config.tracking.uri
    made.config.tracking.uri = uri
    mend_cells([made], [record.read(made.path)], {})
    assert differences([made], sweeps=False) == []
    client = connect(made.config.tracking)
    client.delete_run(record.read(made.path)["mlflow_run_id"])
    ((_, told),) = mend(Path(made.config.output_dir), [made.path], made.config.tracking)
    assert "deleted" in told and runs_of([made]) == []


def test_a_sweep_without_tracking_gets_its_parent_by_a_repair(cells):
    made, told = (cells("repaired", "cross_entropy", "focal") for _ in range(2))
    for each in made:
        OmegaConf.update(each.config, "tracking.uri", None)
    assert sweep(made) == 0
    output_dir = made[0].config.output_dir
    repair(OmegaConf.create({"output_dir": output_dir, "dead": None, "tracking": told[0].config.tracking}))
    assert differences(told) == []
    sums = runs_of(told, "tags.`lossbench.kind` = 'aggregate'")
    assert {found.info.run_name for found in sums} == {"cross_entropy, all seeds", "focal, all seeds"}


def test_a_deleted_experiment_is_told_with_what_to_do(cells):
    made = cells("deleted", "cross_entropy")
    prepare(made)
    client = connect(made[0].config.tracking)
    client.delete_experiment(client.get_experiment_by_name("deleted").experiment_id)
    with pytest.raises(ConfigError, match=r"tracking\.experiment=deleted.*[Rr]estore.*tracking\.experiment=deleted-2"):
        prepare(made)


def test_two_commands_that_look_at_once_keep_one_run(cells, monkeypatch):
    made = cells("twins", "cross_entropy")
    prepare(made)
    from lossbench.tracking.store import create_run, find_or_create

    client = connect(made[0].config.tracking)
    twin = []

    def create():
        if not twin:  # the other command is faster
            twin.append(create_run(client, "twins", "theirs", {"who": "same"}).info.run_id)
        return create_run(client, "twins", "ours", {"who": "same"})

    assert find_or_create(client, "twins", "who", "same", create) == (twin[0], False)
    assert [found.info.run_name for found in runs_of(made, "tags.who = 'same'")] == ["theirs"]


def test_a_database_that_was_left_half_made_is_recognised(cell, tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("create table alembic_version (version_num varchar(32))")
        database.execute("insert into alembic_version values ('451aebb31d03')")
    made = cell("tracking=mlflow")
    with pytest.raises(ConfigError, match=r"half made.*delete it"):
        prepare([made])


def test_nan_and_infinity_are_the_same_in_record_and_store():
    entry = {"history": [{"epoch": 0, "a": math.inf, "b": None}], "metrics": {"last": {"test/c": 1}, "best_val": None}}
    values = agreement.values_of(entry)
    assert math.isnan(values["a", 0]) and math.isnan(values["b", 0]) and values["final/c", 0] == 1.0
    assert agreement.infinite_in(entry) == ["a"]


class _Server(BaseHTTPRequestHandler):
    seen: ClassVar[list[str | None]] = []

    def do_GET(self):
        self.seen.append(self.headers.get("Authorization"))
        self.send_response(200 if self.seen[-1] else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"experiment": {"experiment_id": "1", "name": "x"}}).encode())

    def log_message(self, *_):
        pass


def test_credentials_are_used_and_never_shown(monkeypatch, cell, tmp_path):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "LOSSBENCH_DATABASE_CREDENTIALS"):
        monkeypatch.setenv(name, "")
    server = HTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (word,) = hide_credentials([f"tracking.uri=http://me:s%40cret@127.0.0.1:{server.server_port}"])
    assert "cret" not in word and word.endswith(f"http://***@127.0.0.1:{server.server_port}")
    connect(cell("tracking=mlflow", word).config.tracking).get_experiment("1")
    server.shutdown()
    assert _Server.seen[-1] == "Basic " + b64encode(b"me:s@cret").decode()
    (word,) = hide_credentials(["tracking.uri=postgresql://me:secret@host/db"])
    assert word == "tracking.uri=postgresql://***@host/db"
    assert os.environ["LOSSBENCH_DATABASE_CREDENTIALS"] == "me:secret"
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD"):
        prepare([cell("tracking=mlflow", "tracking.uri=http://me:secret@127.0.0.1:1")])


def test_the_database_is_where_the_output_folder_is(cell, tmp_path):
    made = cell("tracking=mlflow", output_dir=tmp_path / "50%25 a?b#c")
    assert database_of(made.config.tracking.uri) == tmp_path / "50%25 a?b#c" / "mlflow.db"
