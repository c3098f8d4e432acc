"""Poly-1 and the losses of sigmoids against torch, torchvision, a series, limits and golden numbers."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from lossbench.catalogue.binding import load_loss
from lossbench.losses.classification import cross_entropy, label_smoothing, poly1, poly1_focal
from lossbench.losses.imbalance import focal, weighted_cross_entropy
from lossbench.losses.links import normalised_sigmoid
from lossbench.losses.sigmoid import binary_focal, label_smoothing_bce, ovr_bce, ovr_focal, weighted_bce
from tests.support.losses import LOGITS, TARGET, assert_same_loss, value_and_gradient

Z = torch.linspace(-8, 8, 40, dtype=torch.float64)
LABELS = torch.arange(40) % 2
SCORES = 3 * torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(50) % 3
ONE_HOT = F.one_hot(CLASSES, 3).double()


def two_logits(z):
    return torch.stack([torch.zeros_like(z), z], -1)


# --- Poly-1 -------------------------------------------------------------------------------------------------------


def test_poly1_on_the_golden_batch():
    # Cross-entropy 1.6033470308, mean of 1 - p_y 0.4732504446, both computed apart from this project.
    assert poly1(LOGITS, TARGET, epsilon=2.0).mean().item() == pytest.approx(1.6033470308 + 2 * 0.4732504446, abs=5e-10)
    assert poly1(LOGITS, TARGET, epsilon=-1.0).mean().item() == pytest.approx(1.6033470308 - 0.4732504446, abs=5e-10)


@pytest.mark.parametrize("epsilon", [-1.0, 0.0, 2.0])
def test_poly1_is_its_series(epsilon):
    def series(z):
        miss = 1 - (z.softmax(-1) * ONE_HOT).sum(-1, keepdim=True)
        powers = torch.arange(1, 2001, dtype=torch.float64)
        weights = 1 / powers + epsilon * (powers == 1)
        return (weights * miss**powers).sum(-1)

    assert_same_loss(lambda z: poly1(z, CLASSES, epsilon=epsilon), series, SCORES / 4, rtol=1e-8)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("epsilon", [-1.0, 1.5])
def test_poly1_focal_with_two_classes_is_the_sigmoid_form_of_the_paper(gamma, epsilon):
    target = LABELS.double()

    def of_the_paper(z):
        missed = (target - z.sigmoid()).abs()
        return sigmoid_focal_loss(z, target, alpha=-1, gamma=gamma) + epsilon * missed ** (gamma + 1)

    assert_same_loss(
        lambda z: poly1_focal(two_logits(z), LABELS, epsilon=epsilon, gamma=gamma), of_the_paper, Z, rtol=1e-9
    )


def test_poly1_focal_limits():
    assert_same_loss(lambda z: poly1_focal(z, CLASSES, epsilon=0.0), lambda z: focal(z, CLASSES), SCORES)
    assert_same_loss(lambda z: poly1_focal(z, CLASSES, gamma=0.0), lambda z: poly1(z, CLASSES, epsilon=1.0), SCORES)
    assert_same_loss(lambda z: poly1(z, CLASSES, epsilon=0.0), lambda z: cross_entropy(z, CLASSES), SCORES)


# --- One logit ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_binary_focal_is_torchvisions(alpha, gamma):
    assert_same_loss(
        lambda z: binary_focal(z, LABELS, alpha=alpha, gamma=gamma),
        lambda z: sigmoid_focal_loss(z, LABELS.double(), alpha=alpha, gamma=gamma),
        Z,
        rtol=1e-9,
    )


def test_weighted_bce_is_torchs_with_pos_weight():
    weight = [0.5, 3.0]
    assert_same_loss(
        lambda z: weighted_bce(z, LABELS, class_counts=[1, 1], weight=weight),
        lambda z: (
            0.5
            * F.binary_cross_entropy_with_logits(
                z, LABELS.double(), pos_weight=torch.tensor(6.0).double(), reduction="none"
            )
        ),
        Z,
    )


def test_weighted_bce_is_the_weighted_cross_entropy_of_two_logits():
    assert_same_loss(
        lambda z: weighted_bce(z, LABELS.double(), class_counts=[90, 10]),
        lambda z: weighted_cross_entropy(two_logits(z), LABELS, class_counts=[90, 10]),
        Z,
    )


def test_label_smoothing_of_one_logit_is_torchs_of_two():
    for reference in (
        lambda z: F.cross_entropy(two_logits(z), LABELS, label_smoothing=0.2, reduction="none"),
        lambda z: label_smoothing(two_logits(z), LABELS, smoothing=0.2),
    ):
        assert_same_loss(lambda z: label_smoothing_bce(z, LABELS, smoothing=0.2), reference, Z)


@pytest.mark.parametrize("name", ["binary_focal", "hinge", "label_smoothing_bce", "squared_hinge", "weighted_bce"])
def test_losses_of_one_logit_take_integers_and_floats_of_the_same_shape(name):
    counts = {"class_counts": [3, 2]} if name == "weighted_bce" else {}
    loss = load_loss(name, **counts)
    torch.testing.assert_close(loss(Z, LABELS), loss(Z, LABELS.double()))
    with pytest.raises(ValueError, match="40, 1"):
        loss(Z, LABELS.unsqueeze(1))


def test_weighted_bce_needs_two_numbers():
    with pytest.raises(ValueError, match="3 class counts or weights"):
        weighted_bce(Z, LABELS, class_counts=[3, 2, 1])
    with pytest.raises(ValueError, match="no sample in class 1"):
        weighted_bce(Z, LABELS, class_counts=[3, 0])


# --- Each class against the rest ----------------------------------------------------------------------------------


def test_ovr_bce_is_torchs_multilabel_loss_summed():
    assert_same_loss(
        lambda z: ovr_bce(z, CLASSES),
        lambda z: 3 * F.multilabel_soft_margin_loss(z, ONE_HOT, reduction="none"),
        SCORES,
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_ovr_focal_is_torchvisions_sigmoid_form(gamma):
    assert_same_loss(
        lambda z: ovr_focal(z, CLASSES, gamma=gamma),
        lambda z: sigmoid_focal_loss(z, ONE_HOT, alpha=-1, gamma=gamma).sum(-1),
        SCORES,
        rtol=1e-9,
    )


def test_the_link_of_ovr_bce_gives_the_probabilities_at_its_minimum():
    probabilities = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    minimum = probabilities.logit()
    _, gradient = value_and_gradient(
        lambda z: probabilities * ovr_bce(z.expand(3, 3), torch.arange(3)), minimum.unsqueeze(0)
    )
    assert gradient.abs().max() < 1e-12
    torch.testing.assert_close(normalised_sigmoid(minimum), probabilities)


def test_normalised_sigmoid_divides_by_the_sum_and_survives_underflow():
    torch.testing.assert_close(
        normalised_sigmoid(SCORES), SCORES.sigmoid() / SCORES.sigmoid().sum(-1, keepdim=True), rtol=1e-12, atol=0
    )
    assert normalised_sigmoid(torch.tensor([[-1e4, -1e4 - 1]])).tolist()[0] == pytest.approx([0.7311, 0.2689], abs=1e-4)
