"""Softmax losses of embeddings against pytorch-metric-learning, scipy, definitions by intervals, and limits."""

import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses as library
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from lossbench.losses.directions import cosines
from lossbench.losses.embedding_margin import (
    embedding_arcface,
    embedding_cosface,
    embedding_norm_softmax,
    embedding_softmax,
    psi,
    sphereface,
    subcenter_arcface,
)
from tests.support.embeddings import (
    CLASSES,
    EMBEDDINGS,
    NUM_CLASSES,
    WIDTH,
    assert_same_as_library,
    made,
    of_library,
    with_directions_of,
)
from tests.support.losses import assert_same_loss, value_and_gradient


def test_softmax_is_scipys_and_its_gradient_is_that_of_its_residuals():
    ours = made(embedding_softmax)
    weight, bias = (each.detach().numpy() for each in ours.linear.parameters())
    logits, true = EMBEDDINGS.numpy() @ weight.T + bias, np.eye(NUM_CLASSES)[CLASSES.numpy()]
    values, gradient = value_and_gradient(lambda x: ours(x, CLASSES), EMBEDDINGS)
    np.testing.assert_allclose(values, -(log_softmax(logits, 1) * true).sum(1), rtol=1e-12)
    np.testing.assert_allclose(gradient, (softmax(logits, 1) - true) @ weight, rtol=1e-10, atol=1e-12)


def test_softmax_of_embeddings_that_say_nothing_is_the_log_of_the_number_of_classes():
    ours = made(embedding_softmax)
    ours.linear.bias.data.zero_()
    assert ours(torch.zeros(1, WIDTH).double(), CLASSES[:1]).item() == pytest.approx(math.log(NUM_CLASSES))


@pytest.mark.parametrize("s", [3.0, 20.0])
def test_norm_softmax_is_the_librarys(s):
    ours = made(embedding_norm_softmax, s=s)
    assert_same_as_library(ours, with_directions_of(ours, library.NormalizedSoftmaxLoss, temperature=1 / s))


@pytest.mark.parametrize(("m", "s"), [(0.35, 64.0), (0.1, 5.0)])
def test_cosface_is_the_librarys(m, s):
    ours = made(embedding_cosface, m=m, s=s)
    assert_same_as_library(ours, with_directions_of(ours, library.CosFaceLoss, margin=m, scale=s))


@pytest.mark.parametrize(("m", "s"), [(0.5, 64.0), (0.1, 5.0), (1.2, 10.0)])
def test_arcface_is_the_librarys_with_its_margin_in_degrees(m, s):
    ours = made(embedding_arcface, m=m, s=s)
    own = cosines(EMBEDDINGS, ours.weight).gather(1, CLASSES[:, None])
    assert m == 0.1 or (own < -math.cos(m)).any()  # where the margin goes beyond pi, too
    assert_same_as_library(ours, with_directions_of(ours, library.ArcFaceLoss, margin=math.degrees(m), scale=s))


@pytest.mark.parametrize("sub_centers", [1, 2, 3])
def test_subcenter_arcface_is_the_librarys_with_its_margin_in_degrees(sub_centers):
    ours = made(subcenter_arcface, sub_centers=sub_centers, m=0.5, s=20.0)
    settings = {"sub_centers": sub_centers, "margin": math.degrees(0.5), "scale": 20.0}
    assert_same_as_library(ours, with_directions_of(ours, library.SubCenterArcFaceLoss, **settings))


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_sphereface_is_the_librarys(m):
    ours = made(sphereface, m=m, lambda_=0.0)
    assert_same_as_library(ours, with_directions_of(ours, library.SphereFaceLoss, margin=m), rtol=1e-7, atol=1e-8)


def test_sphereface_blends_psi_with_the_cosine():
    ours = made(sphereface, num_classes=2, num_features=2, m=2, lambda_=3.0)
    ours.weight.data.copy_(torch.eye(2))
    own = 5 * (3 * 0.8 + 2 * 0.8**2 - 1) / 4  # of (4, 3): |x| = 5, cos 0.8, psi = cos(2 theta) below a right angle
    expected = math.log(1 + math.exp(3 - own))
    found = ours(torch.tensor([[4.0, 3.0]]).double(), torch.tensor([0]))
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_the_librarys_reduced_value_is_our_mean():
    ours = made(embedding_cosface, m=0.1, s=5.0)
    theirs = library.CosFaceLoss(num_classes=NUM_CLASSES, embedding_size=WIDTH, margin=0.1, scale=5.0).double()
    theirs.W.data.copy_(ours.weight.data.T)
    assert ours(EMBEDDINGS, CLASSES).mean().item() == pytest.approx(theirs(EMBEDDINGS, CLASSES).item(), rel=1e-10)


