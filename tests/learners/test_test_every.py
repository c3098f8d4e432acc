"""The test set where it counts: the same numbers there as with an evaluation after each epoch, alone and stacked."""

import json

import numpy as np
import pytest
import torch

import lossbench
from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_cells
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.selection import best_row, clean_monitor
from lossbench.compare.report.figures.drawing import over_epochs
from lossbench.config.tested_epochs import spacing
from lossbench.errors import ConfigError, Killed
from lossbench.learners import Learner
from lossbench.records import record
from lossbench.records.predictions import opened, parts_in
from lossbench.running.launch import launch
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from lossbench.tasks import task_named

MLP = ["data=outliers", "data.val_fraction=0.3", "trainer.max_epochs=8", "optimizer.lr=0.01", "pictures=never"]
STOPPING = "trainer.callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/mae, patience: 3}]"
CASES = {
    "regression": [*MLP, "loss=mae"],
    "early stopping": [*MLP, "loss=mae", STOPPING, "trainer.max_epochs=30", "optimizer.lr=0.03"],
    "noisy labels": ["data=digits_noisy", "trainer.max_epochs=8", "posthoc=temperature", "optimizer.lr=0.05"],
    "every second evaluation": [*MLP, "loss=mse", "trainer.check_val_every_n_epoch=2"],
}
ALONE = {
    "points": [
        "data=gaussians8",
        "loss=hinge_gan",
        "trainer.check_val_every_n_epoch=1",
        "trainer.max_epochs=8",
        "data.max_train=256",
        "data.max_test=128",
    ],
    "no validation": [*MLP, "loss=mae", "data.val_fraction=0"],
}


def trained(engine, *cells):
    if engine == "stacked":
        run_stack(cells)
    else:
        for each in cells:
            run(each)
    return [record.read(each.path) for each in cells]


def epochs_tested(entry):
    return [row["epoch"] for row in entry["history"] if any(name.startswith("test/") for name in row)]


def assert_same_where_tested(sparse, whole, every):
    """Hold a run that tests some epochs against one that tests all: to the bit, and at the epochs that count."""
    (one, few), (other, all_of) = sparse, whole
    assert few["test_every"] == every and all_of["test_every"] == 1
    assert few["metrics"] == all_of["metrics"] and few["epochs"] == all_of["epochs"]
    assert len(few["history"]) == len(all_of["history"])
    for own, full in zip(few["history"], all_of["history"], strict=True):
        assert {**full, **own} == full
        assert {name for name in full if not name.startswith("test/")} <= set(own)
    assert parts_in(one.path) == parts_in(other.path)
    for part in parts_in(one.path):
        with opened(one.path, part) as ours, opened(other.path, part) as theirs:
            assert set(ours) == set(theirs)
            assert all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in theirs)
    weights = [torch.load(each.path / "checkpoints" / "last.ckpt")["state_dict"] for each in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


@pytest.mark.parametrize(
    ("engine", "case"),
    [*(("single", case) for case in CASES | ALONE), *(("stacked", case) for case in CASES if "every" not in case)],
)
def test_numbers_where_they_count_are_those_of_an_evaluation_after_each_epoch(engine, case, cell, tmp_path):
    lines = (CASES | ALONE)[case]
    sparse, whole = (
        cell(*lines, "data.test_every=100"),
        cell(*lines, "data.test_every=1", output_dir=tmp_path / "whole"),
    )
    assert sparse.key == whole.key and sparse.problem == whole.problem
    (few,), (all_of,) = trained(engine, sparse), trained(engine, whole)
    assert_same_where_tested((sparse, few), (whole, all_of), 100)
    assert len(epochs_tested(few)) < len(epochs_tested(all_of))
    last, best = few["epochs"]["last"], few["epochs"]["best_val"]
    assert {0, last, best} - {None} <= {*epochs_tested(few)} | ({0} if "every" in case else set())
    if best is not None:
        task = task_named(few["task"])
        clean = clean_monitor(all_of, task)
        assert best_row(few["history"], clean, task.higher_is_better(clean))["epoch"] in epochs_tested(few)
        better, so_far = [], None  # every epoch that was the best when it came, and no other but the first and the last
        for row in all_of["history"]:
            value = row.get(f"val/{few['monitor']}")
            if value is not None and (so_far is None or (value > so_far) == task.higher_is_better(few["monitor"])):
                better, so_far = [*better, row["epoch"]], value
        assert {*better} <= {*epochs_tested(few)}


def test_runs_of_a_stack_are_tested_each_where_it_counts(cell, tmp_path):
    lines = [[*MLP, f"loss={loss}", f"seed={seed}"] for loss in ("mae", "mse") for seed in (0, 1)]
    sparse = [cell(*each, "data.test_every=50") for each in lines]
    whole = [cell(*each, "data.test_every=1", output_dir=tmp_path / "whole") for each in lines]
    few, all_of = trained("stacked", *sparse), trained("stacked", *whole)
    for pair in zip(zip(sparse, few, strict=True), zip(whole, all_of, strict=True), strict=True):
        assert_same_where_tested(*pair, 50)
    assert len({tuple(epochs_tested(entry)) for entry in few}) > 1  # each by its own validation
    (comparison,) = comparisons(read_cells(sparse))
    shared, values = over_epochs(comparison.finished("mae"), "test/mae")
    assert {1, 8} <= {*shared.tolist()} and np.isfinite(values).all()  # means are over the same runs
    with pytest.raises(ConfigError, match=r"oracle needs the test set at each epoch, but 4 runs, such as (mae|mse)-s0"):
        analyse(comparison, Options(select="oracle", unpaired=True))
    frame = lossbench.load_results(tmp_path, select="oracle")
    assert frame["status"].eq("finished").all() and "test/mae" not in frame
    for select in ("last", "best_val", "best_clean_val"):
        found = (lossbench.load_results(folder, select=select) for folder in (tmp_path, tmp_path / "whole"))
        one, other = (frame.sort_values("key")["test/mae"].tolist() for frame in found)
        assert one == other


def test_a_stopped_run_goes_on_to_the_same_epochs(cell, tmp_path, monkeypatch):
    lines = [*MLP, "loss=mae", "data.test_every=5"]
    whole, stopped = (cell(*lines, output_dir=tmp_path / name) for name in ("whole", "stopped"))
    run(whole)
    usual = Learner.on_train_epoch_start

    def dies(learner):
        if learner.current_epoch == 4:
            raise Killed(15)
        usual(learner)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "on_train_epoch_start", dies)
        with pytest.raises(Killed):
            run(stopped)
    run(stopped)
    one, other = record.read(stopped.path), record.read(whole.path)
    assert one["history"] == other["history"] and one["metrics"] == other["metrics"]


