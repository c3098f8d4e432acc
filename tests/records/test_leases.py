"""Leases of runs on a disk that several machines share, and on which file locks say nothing."""

import json
import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from lossbench.errors import TakenOver
from lossbench.records import claims, record
from lossbench.records.claims import LEASE, SILENT_SECONDS
from lossbench.running.callbacks import Cost
from lossbench.running.run import run
from lossbench.running.stacks import run_stack

NOW = time.time


class NoLock:
    """A lock of a network disk that forgets those of other machines."""

    def __init__(self, path):
        self.lock_file = str(path)

    def acquire(self, **_):
        return self

    def release(self):
        pass


@pytest.fixture(autouse=True)
def no_locks(monkeypatch):
    monkeypatch.setattr(claims, "FileLock", NoLock)
    claims._difference.cache_clear()


@contextmanager
def host(name, monkeypatch, ahead=0.0):
    """Be another machine, whose clock is ahead."""
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: name)
        patch.setattr(claims.time, "time", lambda: NOW() + ahead)
        claims._difference.cache_clear()
        yield
    claims._difference.cache_clear()


def age(folder, seconds):
    then = NOW() - seconds
    os.utime(folder / LEASE, (then, then))


@pytest.mark.parametrize("ahead", [0.0, 30.0, -30.0, 3600.0])
def test_a_run_of_another_machine_is_not_taken_while_it_shows_itself(tmp_path, monkeypatch, ahead):
    with host("node1", monkeypatch), claims.claimed(tmp_path) as first:
        assert first
        with host("node2", monkeypatch, ahead):
            age(tmp_path, SILENT_SECONDS - 5)
            assert claims.is_claimed(tmp_path)
            with claims.claimed(tmp_path) as second:
                assert not second
        claims.require_held(tmp_path)
    assert not (tmp_path / LEASE).exists()


@pytest.mark.parametrize("ahead", [0.0, 30.0, -30.0])
def test_a_silent_one_is_taken_over_and_who_comes_back_finds_it_gone(tmp_path, monkeypatch, ahead):
    with host("node1", monkeypatch), claims.claimed(tmp_path) as first:
        assert first
        mine = claims._held.pop(tmp_path)
        age(tmp_path, SILENT_SECONDS + 5)
        with host("node2", monkeypatch, ahead):
            assert not claims.is_claimed(tmp_path)
            with claims.claimed(tmp_path) as second:
                assert second and json.loads((tmp_path / LEASE).read_text())["host"] == "node2"
                theirs, claims._held[tmp_path] = claims._held[tmp_path], mine
                with pytest.raises(TakenOver, match="taken the run over"):
                    claims.require_held(tmp_path)
                claims._held[tmp_path] = theirs
                claims.require_held(tmp_path)
        claims._held[tmp_path] = mine
    assert not (tmp_path / LEASE).exists()  # the second has given it back, the first had nothing to give


def test_who_was_taken_over_leaves_the_lease_of_the_other_alone(tmp_path, monkeypatch):
    with host("node1", monkeypatch), claims.claimed(tmp_path):
        (tmp_path / LEASE).write_text(json.dumps({"host": "node2", "name": "other", "pid": 1, "started": 0.0}))
    assert json.loads((tmp_path / LEASE).read_text())["name"] == "other"


def test_of_many_takers_at_once_one_wins(tmp_path):
    for round_ in range(20):
        folder = tmp_path / str(round_)
        folder.mkdir()
        (folder / LEASE).write_text(json.dumps({"host": "node9", "pid": 1, "started": 0.0, "name": "dead"}))
        age(folder, SILENT_SECONDS + 5)
        taken, gate = [], threading.Barrier(8)

        def take(folder=folder, taken=taken, gate=gate):
            gate.wait()
            taken.append(claims._take_lease(folder))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [name for name in taken if name is not None]
        assert len(winners) == 1 and json.loads((folder / LEASE).read_text())["name"] == winners[0]
        assert [path.name for path in folder.iterdir()] == [LEASE]


def test_who_dies_over_taking_a_lease_stands_in_nobody_s_way_for_long(tmp_path):
    (tmp_path / LEASE).write_text(json.dumps({"host": "node9", "pid": 1, "started": 0.0, "name": "dead"}))
    age(tmp_path, SILENT_SECONDS + 5)
    taking = tmp_path / f"{LEASE}-taking"
    taking.touch()
    assert claims._take_lease(tmp_path) is None and taking.exists()
    then = NOW() - claims.BEAT_SECONDS - 5
    os.utime(taking, (then, then))
    assert claims._take_lease(tmp_path) is None and not taking.exists()
    assert claims._take_lease(tmp_path) is not None and [path.name for path in tmp_path.iterdir()] == [LEASE]


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once(tmp_path):
    dead = {**claims.this_process(), "pid": 2**22 + 1, "name": "dead"}
    (tmp_path / LEASE).write_text(json.dumps(dead))
    with claims.claimed(tmp_path) as mine:
        assert mine


class Sleeps(Cost):
    """Stands in for the measured cost of a run; in the second epoch the run is taken over by another machine."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_train_epoch_start(self, trainer, pl_module):
        super().on_train_epoch_start(trainer, pl_module)
        if trainer.current_epoch == 1:
            (self.folder / LEASE).write_text(json.dumps({"host": "node2", "name": "other", "pid": 1, "started": 0.0}))
            record.write(self.folder, record.read(self.folder) | {"process": {"host": "node2", "pid": 1}})


@pytest.mark.parametrize("stacked", [False, True])
def test_who_sleeps_too_long_and_comes_back_writes_nothing_more(cell, monkeypatch, stacked, caplog):
    chosen = cell("data=digits_imb", "data.max_train=200", "model.hidden=[16]", "trainer.max_epochs=3")
    place = "lossbench.running.stacks.Cost" if stacked else "lossbench.running.run.Cost"
    monkeypatch.setattr(place, lambda: Sleeps(chosen.path))
    run_stack([chosen]) if stacked else run(chosen)
    entry = record.read(chosen.path)
    assert entry["status"] == "running" and entry["process"]["host"] == "node2" and not entry.get("history")
    assert "taken the run over" in caplog.text and not (chosen.path / "predictions.npz").exists()
    assert json.loads((chosen.path / LEASE).read_text())["name"] == "other"
