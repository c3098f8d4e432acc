"""Runs in this process, on embedded data: pairing, reproducibility, resuming, records."""

import json

import numpy as np
import pytest
import torch

from lossbench.compat.hydra import parse_arguments
from lossbench.config.compose import compose_cells
from lossbench.errors import ConfigError
from lossbench.learners import Supervised
from lossbench.records import record
from lossbench.records.checkpoints import KEPT_WHEN_DONE
from lossbench.records.predictions import opened
from lossbench.records.schema import Record
from lossbench.running.run import run


def paired(entry: Record) -> dict[str, str]:
    return {name: entry["hashes"][name] for name in ("weights", "targets", "split", "order")}


@pytest.mark.parametrize("weighting", ["inverse", "effective_number", "drw"])
@pytest.mark.usefixtures("undrawn")
def test_weightings_train(cell, weighting):
    entry = run(cell(f"weighting={weighting}", "trainer.max_epochs=2"))
    assert entry["status"] == "finished" and entry["weighting"] == weighting


@pytest.mark.usefixtures("undrawn")
def test_losses_under_one_seed_are_paired(cell):
    entries = [run(cell(f"loss={loss}", "trainer.max_epochs=1")) for loss in ("cross_entropy", "focal", "ldam")]
    assert paired(entries[0]) == paired(entries[1]) == paired(entries[2])
    assert [entry["head"] for entry in entries] == ["linear", "linear", "cosine"]
    assert entries[0]["hashes"]["head"] == entries[1]["hashes"]["head"]
    other = run(cell("seed=1", "trainer.max_epochs=1"))
    assert not set(paired(other).values()) & set(paired(entries[0]).values())


@pytest.mark.usefixtures("undrawn")
def test_one_subset_with_many_training_seeds(cell):
    first, second = (run(cell("data.seed=7", f"seed={seed}", "trainer.max_epochs=1")) for seed in (0, 1))
    assert first["hashes"]["targets"] == second["hashes"]["targets"]
    assert first["hashes"]["split"] != second["hashes"]["split"]
    assert first["problem"] == second["problem"]


@pytest.mark.usefixtures("undrawn")
def test_the_same_seed_twice_gives_equal_records(cell, tmp_path):
    first = run(cell("trainer.max_epochs=3"))
    second = run(cell("trainer.max_epochs=3", output_dir=tmp_path / "again"))
    for key in ("key", "metrics", "history", "hashes", "data"):
        assert first[key] == second[key]


@pytest.mark.usefixtures("undrawn")
def test_a_finished_run_is_reused_until_told_otherwise(cell):
    first = run(cell("trainer.max_epochs=1"))
    assert run(cell("trainer.max_epochs=1"))["ended"] == pytest.approx(first["ended"])
    assert run(cell("trainer.max_epochs=1", "rerun=true"))["ended"] > first["ended"]


