"""The Lovász extension against its definition as an integral over sets, and what it is minimised by."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from lossbench.losses.labelled_pixels import IGNORED
from lossbench.losses.lovasz import lovasz_hinge, lovasz_softmax
from tests.support.losses import value_and_gradient
from tests.support.pixels import certain, field, fitted, images, masks, two_logits

POOLED = {"per": "batch", "background": False}
LOGITS, TARGET = images(2, height=6, width=7)
TARGET[0, 4:] = TARGET[1, 2, :5] = IGNORED


def jaccard_loss(wrong: set, region: set) -> float:
    """One less the IoU of the region and a prediction that errs at some pixels."""
    predicted = region ^ wrong
    return 1 - len(region & predicted) / len(region | predicted) if region | predicted else 0.0


def choquet(errors: np.ndarray, truth: np.ndarray) -> float:
    """The integral over u of the Jaccard loss if all pixels with an error of u or more were wrong."""
    region = set(np.flatnonzero(truth))
    levels = sorted({0.0, *errors})
    return sum(
        (high - low) * jaccard_loss(set(np.flatnonzero(errors >= high)), region) for low, high in pairwise(levels)
    )


def by_sets(errors, target, labels):
    """The mean over the classes present of the integral."""
    valid = target != IGNORED
    each = [choquet(errors[..., k][valid], target[valid] == k) for k in labels if (target[valid] == k).any()]
    return np.mean(each)


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("hinge", [False, True])
def test_the_value_is_an_integral_over_sets(hinge, background):
    z, target = LOGITS.numpy(), TARGET.numpy()
    truth = np.eye(4)[np.where(target == IGNORED, 0, target)]
    errors = np.maximum(0, 1 - z * (2 * truth - 1)) if hinge else np.abs(truth - softmax(z, -1))
    loss = lovasz_hinge if hinge else lovasz_softmax
    labels = range(0 if background else 1, 4)
    expected = [by_sets(errors[i], target[i], labels) for i in range(2)]
    np.testing.assert_allclose(loss(LOGITS, TARGET, background=background), expected, rtol=1e-12)
    pooled = by_sets(errors.reshape(12, 7, 4), target.reshape(12, 7), labels)
    np.testing.assert_allclose(loss(LOGITS, TARGET, background=background, per="batch"), [pooled] * 2, rtol=1e-12)


def test_equal_errors_have_one_value():
    target = torch.tensor([[[0, 1, 1, 0, 1, 0, 0, 0]]])
    logits = torch.tensor([0.3, 0.3, -0.3, -0.3, 0.3, 0.3, 0.3, -0.3], dtype=torch.float64)
    p = expit(logits.numpy())
    logits = torch.stack([torch.zeros_like(logits), logits], -1)[None, None]
    errors = np.abs(target.numpy().ravel() - p).round(12)
    value = lovasz_softmax(logits, target, background=False).item()
    assert value == pytest.approx(choquet(errors, target.numpy().ravel() == 1), abs=1e-11)  # by rounding: 1e-12
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    assert lovasz_softmax(logits[:, :, order], target[:, :, order], background=False).item() == pytest.approx(value)


def test_hard_predictions_are_judged_by_their_iou():
    """Of 30 pairs of masks: 1 - IoU of the class alone, and twice that for logits of 1 and -1."""
    predicted, target = (each.clamp(max=1) for each in masks())
    a, b = (predicted == 1).flatten(1), (target == 1).flatten(1)
    iou = (a & b).sum(1).double() / (a | b).sum(1)
    soft = lovasz_softmax(certain(predicted, 2), target, background=False)
    torch.testing.assert_close(soft, 1 - iou, rtol=0, atol=1e-12)
    signs = (2.0 * torch.nn.functional.one_hot(predicted, 2) - 1).double()
    torch.testing.assert_close(lovasz_hinge(signs, target, background=False), 2 * soft, rtol=0, atol=1e-12)


def test_right_logits_beyond_1_have_no_hinge():
    signs = 2.0 * torch.nn.functional.one_hot(TARGET.clamp(max=3), 4).double() - 1
    values, gradient = value_and_gradient(lambda z: lovasz_hinge(z, TARGET), 1.5 * signs)
    assert (values == 0).all() and (gradient == 0).all()
    assert (lovasz_hinge(0.5 * signs, TARGET) > 0).all()


def test_weights_of_a_large_image_keep_their_digits_in_float32():
    """As differences of the Jaccard loss, float32 would leave them some 2 digits.

    No two errors are nearer than 2.5e-6, so that they have one order in both precisions, on any processor.
    """
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand(1, 400, 400, generator=generator) < 0.5).long()
    p = 0.1 + 0.8 * (torch.randperm(400 * 400, generator=generator).double() + 0.25) / (400 * 400)
    logits = torch.stack([torch.zeros_like(p), p.logit()], -1).reshape(1, 400, 400, 2)
    _, gradient = value_and_gradient(lambda z: lovasz_softmax(z, target), logits.float())
    _, exact = value_and_gradient(lambda z: lovasz_softmax(z, target), logits)
    torch.testing.assert_close(gradient.double(), exact, rtol=2e-5, atol=0)  # some twenty roundings take 1e-6


# --- What minimises it --------------------------------------------------------------------------------------------

UNIFORM = (np.arange(200) + 0.5) / 200


@pytest.mark.parametrize("power", [1.0, 0.6])
def test_where_the_iou_can_be_high_it_predicts_the_best_region(power):
    """That of the Jaccard loss: (sqrt(5) - 1) / 2 of the pixels where all probabilities are as frequent."""
    target, known = field(UNIFORM**power)
    p = np.sort(known)[::-1]
    iou = p.cumsum() / (p.sum() + (1 - p).cumsum())
    predicted = fitted(lambda z, t: lovasz_softmax(z, t, **POOLED), target)
    assert (predicted > 0.5).double().mean().item() == pytest.approx((iou.argmax() + 1) / 200, abs=0.01)
    if power == 1:
        assert (predicted > 0.5).double().mean().item() == pytest.approx((math.sqrt(5) - 1) / 2, abs=0.01)
    value = lovasz_softmax(two_logits(predicted.logit(), target), target, **POOLED).item()
    assert value == pytest.approx(1 - iou.max(), abs=0.002)


@pytest.mark.parametrize("q", [0.1, 0.3, 0.7])
def test_without_information_it_is_undecided_unless_the_class_is_the_more_frequent(q):
    """Where all pixels look alike the value is 1 - p up to p = 1/2 and p (1 - q) + (1 - p) q from there on.

    So below q = 1/2 the minimum is 1/2, at p = 1/2, and no hard region: all pixels would cost 1 - q, and none 1.
    """
    target, _ = field(np.array([q]), per_bin=1000)
    for p in (0.001, 0.2, 0.5, 0.7, 0.999):
        expected = 1 - p if p <= 0.5 else p * (1 - q) + (1 - p) * q
        table = torch.tensor([p]).double().logit()
        assert lovasz_softmax(two_logits(table, target), target, **POOLED).item() == pytest.approx(expected, abs=1e-7)
    best = fitted(lambda z, t: lovasz_softmax(z, t, **POOLED), target).item()
    assert best == pytest.approx(0.5, abs=0.01) if q < 0.5 else best > 0.99
