"""Imbalanced regression: the skewed training set, its metrics, and the weights for it."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d

from lossbench.data import DataModule
from lossbench.data.label_density import bin_counts, inner_edges, skewed_subset
from lossbench.data.sources.source import load_source
from lossbench.errors import ConfigError
from lossbench.methods import weighting
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.tasks.regression.metrics import balanced_errors

DENSITY = {"kind": "label_density", "factor": 100, "bins": 20, "max_count": None}


def test_bins_are_those_of_numpy():
    target = torch.tensor(np.random.default_rng(0).gamma(2.0, size=500))
    expected, edges = np.histogram(target, bins=7)
    np.testing.assert_allclose(inner_edges(target, 7), edges[1:-1])
    assert bin_counts(target, inner_edges(target, 7)).tolist() == expected.tolist()


def test_counts_fall_geometrically_where_there_are_enough():
    target = torch.linspace(0, 1, 10_001)[:-1]
    chosen = skewed_subset(target, 50, 10, None, np.random.default_rng(0))
    counts = np.histogram(target[chosen], bins=10, range=(0, 1))[0]
    np.testing.assert_allclose(counts, 1000 * 50 ** (-np.arange(10) / 9), atol=2)
    assert len(np.unique(chosen)) == len(chosen)


def test_a_bin_keeps_all_it_has_where_it_has_less():
    target = torch.cat([torch.zeros(100), torch.full((3,), 5.0), torch.full((50,), 10.0)])
    chosen = skewed_subset(target, 10, 3, None, np.random.default_rng(0))
    assert [int((target[chosen] == value).sum()) for value in (0.0, 5.0, 10.0)] == [100, 3, 10]


def test_an_empty_tail_is_an_error():
    with pytest.raises(ConfigError, match=r"data\.imbalance\.factor=200 .* factor of at most 100"):
        skewed_subset(torch.arange(200.0), 200, 2, None, np.random.default_rng(0))


def test_the_curve_is_even_and_its_test_part_stays_even_under_imbalance(tmp_path):
    source = load_source("curve", tmp_path, 0)
    for target in (source.train_target, source.test_target):
        assert np.histogram(target, bins=10, range=(0, 10))[0] == pytest.approx(len(target) / 10, rel=0.2)
    module = DataModule("curve", "regression", imbalance=DENSITY, val_fraction=0.1)
    module.setup()
    facts = module.facts()["imbalance"]
    assert sum(facts["bin_counts"]) == module.facts()["sizes"]["train"] + module.facts()["sizes"]["val"]
    assert sum(facts["train_bin_counts"]) == module.facts()["sizes"]["train"]
    assert facts["bin_counts"][0] > 80 * facts["bin_counts"][-1] > 0
    assert len(facts["bin_edges"]) == 19
    test = torch.cat([batch.target for batch in module.test_dataloader()]) * module.target_scale + module.target_center
    assert np.histogram(test, bins=10, range=(0, 10))[0].tolist() == pytest.approx([100] * 10, abs=1)


@pytest.mark.parametrize(
    ("source", "task", "imbalance"),
    [("digits", "multiclass", DENSITY), ("diabetes", "regression", {"kind": "exp", "factor": 10})],
)
def test_kinds_of_the_other_task_are_refused(source, task, imbalance):
    with pytest.raises(ConfigError, match=rf"data\.imbalance\.kind={imbalance['kind']} does not apply to {task}"):
        DataModule(source, task, imbalance=imbalance).setup()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["data=digits", "data/imbalance=label_density"],
            "data/imbalance=label_density is for distributional",
        ),
        (["data=curve", "data/imbalance=step"], "data/imbalance=step is for multiclass"),
        (["data=curve_imb", "data.imbalance.bins=1"], r"data\.imbalance\.bins=1 is out of range"),
    ],
)
def test_mistakes_are_told_before_anything_starts(cell, lines, said):
    with pytest.raises(ConfigError, match=said):
        cell(*lines)


def test_errors_by_density_are_those_of_each_group():
    rng = np.random.default_rng(0)
    edges, counts = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([101, 100, 19, 0])
    target, prediction = (torch.tensor(rng.uniform(0, 4, 200)) for _ in range(2))
    error, place = (prediction - target).abs().numpy(), np.digitize(target, edges)
    expected = {"many": error[place == 0], "medium": error[place == 1], "few": error[place >= 2]}
    metrics = balanced_errors(prediction, target, edges, counts)
    for group, values in expected.items():
        assert metrics[f"mae_{group}"] == pytest.approx(values.mean())
    assert metrics["mae_balanced"] == pytest.approx(np.mean([values.mean() for values in expected.values()]))


def test_an_empty_group_has_no_key():
    metrics = balanced_errors(torch.zeros(2), torch.ones(2), torch.tensor([5.0]), torch.tensor([300, 50]))
    assert metrics == {"mae_many": 1.0, "mae_balanced": 1.0}


# The steps of the authors' code (YyzHarry/imbalanced-regression): power, smoothing, inverse, mean 1 over the samples.
@pytest.mark.parametrize(("power", "reach", "sigma"), [(0.5, 2, 2.0), (1.0, 2, 2.0), (0.5, 4, 1.0), (0.0, 2, 2.0)])
def test_lds_against_a_convolution_of_scipy(power, reach, sigma):
    counts = np.array([200, 0, 0, 0, 40, 7, 1, 1, 0, 3])
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    smoothed = convolve1d(counts.astype(float) ** power, kernel, mode="constant")
    of_samples = 1 / np.repeat(smoothed, counts)
    weights = weighting.lds(bin_counts=torch.tensor(counts), reach=reach, sigma=sigma, power=power).double()
    found = weights.repeat_interleave(torch.tensor(counts))
    np.testing.assert_allclose(found, of_samples / of_samples.mean(), rtol=1e-5)
    assert float(found.mean()) == pytest.approx(1)


def test_a_bin_without_a_sample_near_has_no_weight():
    weights = weighting.lds(bin_counts=torch.tensor([5, 0, 0, 0, 0, 5]), reach=1)
    assert weights.isfinite().all() and weights[2] == weights[3] == 0


def test_lds_weighs_each_sample_by_the_bin_of_its_target(cell):
    each = cell("data=curve_imb", "weighting=lds", "loss=mae")
    data = build_data(each.config.data)
    learner = build_learner(each, data)
    learner.on_train_epoch_start()
    batch = next(iter(data.train_dataloader()))
    plain = build_learner(cell("data=curve_imb", "loss=mae"), data)
    plain.on_train_epoch_start()
    ratio = learner.per_sample_loss(batch) / plain.per_sample_loss(batch)
    facts = data.facts()["imbalance"]
    place = np.digitize(batch.target * data.target_scale + data.target_center, facts["bin_edges"])
    weights = weighting.lds(bin_counts=torch.tensor(facts["train_bin_counts"]))
    torch.testing.assert_close(ratio, weights[torch.tensor(place)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("data", ["curve", "diabetes"])
def test_lds_needs_no_imbalance(cell, data):
    each = cell(f"data={data}", "weighting=lds")
    learner = build_learner(each, build_data(each.config.data))
    weights = learner.class_weights(0)
    assert float((weights * learner.problem.density.counts).sum()) == pytest.approx(
        learner.problem.density.counts.sum()
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["data=digits", "weighting=lds"], "weighting=lds is for regression"),
        (["data=curve_imb", "weighting=inverse"], "weighting=inverse needs classes.* or lds"),
        (["data=curve_imb", "weighting=lds", "weighting.power=2"], r"weighting\.power=2 is out of range"),
    ],
)
def test_weights_of_the_other_task_are_refused(cell, lines, said):
    with pytest.raises(ConfigError, match=said):
        cell(*lines)
