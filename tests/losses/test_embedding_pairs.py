"""Losses of pairs and triplets against pytorch-metric-learning, loops in numpy and closed forms: value and gradient."""

import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from scipy.spatial.distance import cdist

from lossbench.losses.embedding_pairs import (
    circle,
    embedding_contrastive,
    embedding_triplet,
    lifted_structure,
    multi_similarity,
    n_pair,
)
from tests.support.losses import assert_same_loss, value_and_gradient
from tests.support.sample_pairs import BALANCED, CLASSES, EMBEDDINGS, assert_like_loops, of_class, on_sphere

SQUARED = distances.LpDistance(power=2)
MEAN = reducers.MeanReducer()
CORNER = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], dtype=torch.float64)
CORNER_CLASSES = torch.tensor([0, 0, 1])
EQUAL = torch.ones(8, 3, dtype=torch.float64)
PAIRS = torch.arange(8) // 2


def mean_of(function, classes, anchors=slice(None), **settings):
    """Return the mean over some anchors, as one number of shape (1,)."""
    return lambda x: function(x, classes, **settings)[anchors].mean().unsqueeze(0)


def of_library(criterion, classes, miner=None):
    return lambda x: criterion(x, classes, miner(x, classes) if miner else None).unsqueeze(0)


# --- Triplets -----------------------------------------------------------------------------------------------------


def triplet_loops(x, mining, over, margin=0.2):
    values, apart = np.zeros(len(x)), cdist(on_sphere(x), on_sphere(x))

    def squared(i, j):
        return apart[i, j] ** 2

    for i in range(len(x)):
        positives, negatives = (
            sorted(of_class(CLASSES, i, same), key=lambda j: squared(i, j)) for same in (True, False)
        )
        if mining == "batch_hard":
            triplets = [(p, negatives[0]) for p in positives[-1:]]
        elif mining == "semi_hard":
            farther = {p: [n for n in negatives if squared(i, n) > squared(i, p)] for p in positives}
            triplets = [(p, (farther[p] or negatives[-1:])[0]) for p in positives]
        else:
            triplets = [(p, n) for p in positives for n in negatives]
        hinges = [max(0, squared(i, p) - squared(i, n) + margin) for p, n in triplets]
        hinges = [hinge for hinge in hinges if over == "all" or hinge > 0]
        values[i] = np.mean(hinges) if hinges else 0
    return values


@pytest.mark.parametrize("over", ["all", "nonzero"])
@pytest.mark.parametrize("mining", ["all", "batch_hard", "semi_hard"])
def test_triplets_by_loops(mining, over):
    assert_like_loops(
        lambda x: embedding_triplet(x, CLASSES, mining=mining, over=over), lambda x: triplet_loops(x, mining, over)
    )


def test_triplets_of_classes_of_one_size_are_those_of_pytorch_metric_learning():
    criterion = losses.TripletMarginLoss(margin=0.2, distance=SQUARED, reducer=MEAN)
    assert_same_loss(mean_of(embedding_triplet, BALANCED, mining="all"), of_library(criterion, BALANCED), EMBEDDINGS)


def test_hard_triplets_are_those_of_pytorch_metric_learning():
    criterion = losses.TripletMarginLoss(margin=0.2, distance=SQUARED, reducer=MEAN)
    assert_same_loss(
        mean_of(embedding_triplet, CLASSES, torch.isin(CLASSES, torch.tensor([0, 2, 4])), mining="batch_hard"),
        of_library(criterion, CLASSES, miners.BatchHardMiner(distance=SQUARED)),
        EMBEDDINGS,
    )


def test_pytorch_metric_learnings_triplets_are_unsquared_and_averaged_over_those_that_are_not_zero():
    ours = embedding_triplet(CORNER, CORNER_CLASSES, mining="all")
    np.testing.assert_allclose(ours, [1.4, 1.8, 0], rtol=1e-12)
    theirs = losses.TripletMarginLoss(margin=0.2)(CORNER, CORNER_CLASSES)
    assert theirs.item() == pytest.approx(0.2 + math.sqrt(2) - (math.sqrt(0.8) + math.sqrt(0.4)) / 2)  # 0.8508

    far = torch.cat([CORNER, -CORNER[2:]])
    classes = torch.tensor([0, 0, 1, 1])
    squared = losses.TripletMarginLoss(margin=0.2, distance=SQUARED)(far, classes)
    terms = [1.4, 0, 1.8, 0, 3.8, 3.4, 0.6, 1.0]
    ours = embedding_triplet(far, classes, mining="all")
    assert ours.mean().item() == pytest.approx(sum(terms) / 8)  # 1.5: over all
    assert squared.item() == pytest.approx(sum(terms) / 6)  # 2: over the six


@pytest.mark.parametrize("over", ["all", "nonzero"])
@pytest.mark.parametrize("mining", ["all", "batch_hard", "semi_hard"])
@pytest.mark.parametrize("points", [EQUAL, torch.zeros_like(EQUAL)])
def test_triplets_of_one_point_are_the_margin(points, mining, over):
    values, gradient = value_and_gradient(lambda x: embedding_triplet(x, PAIRS, mining=mining, over=over), points)
    np.testing.assert_allclose(values, np.full(8, 0.2), rtol=1e-12)
    assert gradient.isfinite().all()


