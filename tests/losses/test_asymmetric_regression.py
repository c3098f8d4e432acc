"""Asymmetric losses against scikit-learn, torchmetrics, and the minimisers that the literature gives for them."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.metrics import mean_squared_log_error
from torchmetrics.functional import mean_squared_log_error as torchmetrics_msle

from lossbench.losses import asymmetric_regression as asymmetric
from lossbench.losses import mse
from tests.support.losses import RESIDUALS, assert_same_loss, value_and_gradient

ZERO = torch.zeros_like(RESIDUALS)
SKEWED = torch.from_numpy(np.random.default_rng(0).gamma(2.0, size=400))


def minimiser(function):
    """Return the constant prediction with the smallest mean loss on `SKEWED`."""
    mean = lambda constant: function(torch.full_like(SKEWED, constant), SKEWED).mean().item()  # noqa: E731
    return minimize_scalar(mean, bounds=(0.0, 10.0), method="bounded", options={"xatol": 1e-9}).x


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_expectile_is_minimised_by_the_expectile_of_scipy(t):
    found = minimiser(lambda p, y: asymmetric.expectile(p, y, t=t))
    assert found == pytest.approx(scipy.stats.expectile(SKEWED.numpy(), alpha=t), rel=1e-6)


def test_expectile_at_one_half_is_half_the_squared_error():
    assert_same_loss(lambda p: asymmetric.expectile(p, ZERO, t=0.5), lambda p: 0.5 * mse(p, ZERO), RESIDUALS)


def test_expectile_charges_t_for_too_low_and_the_rest_for_too_high():
    prediction, target = torch.tensor([0.0, 2.0]).double(), torch.tensor([1.0, 1.0]).double()
    value, gradient = value_and_gradient(lambda p: asymmetric.expectile(p, target, t=0.8), prediction)
    torch.testing.assert_close(value, torch.tensor([0.8, 0.2]).double())
    torch.testing.assert_close(gradient, torch.tensor([-1.6, 0.4]).double())


@pytest.mark.parametrize("a", [-1.5, 0.3, 1.0, 2.0])
def test_linex_is_minimised_by_the_scaled_cumulant(a):
    """Zellner 1986, equation 3.2, with the sign of the error turned: log(E exp(a y)) / a."""
    expected = (logsumexp(a * SKEWED.numpy()) - math.log(len(SKEWED))) / a
    assert minimiser(lambda p, y: asymmetric.linex(p, y, a=a)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("a", [-2.0, 0.5, 3.0])
def test_linex_equals_the_printed_formula(a):
    residuals = RESIDUALS[:-2]  # without ±900
    value, gradient = value_and_gradient(lambda p: asymmetric.linex(p, ZERO[:-2], a=a), -residuals)
    r = residuals.numpy()
    np.testing.assert_allclose(value, np.exp(a * r) - a * r - 1, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(gradient, -a * (np.exp(a * r) - 1), rtol=1e-9, atol=1e-13)


def test_linex_goes_on_as_its_tangent():
    residuals = torch.tensor([19.999999, 20.000001, 1e4], dtype=torch.float64)
    value, gradient = value_and_gradient(lambda p: asymmetric.linex(p, torch.zeros_like(p), a=1.0), -residuals)
    assert value[1].item() == pytest.approx(value[0].item(), rel=3e-6)
    np.testing.assert_allclose(gradient, 1 - math.exp(20), rtol=3e-6)
    assert value[2].item() == pytest.approx(math.exp(20) * (1e4 - 19) - 1e4 - 1, rel=1e-12)


def test_linex_with_a_small_slope_is_the_squared_error():
    a = 1e-5
    residuals = torch.linspace(-3, 3, 7, dtype=torch.float64)
    value = asymmetric.linex(residuals, torch.zeros_like(residuals), a=a) * 2 / a**2
    torch.testing.assert_close(value, residuals.square(), rtol=1e-4, atol=1e-4)


def test_linex_without_a_slope_is_refused():
    with pytest.raises(ValueError, match=r"a=0 makes"):
        asymmetric.linex(ZERO, ZERO, a=0.0)


def test_msle_is_that_of_scikit_learn_and_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    prediction, target = 5 * torch.rand(2, 60, dtype=torch.float64, generator=generator)
    value, gradient = value_and_gradient(lambda p: asymmetric.msle(p, target), prediction)
    assert value.mean().item() == pytest.approx(mean_squared_log_error(target, prediction), rel=1e-12)
    assert value.mean().item() == pytest.approx(torchmetrics_msle(prediction, target).item(), rel=1e-12)
    slope = 2 * ((1 + prediction) / (1 + target)).log() / (1 + prediction)
    torch.testing.assert_close(gradient, slope)


def test_msle_goes_on_as_the_tangent_of_the_logarithm():
    prediction = torch.tensor([-0.875 + 1e-9, -0.875 - 1e-9, -3.0], dtype=torch.float64)
    value, gradient = value_and_gradient(lambda p: asymmetric.msle(p, torch.zeros_like(p)), prediction)
    assert value[0].item() == pytest.approx(math.log(8) ** 2, rel=1e-7)
    assert value[1].item() == pytest.approx(math.log(8) ** 2, rel=1e-7)
    assert value[2].item() == pytest.approx((math.log(8) + 8 * 2.125) ** 2, rel=1e-12)
    np.testing.assert_allclose(gradient, -16 * value.sqrt(), rtol=1e-7)
    assert torchmetrics_msle(prediction[2:], torch.zeros(1).double()).isnan()


@pytest.mark.parametrize("name", asymmetric.__all__)
def test_shapes_that_differ_are_refused(name):
    with pytest.raises(ValueError, match=r"does not broadcast"):
        getattr(asymmetric, name)(torch.zeros(3, 1), torch.zeros(3))