# --- Where the library differs ------------------------------------------------------------------------------------


def test_the_librarys_margin_of_half_a_degree_is_not_half_a_radian():
    embedding, target = torch.tensor([[8.0, 6.0]]).double(), torch.tensor([0])
    ours = made(embedding_arcface, num_classes=2, num_features=2, m=0.5, s=20.0)
    theirs = library.ArcFaceLoss(num_classes=2, embedding_size=2, margin=0.5, scale=20.0).double()
    ours.weight.data.copy_(torch.eye(2)), theirs.W.data.copy_(torch.eye(2))
    found = ours(embedding, target).item(), theirs(embedding, target).item()
    assert found == pytest.approx((3.735926, 0.020146), abs=1e-6)


# --- Limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        (embedding_cosface, {"m": 0.0}),
        (embedding_arcface, {"m": 0.0}),
        (subcenter_arcface, {"m": 0.0, "sub_centers": 1}),
    ],
)
def test_without_margin_it_is_the_normalised_softmax(loss, settings):
    ours, plain = made(loss, s=7.0, **settings), made(embedding_norm_softmax, s=7.0)
    plain.weight.data.copy_(ours.weight.data.flatten(0, -2))
    assert_same_loss(lambda x: ours(x, CLASSES), lambda x: plain(x, CLASSES), EMBEDDINGS)


def test_sphereface_of_m_1_is_torchs_cross_entropy_on_normalised_weights():
    ours = made(sphereface, m=1)
    weight = F.normalize(ours.weight.detach())
    assert_same_loss(
        lambda x: ours(x, CLASSES), lambda x: F.cross_entropy(x @ weight.T, CLASSES, reduction="none"), EMBEDDINGS
    )


def test_sphereface_grows_with_the_length_and_the_normalised_losses_do_not():
    long = 3 * EMBEDDINGS
    sphere, normalised = made(sphereface), made(embedding_norm_softmax)
    assert (sphere(long, CLASSES) - sphere(EMBEDDINGS, CLASSES)).abs().min() > 1e-6
    torch.testing.assert_close(normalised(long, CLASSES), normalised(EMBEDDINGS, CLASSES))


@pytest.mark.parametrize("m", [1, 2, 3, 4, 7])
def test_psi_falls_from_1_to_1_less_2m(m):
    angles = torch.linspace(0, math.pi, 1001, dtype=torch.float64)
    values, slope = value_and_gradient(lambda c: psi(c, m), angles.cos())
    assert (values.diff() < 0).all()
    assert values[[0, -1]].tolist() == pytest.approx([1, 1 - 2 * m], abs=1e-9)
    assert (slope > -1e-9).all() and slope[[0, -1]].tolist() == pytest.approx([m * m, m * m])


@pytest.mark.parametrize("m", [2, 4, 5])
def test_psi_by_its_intervals(m):
    angles = np.linspace(0.001, math.pi - 0.001, 200)
    expected = np.full(200, np.nan)
    for k in range(m):
        inside = (angles >= k * math.pi / m) & (angles <= (k + 1) * math.pi / m)
        expected[inside] = (-1) ** k * np.cos(m * angles[inside]) - 2 * k
    np.testing.assert_allclose(psi(torch.from_numpy(np.cos(angles)), m), expected, atol=1e-9)


def test_the_nearest_of_a_classs_directions_counts():
    """Each class alone: what is nearest by hand, in a loop, is the direction of `embedding_arcface`."""
    ours = made(subcenter_arcface, sub_centers=3, m=0.3, s=10.0)
    values = ours(EMBEDDINGS, CLASSES)
    for row in range(8):
        x = EMBEDDINGS[row]
        nearest = [max(of_class, key=lambda w, x=x: (x @ w / w.norm()).item()) for of_class in ours.weight.detach()]
        single = made(embedding_arcface, m=0.3, s=10.0)
        single.weight.data.copy_(torch.stack(nearest))
        assert values[row].item() == pytest.approx(single(x[None], CLASSES[row][None]).item())


def test_the_librarys_values_come_one_by_one():
    """What the comparisons rest on: without a reducer the library gives a value for each sample."""
    ours = made(embedding_cosface)
    assert of_library(with_directions_of(ours, library.CosFaceLoss))(EMBEDDINGS).shape == CLASSES.shape
