"""The estimate of wrong labels, against labels that were made wrong."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from lossbench.advise.classes import wrong_labels
from lossbench.advise.probe import class_probabilities, few_features
from lossbench.data.label_noise import asymmetric_noise, next_class, symmetric_noise


def probabilities(clean, transition, purity, rng):
    """Return probabilities of observed classes, of samples that are more or less surely of their true class."""
    num_classes = len(transition)
    sure = rng.beta(purity, 1, len(clean))[:, None]
    true = sure * np.eye(num_classes)[clean] + (1 - sure) / num_classes
    return true @ transition


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.6])
def test_symmetric_noise_is_found(rate):
    rng, clean = np.random.default_rng(1), np.arange(5000) % 10
    observed = symmetric_noise(clean, rate, 10, rng)
    transition = (1 - rate) * np.eye(10) + rate / 9 * (1 - np.eye(10))
    found = wrong_labels(probabilities(clean, transition, 5, rng), observed)
    assert found.share == pytest.approx(rate, abs=0.03)
    assert found.asymmetry < 0.1 or rate == 0
    assert not found.upper


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.4])
def test_pair_noise_is_found_and_is_asymmetric(rate):
    rng, clean = np.random.default_rng(2), np.arange(5000) % 5
    observed = asymmetric_noise(clean, rate, next_class(5), rng)
    transition = (1 - rate) * np.eye(5) + rate * np.roll(np.eye(5), 1, axis=1)
    found = wrong_labels(probabilities(clean, transition, 5, rng), observed)
    assert found.share == pytest.approx(rate, abs=0.03)
    assert found.asymmetry > 0.9


def test_the_joint_is_that_of_true_and_observed_class():
    rng, clean = np.random.default_rng(3), np.repeat([0, 1, 2], [3000, 1500, 500])
    observed = np.where((clean == 0) & (rng.random(5000) < 0.2), 1, clean)
    transition = np.array([[0.8, 0.2, 0], [0, 1, 0], [0, 0, 1]])
    found = wrong_labels(probabilities(clean, transition, 8, rng), observed)
    known = np.zeros((3, 3))
    np.add.at(known, (clean, observed), 1 / 5000)
    assert found.joint == pytest.approx(known, abs=0.02)
    assert found.by_class == pytest.approx([0, 600 / 2100, 0], abs=0.03)


def test_of_two_classes_asymmetry_is_which_one_is_wrong():
    rng, clean = np.random.default_rng(4), np.arange(4000) % 2
    one_way = np.where((clean == 1) & (rng.random(4000) < 0.3), 0, clean)
    both = np.where(rng.random(4000) < 0.3, 1 - clean, clean)
    ways = np.array([[1, 0], [0.3, 0.7]]), np.array([[0.7, 0.3], [0.3, 0.7]])
    found = [
        wrong_labels(probabilities(clean, way, 8, rng), seen) for way, seen in zip(ways, (one_way, both), strict=True)
    ]
    assert found[0].asymmetry > 0.8
    assert found[1].asymmetry < 0.1


def test_hard_samples_give_an_upper_bound():
    rng, clean = np.random.default_rng(5), np.arange(5000) % 5
    sure = rng.uniform(0, 0.6, (5000, 1))
    chance = sure * np.eye(5)[clean] + (1 - sure) / 5
    observed = (chance.cumsum(1) > rng.random((5000, 1))).argmax(1)
    assert wrong_labels(chance, observed).upper


def test_a_class_that_is_never_predicted_keeps_its_labels():
    observed = np.array([0] * 50 + [1] * 50 + [2])
    predicted = np.repeat([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.9, 0.1, 0]], [50, 50, 1], axis=0)
    assert np.isfinite(wrong_labels(predicted, observed).joint).all()


def test_probes_and_estimate_together():
    inputs, clean = make_blobs(2000, 8, centers=4, cluster_std=3, random_state=0)
    observed = symmetric_noise(clean, 0.3, 4, np.random.default_rng(0))
    probed = class_probabilities(few_features(inputs), observed, 4)
    assert (probed.predicted.argmax(1) == clean).mean() > 0.95
    assert wrong_labels(probed.predicted, observed).share == pytest.approx(0.3, abs=0.05)
