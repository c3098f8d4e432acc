"""Piecewise losses against torch, their printed formulas, and what must hold where the pieces meet."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbench.losses import huber, mae, piecewise
from tests.support.losses import RESIDUALS, assert_same_loss, value_and_gradient

ZERO = torch.zeros_like(RESIDUALS)


@pytest.mark.parametrize("beta", [0.1, 1.0, 4.0])
def test_smooth_l1_is_that_of_torch_and_huber_divided_by_its_bound(beta):
    ours = lambda p: piecewise.smooth_l1(p, ZERO, beta=beta)  # noqa: E731
    assert_same_loss(ours, lambda p: F.smooth_l1_loss(p, ZERO, reduction="none", beta=beta), RESIDUALS)
    assert_same_loss(ours, lambda p: huber(p, ZERO, delta=beta) / beta, RESIDUALS)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.5, 1.5), (0.3, 1.0), (1.0, 2.0)])
def test_balanced_l1_has_the_gradient_it_was_designed_from(alpha, gamma):
    """Pang et al. 2019: the gradient is alpha log(b |r| + 1) up to gamma, and its integral from 0 is the loss."""
    value, gradient = value_and_gradient(lambda p: piecewise.balanced_l1(p, ZERO, alpha=alpha, gamma=gamma), RESIDUALS)
    b = math.exp(gamma / alpha) - 1
    x = RESIDUALS.numpy()
    slope = np.where(np.abs(x) < 1, alpha * np.log(b * np.abs(x) + 1), gamma)
    np.testing.assert_allclose(gradient, np.sign(x) * slope, rtol=1e-9, atol=1e-12)
    fine = np.linspace(0, 1, 200_001)
    at_bound = np.trapezoid(alpha * np.log(b * fine + 1), fine)
    far = np.abs(x) >= 1
    np.testing.assert_allclose(value.numpy()[far], at_bound + gamma * (np.abs(x)[far] - 1), rtol=1e-8)


def test_balanced_l1_refuses_a_ratio_that_overflows():
    with pytest.raises(ValueError, match=r"gamma=10.0 and alpha=0.1"):
        piecewise.balanced_l1(ZERO, ZERO, alpha=0.1, gamma=10.0)


@pytest.mark.parametrize(("w", "epsilon"), [(10.0, 2.0), (2.0, 0.5)])
def test_wing_equals_the_printed_formula(w, epsilon):
    value, gradient = value_and_gradient(lambda p: piecewise.wing(p, ZERO, w=w, epsilon=epsilon), RESIDUALS)
    x = np.abs(RESIDUALS.numpy())
    constant = w - w * np.log(1 + w / epsilon)
    np.testing.assert_allclose(
        value, np.where(x < w, w * np.log(1 + x / epsilon), x - constant), rtol=1e-10, atol=1e-14
    )
    slope = np.sign(RESIDUALS.numpy()) * np.where(x < w, w / (epsilon + x), 1)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-14)


JOINED = {
    "smooth_l1": (lambda r: piecewise.smooth_l1(r, torch.zeros_like(r), beta=0.7), 0.7, True),
    "balanced_l1": (lambda r: piecewise.balanced_l1(r, torch.zeros_like(r)), 1.0, True),
    "wing": (lambda r: piecewise.wing(r, torch.zeros_like(r), w=3.0, epsilon=0.5), 3.0, False),
    # The last residual sets the threshold: a fifth of 10.
    "berhu": (lambda r: piecewise.berhu(torch.cat([r, r.new_tensor([10.0])]), r.new_zeros(3))[:2], 2.0, True),
}


@pytest.mark.parametrize("name", JOINED)
def test_the_pieces_meet(name):
    function, bound, smoothly = JOINED[name]
    sides = torch.tensor([bound - 1e-9, bound + 1e-9], dtype=torch.float64)
    value, gradient = value_and_gradient(function, sides)
    assert value[0].item() == pytest.approx(value[1].item(), abs=1e-7)
    assert (abs(gradient[0] - gradient[1]).item() < 1e-7) == smoothly


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_berhu_equals_the_printed_formula_with_a_constant_threshold(fraction):
    x = np.abs(RESIDUALS.numpy())
    for scale in (1.0, 1e-3):
        c = fraction * x.max() * scale
        value, gradient = value_and_gradient(lambda p: piecewise.berhu(p, ZERO, fraction=fraction), RESIDUALS * scale)
        size = x * scale
        np.testing.assert_allclose(value, np.where(size <= c, size, (size**2 + c**2) / (2 * c)), rtol=1e-12)
        slope = np.sign(RESIDUALS.numpy()) * np.where(size <= c, 1, size / c)
        np.testing.assert_allclose(gradient, slope, rtol=1e-12)


def test_berhu_with_the_threshold_at_the_largest_residual_is_the_absolute_error():
    assert_same_loss(lambda p: piecewise.berhu(p, ZERO, fraction=1.0), lambda p: mae(p, ZERO), RESIDUALS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_berhu_of_a_batch_without_error_is_zero(dtype):
    value, gradient = value_and_gradient(lambda p: piecewise.berhu(p, torch.zeros_like(p)), torch.zeros(4, dtype=dtype))
    assert (value == 0).all() and (gradient == 0).all()


@pytest.mark.parametrize("name", piecewise.__all__)
def test_shapes_that_differ_are_refused(name):
    with pytest.raises(ValueError, match=r"does not broadcast"):
        getattr(piecewise, name)(torch.zeros(3, 1), torch.zeros(3))
