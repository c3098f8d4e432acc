"""cleanlab's estimate beside ours."""

import numpy as np
import pytest

from lossbench.advise import by_cleanlab
from lossbench.advise.findings import look
from lossbench.data import DataModule


def test_it_is_the_count_at_the_average_confidence_of_each_class():
    pytest.importorskip("cleanlab")
    rng = np.random.default_rng(0)
    true = np.arange(6000) % 3
    observed = np.where(rng.random(6000) < 0.2 * (true == 1), (true + 1) % 3, true)
    sure = rng.dirichlet([1, 1, 1], 6000) * 0.3 + 0.7 * np.eye(3)[true]
    share, by_class = by_cleanlab.wrong_by_class(sure, observed)
    confident = np.array([sure[observed == label, label].mean() for label in range(3)])
    above = sure >= confident
    counted = np.where(above.any(1), np.where(above, sure, -1).argmax(1), -1)
    joint = np.array([[((observed == s) & (counted == y)).sum() for y in range(3)] for s in range(3)], dtype=float)
    joint *= (np.bincount(observed) / joint.sum(1))[:, None]
    joint /= joint.sum()
    assert share == pytest.approx(1 - joint.trace(), abs=0.01)
    np.testing.assert_allclose(by_class, 1 - joint.diagonal() / joint.sum(1), atol=0.01)


def test_it_stands_beside_ours_and_only_where_it_is_installed(monkeypatch):
    data = DataModule("breast_cancer", "binary", noise={"kind": "symmetric", "rate": 0.2, "family": "exact"})
    data.setup()
    found = look(data)
    if by_cleanlab.installed():
        assert found["wrong_labels_cleanlab"].told.startswith("By cleanlab ")
        assert len(found["wrong_labels_cleanlab"].value) == 2
    monkeypatch.setattr(by_cleanlab, "installed", lambda: False)
    assert found.keys() - look(data).keys() <= {"wrong_labels_cleanlab"}


def test_a_class_without_samples_has_no_estimate():
    assert by_cleanlab.wrong_by_class(np.full((4, 3), 1 / 3), np.array([0, 0, 1, 1])) is None
