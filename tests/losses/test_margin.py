"""Hinges and cosine margins against scikit-learn, torch, closed forms, identities and limits: value and gradient."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import hinge_loss

from lossbench.losses.imbalance import ldam
from lossbench.losses.margin import (
    arcface,
    cosface,
    hinge,
    multiclass_hinge,
    norm_softmax,
    squared_hinge,
    weston_watkins,
)
from tests.support.losses import assert_same_loss, value_and_gradient

F_OF_ONE = torch.linspace(-3, 3, 40, dtype=torch.float64)  # no score at the kink
LABELS = torch.arange(40) % 2
SCORES = 1.5 * torch.randn(60, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(60) % 4
COSINES = 2 * torch.rand(60, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 1


def two_scores(f):
    return torch.stack([torch.zeros_like(f), f], -1)


# --- Hinges -------------------------------------------------------------------------------------------------------


def test_hinge_is_scikit_learns():
    ours = hinge(F_OF_ONE, LABELS).mean().item()
    assert ours == pytest.approx(hinge_loss(2 * LABELS.numpy() - 1, F_OF_ONE.numpy()), rel=1e-12)


@pytest.mark.parametrize(("function", "p"), [(hinge, 1), (squared_hinge, 2)])
def test_hinges_are_torchs_multi_margin_loss_of_two_scores(function, p):
    assert_same_loss(
        lambda f: function(f, LABELS),
        lambda f: 2 * F.multi_margin_loss(two_scores(f), LABELS, p=p, reduction="none"),
        F_OF_ONE,
    )


@pytest.mark.parametrize("p_1", [0.1, 0.5, 0.8])
def test_squared_hinge_is_minimised_by_twice_the_probability_less_one(p_1):
    shares = torch.tensor([1 - p_1, p_1], dtype=torch.float64)
    minimum = torch.tensor([2 * p_1 - 1], dtype=torch.float64)
    _, gradient = value_and_gradient(lambda f: shares * squared_hinge(f.expand(2), torch.arange(2)), minimum)
    assert gradient.abs().item() < 1e-12


def test_multiclass_hinge_is_scikit_learns():
    ours = multiclass_hinge(SCORES, CLASSES).mean().item()
    assert ours == pytest.approx(hinge_loss(CLASSES.numpy(), SCORES.numpy(), labels=[0, 1, 2, 3]), rel=1e-12)


def test_multiclass_hinge_pushes_the_true_class_up_and_the_best_other_down():
    values, gradient = value_and_gradient(lambda z: multiclass_hinge(z, CLASSES), SCORES)
    expected = np.zeros((60, 4))
    for row, (z, y) in enumerate(zip(SCORES.numpy(), CLASSES.numpy(), strict=True)):
        best = max((j for j in range(4) if j != y), key=lambda j, z=z: z[j])
        assert values[row].item() == pytest.approx(max(0, 1 + z[best] - z[y]))
        if values[row] > 0:
            expected[row, [best, y]] = 1, -1
    np.testing.assert_array_equal(gradient, expected)


def test_multiclass_hinge_with_two_classes_is_the_hinge():
    assert_same_loss(lambda f: multiclass_hinge(two_scores(f), LABELS), lambda f: hinge(f, LABELS), F_OF_ONE)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_weston_watkins_is_torchs_multi_margin_loss_times_the_number_of_classes(p):
    assert_same_loss(
        lambda z: weston_watkins(z, CLASSES, p=p),
        lambda z: 4 * F.multi_margin_loss(z, CLASSES, p=int(p), reduction="none"),
        SCORES,
    )


def test_weston_watkins_is_at_least_the_crammer_singer_hinge():
    assert (weston_watkins(SCORES, CLASSES) >= multiclass_hinge(SCORES, CLASSES) - 1e-12).all()


# --- Cosines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [norm_softmax, lambda c, y, s: cosface(c, y, m=0.0, s=s), lambda c, y, s: arcface(c, y, m=0.0, s=s)],
)
def test_without_margin_it_is_torchs_cross_entropy_of_scaled_cosines(function):
    assert_same_loss(
        lambda c: function(c, CLASSES, s=7.0), lambda c: F.cross_entropy(7 * c, CLASSES, reduction="none"), COSINES
    )


def test_mean_norm_softmax_of_a_simplex_is_its_lower_bound():
    simplex = torch.eye(4).double() - 0.25
    cosines = F.normalize(simplex) @ F.normalize(simplex).T
    expected = math.log(1 + 3 * math.exp(-5 * 4 / 3))
    assert norm_softmax(cosines, torch.arange(4), s=5.0).mean().item() == pytest.approx(expected, rel=1e-9)


def test_cosface_is_ldam_with_classes_of_one_size():
    assert_same_loss(
        lambda c: cosface(c, CLASSES, m=0.35, s=20.0),
        lambda c: ldam(c, CLASSES, class_counts=[50, 50, 50, 50], max_m=0.35, s=20.0),
        COSINES,
    )


def test_cosface_closed_form():
    """-log(e^(s (cos_y - m)) / (e^(s (cos_y - m)) + the others)), summed by hand."""
    powers = np.exp(20 * COSINES.numpy())
    own = powers[np.arange(60), CLASSES.numpy()]
    expected = -np.log(own * np.exp(-7) / (own * np.exp(-7) + powers.sum(1) - own))
    np.testing.assert_allclose(cosface(COSINES, CLASSES, m=0.35, s=20.0), expected, rtol=1e-9, atol=1e-11)


def by_the_angle(cosines, m, s):
    angle = torch.acos(cosines)
    target_logit = torch.where(angle < math.pi - m, torch.cos(angle + m), cosines - m * math.sin(m))
    return F.cross_entropy(
        s * torch.where(F.one_hot(CLASSES, 4).bool(), target_logit, cosines), CLASSES, reduction="none"
    )


@pytest.mark.parametrize("m", [0.2, 0.5, 1.2])
def test_arcface_by_the_angle_itself(m):
    assert_same_loss(lambda c: arcface(c, CLASSES, m=m, s=10.0), lambda c: by_the_angle(c, m, 10.0), COSINES, rtol=1e-8)


@pytest.mark.parametrize("m", [0.1, 0.5, 1.5])
def test_arcface_rises_with_the_angle_of_the_true_class(m):
    angles = torch.linspace(0, math.pi, 500, dtype=torch.float64)
    cosines = torch.stack([angles.cos(), torch.zeros(500).double()], -1)
    values = arcface(cosines, torch.zeros(500, dtype=torch.long), m=m, s=10.0)
    assert (values.diff() > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_arcface_has_finite_gradients_at_the_ends(dtype):
    cosines = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]], dtype=dtype)
    values, gradient = value_and_gradient(lambda c: arcface(c, torch.tensor([0, 0, 1])), cosines)
    assert values.isfinite().all() and gradient.isfinite().all()
