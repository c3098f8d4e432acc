"""Calibration errors: right-closed bins, the same in every form, in the table and in the diagram."""

import json

import numpy as np
import pytest
import torch

from lossbench.compare.numbers.comparisons import comparisons, load_classes, read_outputs
from lossbench.compare.report.fairness import cautions
from lossbench.tasks.classification.confidence_bins import BINS, bin_confidence, fill
from lossbench.tasks.classification.final_metrics import final_classification_metrics
from lossbench.tasks.classification.metrics import classification_metrics
from lossbench.tasks.multilabel.metrics import multilabel_metrics
from tests.support.compared import made_up, write


def by_loop(confidence, correct) -> tuple[float, float]:
    """Return the expected and the largest gap, one bin and one sample after the other."""
    gaps, sizes = [], []
    for k in range(BINS):
        low, high = k / BINS, (k + 1) / BINS
        chosen = [i for i, p in enumerate(confidence) if low < p <= high or (k == 0 and p == 0)]
        if chosen:
            told = sum(confidence[i] for i in chosen) / len(chosen)
            right = sum(correct[i] for i in chosen) / len(chosen)
            gaps.append(abs(told - right))
            sizes.append(len(chosen))
    return float(np.dot(gaps, sizes) / sum(sizes)), max(gaps)


def of_class_0(confidence, correct) -> tuple[torch.Tensor, torch.Tensor]:
    """Make predictions of two classes, the first one with these confidences."""
    p = torch.as_tensor(confidence, dtype=torch.float64)
    return torch.stack([p, 1 - p], 1), 1 - torch.as_tensor(np.asarray(correct)).long()


@pytest.mark.parametrize(
    ("confidence", "correct", "expected"),
    [
        ([1.0] * 50 + [0.95] * 50, [0] * 50 + [1] * 50, 0.475),  # one bin: |.975 - .5|
        ([0.8] * 50 + [0.77] * 50, [0] * 50 + [1] * 50, 0.285),  # an edge belongs to the bin below it: |.785 - .5|
        ([0.6] * 50 + [0.57] * 50, [0] * 50 + [1] * 50, 0.085),
        ([1.0], [1], 0.0),
        ([1.0], [0], 1.0),
    ],
)
def test_calibration_error_by_hand(confidence, correct, expected):
    probabilities, target = of_class_0(confidence, correct)
    assert classification_metrics(probabilities, target)["ece"] == pytest.approx(expected)
    assert classification_metrics(probabilities.float(), target)["ece"] == pytest.approx(expected)
    assert bin_confidence(probabilities.float().numpy(), target.numpy()).error == pytest.approx(expected)


def test_every_bin_is_closed_on_the_right_and_the_first_one_holds_0():
    edges = np.arange(BINS + 1) / BINS
    for dtype in (np.float32, np.float64):
        assert fill(edges.astype(dtype), np.zeros(BINS + 1)).count.tolist() == [2] + [1] * (BINS - 1)
    above = np.nextafter(edges[:-1].astype(np.float32), np.float32(1))
    assert fill(above, np.zeros(BINS)).count.tolist() == [1] * BINS


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_all_forms_agree_with_a_loop(scale):
    """With a large scale most confidences are 1."""
    generator = torch.Generator().manual_seed(3)
    logits = scale * torch.randn(400, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(4, (400,), generator=generator)
    probabilities = logits.softmax(1)
    probabilities[:60] = torch.tensor([9.0, 3.0, 2.0, 1.0], dtype=torch.float64) / 15  # on edges
    confidence, predicted = probabilities.max(1)
    correct = (predicted == target).long()
    error, largest = by_loop(confidence.tolist(), correct.tolist())
    further = final_classification_metrics(probabilities, target)
    assert classification_metrics(probabilities, target)["ece"] == pytest.approx(error)
    assert further["mce"] == pytest.approx(largest)
    each = [by_loop(probabilities[:, k].tolist(), (target == k).long().tolist())[0] for k in range(4)]
    assert further["classwise_ece"] == pytest.approx(np.mean(each))
    labels = torch.randint(2, (400, 4), generator=generator)
    expected = by_loop(probabilities.flatten().tolist(), labels.flatten().tolist())[0]
    assert multilabel_metrics(probabilities, labels)["ece"] == pytest.approx(expected)


def test_confidences_of_1_are_one_bin_of_the_adaptive_error():
    probabilities, target = of_class_0([1.0] * 95 + [0.7] * 5, [1, 0] * 50)
    expected = 0.95 + 0.05 * 0.7 - 0.5  # the first of fifteen parts of the samples ends at 1
    assert final_classification_metrics(probabilities, target)["adaptive_ece"] == pytest.approx(expected)


def test_runs_of_an_earlier_version_of_the_metrics_are_marked(tmp_path):
    for seed, version in enumerate([None, 2, 2]):
        changed = {} if version is None else {"metrics_version": version}
        write(tmp_path, made_up("cross_entropy", seed, 0.5, **changed))
    (mixed,) = comparisons(read_outputs(tmp_path))
    assert any("1 run of 3 was measured by an earlier version" in line for line in cautions(mixed))
    for path in tmp_path.rglob("record.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "metrics_version": 2}))
    (same,) = comparisons(read_outputs(tmp_path))
    assert not any("earlier version" in line for line in cautions(same))


def test_log_odds_of_files_without_them_are_those_of_the_probabilities(tmp_path):
    p = np.array([[1.0, 0.0], [0.25, 0.75]], dtype=np.float32)
    np.savez(tmp_path / "old.npz", probabilities=p, target=np.array([0, 1]))
    found = load_classes({"folder": str(tmp_path)}, "old.npz")
    assert found["log_odds"][1] == pytest.approx([-np.log(3), np.log(3)])
    assert np.isfinite(found["log_odds"]).all() and found["log_odds"][0, 0] > 80
    assert load_classes({"folder": str(tmp_path)}, "none.npz") is None
