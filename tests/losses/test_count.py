"""Losses of counts against torch.distributions, scikit-learn and their limits: value and gradient."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_tweedie_deviance
from torch import distributions
from torch.nn import functional as F

from lossbench.catalogue.binding import load_loss
from lossbench.losses import poisson_nll, tweedie
from lossbench.losses.count import negative_binomial_nll
from tests.support.losses import assert_same_loss, value_and_gradient

Z = torch.linspace(-4, 6, 101, dtype=torch.float64)
Y = (torch.arange(101) % 13).double()


def test_poisson_is_that_of_torch():
    assert_same_loss(lambda z: poisson_nll(z, Y), lambda z: -distributions.Poisson(z.exp()).log_prob(Y), Z)
    torch.testing.assert_close(
        poisson_nll(Z, Y) - torch.lgamma(Y + 1), F.poisson_nll_loss(Z, Y, log_input=True, full=False, reduction="none")
    )


@pytest.mark.parametrize("alpha", [0.1, 1.0, 4.0])
def test_negative_binomial_is_that_of_torch(alpha):
    module = negative_binomial_nll(alpha=alpha).double()

    def reference(z):
        return -distributions.NegativeBinomial(1 / alpha, logits=z + np.log(alpha)).log_prob(Y)

    assert_same_loss(lambda z: module(z, Y), reference, Z, rtol=1e-7, atol=1e-9)


def test_negative_binomial_without_dispersion_is_poisson():
    module = negative_binomial_nll(alpha=1e-6).double()
    assert_same_loss(lambda z: module(z, Y[:60]), lambda z: poisson_nll(z, Y[:60]), Z[:60], rtol=1e-3, atol=1e-3)


def test_the_dispersion_that_is_learned_is_that_of_the_counts():
    """Gamma mixtures of Poissons with variance m + 0.5 m^2, and their mean known."""
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.poisson(rng.gamma(2.0, 5.0 / 2.0, size=20_000))).double()
    module = negative_binomial_nll(alpha=1.0).double()
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        mean = module(torch.full_like(y, np.log(5.0)), y).mean()
        mean.backward()
        return mean

    optimizer.step(closure)
    assert module.alpha.item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("power", [1.1, 1.5, 1.9])
def test_tweedie_is_that_of_scikit_learn(power):
    expected = [mean_tweedie_deviance([y], [m], power=power) for y, m in zip(Y, Z.exp(), strict=True)]
    np.testing.assert_allclose(tweedie(Z, Y, power=power), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("power", [1.1, 1.5, 1.9])
def test_tweedie_has_the_score_of_an_exponential_dispersion_model(power):
    """The gradient for the mean is 2 (m - y) / m^p; for its logarithm, m times as much."""
    gradient = value_and_gradient(lambda z: tweedie(z, Y, power=power), Z)[1]
    m = Z.exp()
    torch.testing.assert_close(gradient, 2 * (m - Y) * m.pow(1 - power))


def test_tweedie_near_1_learns_as_poisson_does():
    gradient = value_and_gradient(lambda z: tweedie(z, Y, power=1 + 1e-7), Z)[1]
    torch.testing.assert_close(
        gradient, 2 * value_and_gradient(lambda z: poisson_nll(z, Y), Z)[1], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", ["poisson_nll", "tweedie"])
def test_exponentials_go_on_as_their_tangent(name):
    loss, y = load_loss(name), torch.tensor([1.0], dtype=torch.float64)
    at, beyond = (value_and_gradient(lambda z: loss(z, y), torch.tensor([z]).double())[1] for z in (45.0, 90.0))
    torch.testing.assert_close(at, beyond)
    assert loss.link(torch.tensor([90.0]).double()).item() == pytest.approx(np.exp(20))
