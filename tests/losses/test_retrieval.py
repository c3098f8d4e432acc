"""Losses of scores against loops in numpy, torch, pytorch-metric-learning, closed forms: value and gradient."""

import itertools
import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss
from sklearn.metrics import ndcg_score
from torch.nn import functional as F

from lossbench.losses.retrieval import (
    approx_ndcg,
    info_nce,
    lambda_rank,
    list_net,
    rank_net,
    score_contrastive,
    score_distillation,
    score_margin_ranking,
    score_triplet,
)
from tests.support.losses import assert_same_loss, value_and_gradient

GENERATOR = torch.Generator().manual_seed(0)
SCORES = torch.rand(9, 8, dtype=torch.float64, generator=GENERATOR) * 1.9 - 0.95
GRADES = torch.zeros(9, 8, dtype=torch.int64)
GRADES[range(9), [k % 8 for k in range(9)]] = 1  # one each
SEVERAL = torch.randint(4, (9, 8), generator=GENERATOR) * torch.randint(2, (9, 8), generator=GENERATOR)
SEVERAL[:, 0] = torch.arange(9) % 3 + 1
SEVERAL[3] = 0  # nothing answers this one
TEACHER = 9 * torch.rand(9, 8, dtype=torch.float64, generator=GENERATOR)
PAIRWISE = {
    "margin": (lambda s, g: score_margin_ranking(s, g, margin=0.3), lambda d: max(0.0, 0.3 - d)),
    "logistic": (lambda s, g: rank_net(s, g, temperature=0.4), lambda d: math.log1p(math.exp(-d / 0.4))),
}
EVERY = [
    info_nce, score_margin_ranking, score_contrastive, score_triplet, rank_net, list_net, lambda_rank, approx_ndcg,
]  # fmt: skip


def pairs_of(grades):
    """Yield the places of each pair of a higher and a lower grade."""
    for i, j in itertools.product(range(len(grades)), repeat=2):
        if grades[i] > grades[j]:
            yield i, j


def dcg(gains_in_order):
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains_in_order, 1))


def ideal(grades):
    return dcg(sorted((2.0**grade - 1 for grade in grades), reverse=True))


# --- InfoNCE ------------------------------------------------------------------------------------------------------


def test_info_nce_of_one_relevant_passage_is_torchs_cross_entropy():
    target = GRADES.argmax(1)
    assert_same_loss(
        lambda s: info_nce(s, GRADES, temperature=0.1),
        lambda s: F.cross_entropy(s / 0.1, target, reduction="none"),
        SCORES,
    )


def test_info_nce_is_ntxent_of_pytorch_metric_learning():
    """Queries as anchors, passages as references; each positive of a query is a term, against all of its negatives."""
    queries, passages = (
        F.normalize(torch.randn(n, 5, dtype=torch.float64, generator=GENERATOR), dim=1) for n in (6, 10)
    )
    classes, labels = torch.arange(6) % 3, torch.arange(10) % 3
    grades = (classes[:, None] == labels).long()
    ours = info_nce(queries @ passages.T, grades, temperature=0.2)
    shares = grades.sum(1) / grades.sum()  # theirs is the mean over all pairs, ours over the queries
    theirs = NTXentLoss(temperature=0.2)(queries, classes, ref_emb=passages, ref_labels=labels)
    torch.testing.assert_close((shares * ours).sum(), theirs)


@pytest.mark.parametrize("passages", [2, 64])
def test_info_nce_of_equal_scores_is_the_logarithm_of_their_number(passages):
    grades = torch.zeros(1, passages)
    grades[0, 1] = 1
    value = info_nce(torch.full((1, passages), 0.3, dtype=torch.float64), grades)
    assert value.item() == pytest.approx(math.log(passages), rel=1e-12)


def test_relevant_passages_are_no_negatives_of_each_other():
    grades = torch.tensor([[1, 2, 0]])
    _, gradient = value_and_gradient(
        lambda s: info_nce(s, grades, temperature=1.0), torch.tensor([[0.5, -0.5, 0.1]]).double()
    )
    assert (gradient[0, :2] < 0).all() and gradient[0, 2] > 0


