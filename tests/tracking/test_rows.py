"""Values sent as rows of the database are those that `log_batch` sends."""

import math

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from lossbench.compat.mlflow import insert_rows
from lossbench.tracking.store import sqlite_uri

METRICS = [Metric(name, 0.25 * step, 1000 + step, step) for name in ("train/loss", "val/mae") for step in (0, 2, 4)]
METRICS += [Metric("val/r2", math.nan, 1000, 0), Metric("val/r2", -1.5, 1001, 2), Metric("test/r2", math.nan, 1000, 0)]
PARAMS = {"seed": "3", "loss.delta": "1.5"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    made = MlflowClient(tracking_uri=sqlite_uri(folder / "mlflow.db"))
    made.create_experiment("rows", artifact_location=(folder / "files").as_uri())
    return made


def new_run(client):
    return client.create_run(client.get_experiment_by_name("rows").experiment_id).info.run_id


def told(client, run_id):
    data = client.get_run(run_id).data
    history = {name: [(each.step, each.value, each.timestamp) for each in client.get_metric_history(run_id, name)]
               for name in data.metrics}  # fmt: skip
    return repr((sorted(data.metrics.items()), sorted(data.params.items()), sorted(history.items())))


def test_rows_are_what_log_batch_sends(client):
    one, other = new_run(client), new_run(client)
    client.log_batch(one, metrics=METRICS, params=[Param(key, value) for key, value in PARAMS.items()])
    assert insert_rows(client, other, METRICS[:4], PARAMS)
    assert insert_rows(client, other, METRICS[4:])
    assert told(client, one) == told(client, other)


@pytest.mark.parametrize("name", ["a name with *", "x" * 300, METRICS[0].key])
def test_nothing_is_sent_where_something_is_refused(client, name):
    """A name that MLflow does not take, one that is too long, and a value that is there already."""
    run_id = new_run(client)
    assert insert_rows(client, run_id, METRICS[:1])
    before = told(client, run_id)
    assert not insert_rows(client, run_id, [Metric("new", 1.0, 1000, 0), Metric(name, 0.0, 1000, 0)], {"new": "1"})
    assert told(client, run_id) == before


def test_nothing_is_sent_to_a_run_that_was_deleted(client):
    run_id = new_run(client)
    client.delete_run(run_id)
    assert not insert_rows(client, run_id, METRICS)


def test_another_store_is_left_to_log_batch():
    assert not insert_rows(MlflowClient(tracking_uri="http://127.0.0.1:9"), "run", METRICS)
