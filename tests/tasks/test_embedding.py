"""Neighbours, pairs and spread of embeddings, against loops, scikit-learn, pytorch-metric-learning and closed forms."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from lossbench.tasks.embedding.neighbours import neighbours
from lossbench.tasks.embedding.pairs import effective_rank, spread, verification


def embeddings(samples: int = 60, classes: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (samples,), generator=generator)
    centres = torch.randn(classes, 5, generator=generator)
    drawn = centres[target] + 1.2 * torch.randn(samples, 5, generator=generator)
    return torch.nn.functional.normalize(drawn, dim=1), target


def by_loops(embedding, target):
    """First rank, average precision at R and R-precision of each sample, one by one in double precision."""
    found = []
    for row in range(len(target)):
        others = [k for k in range(len(target)) if k != row]
        others.sort(key=lambda k: -float(embedding[row].double() @ embedding[k].double()))
        hits = [bool(target[k] == target[row]) for k in others]
        size = sum(hits)
        if not size:
            found.append((-1, 0.0, 0.0))
            continue
        precisions = [sum(hits[: k + 1]) / (k + 1) for k in range(size) if hits[k]]
        found.append((min(11, hits.index(True) + 1), sum(precisions) / size, sum(hits[:size]) / size))
    return [torch.tensor(each) for each in zip(*found, strict=True)]


def test_neighbours_are_those_of_loops(monkeypatch):
    embedding, target = embeddings()
    target[3] = 99  # has no other of its class
    monkeypatch.setattr("lossbench.tasks.embedding.neighbours.CHUNK", 17)
    found = neighbours(embedding, target)
    first, average, precision = by_loops(embedding, target)
    assert found.first.tolist() == first.tolist() and found.first[3] == -1
    torch.testing.assert_close(found.average_precision, average.double(), atol=1e-7, rtol=0)
    torch.testing.assert_close(found.r_precision, precision.double(), atol=1e-7, rtol=0)


def test_recall_and_map_at_r_are_those_of_pytorch_metric_learning():
    calculator = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    embedding, target = embeddings(80, 6, 1)

    def nearest(query, k, reference, same_source):
        cosines = query @ reference.T
        cosines.fill_diagonal_(-9)
        values, rows = cosines.topk(k)
        return values, rows

    names = ("precision_at_1", "mean_average_precision_at_r", "r_precision")
    theirs = calculator.AccuracyCalculator(names, k="max_bin_count", knn_func=nearest).get_accuracy(embedding, target)
    found = neighbours(embedding, target)
    ours = [(found.first == 1).double().mean(), found.average_precision.mean(), found.r_precision.mean()]
    assert [float(value) for value in ours] == pytest.approx([theirs[name] for name in names], abs=1e-6)


def test_collapsed_embeddings_find_nothing():
    embedding, target = torch.ones(40, 4) / 2, torch.arange(40) // 10
    found = neighbours(embedding, target)
    assert (found.first == 11).all() and (found.average_precision == 0).all()
    told = spread(embedding, target)
    assert float(told["effective_rank"]) == pytest.approx(1)
    assert float(told["uniformity"]) == pytest.approx(0, abs=1e-6)
    assert float(told["alignment"]) == pytest.approx(0, abs=1e-6)
    assert float(told["verification_auc"]) == pytest.approx(0.5)
    assert float(told["eer"]) == pytest.approx(0.5)


@pytest.mark.parametrize("samples", [0, 1, 2, 3])
def test_few_samples_have_few_neighbours(samples):
    found = neighbours(torch.eye(4)[:samples], torch.zeros(samples).long())
    assert found.first.tolist() == ([-1] * samples if samples < 2 else [1] * samples)
    assert found.nearest.shape == (samples, max(0, samples - 1))


def test_perfect_embeddings_have_perfect_metrics():
    target = torch.arange(40) % 8
    told = spread(torch.eye(8)[target], target)
    assert {name: float(told[name]) for name in ("verification_auc", "eer", "tar_at_far_001", "nmi")} == {
        "verification_auc": 1, "eer": 0, "tar_at_far_001": 1, "nmi": pytest.approx(1),
    }  # fmt: skip
    assert float(told["effective_rank"]) == pytest.approx(8)
    # 5 of a class: 80 of the 780 pairs are at a distance of 0, the others at a squared distance of 2
    assert float(told["uniformity"]) == pytest.approx(math.log((80 + 700 * math.exp(-4)) / 780))


def test_verification_is_that_of_the_roc_curve_of_scikit_learn():
    rng = np.random.default_rng(0)
    same = rng.random(4000) < 0.2
    cosines = np.round(rng.normal(0.4 * same, 0.3), 2)  # with ties
    told = verification(torch.tensor(cosines), torch.tensor(same))
    false, true, _ = roc_curve(same, cosines, drop_intermediate=False)
    assert float(told["verification_auc"]) == pytest.approx(roc_auc_score(same, cosines), abs=1e-12)
    assert float(told["tar_at_far_01"]) == true[false <= 0.01].max()
    assert float(told["tar_at_far_001"]) == true[false <= 0.001].max()
    fine = np.linspace(0, 1, 2_000_001)
    where = np.argmin(np.abs(1 - np.interp(fine, false, true) - fine))
    assert float(told["eer"]) == pytest.approx(fine[where], abs=1e-5)


def test_alignment_and_uniformity_are_those_of_the_paper():
    embedding, target = embeddings(30, 4, 2)
    told = spread(embedding, target)
    distances = torch.pdist(embedding.double()).square()
    rows, columns = torch.triu_indices(30, 30, 1)
    assert float(told["uniformity"]) == pytest.approx(float((-2 * distances).exp().mean().log()), abs=1e-6)
    same = target[rows] == target[columns]
    assert float(told["alignment"]) == pytest.approx(float(distances[same].mean()), abs=1e-6)


def test_effective_rank_counts_directions():
    assert float(effective_rank(torch.eye(5)[torch.arange(20) % 5])) == pytest.approx(5)
    assert float(effective_rank(torch.zeros(4, 3))) == 1
