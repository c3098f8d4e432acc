"""Losses of proxies against pytorch-metric-learning, and the papers' sums in loops over proxies and samples."""

import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses as library
from torch.nn import functional as F

from lossbench.losses.embedding_margin import embedding_cosface, embedding_norm_softmax
from lossbench.losses.embedding_proxies import proxy_anchor, proxy_nca, soft_triple
from tests.support.embeddings import (
    CLASSES,
    EMBEDDINGS,
    NUM_CLASSES,
    WIDTH,
    assert_same_as_library,
    made,
    of_library,
    values_and_gradients,
    with_directions_of,
)
from tests.support.losses import assert_same_loss


def unit_rows(tensor):
    rows = tensor.detach().numpy()
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


# --- Proxy-NCA ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [1.0, 9.0])
def test_proxy_nca_by_squared_distances_to_all_other_proxies(s):
    ours = made(proxy_nca, s=s)
    proxies = unit_rows(ours.weight)
    for x, y, value in zip(unit_rows(EMBEDDINGS), CLASSES.tolist(), ours(EMBEDDINGS, CLASSES).tolist(), strict=True):
        weights = [math.exp(-s * sum((x - p) ** 2)) for p in proxies]
        assert value == pytest.approx(-math.log(weights[y] / (sum(weights) - weights[y])), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("s", [1.0, 9.0])
def test_the_library_leaves_the_true_class_in_the_sum_which_is_the_softplus_of_ours(s):
    ours = made(proxy_nca, s=s)
    theirs = with_directions_of(ours, library.ProxyNCALoss, softmax_scale=s)
    got = values_and_gradients(lambda x: F.softplus(ours(x, CLASSES)), ours.weight)
    expected = values_and_gradients(of_library(theirs), theirs.proxies)
    for mine, other in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-9)


def test_proxy_nca_of_the_library_is_another_number():
    ours = made(proxy_nca, num_classes=2, num_features=2)
    ours.weight.data.copy_(torch.eye(2))
    theirs = library.ProxyNCALoss(num_classes=2, embedding_size=2, softmax_scale=1).double()
    theirs.proxies.data.copy_(torch.eye(2))
    x, y = torch.tensor([[8.0, 6.0]]).double(), torch.tensor([0])
    assert (ours(x, y).item(), theirs(x, y).item()) == pytest.approx((-0.4, math.log1p(math.exp(-0.4))))


def test_softplus_of_proxy_nca_is_the_normalised_softmax_of_twice_the_scale():
    ours, plain = made(proxy_nca, s=3.0), made(embedding_norm_softmax, s=6.0)
    assert_same_loss(lambda x: F.softplus(ours(x, CLASSES)), lambda x: plain(x, CLASSES), EMBEDDINGS)


# --- Proxy-Anchor -------------------------------------------------------------------------------------------------

FEW = {"all classes": CLASSES, "three classes": CLASSES % 3, "unequal": (CLASSES == 0).long(), "one": 0 * CLASSES}


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize(("alpha", "delta"), [(32.0, 0.1), (3.0, 0.4)])
def test_the_mean_of_proxy_anchor_is_the_librarys_loss(name, alpha, delta):
    target = FEW[name]
    ours = made(proxy_anchor, alpha=alpha, delta=delta)
    theirs = library.ProxyAnchorLoss(num_classes=NUM_CLASSES, embedding_size=WIDTH, margin=delta, alpha=alpha).double()
    theirs.proxies.data.copy_(ours.weight.data)
    got = values_and_gradients(lambda x: ours(x, target).mean(), ours.weight)
    expected = values_and_gradients(lambda x: theirs(x, target), theirs.proxies)
    for mine, other in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-10)


def test_the_mean_of_proxy_anchor_is_the_papers_sum():
    ours, target = made(proxy_anchor, alpha=5.0, delta=0.2), CLASSES % 3
    cosines = unit_rows(EMBEDDINGS) @ unit_rows(ours.weight).T
    pull, push = [], []
    for p in range(NUM_CLASSES):
        own = [cosines[i, p] for i in range(len(target)) if target[i] == p]
        others = [cosines[i, p] for i in range(len(target)) if target[i] != p]
        if own:
            pull.append(math.log(1 + sum(math.exp(-5 * (c - 0.2)) for c in own)))
        push.append(math.log(1 + sum(math.exp(5 * (c + 0.2)) for c in others)))
    expected = sum(pull) / len(pull) + sum(push) / NUM_CLASSES
    assert len(pull) == 3 and ours(EMBEDDINGS, target).mean().item() == pytest.approx(expected, rel=1e-10)


