"""Runs whose process is of another machine: alive as long as they show it, or until the user says otherwise."""

import json
import os
import socket
import time
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from lossbench.cli.repair import repair
from lossbench.errors import ConfigError
from lossbench.records import claims, dead, record
from lossbench.running.launch import _is_elsewhere, _waiting
from lossbench.tasks import task_named
from lossbench.tracking.store import close_runs_of, connect, create_run, ensure_experiment
from tests.support.compared import made_up, write

ELSEWHERE = {"pid": 1, "host": "node7", "started": 0.0}


@pytest.fixture
def folder(tmp_path):
    """A run that another machine has begun."""
    entry = made_up("focal", 0, 0.8, status="running", process=ELSEWHERE)
    write(tmp_path, entry)
    return tmp_path / "made_up" / "focal-s0-p"


def showed_itself(folder, seconds, name=record.FILE):
    """Let the process at a run have shown itself so long ago."""
    path, then = folder / name, time.time() - seconds
    path.touch()
    os.utime(path, (then, then))


def as_cell(folder):
    return SimpleNamespace(path=folder, name="focal-s0")


def test_a_process_of_another_machine_is_alive_as_long_as_its_heart_beats(folder):
    showed_itself(folder, claims.SILENT_SECONDS - 60)
    assert claims.is_alive(ELSEWHERE, folder) and _is_elsewhere(as_cell(folder))
    showed_itself(folder, claims.SILENT_SECONDS + 1)
    assert not claims.is_alive(ELSEWHERE, folder) and not _is_elsewhere(as_cell(folder))
    showed_itself(folder, 5, claims.LEASE)
    assert claims.is_alive(ELSEWHERE, folder) and _is_elsewhere(as_cell(folder))


def test_where_nothing_of_a_run_can_be_seen_its_process_is_taken_to_run(tmp_path):
    assert claims.is_alive(ELSEWHERE) and claims.is_alive(ELSEWHERE, tmp_path / "on its own disk")


def test_processes_of_this_machine_are_told_by_number_and_start_whatever_the_heartbeat(folder):
    here = claims.this_process()
    showed_itself(folder, 10 * claims.SILENT_SECONDS)
    assert claims.is_alive(here, folder)
    assert not claims.is_alive({**here, "started": here["started"] - 60}, folder)


def test_who_waits_is_told_what_to_do_if_the_machine_is_dead(folder):
    assert _waiting([as_cell(folder)]).endswith("If node7 no longer runs: python -m lossbench.repair dead=node7")


def test_the_heart_of_a_claimed_run_beats_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.01)
    claims._start_heart.cache_clear()
    lease = tmp_path / claims.LEASE
    with claims.claimed(tmp_path):
        os.utime(lease, (0, 0))
        for _ in range(1000):
            if lease.stat().st_mtime > 0:
                break
            time.sleep(0.01)
        assert time.time() - lease.stat().st_mtime < 60
    assert tmp_path not in claims._held and not lease.exists()


def config(tmp_path, host, uri=None):
    return OmegaConf.create({"output_dir": str(tmp_path), "dead": host, "tracking": {"uri": uri, "telemetry": False}})


def test_the_user_can_say_that_a_machine_is_dead(folder, tmp_path, capsys):
    showed_itself(folder, dead.SURELY_SILENT + 1)
    (folder / claims.CLAIM).touch()
    repair(config(tmp_path, "node7"))
    entry = record.read(folder)
    assert entry["status"] == "killed" and "dead=node7" in entry["error"] and not (folder / claims.CLAIM).exists()
    assert "1 runs of node7" in capsys.readouterr().out and not _is_elsewhere(as_cell(folder))


@pytest.mark.parametrize(
    ("host", "seconds", "said"),
    [
        ("node7", 30, "dead=node7: its run focal-s0 showed itself 30 s ago"),
        (7, 300, "dead=7 is out of range"),
        ("nod7", 300, "dead=nod7: no run of that machine goes on. Nearest: node7. Allowed: node7."),
        (socket.gethostname(), 300, "this is that machine"),
    ],
)
def test_a_machine_that_is_not_dead_is_told(folder, tmp_path, host, seconds, said):
    showed_itself(folder, seconds)
    with pytest.raises(ConfigError) as told:
        repair(config(tmp_path, host))
    assert said in str(told.value) and record.read(folder)["status"] == "running"


def test_mlflow_closes_the_runs_of_a_machine_that_is_silent_or_said_to_be_dead(folder, tmp_path):
    tracking = OmegaConf.create({"uri": f"sqlite:///{tmp_path}/mlflow.db", "telemetry": False, "experiment": None})
    client = connect(tracking)
    ensure_experiment(client, "made_up", task_named("multiclass"), tracking.uri, tmp_path)
    tags = {"lossbench.process": json.dumps(ELSEWHERE), "data": "made_up", "lossbench.key": "p" * 64}
    cell = create_run(client, "made_up", "focal-s0", tags).info.run_id
    sweep = create_run(client, "made_up", "a sweep", {"lossbench.process": json.dumps(ELSEWHERE)}).info.run_id

    def status(run_id):
        return client.get_run(run_id).info.status

    folder.rename(folder.with_name("focal-s0-pppppppp"))
    folder = folder.with_name("focal-s0-pppppppp")
    showed_itself(folder, 30)
    ensure_experiment(client, "made_up", task_named("multiclass"), tracking.uri, tmp_path)
    assert status(cell) == status(sweep) == "RUNNING"
    showed_itself(folder, claims.SILENT_SECONDS + 1)
    ensure_experiment(client, "made_up", task_named("multiclass"), tracking.uri, tmp_path)
    assert (status(cell), status(sweep)) == ("KILLED", "RUNNING")
    assert close_runs_of("node7", tracking) == 1 and status(sweep) == "KILLED"
