"""Losses of pixels and regions at once: sums of what their parts are, and the exponential logarithmic loss by loops."""

import math

import numpy as np
import pytest
import torch

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.compound import TERMS, WEIGHTS, dice_ce, exponential_logarithmic
from lossbench.losses.labelled_pixels import IGNORED
from lossbench.losses.overlap import dice
from lossbench.losses.pixels import pixel_cross_entropy
from tests.support.losses import assert_same_loss, value_and_gradient
from tests.support.pixels import COUNTS, certain, images

LOGITS, TARGET = images()
TARGET[1, :4] = IGNORED


def bound(terms, weights):
    functions = {"pixel_cross_entropy": pixel_cross_entropy, "dice": dice}
    return {f"term_{key}": BoundLoss(functions[name], functions[name].declaration, {}) for key, name in terms.items()}


def test_dice_ce_is_the_sum_of_its_terms():
    both = dice_ce(bind_terms=bound)
    assert_same_loss(lambda z: both(z, TARGET), lambda z: pixel_cross_entropy(z, TARGET) + dice(z, TARGET), LOGITS)
    weighted = dice_ce(bind_terms=bound, terms=TERMS, weights=[0.5, 2.0])(LOGITS, TARGET)
    torch.testing.assert_close(weighted, 0.5 * pixel_cross_entropy(LOGITS, TARGET) + 2 * dice(LOGITS, TARGET))
    assert both.declaration.task == "segmentation" and both.declaration.shapes == dice.declaration.shapes
    assert WEIGHTS == [1.0, 1.0]


@pytest.mark.parametrize(
    "settings", [{}, {"gamma_dice": 1.0, "gamma_cross": 2.0, "w_dice": 0.3, "w_cross": 1.5, "smooth": 0.2}]
)
def test_exponential_logarithmic_by_loops(settings):
    how = {"gamma_dice": 0.3, "gamma_cross": 0.3, "w_dice": 0.8, "w_cross": 0.2, "smooth": 1.0, **settings}
    found = exponential_logarithmic(LOGITS, TARGET, class_counts=COUNTS, **settings)
    for image, value in enumerate(found.tolist()):
        valid = TARGET[image] != IGNORED
        p, y = LOGITS[image][valid].softmax(-1).tolist(), TARGET[image][valid].tolist()
        of_classes = []
        for k in set(y):
            overlap = sum(row[k] for row, label in zip(p, y, strict=True) if label == k)
            score = (2 * overlap + how["smooth"]) / (sum(row[k] for row in p) + y.count(k) + how["smooth"])
            of_classes.append((-math.log(score)) ** how["gamma_dice"])
        weights = [math.sqrt(sum(COUNTS) / count) for count in COUNTS]
        of_pixels = [
            weights[label] * (-math.log(row[label])) ** how["gamma_cross"] for row, label in zip(p, y, strict=True)
        ]
        expected = how["w_dice"] * np.mean(of_classes) + how["w_cross"] * np.mean(of_pixels)
        assert value == pytest.approx(expected, rel=1e-10)


def test_with_powers_of_1_it_is_dice_and_cross_entropy():
    """-log D without smoothing to speak of, and the cross-entropy times sqrt(K) for equal counts."""
    one = {"class_counts": [5] * 4, "gamma_dice": 1.0, "gamma_cross": 1.0, "smooth": 1e-9, "background": False}
    target = TARGET.clamp(max=1).where(TARGET != IGNORED, IGNORED)
    assert_same_loss(
        lambda z: exponential_logarithmic(z, target, **one, w_dice=1.0, w_cross=0.0),
        lambda z: -(1 - dice(z, target, background=False)).log(),
        LOGITS,
        rtol=1e-7,
    )
    assert_same_loss(
        lambda z: exponential_logarithmic(z, TARGET, **one, w_dice=0.0, w_cross=1.0),
        lambda z: 2 * pixel_cross_entropy(z, TARGET),
        LOGITS,
    )


def test_what_is_right_or_wrong_for_sure_has_a_finite_gradient():
    right = certain(TARGET.clamp(max=3))
    for logits in (right, -right, right.float(), -right.float(), right / 100):
        values, gradient = value_and_gradient(lambda z: exponential_logarithmic(z, TARGET, class_counts=COUNTS), logits)
        assert values.isfinite().all() and gradient.isfinite().all()
    assert exponential_logarithmic(right, TARGET, class_counts=COUNTS).max() < 1e-9