def test_auto_is_all_of_a_short_run_and_about_ten_of_a_long_one(cell):
    assert [spacing(count) for count in (1, 5, 10, 11, 60, 300)] == [1, 1, 1, 2, 10, 30]
    assert all(6 <= -(-count // spacing(count)) <= 10 for count in range(11, 500))
    made = cell(*MLP, "loss=mae", "trainer.max_epochs=20", "optimizer.lr=1e-30")
    assert epochs_tested(run(made)) == [*range(0, 20, 2), 19]


def test_what_needs_every_epoch_gets_it_or_is_told(cell, capsys):
    lines = [*MLP, "loss=mae", "trainer.max_epochs=12"]
    for asks, what in [("compare.select=oracle", "oracle"), (STOPPING.replace("val/mae", "test/mae"), "test/mae")]:
        with pytest.raises(ConfigError, match=rf"data\.test_every=3, but .*{what}.* needs the test set at each epoch"):
            cell(*lines, asks, "data.test_every=3")
    made = cell(*lines)
    assert len(epochs_tested(run(made))) < 12
    for asks in ("compare.select=oracle", "data.test_every=1"):
        with pytest.raises(ConfigError, match=r"data\.test_every=1 rerun=true"):
            launch([cell(*lines, asks)])
    again = cell(*lines, "compare.select=oracle", "rerun=true")
    assert launch([again], start=lambda: run(again)) == 0 and len(epochs_tested(record.read(again.path))) == 12
    with pytest.raises(ConfigError, match=r"data\.test_every=0"):
        cell(*lines, "data.test_every=0")
    capsys.readouterr()


def test_records_of_earlier_versions_have_every_epoch(cell):
    made = cell(*MLP, "loss=mae", "trainer.max_epochs=2")
    run(made)
    path = made.path / record.FILE
    entry = json.loads(path.read_text())
    del entry["test_every"]
    path.write_text(json.dumps(entry))
    assert launch([cell(*MLP, "loss=mae", "trainer.max_epochs=2", "data.test_every=1")]) == 0
