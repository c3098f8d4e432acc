"""What a look at the data finds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lossbench.advise import findings, probe
from lossbench.advise.findings import Finding, look
from lossbench.advise.probe import class_probabilities, few_features
from lossbench.data import DataModule
from lossbench.errors import ConfigError

OPTIONAL = {"wrong_labels_cleanlab"}
ALWAYS = {"task", "samples", "features", "test_samples", "samples_per_feature"}
CLASSES = {
    "classes", "imbalance", "rare_classes", "accuracy_probe", "wrong_labels", "wrong_labels_asymmetry",
    "wrong_labels_by_class", "wrong_labels_at_most",
}  # fmt: skip
NUMBERS = {"outliers", "outliers_side", "outliers_inputs", "spread_grows", "skew", "zeros", "counts", "rare_targets"}
LABELS = {"labels_per_sample", "negatives_per_positive"}
DIFFERENCE = {"smallest_difference"}


@pytest.fixture(autouse=True, scope="module")
def few_trees():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(probe, "TREES", 10)
        patched.setattr(probe, "LANDMARKS", 50)
        yield


def made(source, task, **settings):
    data = DataModule(source, task, seed=7, run_seed=7, **settings)
    data.setup()
    return data


@pytest.mark.parametrize(
    ("source", "task", "names"),
    [
        ("breast_cancer", "binary", CLASSES | DIFFERENCE),
        ("diabetes", "regression", NUMBERS | DIFFERENCE | {"tails", "dispersion"}),
        ("counts", "count", NUMBERS | DIFFERENCE | {"dispersion"}),
        ("digits_multilabel", "multilabel", LABELS | DIFFERENCE),
        ("ring", "gan", set()),
    ],
)
def test_each_task_has_its_findings(source, task, names):
    found = look(made(source, task))
    assert found.keys() - OPTIONAL == ALWAYS | names
    for name, each in found.items():
        assert each.name == name
        assert each.told[0].isupper() or each.told[0].isdigit()
        assert each.told.endswith(".")
        assert np.isfinite(each.value).all() if not isinstance(each.value, str) else each.value
    json.dumps([each.value for each in found.values()])


@pytest.fixture(scope="module")
def wrong_and_rare():
    return look(
        made(
            "breast_cancer", "binary", noise={"kind": "symmetric", "rate": 0.1, "family": "exact"},
            imbalance={"kind": "exp", "factor": 10, "max_count": 140}, val_fraction=0.2,
        )
    )  # fmt: skip


def test_samples_of_training_and_validation_count(wrong_and_rare):
    assert wrong_and_rare["samples"].value == 154
    assert wrong_and_rare["test_samples"].value == 170
    assert wrong_and_rare["features"].value == 30
    assert wrong_and_rare["samples_per_feature"].value == pytest.approx(154 / 30)


def test_imbalance_is_of_observed_classes(wrong_and_rare):
    # 140 and 14, of which a tenth went to the other class: 126 + 1 and 13 + 14
    assert wrong_and_rare["imbalance"].value == pytest.approx(127 / 27)
    assert "127" in wrong_and_rare["imbalance"].told


def test_it_is_the_same_each_time():
    data = made("outliers", "regression", max_train=300)
    assert look(data) == look(data)


def test_outliers_and_side_of_a_corrupted_source():
    shifted = {"kind": "vertical", "fraction": 0.2, "scale": 5.0, "shift": "one_sided"}
    found = look(made("outliers", "regression", contamination=shifted))
    assert found["outliers"].value == pytest.approx(0.2, abs=0.02)
    assert found["outliers_side"].value > 0.9
    assert found["counts"].value == 0
    assert found["skew"].value == pytest.approx(0, abs=0.3)


def test_a_count_is_seen_through_standardisation():
    data = made("diabetes", "regression", max_train=100)
    assert data.target_scale > 1
    assert look(data)["counts"].value == 1


def test_clean_and_test_targets_are_not_looked_at():
    settings = {"noise": {"kind": "symmetric", "rate": 0.3, "family": "exact"}, "max_train": 150}
    data, blind = made("breast_cancer", "binary", **settings), made("breast_cancer", "binary", **settings)
    for loader in (blind.train_dataloader(), *blind.evaluation_loaders.values()):
        loader.samples = loader.samples._replace(target_clean=torch.full_like(loader.samples.target, 9))
    test = blind.evaluation_loaders["test"]
    test.samples = test.samples._replace(target=torch.full_like(test.samples.target, 9))
    assert look(data) == look(blind)


def test_smallest_difference_of_a_balanced_test_part():
    seen = replace(findings.seen_of(made("breast_cancer", "binary")), test_samples=1000)
    found = findings._smallest_by_class(seen, 0.2, np.array([0.5, 0.5]))
    # the variance of a mean of 1000 differences that are 1 or -1 for a tenth of the samples
    assert found.value == pytest.approx((1.959964 + 0.841621) * np.sqrt(0.1 / 1000), rel=1e-4)
    rare = findings._smallest_by_class(seen, 0.2, np.array([0.99, 0.01]))
    assert rare.value == pytest.approx(2.801585 * np.sqrt(0.1 / 4 * (1 / 990 + 1 / 10)), rel=1e-4)


def test_embeddings_are_not_judged_by_accuracy():
    data = made("digits", "embedding", disjoint=True, val_fraction=0.3, max_train=200)
    found = look(data)
    assert "smallest_difference" not in found
    assert found["samples"].value == len(data.train_dataloader().samples.index)


def test_few_samples_have_no_probe():
    few = replace(
        findings.seen_of(made("breast_cancer", "binary")), target=np.arange(12) % 6, num_classes=6, class_names=()
    )
    assert findings._of_classes(few).keys() == {"classes", "imbalance", "rare_classes"}
    assert findings._of_numbers(few) == {}


def test_inputs_of_rows_come_from_both_parts():
    data = made("breast_cancer", "binary")
    seen, loaders = findings.seen_of(data), (data.train_dataloader(), data.evaluation_loaders["val"])
    whole = torch.cat([loader.samples.inputs for loader in loaders]).numpy()
    rows = np.array([0, 5, len(whole) - 30, len(whole) - 1])
    assert (seen.inputs(rows) == whole[rows]).all()


def test_many_classes_are_told_apart_by_discriminants():
    rng = np.random.default_rng(0)
    target = np.arange(1600) % 40
    inputs = rng.normal(size=(40, 12))[target] * 4 + rng.normal(size=(1600, 12))
    probed = class_probabilities(few_features(inputs), target, 40)
    assert probed.name == "linear discriminants"
    assert (probed.predicted.argmax(1) == target).mean() > 0.9


def test_of_a_probe_that_sees_nothing_no_label_is_called_wrong(monkeypatch):
    data = made("digits", "multiclass")
    samples = data.train_dataloader().samples
    noise = torch.rand(samples.inputs.shape, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(data.train_dataloader(), "samples", samples._replace(inputs=noise))
    found = look(data)
    assert not {name for name in found if name.startswith("wrong_labels")}
    assert "too little to tell wrong labels" in found["accuracy_probe"].told


def test_numbers_of_tokens_are_not_probed():
    assert "accuracy_probe" not in look(made("help_classes", "multiclass"))


def test_data_that_are_not_set_up_are_refused():
    with pytest.raises(ConfigError, match="after setup"):
        look(DataModule("digits", "multiclass"))


def test_a_finding_cannot_be_changed():
    with pytest.raises(AttributeError):
        Finding("a", 1, "One.").value = 2
