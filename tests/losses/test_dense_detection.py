"""Losses of a dense detector's places against torchvision, torch, printed formulas and limits: value and gradient."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from lossbench.losses import box_dfl, dense_bce, dense_focal, quality_focal, varifocal
from lossbench.losses.dense_detection import distribution_focal, mean_of_bins
from tests.support.losses import assert_same_loss, value_and_gradient

LOGITS = 3 * torch.randn(40, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
HARD = F.one_hot(torch.arange(40) % 6, 6)[:, :5].double()  # a sixth of the places are background
QUALITY = torch.rand(40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
SOFT, GOOD = HARD * QUALITY[:, None], torch.ones(40, dtype=torch.float64)
BINS = 2 * torch.randn(30, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
WITH_QUALITY = {"quality_focal": quality_focal, "varifocal": varifocal}
OF_CLASSES = {"dense_bce": dense_bce, "dense_focal": dense_focal, **WITH_QUALITY}


def bce(logits, target):
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def of(name, logits, target=HARD, quality=QUALITY, **settings):
    asked = {"quality": quality} if name in WITH_QUALITY else {}
    return OF_CLASSES[name](logits, target, **asked, **settings)


def test_dense_bce_is_torchs_for_several_labels():
    """torch takes the mean over the classes."""
    assert_same_loss(
        lambda z: dense_bce(z, HARD),
        lambda z: 5 * F.multilabel_soft_margin_loss(z, HARD, reduction="none"),
        LOGITS,
    )


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 0.5)])
def test_dense_focal_is_torchvisions(alpha, gamma):
    assert_same_loss(
        lambda z: dense_focal(z, HARD, alpha=alpha, gamma=gamma),
        lambda z: sigmoid_focal_loss(z, HARD, alpha=alpha, gamma=gamma).sum(1),
        LOGITS,
    )


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0, 3.0])
def test_quality_focal_of_hard_labels_is_torchvisions_focal_loss_without_alpha(beta):
    assert_same_loss(
        lambda z: quality_focal(z, HARD, quality=GOOD, beta=beta),
        lambda z: sigmoid_focal_loss(z, HARD, alpha=-1, gamma=beta).sum(1),
        LOGITS,
    )


def test_without_focus_both_are_cross_entropies():
    assert_same_loss(lambda z: quality_focal(z, HARD, quality=QUALITY, beta=0.0), lambda z: bce(z, SOFT).sum(1), LOGITS)
    assert_same_loss(
        lambda z: varifocal(z, HARD, quality=GOOD, alpha=1.0, gamma=0.0), lambda z: bce(z, HARD).sum(1), LOGITS
    )


@pytest.mark.parametrize("missed", [False, True], ids=["background", "a box that misses"])
def test_varifocal_of_what_has_no_quality_is_alpha_times_the_focal_loss(missed):
    zero = torch.zeros_like(LOGITS)
    target, quality = (HARD, torch.zeros_like(GOOD)) if missed else (zero, GOOD)
    assert_same_loss(
        lambda z: varifocal(z, target, quality=quality, alpha=0.75, gamma=1.5),
        lambda z: 0.75 * sigmoid_focal_loss(z, zero, alpha=-1, gamma=1.5).sum(1),
        LOGITS,
    )


def printed(name, z, q):
    """One class of one place, as the papers print it."""
    p = 1 / (1 + math.exp(-z))
    cross_entropy = -q * math.log(p) - (1 - q) * math.log(1 - p)
    if name == "quality_focal":
        return abs(q - p) ** 2 * cross_entropy
    return q * cross_entropy if q > 0 else -0.75 * p**2 * math.log(1 - p)


@pytest.mark.parametrize("name", WITH_QUALITY)
def test_soft_targets_by_the_printed_formula(name):
    expected = [sum(printed(name, *each) for each in zip(*row, strict=True)) for row in zip(LOGITS, SOFT, strict=True)]
    np.testing.assert_allclose(of(name, LOGITS), expected, rtol=1e-10)
    free = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: of(name, z), free)


@pytest.mark.parametrize("name", WITH_QUALITY)
@pytest.mark.parametrize("q", [0.2, 0.7])
def test_a_positive_is_best_scored_by_its_quality(name, q):
    scores = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    one = torch.ones(99, dtype=torch.float64)
    values = of(name, scores.logit()[:, None], one[:, None], q * one)
    assert scores[values.argmin()].item() == pytest.approx(q)
    at_best = {"quality_focal": 0, "varifocal": -q * (q * math.log(q) + (1 - q) * math.log(1 - q))}
    assert values.min().item() == pytest.approx(at_best[name], abs=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_quality_focal_has_a_finite_gradient_where_the_score_is_right(beta):
    value, gradient = value_and_gradient(
        lambda z: quality_focal(z, torch.ones(1, 1), quality=torch.tensor([0.5]), beta=beta), torch.zeros(1, 1)
    )
    assert value.isfinite().all() and gradient.item() == 0


# --- Distribution focal loss --------------------------------------------------------------------------------------


def test_distribution_focal_of_whole_numbers_is_cross_entropy():
    target = torch.arange(30) % 8
    assert_same_loss(
        lambda z: distribution_focal(z, target.double()), lambda z: F.cross_entropy(z, target, reduction="none"), BINS
    )


def test_distribution_focal_is_cross_entropy_with_the_two_neighbours():
    """torch's own, with probabilities; numbers beyond the bins count as the ends."""
    target = torch.linspace(-0.5, 7.5, 30, dtype=torch.float64)
    shares = (1 - (target.clamp(0, 7)[:, None] - torch.arange(8)).abs()).clamp(min=0)  # a hat around the number
    assert_same_loss(
        lambda z: distribution_focal(z, target), lambda z: F.cross_entropy(z, shares, reduction="none"), BINS
    )