def test_all_triplets_in_single_precision():
    """Sums of the sorted cosines lose nothing that matters."""
    x = torch.randn(400, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    classes = torch.arange(400) % 5
    for over in ("all", "nonzero"):
        exact, exact_slopes = value_and_gradient(
            lambda e, o=over: embedding_triplet(e, classes, mining="all", over=o), x
        )
        single, slopes = value_and_gradient(
            lambda e, o=over: embedding_triplet(e, classes, mining="all", over=o), x.float()
        )
        np.testing.assert_allclose(single, exact, rtol=1e-5)
        np.testing.assert_allclose(slopes, exact_slopes, atol=1e-5 * exact_slopes.abs().max().item())


@pytest.mark.parametrize("wrong", [{"mining": "hard"}, {"over": "most"}])
def test_a_wrong_word_is_refused(wrong):
    with pytest.raises(ValueError, match="mining is one of all, batch_hard, semi_hard, and over all or nonzero"):
        embedding_triplet(CORNER, CORNER_CLASSES, **wrong)


# --- Pairs --------------------------------------------------------------------------------------------------------


def test_contrastive_by_loops():
    def loops(x, margin=1.2):
        values, apart = np.zeros(len(x)), cdist(on_sphere(x), on_sphere(x))
        for i in range(len(x)):
            near = [apart[i, j] ** 2 for j in of_class(CLASSES, i, True)]
            far = [max(0, margin - apart[i, j]) ** 2 for j in of_class(CLASSES, i, False)]
            values[i] = (np.mean(near) if near else 0) + np.mean(far)
        return values

    assert_like_loops(lambda x: embedding_contrastive(x, CLASSES, margin=1.2), loops)


def test_the_positives_of_contrastive_are_those_of_pytorch_metric_learning_with_squared_distances():
    criterion = losses.ContrastiveLoss(neg_margin=0, distance=SQUARED)
    assert_same_loss(mean_of(embedding_contrastive, BALANCED, margin=1e-6), of_library(criterion, BALANCED), EMBEDDINGS)


def test_pytorch_metric_learnings_contrastive_has_hinges_that_are_not_squared():
    hinges = 1 - math.sqrt(0.8), 1 - math.sqrt(0.4)
    ours = embedding_contrastive(CORNER, CORNER_CLASSES)
    expected = [2 + hinges[0] ** 2, 2 + hinges[1] ** 2, (hinges[0] ** 2 + hinges[1] ** 2) / 2]  # 2.0111 2.1351 0.0731
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    theirs = losses.ContrastiveLoss()(CORNER, CORNER_CLASSES).item()
    assert theirs == pytest.approx(math.sqrt(2) + sum(hinges) / 2)  # 1.6508
    squared = losses.ContrastiveLoss(distance=SQUARED)(CORNER, CORNER_CLASSES).item()
    assert squared == pytest.approx(2 + (0.2 + 0.6) / 2)  # 2.4: the hinge of the square is not the square of the hinge
    assert losses.ContrastiveLoss()(5 * CORNER, CORNER_CLASSES).item() == pytest.approx(theirs)  # normalised inside


@pytest.mark.parametrize("points", [EQUAL, torch.zeros_like(EQUAL)])
def test_contrastive_of_one_point_is_the_square_of_the_margin(points):
    values, gradient = value_and_gradient(lambda x: embedding_contrastive(x, PAIRS, margin=0.7), points)
    np.testing.assert_allclose(values, np.full(8, 0.49), rtol=1e-12)
    assert gradient.isfinite().all()


def test_lifted_structure_is_that_of_pytorch_metric_learning():
    criterion = losses.LiftedStructureLoss(neg_margin=1.0, reducer=MEAN)
    classes = CLASSES[:11]  # of 20 pairs in both orders
    assert_same_loss(mean_of(lifted_structure, classes), of_library(criterion, classes), EMBEDDINGS[:11])


def test_lifted_structure_by_loops():
    def loops(x, margin=1.5):
        values, apart = np.zeros(len(x)), cdist(on_sphere(x), on_sphere(x))
        pairs = [(i, j) for i in range(len(x)) for j in of_class(CLASSES, i, True)]
        for i, j in pairs:
            far = sum(np.exp(margin - apart[k, n]) for k in (i, j) for n in of_class(CLASSES, k, False))
            values[i] += max(0, np.log(far) + apart[i, j]) ** 2 / 2 * len(x) / len(pairs)
        return values

    assert_like_loops(lambda x: lifted_structure(x, CLASSES, margin=1.5), loops)


def test_lifted_structure_of_one_point():
    """log of 12 negatives of a pair, and the margin, squared and halved."""
    np.testing.assert_allclose(lifted_structure(EQUAL, PAIRS), np.full(8, (math.log(12) + 1) ** 2 / 2), rtol=1e-12)


# --- Inner products and cosines -----------------------------------------------------------------------------------


def test_n_pair_by_loops():
    def loops(x, l2=0.05):
        values = l2 / 2 * (x**2).sum(1)
        for i in range(len(x)):
            positives = of_class(CLASSES, i, True)
            for p in positives:
                against = sum(np.exp(x[i] @ x[n] - x[i] @ x[p]) for n in of_class(CLASSES, i, False))
                values[i] += np.log(1 + against) / len(positives)
        return values

    assert_like_loops(lambda x: n_pair(x, CLASSES, l2=0.05), loops)


def test_pytorch_metric_learnings_n_pair_takes_one_negative_of_each_other_class():
    """With both samples of each pair equal, its sum over negatives is half of ours."""
    x, classes = EMBEDDINGS[:4].repeat(2, 1), torch.arange(4).repeat(2)
    theirs = losses.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False))(x, classes).item()
    products = (EMBEDDINGS[:4] @ EMBEDDINGS[:4].T).numpy()
    sums = [sum(np.exp(products[i, n] - products[i, i]) for n in range(4) if n != i) for i in range(4)]
    assert theirs == pytest.approx(np.mean(np.log1p(sums)))
    assert n_pair(x, classes, l2=0.0).mean().item() == pytest.approx(np.mean(np.log1p(2 * np.array(sums))))
    equal = torch.zeros(8, 3).double()
    theirs = losses.NPairsLoss()(equal, classes).item()
    assert theirs == pytest.approx(math.log(4))  # 1.3863
    np.testing.assert_allclose(n_pair(equal, classes), np.full(8, math.log(7)))  # 1.9459