# --- Pairs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PAIRWISE)
@pytest.mark.parametrize("grades", [GRADES, SEVERAL], ids=["one", "several"])
def test_pairwise_losses_are_means_over_pairs(kind, grades):
    ours, of_pair = PAIRWISE[kind]
    values = ours(SCORES, grades)
    for row, (scores, graded) in enumerate(zip(SCORES.tolist(), grades.tolist(), strict=True)):
        each = [of_pair(scores[i] - scores[j]) for i, j in pairs_of(graded)]
        assert values[row].item() == pytest.approx(np.mean(each) if each else 0.0, rel=1e-12)


def test_margin_ranking_is_torchs_with_value_and_gradient():
    def theirs(scores):
        rows = []
        for row, graded in zip(scores, SEVERAL.tolist(), strict=True):
            chosen = list(pairs_of(graded))
            if not chosen:
                rows.append(row.sum() * 0)
                continue
            high, low = (torch.stack([row[pair[side]] for pair in chosen]) for side in (0, 1))
            rows.append(F.margin_ranking_loss(high, low, torch.ones_like(high), margin=0.3))
        return torch.stack(rows)

    assert_same_loss(lambda s: score_margin_ranking(s, SEVERAL, margin=0.3), theirs, SCORES)


def test_without_a_margin_equal_scores_teach_nothing():
    """The default of `F.margin_ranking_loss`."""
    equal = torch.full((1, 3), 0.5)
    assert score_margin_ranking(equal, torch.tensor([[1, 0, 0]]), margin=0.0).item() == 0
    assert F.margin_ranking_loss(equal[:, 0], equal[:, 1], torch.ones(1)).item() == 0
    assert score_margin_ranking(equal, torch.tensor([[1, 0, 0]])).item() == pytest.approx(0.2)


def test_rank_net_is_torchs_logistic_loss_of_the_differences():
    def theirs(scores):
        found = []
        for row, graded in zip(scores, GRADES.tolist(), strict=True):
            differences = torch.stack([row[i] - row[j] for i, j in pairs_of(graded)])
            found.append(F.binary_cross_entropy_with_logits(differences / 0.1, torch.ones_like(differences)))
        return torch.stack(found)

    assert_same_loss(lambda s: rank_net(s, GRADES, temperature=0.1), theirs, SCORES)


# --- Distances ----------------------------------------------------------------------------------------------------


def test_contrastive_and_triplet_are_those_of_the_distances_of_vectors():
    """Computed from vectors, in loops; value and gradient with respect to the vectors."""
    vectors = torch.randn(9 + 8, 4, dtype=torch.float64, generator=GENERATOR)

    def both(made):
        return lambda each: made(F.normalize(each, dim=1)[:9], F.normalize(each, dim=1)[9:])

    def by_hand(of_query):
        def values(queries, passages):
            rows = []
            for query, graded in zip(queries, SEVERAL.tolist(), strict=True):
                distances = [(query - passage).norm() for passage in passages]
                near = [d for d, grade in zip(distances, graded, strict=True) if grade]
                far = [d for d, grade in zip(distances, graded, strict=True) if not grade]
                rows.append(of_query(near, far) if near else 0 * query.sum())
            return torch.stack(rows)

        return values

    def contrastive(near, far):
        return sum(d**2 for d in near) / len(near) + sum(max(0 * d, 1 - d) ** 2 for d in far) / len(far)

    def two_margins(near, far):
        return sum(max(0 * d, d - 0.9) ** 2 for d in near) / len(near) + sum(
            max(0 * d, 1.4 - d) ** 2 for d in far
        ) / len(far)

    def hardest(near, far):
        return sum(max(0 * p, p**2 - min(far) ** 2 + 0.5) for p in near) / len(near)

    def mean(near, far):
        return sum(max(0 * p, p**2 - n**2 + 0.5) for p in near for n in far) / len(near) / len(far)

    for ours, of_query in (
        (lambda q, p: score_contrastive(q @ p.T, SEVERAL), contrastive),
        (lambda q, p: score_contrastive(q @ p.T, SEVERAL, margin=1.4, pos_margin=0.9), two_margins),
        (lambda q, p: score_triplet(q @ p.T, SEVERAL, margin=0.5), hardest),
        (lambda q, p: score_triplet(q @ p.T, SEVERAL, margin=0.5, negatives="mean"), mean),
    ):
        assert_same_loss(both(ours), both(by_hand(of_query)), vectors, rtol=1e-9)


