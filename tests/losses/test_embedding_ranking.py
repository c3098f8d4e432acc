"""Ranking losses of embeddings against pytorch-metric-learning, scikit-learn, loops in numpy and closed forms."""

import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses, reducers
from sklearn.metrics import average_precision_score

from lossbench.losses import embedding_ranking
from lossbench.losses.embedding_ranking import nt_xent, smooth_ap, sup_con
from lossbench.losses.pairs_of_samples import other_view
from tests.support.losses import assert_same_loss, value_and_gradient
from tests.support.sample_pairs import (
    BALANCED,
    CLASSES,
    EMBEDDINGS,
    ODD_VIEWS,
    VIEWS,
    assert_like_loops,
    of_class,
    on_sphere,
)

MEAN = reducers.MeanReducer()
IN_A_CLASS = torch.isin(CLASSES, torch.tensor([0, 2, 4]))


# --- Smooth-AP ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.05, 0.5])
def test_smooth_ap_by_loops(tau):
    def loops(x):
        s, values = on_sphere(x) @ on_sphere(x).T, np.zeros(len(x))
        for i in range(len(x)):
            positives, negatives = of_class(CLASSES, i, True), of_class(CLASSES, i, False)

            def rank(p, among, i=i):
                return 1 + sum(1 / (1 + np.exp((s[i, p] - s[i, j]) / tau)) for j in among if j != p)

            precisions = [rank(p, positives) / rank(p, positives + negatives) for p in positives]
            values[i] = 1 - np.mean(precisions) if positives else 0
        return values

    assert_like_loops(lambda x: smooth_ap(x, CLASSES, tau=tau), loops)


def test_smooth_ap_with_steep_steps_is_scikit_learns_average_precision():
    s = on_sphere(EMBEDDINGS.numpy()) @ on_sphere(EMBEDDINGS.numpy()).T
    rest = ~np.eye(12, dtype=bool)
    expected = [
        1 - average_precision_score(CLASSES[rest[i]] == CLASSES[i], s[i][rest[i]]) if IN_A_CLASS[i] else 0
        for i in range(12)
    ]
    np.testing.assert_allclose(smooth_ap(EMBEDDINGS, CLASSES, tau=1e-6), expected, atol=1e-9)


def test_smooth_ap_is_the_same_in_parts(monkeypatch):
    whole = value_and_gradient(lambda x: smooth_ap(x, CLASSES, tau=0.1), EMBEDDINGS)
    monkeypatch.setattr(embedding_ranking, "_AT_ONCE", 40)  # three pairs at a time
    parts = value_and_gradient(lambda x: smooth_ap(x, CLASSES, tau=0.1), EMBEDDINGS)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_smooth_ap_is_evaluated_where_no_gradient_is_kept():
    with torch.inference_mode():
        values = smooth_ap(EMBEDDINGS.clone(), CLASSES)
    torch.testing.assert_close(values.clone(), smooth_ap(EMBEDDINGS, CLASSES))


def test_pytorch_metric_learnings_smooth_ap_uses_labels_only_to_count():
    blocks, mixed = torch.arange(12) // 3, torch.arange(12) % 4
    theirs = losses.SmoothAPLoss(temperature=0.1)
    assert theirs(EMBEDDINGS.float(), blocks) == theirs(EMBEDDINGS.float(), mixed)
    ours = [smooth_ap(EMBEDDINGS, classes, tau=0.1).mean().item() for classes in (blocks, mixed)]
    assert abs(ours[0] - ours[1]) > 0.01


def test_pytorch_metric_learnings_smooth_ap_has_the_anchor_as_its_own_hit():
    """All equal, each step is one half: a positive and two negatives here; there rank 1.5 of 2.5 for both of a pair."""
    equal, classes = torch.ones(4, 2), torch.tensor([0, 0, 1, 1])
    np.testing.assert_allclose(smooth_ap(equal, classes), np.full(4, 0.5), rtol=1e-6)
    assert losses.SmoothAPLoss()(equal, classes).item() == pytest.approx(0.4)


# --- Cross-entropies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.1, 0.7])
def test_sup_con_is_that_of_pytorch_metric_learning(tau):
    criterion = losses.SupConLoss(temperature=tau, reducer=MEAN)
    ours = lambda x: sup_con(x, CLASSES, tau=tau).mean().unsqueeze(0)  # noqa: E731
    assert_same_loss(ours, lambda x: criterion(x, CLASSES).unsqueeze(0), EMBEDDINGS)


