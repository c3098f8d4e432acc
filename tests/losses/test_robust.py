"""Robust losses against closed forms in numpy, scipy, limits of each other, and an exhaustive search.

Value and gradient are compared, since a factor that is detached by mistake passes a test of the value.
"""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch

from lossbench.losses import cauchy, huber, mse, robust
from tests.support.losses import RESIDUALS, assert_same_loss, value_and_gradient

# The forms of Barron 2019, section 1, each with its derivative written out by hand.
CLOSED_FORMS = {
    "charbonnier": (robust.charbonnier, lambda x: np.sqrt(x**2 + 1) - 1, lambda x: x / np.sqrt(x**2 + 1)),
    "geman_mcclure": (robust.geman_mcclure, lambda x: 2 * x**2 / (x**2 + 4), lambda x: 16 * x / (x**2 + 4) ** 2),
    "welsch": (robust.welsch, lambda x: 1 - np.exp(-(x**2) / 2), lambda x: x * np.exp(-(x**2) / 2)),
}


@pytest.mark.parametrize("c", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_equals_its_closed_form(name, c):
    function, form, slope = CLOSED_FORMS[name]
    value, gradient = value_and_gradient(lambda p: function(p, torch.zeros_like(p), c=c), RESIDUALS)
    x = RESIDUALS.numpy() / c
    np.testing.assert_allclose(value, form(x), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(gradient, slope(x) / c, rtol=1e-7, atol=1e-14)


def test_charbonnier_scaled_and_shifted_is_the_form_of_image_restoration():
    c = 0.001
    expected = (RESIDUALS.square() + c**2).sqrt()
    value = robust.charbonnier(RESIDUALS, torch.zeros_like(RESIDUALS), c=c)
    torch.testing.assert_close(c * value + c, expected)


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_pseudo_huber_is_charbonnier_times_the_squared_scale_and_below_huber(c):
    zero = torch.zeros_like(RESIDUALS)
    assert_same_loss(
        lambda p: robust.pseudo_huber(p, zero, c=c), lambda p: c**2 * robust.charbonnier(p, zero, c=c), RESIDUALS
    )
    assert (robust.pseudo_huber(RESIDUALS, zero, c=c) <= huber(RESIDUALS, zero, delta=c)).all()


NAMED = {
    2.0: lambda p, y, c: 0.5 * mse(p / c, y / c),
    1.0: lambda p, y, c: robust.charbonnier(p, y, c=c),
    0.0: lambda p, y, c: cauchy(p, y, c=c),
    -2.0: lambda p, y, c: robust.geman_mcclure(p, y, c=c),
    -math.inf: lambda p, y, c: robust.welsch(p, y, c=c),
}


@pytest.mark.parametrize("c", [0.5, 2.0])
@pytest.mark.parametrize("alpha", NAMED)
def test_general_robust_is_a_named_loss(alpha, c):
    zero = torch.zeros_like(RESIDUALS)
    assert_same_loss(
        lambda p: robust.general_robust(p, zero, alpha=alpha, c=c), lambda p: NAMED[alpha](p, zero, c), RESIDUALS
    )


@pytest.mark.parametrize("alpha", [-7.5, -1.0, 0.5, 1.5])
def test_general_robust_equals_the_printed_formula(alpha):
    x, c = RESIDUALS.numpy(), 1.7
    distance = abs(alpha - 2)
    value, gradient = value_and_gradient(
        lambda p: robust.general_robust(p, torch.zeros_like(p), alpha=alpha, c=c), RESIDUALS
    )
    base = (x / c) ** 2 / distance + 1
    np.testing.assert_allclose(value, distance / alpha * (base ** (alpha / 2) - 1), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(gradient, x / c**2 * base ** (alpha / 2 - 1), rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, 1e-9, 1e-12, 1e-15, 1e-300])
@pytest.mark.parametrize("limit", [2.0, 0.0, -math.inf])
def test_general_robust_near_a_limit_is_near_its_value(limit, distance, dtype):
    alpha = {2.0: 2 - distance, 0.0: -distance, -math.inf: -1 / distance}[limit]
    residuals = torch.tensor([1e-6, 1e-3, 0.1, 1.0, 5.0, 100.0], dtype=dtype)
    zero = torch.zeros_like(residuals)
    near, gradient = value_and_gradient(lambda p: robust.general_robust(p, zero, alpha=alpha), residuals)
    at, expected = value_and_gradient(lambda p: robust.general_robust(p, zero, alpha=limit), residuals)
    # The first-order term of the loss in alpha is of the order distance * log(r^2 / distance).
    tolerance = 30 * distance * (1 + abs(math.log(distance))) + 20 * torch.finfo(dtype).eps
    torch.testing.assert_close(near, at, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("alpha", [-8.0, -2.0, -0.5, 0.0, 0.3, 1.0, 1.7, 2.0])
def test_general_robust_keeps_the_bounds_of_the_paper(alpha):
    """Barron 2019, section 2: the loss and its gradient are bounded as alpha says, and fall with it."""
    c = 0.8
    value, gradient = value_and_gradient(
        lambda p: robust.general_robust(p, torch.zeros_like(p), alpha=alpha, c=c), RESIDUALS
    )
    assert (gradient.abs() <= RESIDUALS.abs() / c**2 * (1 + 1e-12)).all()
    if alpha <= 1:
        assert (gradient.abs() <= (1 + 1e-12) / c).all()
    if alpha < 0:
        assert (value <= (alpha - 2) / alpha * (1 + 1e-12)).all()
    less = robust.general_robust(RESIDUALS, torch.zeros_like(RESIDUALS), alpha=alpha - 0.5, c=c)
    assert (value >= less * (1 - 1e-12)).all()


@pytest.mark.parametrize(("nu", "scale"), [(0.7, 1.0), (1.0, 2.0), (4.0, 0.5), (50.0, 3.0)])
def test_student_t_is_the_log_density_of_scipy(nu, scale):
    value, gradient = value_and_gradient(
        lambda p: robust.student_t(p, torch.zeros_like(p), nu=nu, scale=scale), RESIDUALS
    )
    np.testing.assert_allclose(value, -scipy.stats.t.logpdf(RESIDUALS.numpy(), df=nu, scale=scale), rtol=1e-10)
    x = RESIDUALS.numpy()
    np.testing.assert_allclose(gradient, (nu + 1) * x / (nu * scale**2 + x**2), rtol=1e-10, atol=1e-14)


def test_student_t_of_many_degrees_of_freedom_is_normal():
    residuals = torch.linspace(-3, 3, 13, dtype=torch.float64)
    value = robust.student_t(residuals, torch.zeros_like(residuals), nu=1e6, scale=2.0)
    np.testing.assert_allclose(value, -scipy.stats.norm.logpdf(residuals.numpy(), scale=2.0), rtol=1e-5)


def test_student_t_with_one_degree_of_freedom_is_the_cauchy_loss_and_a_constant():
    zero = torch.zeros_like(RESIDUALS)
    scale = math.sqrt(2.0)  # log(1 + r^2 / s^2) against log(1 + r^2 / 2)
    difference = robust.student_t(RESIDUALS, zero, nu=1.0, scale=scale) - cauchy(RESIDUALS, zero, c=1.0)
    np.testing.assert_allclose(difference, math.log(math.pi * scale), rtol=1e-12)


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.9, 1.0])
def test_trimmed_is_the_least_mean_square_of_all_subsets(keep):
    """The definition of Rousseeuw 1984: no subset of h samples has a smaller mean of squares."""
    generator = torch.Generator().manual_seed(1)
    prediction, target = torch.randn(2, 9, dtype=torch.float64, generator=generator)
    kept = max(1, round(keep * 9))
    squares = ((target - prediction) ** 2).tolist()
    least = min(sum(subset) / kept for subset in itertools.combinations(squares, kept))
    value, gradient = value_and_gradient(lambda p: robust.trimmed(p, target, keep=keep) / 9, prediction)
    assert value.sum().item() == pytest.approx(least, rel=1e-12)
    assert (value == 0).sum() == (gradient == 0).sum() == 9 - kept
    chosen = value > 0
    torch.testing.assert_close(gradient[chosen], 2 * (prediction - target)[chosen] / kept)


def test_trimmed_keeps_exactly_h_of_equal_residuals_and_at_least_one():
    assert (robust.trimmed(torch.zeros(10), torch.ones(10), keep=0.7) > 0).sum() == 7
    assert robust.trimmed(torch.zeros(3), torch.ones(3), keep=0.01).sum() == 3
    assert robust.trimmed(torch.zeros(2, 5), torch.ones(2, 5), keep=0.5).shape == (2, 5)


def test_trimmed_does_not_feel_the_outliers():
    target = torch.tensor([0.1, -0.2, 0.3, 50.0, 0.05])
    moved = torch.tensor([0.1, -0.2, 0.3, -1e6, 0.05])
    torch.testing.assert_close(
        robust.trimmed(torch.zeros(5), target, keep=0.8), robust.trimmed(torch.zeros(5), moved, keep=0.8)
    )


@pytest.mark.parametrize("name", robust.__all__)
def test_shapes_that_differ_are_refused(name):
    with pytest.raises(ValueError, match=r"does not broadcast"):
        getattr(robust, name)(torch.zeros(3, 1), torch.zeros(3))
