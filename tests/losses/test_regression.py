"""Losses of regression against torch, closed forms in numpy, and limits."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbench.losses import regression
from tests.support.losses import RESIDUALS, assert_same_loss, value_and_gradient


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


REGRESSION_REFERENCES = {
    "mse": (regression.mse, {}, lambda p, y: F.mse_loss(p, y, reduction="none")),
    "l2": (regression.l2, {}, lambda p, y: F.mse_loss(p, y, reduction="none")),
    "mae": (regression.mae, {}, lambda p, y: F.l1_loss(p, y, reduction="none")),
    "l1": (regression.l1, {}, lambda p, y: F.l1_loss(p, y, reduction="none")),
    "huber": (
        regression.huber,
        {"delta": 1.7},
        lambda p, y: 1.7 * F.smooth_l1_loss(p, y, beta=1.7, reduction="none"),
    ),
    "quantile .5": (regression.quantile, {"q": 0.5}, lambda p, y: 0.5 * F.l1_loss(p, y, reduction="none")),
    "quantile .9": (
        regression.quantile,
        {"q": 0.9},
        lambda p, y: 0.9 * F.relu(y - p) + 0.1 * F.relu(p - y),
    ),
}


@pytest.mark.parametrize("case", REGRESSION_REFERENCES)
def test_regression_against_torch(case, generator):
    function, parameters, reference = REGRESSION_REFERENCES[case]
    target = torch.randn(RESIDUALS.shape, dtype=torch.float64, generator=generator)
    assert_same_loss(lambda p: function(p, target, **parameters), lambda p: reference(p, target), target - RESIDUALS)


# Value and derivative with respect to the residual, in numpy.
CLOSED_FORMS = {
    "huber": (
        regression.huber,
        {"delta": 1.0},
        lambda r: np.where(np.abs(r) <= 1, 0.5 * r**2, np.abs(r) - 0.5),
        lambda r: np.clip(r, -1, 1),
    ),
    "log_cosh": (
        regression.log_cosh,
        {},
        lambda r: np.logaddexp(r, -r) - np.log(2),
        np.tanh,
    ),
    "cauchy": (
        regression.cauchy,
        {"c": 2.0},
        lambda r: np.log(1 + 0.5 * (r / 2) ** 2),
        lambda r: 2 * r / (r**2 + 8),
    ),
    "tukey": (
        regression.tukey,
        {"c": 2.0},
        lambda r: np.where(np.abs(r) <= 2, 4 / 6 * (1 - (1 - (r / 2) ** 2) ** 3), 4 / 6),
        lambda r: np.where(np.abs(r) <= 2, r * (1 - (r / 2) ** 2) ** 2, 0),
    ),
}


@pytest.mark.parametrize("case", CLOSED_FORMS)
def test_regression_against_closed_form(case):
    function, parameters, value, derivative = CLOSED_FORMS[case]
    target = torch.zeros_like(RESIDUALS)
    values, gradient = value_and_gradient(lambda p: function(p, target, **parameters), -RESIDUALS)
    np.testing.assert_allclose(values, value(RESIDUALS.numpy()), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(-gradient, derivative(RESIDUALS.numpy()), rtol=1e-12, atol=1e-14)


def test_cauchy_is_the_limit_of_barrons_general_loss():
    alpha = 1e-7
    x = RESIDUALS / 1.5
    barron = abs(alpha - 2) / alpha * ((x**2 / abs(alpha - 2) + 1) ** (alpha / 2) - 1)
    torch.testing.assert_close(regression.cauchy(-RESIDUALS, 0 * RESIDUALS, c=1.5), barron, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [(regression.huber, {"delta": 1.0}), (regression.log_cosh, {}), (regression.tukey, {"c": 4.685})],
)
def test_robust_losses_are_half_the_squared_error_near_zero(function, parameters):
    residual = torch.tensor([-1e-3, 1e-4], dtype=torch.float64)
    torch.testing.assert_close(function(residual, 0 * residual, **parameters), 0.5 * residual**2, rtol=2e-6, atol=0)


def test_log_cosh_lies_below_huber_and_is_not_negative():
    below = regression.log_cosh(RESIDUALS, 0 * RESIDUALS) <= regression.huber(RESIDUALS, 0 * RESIDUALS) + 1e-15
    assert below.all()
    small = torch.logspace(-6, -1, 500)
    assert (regression.log_cosh(small, 0 * small) >= 0).all()
    assert regression.log_cosh(torch.zeros(1), torch.zeros(1)).item() == 0


@pytest.mark.parametrize("residual", [1e4, 1e20, 1e30])
def test_tukey_ignores_what_lies_beyond_c(residual):
    value, gradient = value_and_gradient(lambda p: regression.tukey(p, torch.zeros(1), c=3.0), torch.tensor([residual]))
    assert value.item() == pytest.approx(1.5)
    assert gradient.item() == 0


def test_quantile_is_minimised_by_the_quantile(generator):
    target = torch.randn(2001, dtype=torch.float64, generator=generator)
    candidates = target.sort().values
    mean_loss = regression.quantile(candidates[:, None].expand(-1, 2001), target.expand(2001, -1), q=0.8).mean(1)
    assert candidates[mean_loss.argmin()].item() == pytest.approx(np.quantile(target, 0.8))


def test_regression_does_not_broadcast():
    with pytest.raises(ValueError, match=r"shape \(4,\); outputs of shape \(4, 1\)"):
        regression.mse(torch.zeros(4, 1), torch.zeros(4))