def test_pytorch_metric_learnings_sup_con_leaves_out_anchors_without_a_positive_from_its_mean():
    ours = sup_con(EMBEDDINGS, CLASSES)
    assert (ours[~IN_A_CLASS] == 0).all() and (ours[IN_A_CLASS] > 0).all()
    assert losses.SupConLoss()(EMBEDDINGS, CLASSES).item() == pytest.approx(ours[IN_A_CLASS].mean().item())


def test_pytorch_metric_learnings_sup_con_of_one_class_is_0():
    x, classes = EMBEDDINGS[:4], torch.zeros(4, dtype=torch.long)
    assert losses.SupConLoss()(x, classes).item() == 0
    assert (sup_con(x, classes).mean() > math.log(3)).item()  # the formula: at least log |P|


@pytest.mark.parametrize("tau", [0.5, 0.1])
@pytest.mark.parametrize("index", [VIEWS, torch.arange(12).flip(0) // 2])
def test_nt_xent_is_that_of_pytorch_metric_learning_with_the_images_as_labels(index, tau):
    criterion = losses.NTXentLoss(temperature=tau)
    ours = lambda x: nt_xent(x, CLASSES, index=index, tau=tau).mean().unsqueeze(0)  # noqa: E731
    assert_same_loss(ours, lambda x: criterion(x, index).unsqueeze(0), EMBEDDINGS)


def test_nt_xent_by_loops_has_0_for_rows_without_another_view_which_are_negatives_of_the_rest():
    partner = {0: 3, 3: 0, 1: 7, 7: 1, 2: 5, 5: 2, 9: 10, 10: 9}

    def loops(x):
        s = on_sphere(x) @ on_sphere(x).T / 0.5
        return [
            np.log(sum(np.exp(s[i, j]) for j in range(12) if j != i)) - s[i, partner[i]] if i in partner else 0
            for i in range(12)
        ]

    assert_like_loops(lambda x: nt_xent(x, CLASSES, index=ODD_VIEWS), lambda x: np.array(loops(x)))


def test_of_three_views_pytorch_metric_learning_leaves_the_other_positive_out_of_the_sum():
    equal, index = torch.ones(6, 2).double(), torch.tensor([0, 0, 0, 1, 1, 1])
    assert losses.NTXentLoss()(equal, index).item() == pytest.approx(math.log(4))  # 1.3863: one positive, 3 negatives
    values = nt_xent(equal, index, index=index)
    np.testing.assert_allclose(values, [math.log(5), math.log(5), 0] * 2)  # 1.6094: all five others


@pytest.mark.parametrize("images", [2, 64])
def test_equal_embeddings_have_the_logarithm_of_the_number_of_other_rows(images):
    equal, index = torch.ones(2 * images, 5).double(), torch.arange(2 * images) % images
    expected = np.full(2 * images, math.log(2 * images - 1))  # 4.844187 of 64
    np.testing.assert_allclose(nt_xent(equal, index, index=index), expected, rtol=1e-12)
    np.testing.assert_allclose(sup_con(equal, index), expected, rtol=1e-12)


# --- Views --------------------------------------------------------------------------------------------------------


def test_rows_of_one_index_are_paired_in_order():
    partner, paired = other_view(ODD_VIEWS)
    assert partner.tolist() == [3, 7, 5, 0, 4, 2, 6, 1, 8, 10, 9, 11]
    assert (~paired).nonzero().flatten().tolist() == [4, 6, 8, 11]


@pytest.mark.parametrize("index", [[7], [7, 7], [1, 2, 3], []])
def test_small_batches_are_paired(index):
    partner, paired = other_view(torch.tensor(index, dtype=torch.long))
    expected = [1, 0] if index == [7, 7] else list(range(len(index)))
    assert partner.tolist() == expected and paired.tolist() == [index == [7, 7]] * len(index)


def test_sup_con_and_smooth_ap_of_classes_of_one_size_are_least_where_classes_are_points():
    points = torch.eye(4, dtype=torch.float64)[BALANCED]
    assert smooth_ap(points, BALANCED).max() < 1e-12
    expected = math.log(2 + 9 * math.exp(-10))  # of two positives with cosine 1 and nine negatives with cosine 0
    np.testing.assert_allclose(sup_con(points, BALANCED), np.full(12, expected), rtol=1e-12)