@pytest.mark.parametrize("classes", [CLASSES, BALANCED])
@pytest.mark.parametrize("epsilon", [0.1, 0.0, 0.3])
def test_multi_similarity_with_its_mining_is_that_of_pytorch_metric_learning(epsilon, classes):
    criterion = losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5, reducer=MEAN)
    miner = miners.MultiSimilarityMiner(epsilon=epsilon)
    ours = mean_of(multi_similarity, classes, epsilon=epsilon)
    assert_same_loss(ours, of_library(criterion, classes, miner), EMBEDDINGS)


def test_multi_similarity_of_all_pairs_is_that_of_pytorch_metric_learning():
    criterion = losses.MultiSimilarityLoss(alpha=3, beta=20, base=0.7, reducer=MEAN)
    ours = mean_of(multi_similarity, BALANCED, alpha=3.0, beta=20.0, base=0.7, epsilon=2.0)
    assert_same_loss(ours, of_library(criterion, BALANCED), EMBEDDINGS)


def test_multi_similarity_of_one_point():
    """log(1 + e^-1) / 2 for the positive, and log(1 + 6 e^25) / 50 for the negatives."""
    expected = math.log1p(math.exp(-1)) / 2 + math.log1p(6 * math.exp(25)) / 50
    np.testing.assert_allclose(multi_similarity(EQUAL, PAIRS), np.full(8, expected), rtol=1e-12)


@pytest.mark.parametrize(("m", "gamma"), [(0.4, 80.0), (0.25, 256.0), (0.1, 3.0)])
def test_circle_is_that_of_pytorch_metric_learning(m, gamma):
    criterion = losses.CircleLoss(m=m, gamma=gamma, reducer=MEAN)
    assert_same_loss(mean_of(circle, CLASSES, m=m, gamma=gamma), of_library(criterion, CLASSES), EMBEDDINGS, rtol=1e-9)


def test_circle_of_one_point():
    """The positive has -gamma m^2, each of six negatives gamma (1 + m) (1 - m)."""
    expected = math.log1p(6 * math.exp(3 * (1 - 0.25**2) - 3 * 0.25**2))
    np.testing.assert_allclose(circle(EQUAL, PAIRS, m=0.25, gamma=3.0), np.full(8, expected), rtol=1e-12)


def test_the_gradient_of_circle_holds_its_weights_constant():
    """Of one positive and one negative: gamma sigmoid(e) (a_n ds_n - a_p ds_p)."""
    x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]], dtype=torch.float64)
    _, gradient = value_and_gradient(lambda z: circle(z, CORNER_CLASSES, m=0.25, gamma=2.0)[:1], x)
    s_p, s_n = 0.8, 0.6
    a_p, a_n = 1.25 - s_p, s_n + 0.25
    e = 2 * a_n * (s_n - 0.25) - 2 * a_p * (s_p - 0.75)
    slope = 2 / (1 + math.exp(-e))
    tangent = slope * (a_n * 0.8 - a_p * 0.6)  # of the anchor, along its second axis
    np.testing.assert_allclose(gradient[0], [0, tangent], atol=1e-12)
    np.testing.assert_allclose(gradient[1], -slope * a_p * np.array([0.36, -0.48]), atol=1e-12)
    np.testing.assert_allclose(gradient[2], slope * a_n * np.array([0.64, -0.48]), atol=1e-12)
