"""What metrics are in terms of samples, over every folder of `lossbench/tasks`, against the metrics themselves."""

import dataclasses
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from lossbench.running.artifacts import _compact
from lossbench.tasks import own_tasks
from lossbench.tasks.by_sample import Mean, OfSums, Weighed, by_sample, has_by_sample
from lossbench.tasks.classification.ranking import areas
from lossbench.tasks.classification.ranking_by_sample import area_of_each, precision_of_each
from lossbench.tasks.regression.by_sample import _middle, _ordered, _trimmed

TASKS = [task for task in own_tasks().values() if has_by_sample(task)]
LEFT_OUT = {
    "regression": {"adjusted_r2", "kendall", "max_error", "mae_many", "mae_medium", "mae_few", "mae_balanced"},
    "segmentation": {
        "ap", "boundary_f1", "hausdorff_95", "surface_distance", "missed", "pq", "sq", "rq",
    },
    "depth": {"whdr"},
    "embedding": {
        "alignment", "eer", "effective_rank", "nmi", "tar_at_far_001", "tar_at_far_01", "uniformity",
        "verification_auc",
    },
    "vae": {"frechet", "inception_score", "kernel_distance"},
}  # fmt: skip
NOT_OF_TESTS = {"temperature", "clean_accuracy", "memorised", "label_precision", "label_recall"}


def hard_classes(rng, classes, size=90):
    logits = torch.from_numpy(rng.normal(size=(size, classes)).round(1))  # with ties
    target = torch.from_numpy(rng.choice(classes - (classes > 2), size=size))  # the last of several has no sample
    logits[torch.arange(0, size, 2), target[::2]] += 2
    p = logits.softmax(1).float()
    clean = torch.where(torch.arange(size) < 9, (target + 1) % (classes - (classes > 2)), target)
    return {"probabilities": p, "log_odds": p.logit(), "logits": logits, "target": target, "target_clean": clean}


def hard_labels(rng):
    log_odds = torch.from_numpy(rng.normal(size=(80, 4)).round(1))
    target = torch.from_numpy(rng.integers(-1, 2, size=(80, 4)))
    target[:, 3] = target[:, 3].clamp(max=0)  # no sample has it
    target[:5] = -1
    return {"probabilities": log_odds.sigmoid().float(), "log_odds": log_odds, "target": target}


def hard_numbers(rng, counts=False):
    # In quarters, which single precision keeps: what ties there does so before.
    y, noise = (torch.from_numpy(rng.normal(size=83) * 4).round() / 4 for _ in "ab")
    y = torch.from_numpy(rng.poisson(2, 83)).double() if counts else y
    return {
        "prediction": y + noise,
        "target": y.where(torch.arange(83) > 5, y + 8),
        "target_clean": y,
    }


def hard_pixels(rng):
    target = torch.from_numpy(rng.integers(0, 3, size=(9, 12, 12))).to(torch.uint8)
    target[:, :3] = 255
    target[0] = 255
    target[1:3] = 0
    return {"log_odds": torch.from_numpy(3 * rng.normal(size=(9, 12, 12, 3))).half(), "target": target}


def hard_lines(rng):
    target, decoded, by_beam = (
        torch.from_numpy(rng.integers(-1, 4, size=(12, 6))).sort(1).values.flip(1) for _ in "abc"
    )
    target[0] = -1
    share = torch.from_numpy(rng.random(12))
    return {
        "decoded": decoded, "decoded_beam": by_beam, "target": target, "nll": share, "blank_share": share,
        "frame_accuracy": share,
    }  # fmt: skip


def hard_depths(rng):
    target = torch.from_numpy(rng.lognormal(size=(7, 5, 6))).float()
    target[:, 0] = 0
    target[0], target[1, 1:3] = torch.nan, -1
    depth = torch.from_numpy(rng.lognormal(size=(7, 5, 6))).float()
    depth[1], depth[2, 3, 3] = 2.0, 0.0
    return {"depth": depth, "target": target}


def hard_boxes(rng):
    start, target, boxes = (torch.from_numpy(np.array([0, 0, 0.9, 0.9]) + rng.random((20, 4))).float() for _ in "abc")
    start[:10] += 3
    boxes[0] = boxes[0].flip(0)
    return {"boxes": boxes, "start": start, "target": target, "error_sum": torch.from_numpy(rng.random(20)).float()}


