"""Records that are broken are named, counted and left out, in a sweep and in a comparison alike."""

import json

import pytest

from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.records import claims, record
from lossbench.running.run import run
from tests.support.compared import made_up, write

WHOLE = made_up("focal", 0, 0.9)
BROKEN = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"3",
    "an empty object": b"{}",
    "half": json.dumps(WHOLE).encode()[:200],
    "not UTF-8": b"\xff\xfe{}",
    "a missing key": json.dumps({name: value for name, value in WHOLE.items() if name != "problem"}).encode(),
    "another type": json.dumps(WHOLE | {"seed": "zero"}).encode(),
    "rows that are none": json.dumps(WHOLE | {"history": [1, 2]}).encode(),
    "metrics that are none": json.dumps(WHOLE | {"metrics": {"last": 3, "best_val": None}}).encode(),
    "no choice of data": json.dumps(WHOLE | {"choices": {}}).encode(),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_record_is_named_counted_and_left_out_of_comparisons(content, tmp_path, caplog):
    for seed in range(2):
        write(tmp_path, made_up("focal", seed, 0.9))
    folder = next(tmp_path.glob("*/focal-s0-*"))
    (folder / record.FILE).write_bytes(content)
    (found,) = comparisons(read_outputs(tmp_path))
    assert found.seeds == [1]
    assert str(folder / record.FILE) in caplog.text and "1 records under" in caplog.text


def test_a_cell_with_a_broken_record_is_trained_again(cell, caplog):
    lines = ["data=digits", "model.hidden=[4]", "data.max_train=100", "data.max_test=20", "trainer.max_epochs=1"]
    made = cell(*lines)
    made.path.mkdir(parents=True)
    (made.path / record.FILE).write_bytes(b"[]")
    assert run(made)["status"] == "finished" and "it is no record" in caplog.text


def test_to_ask_whether_a_run_is_claimed_takes_nothing(tmp_path):
    assert not claims.is_claimed(tmp_path / "nothing") and not (tmp_path / "nothing").exists()
    with claims.claimed(tmp_path) as free:
        assert free and claims.is_claimed(tmp_path)
    assert not claims.is_claimed(tmp_path)
