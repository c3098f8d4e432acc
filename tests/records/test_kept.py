"""What a run that is done leaves: how many files, what `keep` says of them, and folders of earlier versions."""

import json

import numpy as np
import pytest

import lossbench
from lossbench.compare.numbers.comparisons import load_arrays
from lossbench.errors import ConfigError
from lossbench.records import record
from lossbench.records.predictions import BEFORE_NAMES, EARLIER, FILE, opened, parts_in, write_predictions
from lossbench.running.launch import launch
from lossbench.running.run import run
from lossbench.running.stacks import run_stack

MLP = ["data=outliers", "loss=mae", "trainer.max_epochs=3", "pictures=never"]


@pytest.fixture
def kept(tmp_path):
    """A folder with three parts, whose numbers tell them apart."""
    parts = {part: {"target": np.full(3, number)} for number, part in enumerate(BEFORE_NAMES)}
    write_predictions(tmp_path, parts)
    return tmp_path


def left_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4), np.asfortranarray(np.arange(12).reshape(3, 4)), np.float32(3), np.zeros((0, 3)),
        np.array(["a", "bc"]), np.array([True]), np.zeros(2**18),
    ],
    ids=["rows", "columns", "number", "empty", "words", "flags", "large"],
)  # fmt: skip
def test_an_array_is_read_as_numpy_reads_it(array, tmp_path):
    write_predictions(tmp_path, {"last": {"array": array}})
    with opened(tmp_path, "last") as part, np.load(tmp_path / FILE) as file:
        found, other = part["array"], file["array"]
    assert (found.dtype, found.shape) == (other.dtype, other.shape)
    assert np.array_equal(found, other) and found.flags.f_contiguous == other.flags.f_contiguous
    assert found.flags.writeable


def test_objects_are_not_read(tmp_path):
    np.savez(tmp_path / FILE, array=np.array([{}], dtype=object))
    with opened(tmp_path, "last") as part, pytest.raises(ValueError, match="allow_pickle=False"):
        part["array"]


@pytest.mark.parametrize("engine", ["single", "stacked"])
def test_a_small_run_leaves_six_files_and_less_than_300_kb(engine, cell):
    made = cell(*MLP)
    run(made) if engine == "single" else run_stack([made])
    names = left_in(made.path)
    config = [".hydra/config.yaml", ".hydra/overrides.yaml"]
    assert names == [*config, "checkpoints/best.ckpt", "checkpoints/last.ckpt", FILE, record.FILE]
    assert sum((made.path / name).stat().st_size for name in names) < 300_000
    assert parts_in(made.path) == ["last", "best", "validation"]


@pytest.mark.parametrize(
    ("keep", "left"), [("", []), ("predictions", [FILE]), ("last", ["checkpoints/last.ckpt"]), ("best,predictions", [])]
)
def test_keep_says_what_stays(keep, left, cell):
    made = cell(*MLP, f"keep=[{keep}]")
    assert run(made)["status"] == "finished"
    names = {*left_in(made.path)} - {".hydra/config.yaml", ".hydra/overrides.yaml", record.FILE}
    assert names == ({*left} if keep != "best,predictions" else {FILE, "checkpoints/best.ckpt"})
    assert (made.path / "checkpoints").exists() == any("ckpt" in name for name in names)
    assert made.key == cell(*MLP).key


def test_what_was_not_kept_is_told(cell, caplog, capsys):
    made, more = cell(*MLP, "keep=[]"), cell(*MLP)
    run(made)
    with pytest.raises(ConfigError, match=r"with keep=\[\]. Which are there: none"):
        lossbench.load_predictions(made.path)
    with caplog.at_level("WARNING"):
        assert run(more)["ended"] == pytest.approx(record.read(made.path)["ended"])
    assert "has kept no last, best, predictions; rerun=true" in caplog.text
    assert launch([more]) == 0 and "have kept no last, best, predictions: rerun=true" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"keep=\[best\] leaves no weights to start from"):
        cell(*MLP, "warm_start=mse", "keep=[best]")
    with pytest.raises(ConfigError, match=r"no checkpoints/last\.ckpt"):
        cell(*MLP, "loss=mse", f"warm_start={made.path}")


def test_a_word_of_keep_that_is_unknown_is_refused(cell):
    with pytest.raises(ConfigError, match="each one of: last, best, predictions"):
        cell(*MLP, "keep=[weights]")


def test_parts_are_told_apart(kept):
    for number, part in enumerate(BEFORE_NAMES):
        assert lossbench.load_predictions(kept, part)["target"][0] == number
        with opened(kept, part) as arrays:
            assert [*arrays] == ["target"] and len(arrays) == 1 and "target" in arrays
    entry = {"folder": str(kept)}
    found = [load_arrays(entry, name, ["target"])["target"][0] for name in (FILE, *EARLIER.values())]
    assert found == [0, 1, 2] and load_arrays(entry, FILE, ["best_val/target"]) is None


def test_folders_of_earlier_versions_are_read_until_they_are_written_anew(tmp_path):
    for number, name in enumerate([FILE, *EARLIER.values()]):
        np.savez(tmp_path / name, target=np.full(3, number))
    assert parts_in(tmp_path) == [*BEFORE_NAMES]
    assert [lossbench.load_predictions(tmp_path, part)["target"][0] for part in BEFORE_NAMES] == [0, 1, 2]
    write_predictions(tmp_path, {"last": {"target": np.full(3, 7)}, "best": None})
    assert left_in(tmp_path) == [FILE] and parts_in(tmp_path) == ["last"]
    write_predictions(tmp_path, {"last": None, "best": None})  # such as of a run that diverged in its first epoch
    assert left_in(tmp_path) == [] and parts_in(tmp_path) == []


def test_a_record_is_json_with_a_row_of_the_history_to_a_line(tmp_path):
    entry = {"history": [{"epoch": 0, "a": float("nan")}, {"epoch": 1, "a": 0.5}], "metrics": {"last": None}, "e": []}
    record.write(tmp_path, {**entry, "confusion_matrix": [[1, 2], [3, 4]]})
    text = (tmp_path / record.FILE).read_text()
    assert '    {"epoch": 1, "a": 0.5}\n' in text and "    [1, 2],\n" in text
    assert json.loads(text)["history"][0] == {"epoch": 0, "a": None}
    assert json.loads(text)["metrics"] == {"last": None} and json.loads(text)["e"] == []