def hard(task, rng):
    """Make up predictions with ties, mistakes, and what is not known; None where those of `sample.py` serve."""
    made = {
        "multiclass": lambda: hard_classes(rng, 7),
        "binary": lambda: hard_classes(rng, 2),
        "multilabel": lambda: hard_labels(rng),
        "regression": lambda: hard_numbers(rng),
        "count": lambda: hard_numbers(rng, counts=True),
        "segmentation": lambda: hard_pixels(rng),
        "sequence": lambda: hard_lines(rng),
        "transduction": lambda: hard_lines(rng),
        "depth": lambda: hard_depths(rng),
        "boxes": lambda: hard_boxes(rng),
    }.get(task.name)
    return made and made()


@cache
def case(name, kind):
    """Return the arrays that a run keeps of made-up predictions, what is measured on them, and the problem."""
    task = own_tasks()[name]
    predictions, problem = task.sample(task, kind != "bad")
    if kind == "hard":
        predictions = hard(task, np.random.default_rng(0)) or predictions
    if task.parts:  # made up with as many samples as the task of each part has, which in a run are the same
        least = min(len(tensor) for key, tensor in predictions.items() if key.endswith("/target"))
        predictions = {key: tensor[:least] for key, tensor in predictions.items()}
    return (
        {key: _compact(tensor.numpy()) for key, tensor in predictions.items()},
        measured(task, predictions, problem),
        problem,
    )


def measured(task, predictions, problem):
    at_the_end = getattr(task.evaluate, "measure_final", lambda *_: {})
    return {**task.evaluate.measure("test", predictions, problem), **at_the_end("test", predictions, problem)}


def of_case(name, kind):
    arrays, expected, problem = case(name, kind)
    known = {} if problem.class_counts is None else {"class_counts": np.array(problem.class_counts)}
    return arrays, expected, by_sample(own_tasks()[name], {**arrays, **known})


def size_of(arrays):
    return len(next(iter(arrays.values())))


def left_out_of(task):
    """Return the metrics that are not there by sample; of several tasks those of each part, the few-shot groups too."""
    of_parts = {
        f"{part}_{metric}"
        for part, of in task.parts.items()
        for metric in left_out_of(own_tasks()[of]) | {"accuracy_many", "accuracy_medium", "accuracy_few"}
    }
    return LEFT_OUT.get(task.name, set()) | NOT_OF_TESTS | of_parts


CASES = [(task.name, kind) for task in TASKS for kind in ("good", "bad", "hard")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_all_drawn_once_is_the_metric(name, kind):
    arrays, expected, found = of_case(name, kind)
    size = size_of(arrays)
    for metric, each in found.items():
        if metric not in expected:  # it has no value there
            assert not np.isfinite(each.of(np.ones((1, size)))).all(), metric
            continue
        if isinstance(each, Mean):
            assert each.values.shape == (size,)
        assert each.of(np.ones((1, size)))[0] == pytest.approx(expected[metric], rel=2e-5, abs=2e-6), metric


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_is_left_out_is_known(name, kind):
    _, expected, found = of_case(name, kind)
    left_out = {metric.removesuffix("_observed").removeprefix("clean/") for metric in set(expected) - set(found)}
    assert left_out <= left_out_of(own_tasks()[name])


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case[1] != "bad"])
def test_drawn_again_is_the_metric_of_repeated_samples(name, kind):
    task = own_tasks()[name]
    arrays, _, found = of_case(name, kind)
    problem = case(name, kind)[2]
    size = size_of(arrays)
    draws = np.random.default_rng(1).multinomial(size, np.full(size, 1 / size), size=3)
    values = {metric: each.of(draws) for metric, each in found.items() if not isinstance(each, Mean)}
    for row, draw in enumerate(draws):
        chosen = np.repeat(np.arange(size), draw)
        again = {key: torch.from_numpy(of[chosen] if len(of) == size else of) for key, of in arrays.items()}
        expected = measured(task, again, problem)
        for metric, of_draws in values.items():
            if metric in expected and np.isfinite(expected[metric]):
                assert of_draws[row] == pytest.approx(expected[metric], rel=2e-5, abs=2e-6), metric
    of_means = ("boxes", "depth", "embedding", "retrieval", "sequence", "transduction")
    assert values or name in of_means  # all of theirs are means


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("multiclass", "balanced_accuracy"), ("multiclass", "auroc"), ("multiclass", "micro_auroc"),
        ("multiclass", "ovo_auroc"), ("multiclass", "recall/1"), ("multiclass", "average_precision"),
        ("multiclass", "micro_average_precision"), ("binary", "auroc"), ("binary", "auprc"), ("multilabel", "map"),
        ("multilabel", "ap/1"), ("multilabel", "auroc"), ("multilabel", "nll"), ("multilabel", "subset_accuracy"),
        ("sequence", "cer"), ("regression", "wmape"),
    ],
)  # fmt: skip
def test_pseudo_values_spread_as_a_jackknife(name, metric):
    # The jackknife leaves out one sample after the other; its variance is that of the mean of its pseudo-values.
    task = own_tasks()[name]
    arrays, _, found = of_case(name, "hard")
    problem, size, values = case(name, "hard")[2], len(arrays["target"]), found[metric].values
    without = []
    for left_out in range(size):
        kept = np.delete(np.arange(size), left_out)
        predictions = {key: torch.from_numpy(of[kept] if len(of) == size else of) for key, of in arrays.items()}
        without.append(measured(task, predictions, problem)[metric])
    jackknife = (size - 1) * np.var(without)
    assert np.var(values, ddof=1) / size == pytest.approx(jackknife, rel=0.12)


