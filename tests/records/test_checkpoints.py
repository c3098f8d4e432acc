"""What a run finds in its folder and what it leaves there: checkpoints that are data, whole, its own; nothing half."""

import errno
import json
import logging
import os
import pickle
import shutil
from pathlib import Path
from unittest.mock import Mock, call

import numpy as np
import pytest
import torch

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.figures.losses import loss_curves
from lossbench.config.checks import check
from lossbench.errors import ConfigError, DiskFull, Killed
from lossbench.learners import Supervised
from lossbench.locate import strangers
from lossbench.records import claims, files, record
from lossbench.records.checkpoints import write_checkpoint
from lossbench.running.plan import WorkItem
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from lossbench.running.work_item import run_item
from lossbench.tracking.sweep import Parent, _note_file, close_parents, notes_for, notes_of

QUICK = ["data=digits_imb", "data.max_train=200", "data.max_test=100", "model.hidden=[8]", "trainer.precision=64-true"]


def train(engine, *cells):
    """Run cells by an engine; return their records."""
    if engine == "stacked":
        run_stack(cells)
    else:
        for each in cells:
            run(each, engine)
    return [record.read(each.path) for each in cells]


def assert_same(entry, undisturbed):
    assert entry["status"] == "finished", entry.get("traceback")
    assert entry["epochs"] == undisturbed["epochs"]
    for selection in ("last", "best_val"):
        assert entry["metrics"][selection] == pytest.approx(undisturbed["metrics"][selection], rel=1e-6)