def test_the_mean_triplet_is_twice_margin_ranking_with_half_of_the_margin():
    assert_same_loss(
        lambda s: score_triplet(s, GRADES, margin=0.4, negatives="mean"),
        lambda s: 2 * score_margin_ranking(s, GRADES, margin=0.2),
        SCORES,
    )


def test_torchs_triplet_loss_has_distances_that_are_not_squared():
    query, near, far = (torch.tensor([each]) for each in ([1.0, 0.0], [0.6, 0.8], [0.0, 1.0]))
    scores = torch.cat([query @ near.T, query @ far.T], 1)
    assert score_triplet(scores, torch.tensor([[1, 0]]), margin=1.5).item() == pytest.approx(0.8 - 2 + 1.5)
    theirs = F.triplet_margin_loss(query, near, far, margin=1.5).item()
    assert theirs == pytest.approx(0.8**0.5 - 2**0.5 + 1.5, abs=1e-5)


def test_contrastive_has_a_finite_gradient_where_vectors_are_equal():
    _, gradient = value_and_gradient(lambda s: score_contrastive(s, torch.tensor([[1, 0]])), torch.ones(1, 2))
    assert gradient.isfinite().all()


# --- Lists --------------------------------------------------------------------------------------------------------


def test_list_net_is_torchs_cross_entropy_with_probabilities():
    known = SEVERAL[SEVERAL.any(1)]
    shares = torch.tensor([[math.exp(grade / 0.5) for grade in row] for row in known.tolist()], dtype=torch.float64)
    assert_same_loss(
        lambda s: list_net(s, known, temperature=0.2, grade_temperature=0.5),
        lambda s: F.cross_entropy(s / 0.2, shares / shares.sum(1, keepdim=True), reduction="none"),
        SCORES[SEVERAL.any(1)],
    )


def test_list_net_goes_to_info_nce_as_the_temperature_of_the_grades_goes_to_0():
    assert_same_loss(
        lambda s: list_net(s, GRADES, temperature=0.1, grade_temperature=0.01),
        lambda s: info_nce(s, GRADES, temperature=0.1),
        SCORES,
    )


def test_lambda_rank_is_a_sum_over_pairs_weighed_by_swaps():
    """Each pair is swapped in the order, and the nDCG of both orders computed by scikit-learn's definition."""
    values = lambda_rank(SCORES, SEVERAL, temperature=0.3)
    for row, (scores, graded) in enumerate(zip(SCORES.tolist(), SEVERAL.tolist(), strict=True)):
        gains = np.array([[2.0**grade - 1 for grade in graded]])
        expected = 0.0
        for i, j in pairs_of(graded):
            swapped = list(scores)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            change = abs(ndcg_score(gains, [scores]) - ndcg_score(gains, [swapped]))
            expected += change * math.log1p(math.exp(-(scores[i] - scores[j]) / 0.3))
        assert values[row].item() == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_the_gradient_of_lambda_rank_is_that_of_three_documents_by_hand():
    """Scores .3 .1 .2 of grades 0 2 1: ranks 1 3 2, gains 0 3 1, best DCG 3 + 1 / log2(3)."""
    t, best = 0.1, 3 + 1 / math.log2(3)
    first, second, third = 1.0, 1 / math.log2(3), 0.5
    weights = {(1, 0): 3 * (first - third) / best, (1, 2): 2 * (second - third) / best, (2, 0): (first - second) / best}
    scores = [0.3, 0.1, 0.2]
    expected = [0.0] * 3
    for (high, low), weight in weights.items():
        force = weight / t / (1 + math.exp((scores[high] - scores[low]) / t))
        expected[high] -= force
        expected[low] += force
    _, gradient = value_and_gradient(
        lambda s: lambda_rank(s, torch.tensor([[0, 2, 1]]), temperature=t), torch.tensor([scores], dtype=torch.float64)
    )
    np.testing.assert_allclose(gradient[0].numpy(), expected, rtol=1e-9)