def test_distribution_focal_is_smallest_where_the_mean_is_the_number():
    target = torch.tensor([2.25, 5.5], dtype=torch.float64)
    shares = torch.zeros(2, 8, dtype=torch.float64)
    shares[0, 2:4], shares[1, 5:7] = torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5])
    value, gradient = value_and_gradient(lambda z: distribution_focal(z, target), shares.clamp(min=1e-30).log())
    assert gradient.abs().max() < 1e-12
    np.testing.assert_allclose(value, [-0.75 * math.log(0.75) - 0.25 * math.log(0.25), math.log(2)])
    torch.testing.assert_close(shares @ torch.arange(8.0).double(), target)


def test_one_bin_is_refused_and_a_target_of_another_shape():
    with pytest.raises(ValueError, match=r"\(3, 1\) have one bin"):
        distribution_focal(torch.zeros(3, 1), torch.zeros(3))
    with pytest.raises(ValueError, match=r"the target has shape \(3, 1\); logits of shape \(3, 8\)"):
        distribution_focal(torch.zeros(3, 8), torch.zeros(3, 1))


# --- Boxes by bins ------------------------------------------------------------------------------------------------

SIDES = 2 * torch.randn(30, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
TRUE = 7.5 * torch.rand(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))  # some beyond the bins
NEAR = (1 - (TRUE.clamp(max=7)[..., None] - torch.arange(8)).abs()).clamp(min=0)


def far_off(distances):
    """Corners of boxes whose place is (40, 70)."""
    left, top, right, bottom = distances.unbind(-1)
    return torch.stack([40 - left, 70 - top, 40 + right, 70 + bottom], -1)


@pytest.mark.parametrize("weight", [0.0, 0.125, 2.0])
def test_box_dfl_is_torchvisions_giou_and_torchs_cross_entropy(weight):
    def expected(z):
        means = far_off(sum(k * z.softmax(-1)[..., k] for k in range(8)))
        sides = F.cross_entropy(z.flatten(0, 1), NEAR.flatten(0, 1), reduction="none").view(30, 4)
        return generalized_box_iou_loss(means, far_off(TRUE), eps=0) + weight * sides.mean(1)

    assert_same_loss(lambda z: box_dfl(z, TRUE, weight=weight), expected, SIDES)


def test_box_dfl_is_smallest_where_each_mass_lies_on_the_two_neighbours():
    true = TRUE.clamp(max=7)
    best = NEAR.clamp(min=1e-300).log()
    torch.testing.assert_close(mean_of_bins(best), true)
    value, gradient = value_and_gradient(lambda z: box_dfl(z, true), best)
    assert box_dfl(best, true, weight=0.0).abs().max() < 1e-12
    np.testing.assert_allclose(value, 0.125 * torch.special.entr(NEAR).sum(-1).mean(-1), atol=1e-12)
    of_sides = value_and_gradient(lambda z: box_dfl(z, true) - box_dfl(z, true, weight=0.0), best)[1]
    assert of_sides.abs().max() < 1e-12 and gradient.isfinite().all()
    moved = best + 0.1 * torch.randn(20, 30, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    assert all((box_dfl(each, true) > value).all() for each in moved)


def test_without_positives_nothing_is_summed():
    value, gradient = value_and_gradient(lambda z: box_dfl(z, torch.zeros(0, 4)), torch.zeros(0, 4, 8))
    assert value.shape == (0,) and gradient.shape == (0, 4, 8)


# --- All ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*OF_CLASSES, "distribution_focal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_are_finite(name, dtype):
    of_bins, numbers = name == "distribution_focal", torch.linspace(0, 7, 30).to(dtype)
    for size in (0.0, 30.0, 1e4):
        logits = ((BINS if of_bins else LOGITS).sign() * size).to(dtype)
        values, gradient = value_and_gradient(
            lambda z: distribution_focal(z, numbers) if of_bins else of(name, z, HARD.to(dtype), QUALITY.to(dtype)),
            logits,
        )
        assert values.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("name", OF_CLASSES)
def test_classes_may_change_places(name):
    order = torch.tensor([2, 0, 4, 1, 3])
    torch.testing.assert_close(of(name, LOGITS[:, order], HARD[:, order]), of(name, LOGITS))
    torch.testing.assert_close(of(name, LOGITS[3:4], HARD[3:4], QUALITY[3:4]), of(name, LOGITS)[3:4])