def test_what_a_run_leaves(cell):
    made = cell("trainer.max_epochs=2", "data.val_fraction=0.2")
    entry = run(made)
    assert json.loads((made.path / "record.json").read_text())["key"] == made.key
    names = {path.name for path in made.path.iterdir()}
    assert names == {
        ".hydra",
        "record.json",
        "predictions.npz",
        "learning_curves.png",
        "confusion_matrix.png",
        "checkpoints",
    }
    with np.load(made.path / "predictions.npz") as predictions:
        assert set(predictions) >= {"logits", "probabilities", "target", "index"}
        accuracy = (predictions["probabilities"].argmax(1) == predictions["target"]).mean()
    assert accuracy == pytest.approx(entry["metrics"]["last"]["test/accuracy"])
    assert entry["data"]["class_counts"] == [124, 88, 63, 45, 32, 23, 16, 12, 8, 6]
    best = max(entry["history"], key=lambda row: row["val/balanced_accuracy"])
    assert entry["epochs"]["best_val"] == best["epoch"]
    checkpoint = torch.load(made.path / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["epoch"] == 1 and set(checkpoint) == {*KEPT_WHEN_DONE, "lossbench"}
    assert checkpoint["lossbench"] == {"key": made.key}
    made.config.rerun, made.config.pictures = True, "never"
    for path in made.path.glob("*.png"):
        path.unlink()
    run(made)
    assert not list(made.path.glob("*.png"))


@pytest.mark.usefixtures("undrawn")
def test_regression_predictions_are_in_the_units_of_the_target(cell):
    made = cell("data=diabetes_outliers", "trainer.max_epochs=2")
    entry = run(made)
    with np.load(made.path / "predictions.npz") as predictions:
        assert set(predictions) >= {"prediction", "target", "target_clean", "index"}
        assert predictions["target"].mean() > 100
        mae = np.abs(predictions["prediction"] - predictions["target_clean"]).mean()
    assert mae == pytest.approx(entry["metrics"]["last"]["test/mae"], rel=1e-5)


@pytest.mark.usefixtures("undrawn")
def test_contaminated_validation_samples_are_marked(cell):
    made = cell("data=outliers", "data.val_fraction=0.3", "trainer.max_epochs=1")
    entry = run(made)
    with opened(made.path, "validation") as validation:
        far = np.abs(validation["target"] - validation["target_clean"]) > 1
        assert np.array_equal(validation["contaminated"], far) and 10 < far.sum() < 60
    assert entry["data"]["contamination"]["contaminated"] == 100


@pytest.mark.usefixtures("undrawn")
def test_without_validation_there_is_no_best_epoch(cell):
    entry = run(cell("data.val_fraction=0", "trainer.max_epochs=1"))
    assert entry["metrics"]["best_val"] is None and entry["epochs"]["best_val"] is None
    assert not any(key.startswith("val/") for key in entry["metrics"]["last"])


@pytest.mark.usefixtures("undrawn")
def test_evaluation_may_be_rarer_than_every_epoch(cell):
    entry = run(cell("trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2"))
    assert entry["epochs"]["last"] == 2 and "test/accuracy" in entry["metrics"]["last"]


@pytest.mark.usefixtures("undrawn")
def test_label_noise_is_measured_on_the_training_part(cell):
    entry = run(cell("data=digits_noisy", "trainer.max_epochs=1"))
    metrics = entry["metrics"]["last"]
    assert 0 <= metrics["train/memorised"] <= 1 and 0 <= metrics["train/clean_accuracy"] <= 1
    assert metrics["val/accuracy"] != metrics["val/clean/accuracy"]
    assert "test/clean/accuracy" not in metrics


@pytest.mark.usefixtures("undrawn")
def test_a_diverged_run_is_a_result(cell):
    entry = run(cell("data=outliers", "optimizer=sgd", "optimizer.lr=1e6", "trainer.max_epochs=5"))
    assert entry["status"] == "diverged" and entry["diverged"]["step"] > 0
    assert record.read(cell("data=outliers", "optimizer=sgd", "optimizer.lr=1e6", "trainer.max_epochs=5").path)


def test_a_failed_run_keeps_its_traceback(cell, monkeypatch):
    def broken(self, batch, batch_idx):
        raise RuntimeError("the roof is on fire")

    monkeypatch.setattr(Supervised, "training_step", broken)
    entry = run(cell("trainer.max_epochs=1"))
    assert entry["status"] == "failed" and "the roof is on fire" in entry["traceback"]


@pytest.mark.usefixtures("undrawn")
def test_a_sum_is_the_mean_times_the_batch(cell):
    lines = ["data=diabetes", "data.val_fraction=0", "data.batch_size=1000", "trainer.max_epochs=3"]
    lines += ["optimizer=sgd", "optimizer.weight_decay=0"]
    mean = run(cell(*lines, "loss=mse", "optimizer.lr=1e-3"))
    samples = mean["data"]["sizes"]["train"]
    total = run(cell(*lines, "loss=l2", f"optimizer.lr={1e-3 / samples}"))
    assert total["metrics"]["last"]["test/mae"] == pytest.approx(mean["metrics"]["last"]["test/mae"], rel=1e-4)


def test_the_key_ignores_what_can_not_change_a_number(cell, tmp_path):
    base = cell("loss=focal")
    for same in (["output_dir=elsewhere"], ["tracking=mlflow"], ["data.root=/data"], ["rerun=true"], ["loss.gamma=2"]):
        other = (
            cell("loss=focal", *same)
            if same != ["output_dir=elsewhere"]
            else cell("loss=focal", output_dir=tmp_path / "b")
        )
        assert other.key == base.key, same
    for different in (
        "loss.gamma=1",
        "seed=1",
        "trainer.max_epochs=7",
        "data.seed=3",
        "model.hidden=[8]",
        "weighting=drw",
    ):
        assert cell("loss=focal", different).key != base.key, different


def test_a_comparison_shares_its_problem(cell):
    base = cell("loss=focal").problem
    for same in ("seed=1", "loss=ldam", "weighting=drw", "loss.gamma=1"):
        assert cell("loss=focal" if same.startswith("loss.") else "seed=0", same).problem == base, same
    for different in ("data.seed=0", "optimizer.lr=0.1", "data=digits_noisy"):
        assert cell(different).problem != base, different


def test_a_class_without_samples_is_told_before_training(cell):
    with pytest.raises(ConfigError, match="class"):
        run(cell("loss=ldam", "data.max_train=12", "data.val_fraction=0", "data.imbalance.factor=1000"))


@pytest.mark.real_data
def test_focal_on_long_tailed_cifar(cell, real_data_root):
    lines = ["data=cifar_imb", "loss=focal", f"data.root={real_data_root}", "data.max_test=300"]
    entry = run(cell(*lines, "trainer.max_epochs=1", "trainer.limit_train_batches=3"))
    assert entry["status"] == "finished", entry.get("traceback")
    assert entry["data"]["class_counts"] == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert sum(entry["data"]["class_counts"]) == 12_406
    assert 464_000 < entry["parameters"] < 465_000 and "test/balanced_accuracy" in entry["metrics"]["last"]


def test_cells_of_one_sweep_are_those_that_hydra_composes(cell):
    arguments = parse_arguments(["-m", "loss=focal,ldam", "seed=0,3", "data=digits_imb", "tracking=none"])
    cells = compose_cells(arguments)
    expected = [cell(f"loss={loss}", f"seed={seed}") for loss in ("focal", "ldam") for seed in (0, 3)]
    assert [made.key for made in cells] == [made.key for made in expected]
    assert [made.problem for made in cells] == [made.problem for made in expected]
    assert [made.name for made in cells] == ["focal-s0", "focal-s3", "ldam-s0", "ldam-s3"]


@pytest.mark.usefixtures("undrawn")
def test_what_training_calls_is_compiled(cell, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    run(cell("data=digits", "compile=true", "trainer.max_epochs=1", "trainer.limit_train_batches=1"))
    assert compiled == ["MLP", "Linear"]
