"""Sweeps that are stopped, repeated, extended and shared by several processes."""

import json
import signal
from pathlib import Path

import pytest
from filelock import FileLock

from lossbench.records import claims, record
from tests.support.commands import start, wait_for

pytestmark = pytest.mark.xdist_group("sweeps")

SWEEP = ["-m", "loss=cross_entropy,focal", "seed=0,1", "trainer.max_epochs=12", "data=digits_imb"]


def numbers(folder: Path) -> dict[str, dict]:
    """What must not depend on how a sweep came to its end."""
    entries = [entry for _, entry in record.read_all(folder / "outputs")]
    return {entry["key"]: {key: entry[key] for key in ("status", "metrics", "history", "hashes")} for entry in entries}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(folder, *SWEEP, "tracking=none")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return numbers(folder)


def test_a_sweep_killed_twice_ends_with_the_same_numbers(tmp_path, undisturbed):
    for cells_begun in (1, 3):
        process = start(tmp_path, *SWEEP, "tracking=none")
        wait_for(lambda n=cells_begun: len(list(tmp_path.glob("outputs/*/*/checkpoints/last.ckpt"))) >= n)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    process = start(tmp_path, *SWEEP, "tracking=none")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert numbers(tmp_path) == undisturbed
    longer = start(tmp_path, "-m", "loss=cross_entropy,focal,gce", *SWEEP[2:], "tracking=none")
    output, _ = longer.communicate(timeout=120)
    assert longer.returncode == 0 and output.count("reused (rerun") == 4
    assert output.count("gce-s") >= 2 and len(numbers(tmp_path)) == 6


def test_two_processes_share_a_sweep(tmp_path, undisturbed):
    processes = [start(tmp_path, *SWEEP) for _ in range(2)]
    outputs = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert numbers(tmp_path) == undisturbed
    trained = [line for output in outputs for line in output.splitlines() if "finished, test" in line]
    assert len([line for line in trained if "reused" not in line]) == 4, trained


def test_a_cell_is_claimed_once(tmp_path):
    with claims.claimed(tmp_path) as first, claims.claimed(tmp_path) as second:
        assert (first, second) == (True, False)
    with claims.claimed(tmp_path) as third:
        assert third
    assert not FileLock(tmp_path / ".claim").is_locked


def test_a_half_written_record_is_no_record(tmp_path):
    record.write(tmp_path, {"key": "k", "status": "finished"})
    whole = (tmp_path / "record.json").read_text()
    (tmp_path / "record.json").write_text(whole[: len(whole) // 2])
    assert record.read(tmp_path) is None and not record.is_done(record.read(tmp_path))


def test_another_version_is_said(tmp_path, lossbench):
    arguments = ["trainer.max_epochs=1", "tracking=none"]
    assert lossbench(*arguments).returncode == 0
    (path,) = tmp_path.glob("outputs/*/*/record.json")
    entry = json.loads(path.read_text())
    entry["versions"]["torch"] = "1.0.0"
    path.write_text(json.dumps(entry))
    result = lossbench(*arguments)
    assert result.returncode == 0 and "torch 1.0.0, now" in result.stderr and "reused" in result.stderr