def test_the_samples_of_a_class_share_its_terms_equally():
    values = made(proxy_anchor)(EMBEDDINGS, CLASSES)
    assert len(set(values.tolist()[:NUM_CLASSES])) == NUM_CLASSES
    torch.testing.assert_close(values, values[:NUM_CLASSES].repeat(8))


# --- SoftTriple ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"la": 5.0, "gamma": 0.5, "margin": 0.2}])
@pytest.mark.parametrize("centers", [1, 2, 4])
def test_soft_triple_without_its_regulariser_is_the_librarys(centers, settings):
    ours = made(soft_triple, centers=centers, tau=0.0, **settings)
    assert_same_as_library(
        ours, with_directions_of(ours, library.SoftTripleLoss, centers_per_class=centers, **settings)
    )


def spread_by_hand(weight):
    """R of the paper: lengths of the differences of all pairs of centres, class by class."""
    num_classes, centers, total = *weight.shape[:2], 0.0
    for of_class in unit_rows(weight):
        for t in range(centers):
            total += sum(math.sqrt(2 - 2 * of_class[s] @ of_class[t]) for s in range(t + 1, centers))
    return total / (num_classes * centers * (centers - 1))


def test_the_library_has_no_regulariser():
    ours = made(soft_triple, centers=3, tau=0.7)
    theirs = with_directions_of(ours, library.SoftTripleLoss, centers_per_class=3)
    more = ours(EMBEDDINGS, CLASSES) - of_library(theirs)(EMBEDDINGS)
    torch.testing.assert_close(more.detach(), torch.full((40,), 0.7 * spread_by_hand(ours.weight)).double())


def test_the_mean_over_a_batch_has_the_regulariser_once():
    """Value and gradient of the directions, against torch's pairwise distances."""
    with_it, without = made(soft_triple, centers=4, tau=0.7), made(soft_triple, centers=4, tau=0.0)
    pairs = sum(torch.pdist(F.normalize(of_class, dim=-1)).sum() for of_class in without.weight)
    expected = without(EMBEDDINGS, CLASSES).mean() + 0.7 * pairs / (NUM_CLASSES * 4 * 3)
    got = with_it(EMBEDDINGS, CLASSES).mean()
    torch.testing.assert_close(got, expected)
    (mine,), (other,) = torch.autograd.grad(got, with_it.weight), torch.autograd.grad(expected, without.weight)
    torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


def test_soft_triple_of_one_centre_is_cosface():
    ours, plain = made(soft_triple, centers=1, la=20.0, margin=0.1), made(embedding_cosface, s=20.0, m=0.1)
    plain.weight.data.copy_(ours.weight.data[:, 0])
    assert_same_loss(lambda x: ours(x, CLASSES), lambda x: plain(x, CLASSES), EMBEDDINGS)


def test_the_weights_of_the_centres_maximise_similarity_and_entropy():
    """q maximises q . c + gamma H(q), whose largest value is gamma log sum exp(c / gamma): from S and H at q."""
    ours = made(soft_triple, centers=4, la=1.0, gamma=0.3, margin=0.0, tau=0.0)
    c = torch.from_numpy(unit_rows(EMBEDDINGS) @ unit_rows(ours.weight.flatten(0, 1)).T).view(40, NUM_CLASSES, 4)
    q = torch.distributions.Categorical(logits=c / 0.3)
    similarity = 0.3 * (c / 0.3).logsumexp(-1) - 0.3 * q.entropy()
    expected = F.cross_entropy(similarity, CLASSES, reduction="none")
    torch.testing.assert_close(ours(EMBEDDINGS, CLASSES).detach(), expected)


def test_centres_in_one_place_have_finite_gradients():
    ours = made(soft_triple, centers=3, tau=0.5)
    ours.weight.data.copy_(ours.weight.data[:, :1].expand(-1, 3, -1))
    _, of_embeddings, of_weight = values_and_gradients(lambda x: ours(x, CLASSES), ours.weight)
    assert of_embeddings.isfinite().all() and of_weight.isfinite().all()