def test_of_equal_scores_the_first_passage_of_the_batch_ranks_first():
    """Both passages score .5; the relevant one stands first or second, and a swap changes nDCG alike."""
    equal = torch.full((1, 3), 0.5, dtype=torch.float64)
    values = [lambda_rank(equal, torch.tensor([grades])).item() for grades in ([1, 0, 0], [0, 1, 0], [0, 0, 1])]
    second, third = 1 / math.log2(3), 0.5
    swaps = [(1 - second) + (1 - third), (1 - second) + (second - third), (1 - third) + (second - third)]
    np.testing.assert_allclose(values, [math.log(2) * each for each in swaps], rtol=1e-9)


def test_approx_ndcg_is_a_loop_over_positions():
    values = approx_ndcg(SCORES, SEVERAL, temperature=0.2)
    for row, (scores, graded) in enumerate(zip(SCORES.tolist(), SEVERAL.tolist(), strict=True)):
        total = 0.0
        for i, grade in enumerate(graded):
            position = 1 + sum(1 / (1 + math.exp((scores[i] - scores[j]) / 0.2)) for j in range(len(scores)) if j != i)
            total += (2**grade - 1) / math.log2(1 + position)
        best = ideal(graded)
        assert values[row].item() == pytest.approx(1 - total / best if best else 0.0, rel=1e-9)


def test_approx_ndcg_goes_to_ndcg_of_scikit_learn_as_the_temperature_goes_to_0():
    known = SEVERAL.any(1)
    gains = (2.0 ** SEVERAL[known].numpy()) - 1
    theirs = [ndcg_score(gain[None], score[None]) for gain, score in zip(gains, SCORES[known].numpy(), strict=True)]
    ours = approx_ndcg(SCORES[known], SEVERAL[known], temperature=1e-6)
    np.testing.assert_allclose(1 - ours.numpy(), theirs, rtol=1e-9)


def test_distillation_is_torchs_divergence_and_has_no_gradient_where_both_agree():
    assert_same_loss(
        lambda s: score_distillation(s, GRADES, teacher_scores=TEACHER, temperature=0.1, teacher_temperature=3.0),
        lambda s: F.kl_div((s / 0.1).log_softmax(1), (TEACHER / 3).softmax(1), reduction="none").sum(1),
        SCORES,
    )
    value, gradient = value_and_gradient(
        lambda s: score_distillation(s, GRADES, teacher_scores=TEACHER, temperature=0.1, teacher_temperature=2.0),
        TEACHER / 20 + 0.3,  # a constant changes no softmax
    )
    assert value.abs().max() < 1e-12 and gradient.abs().max() < 1e-12


# --- All ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", EVERY, ids=lambda each: each.__name__)
def test_a_query_that_nothing_in_the_batch_answers_has_no_value_and_no_gradient(function):
    value, gradient = value_and_gradient(lambda s: function(s, torch.zeros(9, 8)), SCORES)
    assert (value == 0).all() and (gradient == 0).all()


@pytest.mark.parametrize("function", EVERY, ids=lambda each: each.__name__)
def test_a_batch_in_which_everything_is_relevant_is_finite(function):
    value, gradient = value_and_gradient(lambda s: function(s, torch.ones(9, 8)), SCORES)
    assert value.isfinite().all() and gradient.isfinite().all()
    alone, _ = value_and_gradient(lambda s: function(s, torch.ones(9, 1)), SCORES[:, :1])
    assert alone.isfinite().all()


@pytest.mark.parametrize("function", [each for each in EVERY if each is not list_net], ids=lambda each: each.__name__)
def test_better_scores_of_the_relevant_passages_cost_less(function):
    """Of ListNet not: it asks for shares, which a score can go beyond."""
    better = SCORES + GRADES
    assert (function(better, GRADES) <= function(SCORES, GRADES) + 1e-12).all()


def test_list_net_is_least_where_the_shares_are_those_of_the_grades():
    best = 0.1 / 0.25 * SEVERAL.double()
    _, gradient = value_and_gradient(lambda s: list_net(s, SEVERAL, temperature=0.1), best)
    assert gradient.abs().max() < 1e-12
