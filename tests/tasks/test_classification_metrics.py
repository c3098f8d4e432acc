import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from lossbench.tasks.classification.metrics import classification_metrics, noise_metrics
from lossbench.tasks.regression.metrics import regression_metrics


@pytest.fixture
def predicted():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(400, 5, generator=generator, dtype=torch.float64)
    target = torch.randint(5, (400,), generator=generator)
    logits[torch.arange(400), target] += 1.5
    return logits.softmax(1), target


def test_classification_agrees_with_scikit_learn(predicted):
    probabilities, target = predicted
    ours = classification_metrics(probabilities, target)
    p, y, hard = probabilities.numpy(), target.numpy(), probabilities.argmax(1).numpy()
    assert ours["accuracy"] == pytest.approx(sklearn.accuracy_score(y, hard))
    assert ours["balanced_accuracy"] == pytest.approx(sklearn.balanced_accuracy_score(y, hard))
    assert ours["macro_f1"] == pytest.approx(sklearn.f1_score(y, hard, average="macro"))
    assert ours["nll"] == pytest.approx(sklearn.log_loss(y, p))
    assert ours["auroc"] == pytest.approx(sklearn.roc_auc_score(y, p, multi_class="ovr"))
    one_hot = np.eye(5)[y]
    assert ours["average_precision"] == pytest.approx(sklearn.average_precision_score(one_hot, p, average="macro"))
    assert ours["brier"] == pytest.approx(((p - one_hot) ** 2).sum(1).mean())
    recalls = sklearn.recall_score(y, hard, average=None)
    assert [ours[f"recall/{label}"] for label in range(5)] == pytest.approx(recalls)


def test_calibration_error_agrees_with_its_definition(predicted):
    probabilities, target = predicted
    confidence, hard = probabilities.max(1)
    bins = np.clip(np.ceil(confidence.numpy() * 15).astype(int) - 1, 0, 14)
    correct = (hard == target).numpy()
    expected = sum(
        abs(confidence.numpy()[bins == b].mean() - correct[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    )
    assert classification_metrics(probabilities, target)["ece"] == pytest.approx(expected, abs=1e-6)


def test_absent_classes_are_left_out():
    probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.6, 0.2, 0.2]], dtype=torch.float64)
    ours = classification_metrics(probabilities, torch.tensor([0, 0, 0]))
    assert ours["balanced_accuracy"] == pytest.approx(2 / 3)
    assert "recall/1" not in ours and "auroc" not in ours


def test_few_shot_groups_by_training_counts():
    target = torch.tensor([0, 0, 1, 2])
    probabilities = torch.eye(3, dtype=torch.float64)[torch.tensor([0, 1, 1, 0])]
    ours = classification_metrics(probabilities, target, class_counts=[101, 20, 19])
    assert (ours["accuracy_many"], ours["accuracy_medium"], ours["accuracy_few"]) == (0.5, 1.0, 0.0)
    all_many = classification_metrics(probabilities, target, class_counts=[500, 500, 500])
    assert "accuracy_few" not in all_many and "accuracy_medium" not in all_many


def test_a_certain_mistake_has_a_finite_nll():
    ours = classification_metrics(torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([1]))
    assert math.isfinite(ours["nll"]) and ours["brier"] == pytest.approx(2.0)


def test_regression_agrees_with_scikit_learn():
    generator = torch.Generator().manual_seed(1)
    prediction, clean = torch.randn(2, 101, generator=generator, dtype=torch.float64)
    observed = clean + torch.randn(101, generator=generator, dtype=torch.float64)
    ours = regression_metrics(prediction, observed, clean)
    for suffix, target in (("", clean), ("_observed", observed)):
        pair = (target.numpy(), prediction.numpy())
        assert ours[f"mae{suffix}"] == pytest.approx(sklearn.mean_absolute_error(*pair))
        assert ours[f"rmse{suffix}"] == pytest.approx(sklearn.root_mean_squared_error(*pair))
        assert ours[f"median_ae{suffix}"] == pytest.approx(sklearn.median_absolute_error(*pair))
        assert ours[f"r2{suffix}"] == pytest.approx(sklearn.r2_score(*pair))


def test_noise_metrics_by_hand():
    clean, observed = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
    probabilities = torch.eye(2, dtype=torch.float64)[torch.tensor([0, 1, 1, 1])]
    expected = {"clean_accuracy": 0.75, "memorised": 0.5, "label_precision": 2 / 3, "label_recall": 1.0}
    assert noise_metrics(probabilities, observed, clean) == pytest.approx(expected)


def test_a_filter_that_keeps_nothing_has_no_precision():
    clean, observed = torch.tensor([0, 0]), torch.tensor([0, 1])
    probabilities = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert noise_metrics(probabilities, observed, clean) == {
        "clean_accuracy": 0.5, "memorised": 0.0, "label_recall": 0.0,
    }  # fmt: skip
