"""Runs of a comparison by test sample, read from files as runs leave them."""

import dataclasses

import numpy as np
import pytest

from lossbench.compare.numbers.by_sample import by_sample
from lossbench.compare.numbers.comparisons import comparisons
from tests.support.compared import COUNTS, made_up, write
from tests.support.two_way import crossed

SIZE, CLASSES, SEEDS = 80, 4, range(3)


def arrays_of(loss, seed, **changes):
    """Make up the predictions of a run; all have the same samples."""
    rng = np.random.default_rng([len(loss), seed])
    target = np.arange(SIZE) % CLASSES
    hard = np.random.default_rng(0).normal(size=(SIZE, CLASSES))
    logits = hard + rng.normal(size=hard.shape) + 1.5 * np.eye(CLASSES)[target]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    odds = np.log(p) - np.log1p(-p)
    kept = {"probabilities": p.astype("f4"), "log_odds": odds.astype("f4"), "target": target, "target_clean": target}
    return {**kept, "index": np.arange(SIZE), **changes}


def compared(folder, changes=lambda loss, seed: {}, losses=("cross_entropy", "focal")):
    """Write runs of losses and return their comparison."""
    entries = []
    for loss in losses:
        for seed in SEEDS:
            place = folder / f"{loss}-{seed}"
            place.mkdir()
            for name in ("predictions.npz", "predictions_best.npz"):
                np.savez_compressed(place / name, **arrays_of(loss, seed, **changes(loss, seed)))
            entries.append({**made_up(loss, seed, 0.8), "folder": str(place)})
    (comparison,) = comparisons(entries)
    return comparison


def accuracies(loss):
    told = [arrays_of(loss, seed) for seed in SEEDS]
    return np.stack([each["probabilities"].argmax(1) == each["target"] for each in told]).astype(float)


@pytest.mark.parametrize("select", ["last", "best_val"])
def test_sources_are_those_of_the_table_of_differences(tmp_path, select):
    found = by_sample(compared(tmp_path), select, ["accuracy", "macro_f1", "accuracy_many", "nothing"])
    assert set(found.tables) == {"accuracy", "macro_f1", "accuracy_many"} and not found.reason
    sources = found.sources("focal", "cross_entropy", "accuracy", SEEDS)
    expected = crossed(accuracies("focal") - accuracies("cross_entropy"))
    assert vars(sources) == pytest.approx(vars(expected), rel=1e-5)
    assert vars(found.sources("cross_entropy", "focal", "accuracy", SEEDS)) == pytest.approx(vars(sources))
    of_counts = found.sources("focal", "cross_entropy", "macro_f1", [0, 2])
    assert of_counts.n_seeds == 2 and of_counts.n_samples == SIZE and of_counts.variance > 0
    assert COUNTS[0] > 100 > COUNTS[1]  # class 0 has many
    many = found.sources("focal", "cross_entropy", "accuracy_many", SEEDS)
    assert many.variance > sources.variance  # of a quarter of the samples


def test_a_metric_by_draws_is_near_the_same_by_samples(tmp_path):
    # The arithmetic mean of four recalls that are alike, by samples, and their geometric mean, by draws.
    found = by_sample(compared(tmp_path), "last", ["balanced_accuracy", "g_mean"], draws=4000)
    one, other = (found.sources("focal", "cross_entropy", name, SEEDS) for name in ("balanced_accuracy", "g_mean"))
    assert other.variance == pytest.approx(one.variance, rel=0.2)


def test_what_is_not_known_is_none(tmp_path):
    found = by_sample(compared(tmp_path), "last", ["accuracy"])
    assert found.sources("focal", "cross_entropy", "nll", SEEDS) is None
    assert found.sources("focal", "ldam", "accuracy", SEEDS) is None
    assert found.sources("focal", "cross_entropy", "accuracy", [0, 9]) is None
    assert found.sources("focal", "cross_entropy", "accuracy", [0]) is None


def test_the_same_draws_each_time(tmp_path):
    comparison = compared(tmp_path)
    one, other = (by_sample(comparison, "last", ["macro_f1"]) for _ in range(2))
    assert one.sources("focal", "cross_entropy", "macro_f1", SEEDS) == other.sources(
        "focal", "cross_entropy", "macro_f1", SEEDS
    )


@pytest.mark.parametrize(
    ("select", "word"), [("oracle", "no run keeps its predictions of the oracle"), ("best_clean_val", "best_clean_val")]
)
def test_other_epochs_have_no_predictions(tmp_path, select, word):
    found = by_sample(compared(tmp_path), select, ["accuracy"])
    assert word in found.reason and not found.tables


