"""Losses for imbalanced regression against scipy, their printed formulas and limits."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.special import expit, logsumexp

from lossbench.catalogue.binding import load_loss
from lossbench.losses import imbalanced_regression, mae, mse
from lossbench.losses.imbalanced_regression import balanced_mse, focal_r_l1, focal_r_l2
from tests.support.losses import RESIDUALS, assert_same_loss, value_and_gradient

ZERO = torch.zeros_like(RESIDUALS)
PLAIN = {"l1": (focal_r_l1, mae, 1), "l2": (focal_r_l2, mse, 2)}


@pytest.mark.parametrize(("beta", "gamma"), [(0.2, 1.0), (1.0, 0.5), (3.0, 2.0)])
@pytest.mark.parametrize("form", PLAIN)
def test_focal_r_equals_the_printed_formula(form, beta, gamma):
    function, _, power = PLAIN[form]
    residuals = RESIDUALS[RESIDUALS.abs() > 1e-6]
    value, gradient = value_and_gradient(lambda p: function(p, torch.zeros_like(p), beta=beta, gamma=gamma), residuals)
    x = np.abs(residuals.numpy())
    factor = 2 * expit(beta * x) - 1
    np.testing.assert_allclose(value, x**power * factor**gamma, rtol=1e-9)
    slope_of_factor = 2 * beta * expit(beta * x) * expit(-beta * x)
    slope = power * x ** (power - 1) * factor**gamma + x**power * gamma * factor ** (gamma - 1) * slope_of_factor
    np.testing.assert_allclose(gradient, np.sign(residuals.numpy()) * slope, rtol=1e-9)


@pytest.mark.parametrize("parameters", [{"gamma": 0.0}, {"beta": 1e9}])
@pytest.mark.parametrize("form", PLAIN)
def test_focal_r_without_focus_is_the_plain_error(form, parameters):
    function, plain, _ = PLAIN[form]
    residuals = RESIDUALS[RESIDUALS.abs() > 1e-6]
    zero = torch.zeros_like(residuals)
    assert_same_loss(lambda p: function(p, zero, **parameters), lambda p: plain(p, zero), residuals)


@pytest.mark.parametrize("form", PLAIN)
def test_focal_r_of_small_residuals_is_one_power_higher(form):
    function, _, power = PLAIN[form]
    value = function(torch.tensor([1e-4]).double(), torch.zeros(1).double(), beta=0.2, gamma=1.0)
    assert value.item() == pytest.approx(0.1 * 1e-4 ** (power + 1), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("gamma", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("form", PLAIN)
def test_focal_r_is_finite_at_and_near_a_residual_of_zero(form, gamma, dtype):
    residuals = torch.tensor([0.0, 1e-30, 1e-10], dtype=dtype)
    value, gradient = value_and_gradient(lambda p: PLAIN[form][0](p, torch.zeros_like(p), gamma=gamma), residuals)
    assert value.isfinite().all() and gradient.isfinite().all() and gradient[0] == 0


# --- Balanced MSE -------------------------------------------------------------------------------------------------


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    return 2 * torch.randn(2, 12, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_balanced_mse_is_the_posterior_of_the_own_target(batch, sigma):
    prediction, target = batch
    densities = scipy.stats.norm.logpdf(target.numpy()[None, :], prediction.numpy()[:, None], sigma)
    log_posterior = np.diag(densities) - logsumexp(densities, axis=1)
    module = balanced_mse(sigma=sigma).double()
    value, gradient = value_and_gradient(lambda p: module(p, target), prediction)
    np.testing.assert_allclose(value, -2 * sigma**2 * log_posterior, rtol=1e-7)
    # d/df of -2 sigma^2 log posterior is 2 (posterior mean of the targets - own target).
    posterior = np.exp(densities - logsumexp(densities, axis=1, keepdims=True))
    np.testing.assert_allclose(gradient, 2 * (posterior @ target.numpy() - target.numpy()), rtol=1e-6, atol=1e-8)


def test_balanced_mse_gradient_is_that_of_its_value(batch):
    prediction, target = batch
    module = balanced_mse().double()
    assert torch.autograd.gradcheck(lambda p: module(p, target), prediction.clone().requires_grad_())


def test_balanced_mse_learns_sigma_from_the_logarithm_alone(batch):
    """The factor 2 sigma^2 is held constant: the gradient is that of the cross-entropy times the factor."""
    prediction, target = batch
    module = balanced_mse(sigma=0.9).double()
    (gradient,) = torch.autograd.grad(module(prediction, target).mean(), module.latent)

    def cross_entropy(latent):
        sigma = float(latent)
        squares = (target.numpy()[None, :] - prediction.numpy()[:, None]) ** 2 / (2 * sigma**2)
        return np.mean(np.diag(squares) + logsumexp(-squares, axis=1))

    with torch.no_grad():
        sigma, slope = module.sigma.item(), 1e-5
        module.latent += 1e-5
        slope = (module.sigma.item() - sigma) / 1e-5
    numeric = (cross_entropy(sigma + 1e-5) - cross_entropy(sigma - 1e-5)) / 2e-5
    assert gradient.item() == pytest.approx(2 * sigma**2 * numeric * slope, rel=1e-4)


def test_balanced_mse_of_equal_targets_says_nothing():
    prediction = torch.tensor([0.0, 1.0, -5.0, 1e4])
    value, gradient = value_and_gradient(lambda p: balanced_mse(sigma=1.0)(p, torch.ones(4)), prediction)
    np.testing.assert_allclose(value, 2 * math.log(4), rtol=1e-4)
    assert (gradient == 0).all()


def test_balanced_mse_is_never_below_zero_and_zero_for_one_sample():
    module = balanced_mse()
    assert module(torch.tensor([3.0]), torch.tensor([-1.0])).item() == 0
    targets = torch.tensor([-1e4, 0.0, 1e4])
    assert (module(targets, targets) >= 0).all()


def test_balanced_mse_does_not_shrink_to_the_frequent_targets():
    """With noise of the known variance, the best linear fit to balanced targets has the slope of the true relation.

    A target of variance 4 seen with noise of variance 4 in the target's own units: the squared error shrinks by half.
    """
    generator = torch.Generator().manual_seed(0)
    target = 2 * torch.randn(1000, dtype=torch.float64, generator=generator)
    seen = target + 2 * torch.randn(1000, dtype=torch.float64, generator=generator)
    module = balanced_mse(sigma=2.0).double()
    slopes = torch.linspace(0.2, 1.5, 27, dtype=torch.float64)
    with torch.no_grad():
        balanced = slopes[torch.stack([module(slope * seen, target).mean() for slope in slopes]).argmin()]
        plain = slopes[torch.stack([mse(slope * seen, target).mean() for slope in slopes]).argmin()]
    assert plain.item() == pytest.approx(0.5, abs=0.06)
    assert balanced.item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", imbalanced_regression.__all__)
def test_shapes_that_differ_are_refused(name):
    with pytest.raises(ValueError, match=r"does not broadcast"):
        load_loss(name)(torch.zeros(3, 1), torch.zeros(3))