def test_pseudo_values_of_an_area_have_the_variance_of_delong():
    # By hand, from the placements: var(V10) / m + var(V01) / n.
    arrays, *_ = case("binary", "hard")
    scores, positive = arrays["log_odds"][:, 1], arrays["target"] > 0
    above = (scores[positive][:, None] > scores[~positive]) + 0.5 * (scores[positive][:, None] == scores[~positive])
    by_hand = above.mean(1).var(ddof=1) / positive.sum() + above.mean(0).var(ddof=1) / (~positive).sum()
    values = area_of_each(scores, positive)
    assert values.mean() == pytest.approx(above.mean()) and values.var(ddof=1) / 90 == pytest.approx(by_hand)


def test_pseudo_values_of_an_average_precision_are_the_jackknifes():
    arrays, _, found = of_case("binary", "hard")
    scores, positive = torch.from_numpy(arrays["log_odds"][:, 1:]), torch.from_numpy(arrays["target"] > 0)[:, None]
    without = [float(areas(scores[kept], positive[kept])[1]) for kept in ~torch.eye(90, dtype=torch.bool)]
    by_hand = found["auprc"].values.mean() + 89 * (np.mean(without) - np.array(without))
    np.testing.assert_allclose(found["auprc"].values, by_hand, atol=1e-9)


@pytest.mark.parametrize("positives", [1, 2])
def test_few_positives_have_finite_pseudo_values(positives):
    scores = np.array([3.0, 2.0, 2.0, 1.0, 0.0])
    positive = np.arange(5) < positives
    for values in (precision_of_each(scores, positive), area_of_each(scores, positive)):
        assert np.isfinite(values).all()
    assert area_of_each(scores, positive).mean() == pytest.approx(1 - 0.5 * (positives == 2) / 6)


def test_only_what_is_wanted_is_made():
    arrays, *_ = case("multiclass", "hard")
    assert list(by_sample(own_tasks()["multiclass"], arrays, {"nll", "clean/accuracy"})) == ["nll", "clean/accuracy"]


def test_runs_that_kept_no_log_odds_have_those_of_probabilities():
    arrays, expected, _ = case("multiclass", "hard")
    found = by_sample(own_tasks()["multiclass"], {key: of for key, of in arrays.items() if key != "log_odds"})
    assert found["nll"].values.mean() == pytest.approx(expected["nll"], rel=1e-4)


def test_a_task_of_ones_own_has_none():
    task = dataclasses.replace(own_tasks()["multiclass"], package="")
    elsewhere = dataclasses.replace(task, package="a_package_that_is_not_there")
    assert by_sample(task, {}) == by_sample(elsewhere, {}) == by_sample(own_tasks()["gan"], {}) == {}


def test_kinds_of_some_metrics():
    *_, found = of_case("multiclass", "hard")
    kinds = {
        "accuracy": Mean,
        "auroc": Mean,
        "macro_f1": OfSums,
        "ece": OfSums,
        "average_precision": Mean,
        "aurc": Weighed,
    }
    assert {name: type(found[name]) for name in kinds} == kinds


def test_no_torch():
    names = ", ".join(f"{task.package}.by_sample" for task in TASKS)
    code = f"import sys, {names}; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(("function", "near"), [(_middle, 0.5), (_trimmed, 0.9), (_middle, 0.45)])
def test_sums_listed_around_a_place_are_to_the_bit_those_of_all_places(function, near):
    rng = np.random.default_rng(3)
    error = np.abs(rng.normal(size=500))
    weights = np.asfortranarray(rng.multinomial(500, np.full(500, 1 / 500), size=40).astype(float))
    weights[0] = np.where(error < np.sort(error)[10], 50.0, 0.0)  # a draw whose middle lies elsewhere
    for drawn in (weights, weights[1:], weights[1:3]):
        found = _ordered(error, error, function, near=near)(drawn)
        assert found.tolist() == _ordered(error, error, function)(drawn).tolist()