def test_seeds_with_samples_of_their_own_are_told_from_a_mistake(tmp_path):
    own, mistake = tmp_path / "own", tmp_path / "mistake"
    own.mkdir(), mistake.mkdir()
    by_seed = by_sample(compared(own, lambda loss, seed: {"index": np.arange(SIZE) + seed}), "last", ["accuracy"])
    assert by_seed.new_samples_by_seed and "of its own" in by_seed.reason and not by_seed.tables
    moved = by_sample(
        compared(mistake, lambda loss, seed: {"index": np.arange(SIZE) + len(loss)}), "last", ["accuracy"]
    )
    assert not moved.new_samples_by_seed and "other test samples" in moved.reason and not moved.tables


def test_targets_that_differ_by_rounding_are_the_same(tmp_path):
    # A target that was standardised by the training part of a seed, and back, comes out one unit in the last place off.
    # Here the index is the number: the targets are classes.
    y = np.random.default_rng(0).normal(size=SIZE)
    exact, far = tmp_path / "exact", tmp_path / "far"
    exact.mkdir(), far.mkdir()
    comparison = compared(exact, lambda loss, seed: {"index": (y * (1 + 1e-7 * seed)).astype("f4")})
    assert by_sample(comparison, "last", ["accuracy"]).tables
    comparison = compared(far, lambda loss, seed: {"index": (y + 0.01 * seed).astype("f4")})
    assert by_sample(comparison, "last", ["accuracy"]).new_samples_by_seed


def test_samples_of_earlier_versions_are_told_by_their_targets(tmp_path):
    for loss in ("cross_entropy", "focal"):
        for seed in SEEDS:
            write(tmp_path, made_up(loss, seed, 0.8))
    entries = [
        {**made_up(loss, seed, 0.8), "folder": str(tmp_path / "made_up" / f"{loss}-s{seed}-p")}
        for loss in ("cross_entropy", "focal") for seed in SEEDS
    ]  # fmt: skip
    (comparison,) = comparisons(entries)
    assert by_sample(comparison, "last", ["accuracy"]).new_samples_by_seed  # the targets of each seed are its own


def test_a_run_whose_file_is_lost_or_broken_is_left_out(tmp_path):
    comparison = compared(tmp_path)
    (tmp_path / "focal-1" / "predictions.npz").unlink()
    (tmp_path / "focal-2" / "predictions.npz").write_bytes(b"PK no more")
    found = by_sample(comparison, "last", ["accuracy"])
    assert found.sources("focal", "cross_entropy", "accuracy", SEEDS) is None
    assert sorted(found.tables["accuracy"][0]) == [
        ("cross_entropy", 0),
        ("cross_entropy", 1),
        ("cross_entropy", 2),
        ("focal", 0),
    ]
    for each in tmp_path.glob("*/predictions.npz"):
        each.unlink()
    assert by_sample(comparison, "last", ["accuracy"]).reason == "no run has kept its predictions"


def test_groups_of_samples_are_drawn_together(tmp_path):
    groups = np.arange(SIZE) // 8
    found = by_sample(compared(tmp_path, lambda loss, seed: {"group": groups}), "last", ["accuracy", "mcc"])
    expected = crossed(accuracies("focal") - accuracies("cross_entropy"), groups)
    assert vars(found.sources("focal", "cross_entropy", "accuracy", SEEDS)) == pytest.approx(vars(expected), rel=1e-5)
    assert found.sources("focal", "cross_entropy", "mcc", SEEDS).n_samples == 10


def test_a_run_without_a_finite_value_is_left_out(tmp_path):
    broken = {"log_odds": np.full((SIZE, CLASSES), np.nan, dtype="f4")}
    comparison = compared(tmp_path, lambda loss, seed: broken if (loss, seed) == ("focal", 1) else {})
    found = by_sample(comparison, "last", ["nll", "accuracy"])
    assert ("focal", 1) not in found.tables["nll"][0] and ("focal", 1) in found.tables["accuracy"][0]


def test_a_task_of_ones_own_has_no_tables(tmp_path):
    comparison = compared(tmp_path)
    own = dataclasses.replace(comparison, task=dataclasses.replace(comparison.task, package="mine"))
    assert "not known by sample" in by_sample(own, "last", ["accuracy"]).reason


def test_few_blocks_or_many_are_the_same(tmp_path, monkeypatch):
    comparison = compared(tmp_path)
    whole = by_sample(comparison, "last", ["ece", "aurc"])
    monkeypatch.setattr("lossbench.compare.numbers.by_sample.LARGEST_BLOCK", 7 * SIZE)
    parts = by_sample(comparison, "last", ["ece", "aurc"])
    for name in ("ece", "aurc"):
        assert vars(parts.sources("focal", "cross_entropy", name, SEEDS)) == pytest.approx(
            vars(whole.sources("focal", "cross_entropy", name, SEEDS))
        )