@pytest.fixture(autouse=True)
def _checkpoints_at_each_epoch_and_no_pictures(monkeypatch):
    monkeypatch.setattr("lossbench.running.stacks.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("lossbench.running.artifacts.draw_run", lambda *_: [])


@pytest.fixture
def stopped(monkeypatch):
    """Run cells until one epoch begins, as if the process were killed then."""

    def stop(epoch, *cells):
        def killed(self, *_):
            if self.current_epoch == epoch:
                raise Killed(15)

        with monkeypatch.context() as patch:
            patch.setattr(Supervised, "on_train_epoch_start", killed)
            for each in cells:
                with pytest.raises(Killed):
                    run(each)

    return stop


class Planted:
    """An object that makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


ENGINES = ["single", "stacked"]  # "packed" runs what "single" runs, in a worker


@pytest.mark.parametrize("engine", ENGINES)
def test_an_object_planted_in_a_checkpoint_is_not_run(engine, cell, tmp_path, stopped, caplog):
    lines = [*QUICK, "trainer.max_epochs=3"]
    (undisturbed,) = train("single", cell(*lines, output_dir=tmp_path / "undisturbed"))
    made, marker = cell(*lines), tmp_path / "it-ran"
    stopped(2, made)
    for name in ("last", "best"):
        path = made.path / "checkpoints" / f"{name}.ckpt"
        write_checkpoint(path, torch.load(path, weights_only=True) | {"planted": Planted(marker)})
    (entry,) = train(engine, made)
    assert_same(entry, undisturbed)
    assert not marker.exists()
    told = next(line for line in caplog.messages if "starts over" in line)
    assert told.count("more than tensors and plain values") == 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("names", [["last"], ["last", "best"]])
def test_a_half_written_checkpoint_is_not_used_and_harms_no_neighbour(engine, names, cell, tmp_path, stopped, caplog):
    lines = [*QUICK, "trainer.max_epochs=4", "scheduler=cosine", "optimizer=sgd", "optimizer.lr=0.01"]

    def cells(folder):
        return [cell(*lines, f"loss={loss}", output_dir=tmp_path / folder) for loss in ("cross_entropy", "focal")]

    undisturbed = train("single", *cells("undisturbed"))
    damaged, neighbour = cells("stopped")
    stopped(3, damaged, neighbour)
    for name in names:
        path = damaged.path / "checkpoints" / f"{name}.ckpt"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for entry, expected in zip(train(engine, damaged, neighbour), undisturbed, strict=True):
        assert_same(entry, expected)
    warned = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    goes_on = "starts over" if "best" in names else "goes on from its best epoch"
    assert any("last.ckpt can't be read" in line and line.endswith(goes_on) for line in warned)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_checkpoint_of_another_run_is_not_used(engine, cell, tmp_path, stopped, caplog):
    lines = [*QUICK, "trainer.max_epochs=3"]
    (undisturbed,) = train("single", cell(*lines, "seed=1", output_dir=tmp_path / "undisturbed"))
    other, made = cell(*lines), cell(*lines, "seed=1")
    stopped(2, other)
    shutil.copytree(other.path / "checkpoints", made.path / "checkpoints")
    (entry,) = train(engine, made)
    assert_same(entry, undisturbed)
    assert any("is the checkpoint of another run" in line for line in caplog.messages)


@pytest.mark.parametrize("broken", [{"state_dict": {}}, {"state_dict": 3}, {"epoch": None}])
def test_a_checkpoint_with_other_contents_is_not_used(broken, cell, stopped, caplog):
    made = cell(*QUICK, "trainer.max_epochs=2")
    stopped(1, made)
    for name in ("last", "best"):
        path = made.path / "checkpoints" / f"{name}.ckpt"
        kept = torch.load(path, weights_only=True) | broken
        write_checkpoint(path, {key: value for key, value in kept.items() if value is not None})
    assert run(made)["status"] == "finished"
    assert any("starts over" in line for line in caplog.messages)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lacking", [None, "evaluated", "history"])
def test_a_checkpoint_of_an_earlier_version_is_gone_on_with_or_refused_in_words(
    engine, lacking, cell, tmp_path, stopped, caplog
):
    """Its history was a list, where it now is one text; what lacks something is of no use."""
    lines = [*QUICK, "trainer.max_epochs=3", "scheduler=cosine"]
    (undisturbed,) = train("single", cell(*lines, output_dir=tmp_path / "undisturbed"))
    made = cell(*lines)
    stopped(2, made)
    for name in ("last", "best"):
        path = made.path / "checkpoints" / f"{name}.ckpt"
        checkpoint = torch.load(path, weights_only=True)
        own = checkpoint["lossbench"] | {"history": json.loads(checkpoint["lossbench"]["history"])}
        checkpoint["lossbench"] = {each: value for each, value in own.items() if each != lacking}
        write_checkpoint(path, checkpoint)
    (entry,) = train(engine, made)
    assert_same(entry, undisturbed)
    assert [row["epoch"] for row in entry["history"]] == [0, 1, 2]
    assert any("starts over" in line for line in caplog.messages) == (lacking is not None)


@pytest.mark.parametrize("engine", ["single", "stacked"])
def test_a_user_of_torch_load_needs_no_code_for_a_checkpoint(engine, cell):
    made = cell(*QUICK, "trainer.max_epochs=1", "optimizer=adamw", "scheduler=cosine", "data.val_fraction=0.2")
    train(engine, made)
    kept = torch.load(made.path / "checkpoints" / "best.ckpt", weights_only=True)
    assert kept["lossbench"]["key"] == made.key


def test_what_was_half_written_is_swept_up_by_the_next_claim(tmp_path):
    gone = [
        tmp_path / f"{files.HALF}{os.getpid()}-config.yaml",
        tmp_path / "checkpoints" / f"{files.HALF}0-last.ckpt",
    ]
    written = tmp_path / f"{files.HALF}{os.getppid()}-record.json"
    for path in (*gone, written):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    with claims.claimed(tmp_path):
        assert not any(path.exists() for path in gone)
        assert written.exists()  # its process is alive


def test_a_file_is_whole_or_the_one_before(tmp_path):
    def half(path: Path):
        path.write_text("ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    files.write_text(tmp_path / "a.txt", "before")
    with pytest.raises(DiskFull, match="Free some space") as told:
        files.replace(tmp_path / "a.txt", half)
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)  # as from a worker
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "before"


REFUSED = {
    "trainer.precision=7": "trainer.precision=7",
    "trainer.accelerator=nothere": "trainer.accelerator=nothere",
    "trainer.devices=2": "trainer.devices=2",
    "trainer.strategy=x": "trainer.strategy=x",
    "trainer.profiler=x": "trainer.profiler=x",
    "trainer.limit_train_batches=-1": "trainer.limit_train_batches=-1",
    "trainer.max_time=soon": "trainer.max_time=soon",
    "+trainer.nothere=1": "trainer.nothere=1",
    "trainer.callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping}]": "EarlyStopping",
    "+optimizer.betas=[2,3]": "optimizer.betas=[2, 3]",
    "+scheduler.nothere=1": "nothere",
    "model.hidden=[-3]": "MLP",
}


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("override", sorted(REFUSED))
def test_what_is_refused_leaves_nothing(override, stacked, cell, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr("lossbench.running.run.RunTracker", begun.append)
    made = cell(*QUICK)  # what is refused here passes the checks before, or would if these knew less
    name, _, value = override.lstrip("+").partition("=")
    from omegaconf import OmegaConf

    OmegaConf.set_struct(made.config, False)
    OmegaConf.update(made.config, name, OmegaConf.create({"it": OmegaConf.from_dotlist([f"v={value}"]).v}).it)
    made = type(made)(made.config, made.choices)  # the one before keeps what it has resolved
    kind, told = run_item(WorkItem([made], stacked), 1, logging.NullHandler())
    assert kind == "mistake", told
    assert REFUSED[override] in told
    assert not begun and not list(tmp_path.iterdir())


def test_a_sweep_of_which_all_is_refused_leaves_no_run_in_mlflow(cell, tmp_path):
    client, (note,) = Mock(), notes_for([cell(*QUICK)])
    files.write_text(_note_file(tmp_path, note), "{}")
    close_parents({"digits_imb": Parent(note, tmp_path, client, "1", "its-run")}, "failed", {}, "sqlite:///a.db")
    assert client.method_calls == [call.delete_run("its-run")] and not list(notes_of(tmp_path))


def full(*names):
    """Return a `Path.write_bytes` and a `Path.write_text` for a disk that has no room for some files."""

    def write(method):
        def writes(self, *content, **options):
            if any(name in self.name for name in names):
                raise OSError(errno.ENOSPC, "No space left on device", str(self))
            return method(self, *content, **options)

        return writes

    return {name: write(getattr(Path, name)) for name in ("write_bytes", "write_text")}


@pytest.mark.parametrize("engine", ["single", "stacked"])
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt", "predictions.npz"])
def test_a_full_disk_is_told_in_a_sentence_and_the_same_command_heals(engine, name, cell, tmp_path, monkeypatch):
    lines = [*QUICK, "trainer.max_epochs=2"]
    (undisturbed,) = train("single", cell(*lines, output_dir=tmp_path / "undisturbed"))
    made = cell(*lines)
    with monkeypatch.context() as patch:
        for method, writes in full(name).items():
            patch.setattr(Path, method, writes)
        if name.endswith("npz"):
            patch.setattr(np, "savez_compressed", lambda path, **_: path.write_bytes(b""))
        try:
            train(engine, made)
        except DiskFull:
            assert engine == "stacked"  # it ends the whole stack
    entry = record.read(made.path)
    assert entry["status"] == "failed" and "Free some space" in entry["error"] and "traceback" not in entry
    assert_same(train(engine, made)[0], undisturbed)


def test_a_disk_without_room_is_told_before_anything_starts(cell, tmp_path, monkeypatch):
    made = cell(*QUICK)
    monkeypatch.setattr("lossbench.records.files.bytes", refuse, raising=False)
    with pytest.raises(DiskFull, match=f"the disk of {tmp_path} is full"):
        check([made])
    assert not list(tmp_path.iterdir())


def refuse(size):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("engine", ["single", "stacked"])
def test_a_disk_that_is_full_for_the_record_leaves_none_that_says_running(engine, cell, monkeypatch):
    made = cell(*QUICK, "trainer.max_epochs=1")
    with monkeypatch.context() as patch, pytest.raises(DiskFull):
        for method, writes in full("record.json").items():
            patch.setattr(Path, method, writes)
        train(engine, made)
    assert record.read(made.path) is None

    def fills_up(*_):
        for method, writes in full("record.json").items():
            patch.setattr(Path, method, writes)

    with monkeypatch.context() as patch:
        patch.setattr("lossbench.running.callbacks.Cost.on_train_epoch_start", fills_up)
        run(made) if engine == "single" else run_stack([made])
    assert record.read(made.path) is None
    assert train(engine, made)[0]["status"] == "finished"


def test_only_what_is_ours_or_trusted_is_imported_for_a_file():
    own = {"_target_": "lossbench.losses.focal", "gamma": 1.0}
    deep = {"_target_": "lossbench.losses.weighted_sum", "terms": {"0": {"_target_": "my.loss"}, "1": own}}
    assert strangers(own, "loss", []) == strangers(deep, "loss", ["my.loss"]) == []
    assert strangers(deep, "loss", []) == ["my.loss"]
    for target in (
        "lossbench.records.record.shutil.rmtree",
        "lossbench.losses.focal.x",
        "os.mkdir",
        "lossbench.models.MLP",
    ):
        assert strangers({"_target_": target}, "loss", []) == [target]


def test_the_curve_of_a_loss_that_a_record_names_is_not_imported(cell, tmp_path, monkeypatch):
    made = cell(*QUICK, "trainer.max_epochs=1")
    entry = run(made)
    (tmp_path / "planted.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'it-ran')!r})\ndef loss(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = {**entry["config"], "loss": {"_target_": "planted.loss"}}
    record.write(made.path, {**entry, "config": config})
    (found,) = comparisons(read_outputs(tmp_path))
    for options, told in {Options(): "names planted.loss", Options(trust=("planted.loss",)): "not drawn"}.items():
        assert not (tmp_path / "it-ran").exists()
        _, problems = loss_curves(analyse(found, options), tmp_path)
        assert told in problems
    assert (tmp_path / "it-ran").exists()  # the user has named it


def test_a_mistake_in_a_file_of_a_teacher_is_told(cell, tmp_path):
    teacher = cell("data=digits", "trainer.max_epochs=1", output_dir=tmp_path / "teachers")
    run(teacher)
    lines, kept = ["data=digits", "loss=distillation", "trainer.max_epochs=1"], teacher.path / "checkpoints/last.ckpt"
    saved = torch.load(kept, weights_only=True)

    def refused():
        with pytest.raises(ConfigError) as told:
            run(cell(*lines, f"teacher={teacher.path}"))
        return str(told.value)

    write_checkpoint(kept, saved | {"planted": Planted(tmp_path / "it-ran")})
    assert "more than tensors and plain values" in refused() and not (tmp_path / "it-ran").exists()
    write_checkpoint(kept, saved | {"lossbench": {"key": "another"}})
    assert "of another run" in refused()
    write_checkpoint(kept, {**saved, "state_dict": 3})
    assert "lacks state_dict" in refused()
    kept.write_bytes(kept.read_bytes()[:1000])
    assert "can't be read" in refused()
    write_checkpoint(kept, saved)
    entry = record.read(teacher.path)
    for group, target in {"model": "os.mkdir", "loss": f"{__name__}.Planted"}.items():
        config = {**entry["config"], group: {"_target_": target, "path": str(tmp_path / "it-ran")}}
        record.write(teacher.path, {**entry, "config": config})
        assert f"its record names {target}" in refused() and not (tmp_path / "it-ran").exists()
