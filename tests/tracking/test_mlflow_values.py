"""What MLflow's pages show: numbers of few digits, intervals in reading order, times of the runs, files that moved."""

import json
import logging
import math
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lossbench.records import record
from lossbench.records.files import write_text
from lossbench.running.launch import launch
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from lossbench.tasks import task_named, tasks
from lossbench.tracking.agreement import rounded
from lossbench.tracking.loggers import place_of
from lossbench.tracking.moved import find_moved_files
from lossbench.tracking.repair import mend
from lossbench.tracking.store import connect, prepare, sqlite_uri
from lossbench.tracking.views import view_tags
from tests.support.logged import csv_rows
from tests.support.mlflow_store import differences, runs_of
from tests.support.records import killed

pytestmark = [pytest.mark.xdist_group("store"), pytest.mark.usefixtures("undrawn")]
SMALL = ["data=digits", "model.hidden=[8]", "data.max_train=200", "data.max_test=50", "trainer.max_epochs=3"]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A folder with a store that is made once: that takes seconds."""
    return tmp_path_factory.mktemp("values")


@pytest.fixture
def cells(cell, store, monkeypatch):
    """Cells that are recorded in that store, in an output folder for each name."""
    monkeypatch.setattr("lossbench.running.launch.conclude", lambda *_, **__: {})

    def make(name: str, *losses: str, seeds=(0,), uri: str | None = None):
        words = [*SMALL, "tracking=mlflow", f'tracking.uri="{uri or sqlite_uri(store / "mlflow.db")}"']
        words += [f"tracking.experiment={name}"]
        pairs = [(loss, seed) for loss in losses for seed in seeds]
        return [cell(*words, f"loss={loss}", f"seed={seed}", output_dir=store / name) for loss, seed in pairs]

    return make


def sweep(made) -> int:
    return launch(made, start=lambda: [run(each) for each in made])


@pytest.mark.parametrize("value", [0.926, 0.1, 12.34, 1e-7, 123456.0, 0.3333333333333333, -2.5])
def test_single_precision_leaves_no_noise(value):
    assert rounded(float(np.float32(value))) == rounded(value) == float(f"{value:.6g}")


def test_whole_numbers_and_what_is_no_number_stay():
    assert rounded(123456789.0) == 123456789.0 and math.isnan(rounded(math.nan)) and rounded(math.inf) == math.inf


def test_a_run_is_shown_in_six_digits_and_its_record_has_all(cells, monkeypatch):
    made = cells("digits6", "cross_entropy", "focal")
    assert sweep(made) == 0
    entry = record.read(made[0].path)
    shown = {run.info.run_id: run.data.metrics for run in runs_of(made)}[entry["mlflow_run_id"]]
    exact = {f"final/{name[5:]}": value for name, value in entry["metrics"]["last"].items() if name[:5] == "test/"}
    assert any(len(repr(value)) > 12 for value in exact.values())
    assert {name: shown[name] for name in exact} == {name: float(f"{value:.6g}") for name, value in exact.items()}
    assert differences(made) == []


def test_a_store_of_an_older_version_with_all_digits_agrees(cells):
    (made,) = cells("older", "cross_entropy")
    prepare([made])
    entry = run(made)
    client = connect(made.config.tracking)
    key = entry["mlflow_run_id"]
    noisy = 0.9259999990463257
    entry["history"][0]["train/loss"], entry["history"][1]["train/loss"] = 0.926, 0.926
    record.write(made.path, entry)
    with closing(sqlite3.connect(made.config.tracking.uri.removeprefix("sqlite:///"))) as database, database:
        for table, step in (("metrics", 0), ("metrics", 1)):
            database.execute(f"update {table} set value=? where run_uuid=? and key='train/loss' and step=?",
                             (noisy, key, step))  # fmt: skip
    ((_, told),) = mend(Path(made.config.output_dir), [made.path], made.config.tracking)
    assert told == "" and client.get_run(key).info.lifecycle_stage == "active"


def test_sums_over_seeds_read_in_order_and_have_no_bounds_without_spread(cells):
    made = cells("sums", "cross_entropy", "focal", seeds=(0, 1))
    sweep(made)
    for one, value in zip(made, (0.5, 0.5, 0.25, 0.75), strict=True):  # the first loss has no spread
        entry = record.read(one.path)
        entry["metrics"]["last"]["test/balanced_accuracy"] = value
        entry["ended"] += 1  # as trained again
        write_text(one.path / record.FILE, json.dumps(entry))
    for run_ in runs_of(made, "tags.`lossbench.kind` = 'aggregate'"):
        connect(made[0].config.tracking).delete_run(run_.info.run_id)
    assert sweep(made) == 0
    sums = {run_.info.run_name: run_.data.metrics for run_ in runs_of(made, "tags.`lossbench.kind` = 'aggregate'")}
    ends = {name: [key for key in sorted(values) if key.endswith("/balanced_accuracy") or key == "count"]
            for name, values in sums.items()}  # fmt: skip
    assert ends["cross_entropy, all seeds"] == ["count", "mean/balanced_accuracy"]
    ours = ["count", "lower95/balanced_accuracy", "mean/balanced_accuracy", "upper95/balanced_accuracy"]
    assert ends["focal, all seeds"] == ours and sums["focal, all seeds"]["count"] == 2
    low, mean, high = (sums["focal, all seeds"][name] for name in ours[1:])
    assert low < mean < high and mean == 0.5
    assert all(math.isfinite(value) for values in sums.values() for value in values.values())


def seconds(run_) -> tuple[float, float]:
    return run_.info.start_time / 1000, run_.info.end_time / 1000


def test_times_are_those_of_the_runs_also_of_a_stack_and_of_what_is_told_later(cells):
    stacked = cells("times", "cross_entropy", "focal")
    prepare(stacked)
    run_stack(stacked)
    later = cells("times_later", "cross_entropy", "focal")
    for made in later:
        uri, made.config.tracking.uri = made.config.tracking.uri, None
        run(made)
        made.config.tracking.uri = uri
        entry = record.read(made.path)
        write_text(made.path / record.FILE, json.dumps({**entry, "started": 1000.0, "ended": 1007.5}))
    assert sweep(later) == 0
    for made in [*stacked, *later]:
        entry = record.read(made.path)
        (found,) = [run_ for run_ in runs_of([made]) if run_.info.run_id == entry["mlflow_run_id"]]
        assert seconds(found) == pytest.approx((entry["started"], entry["ended"]), abs=0.002)


def test_the_sweep_of_runs_that_are_told_later_lasted_as_long_as_they_did(cells):
    made = cells("parents", "cross_entropy", "focal")
    assert sweep(made) == 0
    client = connect(made[0].config.tracking)
    (parent,) = runs_of(made, "tags.`lossbench.kind` = 'sweep'")
    ended = max(record.read(one.path)["ended"] for one in made)
    assert parent.info.end_time / 1000 == pytest.approx(ended, abs=0.002)
    client.delete_run(parent.info.run_id)
    for one, (start, end) in zip(made, ((1000.0, 1005.0), (1004.0, 1012.0)), strict=True):
        entry = record.read(one.path)
        write_text(one.path / record.FILE, json.dumps({**entry, "started": start, "ended": end}))
    assert sweep(made) == 0
    (parent,) = runs_of(made, "tags.`lossbench.kind` = 'sweep'")
    assert seconds(parent) == (1000.0, 1012.0)


def test_a_run_whose_process_died_lasted_until_its_last_sign(cells, monkeypatch):
    (made,) = cells("dead", "cross_entropy")
    prepare([made])
    with monkeypatch.context() as patch:
        patch.setattr("lossbench.tracking.run.RunTracker.finish", lambda *_: None)
        killed(made, 2, 0, patch)
    (found,) = runs_of([made])
    for path in made.path.rglob("*"):
        os.utime(path, (found.info.start_time / 1000 + 3,) * 2)
    monkeypatch.setattr("lossbench.tracking.store.is_alive", lambda *_: False)
    prepare([made])
    (found,) = runs_of([made])
    assert found.info.status == "KILLED" and found.info.end_time - found.info.start_time == pytest.approx(3000, abs=2)


def test_a_logger_beside_mlflow_adds_nothing_to_it(cells):
    made = cells("beside", "cross_entropy", "focal")
    for one in made:
        one.config.tracking.logger = "csv"
    assert sweep(made) == 0 and differences(made) == []
    assert all(len(csv_rows(place_of("csv", one.path))) == 3 for one in made)


@pytest.mark.parametrize("task", sorted(tasks()))
def test_the_curves_open_on_few_charts_that_the_task_has(task):
    state = json.loads(view_tags(task_named(task))["mlflow.sharedViewState.lossbench-curves"])
    charts, sections = state["compareRunCharts"], state["compareRunSections"]
    assert 1 <= len(charts) <= 6 and charts[-1]["metricKey"] == "train/loss"
    assert {chart["metricSectionId"] for chart in charts} == {sections[0]["uuid"]}
    assert [section["display"] for section in sections] == [True] + [False] * (len(sections) - 1)


def test_an_experiment_of_an_older_version_gets_the_views(cells):
    made = cells("views", "cross_entropy")
    prepare(made)
    client = connect(made[0].config.tracking)
    number = client.get_experiment_by_name("views").experiment_id
    client.delete_experiment_tag(number, "mlflow.sharedViewState.lossbench-curves")
    prepare(made)
    assert "mlflow.sharedViewState.lossbench-curves" in client.get_experiment(number).tags


def test_files_are_found_after_the_output_folder_was_moved(cell, tmp_path, monkeypatch, caplog):
    """The store lies in the folder, as it does by default."""
    monkeypatch.setattr("lossbench.running.launch.conclude", lambda *_, **__: {})
    old, new = tmp_path / "old place" / "outputs", tmp_path / "new"

    def cells_in(folder):
        return [cell(*SMALL, "tracking=mlflow", "loss=focal", output_dir=folder)]

    made = cells_in(old)
    assert sweep(made) == 0
    shutil.move(old, new)
    database = sqlite3.connect(new / "mlflow.db")
    assert all(str(tmp_path / "old") in address.replace("%20", " ") for (address,) in
               database.execute("select artifact_uri from runs"))  # fmt: skip
    database.close()
    with caplog.at_level(logging.WARNING):
        assert sweep(cells_in(new)) == 0
    (line,) = [text for text in caplog.messages if "which is gone" in text]
    assert str(old / "mlartifacts") in line and "1 runs" in line and not old.exists()
    assert_files_are_found(cells_in(new), tmp_path)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert sweep(cells_in(new)) == 0 and find_moved_files(new / "mlflow.db", new) == 0
    assert "which is gone" not in caplog.text


def assert_files_are_found(made, tmp_path):
    from mlflow import artifacts

    uri = made[0].config.tracking.uri
    for one in made:
        run_id = record.read(one.path)["mlflow_run_id"]
        assert "record.json" in {file.path for file in artifacts.list_artifacts(run_id=run_id, tracking_uri=uri)}
        there = artifacts.download_artifacts(run_id=run_id, artifact_path="record.json", tracking_uri=uri,
                                             dst_path=str(tmp_path / "loaded"))  # fmt: skip
        assert json.loads(Path(there).read_text())["key"] == one.key
    assert differences(made, sweeps=False) == []


def test_what_is_where_it_says_or_nowhere_is_left_alone(tmp_path):
    def database(location: str) -> list[str]:
        path = tmp_path / "mlflow.db"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as made, made:
            made.execute("create table experiments (experiment_id integer, artifact_location text)")
            made.execute("create table runs (experiment_id integer, artifact_uri text)")
            made.execute("insert into experiments values (1, ?)", (location,))
            made.execute("insert into runs values (1, ?)", (f"{location}/abc/artifacts",))
        assert find_moved_files(path, tmp_path) == 0
        with closing(sqlite3.connect(path)) as made:
            return [row[0] for row in made.execute("select artifact_location from experiments")]

    (tmp_path / "mlartifacts" / "one").mkdir(parents=True)
    (tmp_path / "copy" / "mlartifacts" / "one").mkdir(parents=True)
    there = (tmp_path / "copy" / "mlartifacts" / "one").as_uri()
    for location in (there, "file:///gone/mlartifacts/two", "mlflow-artifacts:/one", "s3://gone/mlartifacts/one"):
        assert database(location) == [location]
    assert find_moved_files(None, tmp_path) == find_moved_files(tmp_path / "none.db", tmp_path) == 0
