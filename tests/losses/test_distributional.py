"""Losses of distributions against torch.distributions, closed forms, limits and Monte Carlo: value and gradient."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import distributions
from torch.nn import functional as F

from lossbench.losses import (
    beta_nll,
    crps_gaussian,
    evidential,
    gaussian_nll,
    heteroscedastic_laplace_nll,
    hl_gauss,
    mixture_density,
    mse,
    quantile,
    quantile_set,
    student_t_nll,
)
from tests.support.losses import assert_same_loss, value_and_gradient

FLOOR = 1e-3


def drawn(width: int, samples: int = 200):
    """Outputs of all sizes, and targets."""
    generator = torch.Generator().manual_seed(width)
    outputs, target = torch.randn(samples, width, generator=generator), torch.randn(samples, generator=generator)
    return 2 * outputs.double(), 3 * target.double()


def scale(raw):
    return F.softplus(raw) + FLOOR


TWO, TARGET = drawn(2)
DENSITIES = {
    "gaussian_nll": (gaussian_nll, distributions.Normal),
    "heteroscedastic_laplace_nll": (heteroscedastic_laplace_nll, distributions.Laplace),
    "student_t_nll": (lambda o, y: student_t_nll(o, y, nu=3.0), lambda m, s: distributions.StudentT(3.0, m, s)),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_likelihoods_are_those_of_torch(name):
    loss, density = DENSITIES[name]
    reference = lambda o: -density(o[:, 0], scale(o[:, 1])).log_prob(TARGET)  # noqa: E731
    assert_same_loss(lambda o: loss(o, TARGET), reference, TWO)


def test_gaussian_is_the_full_loss_of_torch():
    def reference(o):
        return F.gaussian_nll_loss(o[:, 0], TARGET, scale(o[:, 1]).square(), full=True, eps=1e-9, reduction="none")

    assert_same_loss(lambda o: gaussian_nll(o, TARGET), reference, TWO)


def test_beta_nll_at_0_is_the_gaussian_likelihood():
    assert_same_loss(lambda o: beta_nll(o, TARGET, beta=0.0), lambda o: gaussian_nll(o, TARGET), TWO)


def test_beta_nll_at_1_learns_the_mean_as_half_the_squared_error_does():
    gradient = value_and_gradient(lambda o: beta_nll(o, TARGET, beta=1.0), TWO)[1]
    expected = value_and_gradient(lambda m: 0.5 * mse(m, TARGET), TWO[:, 0])[1]
    torch.testing.assert_close(gradient[:, 0], expected)


def test_beta_nll_weighs_the_gradient_by_the_variance():
    gradient = value_and_gradient(lambda o: beta_nll(o, TARGET, beta=0.3), TWO)[1]
    plain = value_and_gradient(lambda o: gaussian_nll(o, TARGET), TWO)[1]
    torch.testing.assert_close(gradient, plain * (scale(TWO[:, 1]) ** 2).pow(0.3)[:, None])


def test_crps_is_its_monte_carlo_value():
    """E|X - y| - E|X - X'| / 2 over independent draws."""
    outputs, target = TWO[:8], TARGET[:8]
    draws = torch.randn(2, 100_000, generator=torch.Generator().manual_seed(0)).double()
    for row, y in zip(outputs, target, strict=True):
        first, second = row[0] + scale(row[1]) * draws
        expected = (first - y).abs().mean() - 0.5 * (first - second).abs().mean()
        assert crps_gaussian(row[None], y[None]).item() == pytest.approx(
            expected.item(), abs=1.5e-2 * scale(row[1]).item()
        )


def test_crps_is_the_integral_of_the_squared_distance_to_the_step():
    mean, raw, y = torch.tensor(0.4, dtype=torch.float64), torch.tensor(0.2, dtype=torch.float64), 1.1

    def reference(o):
        x = torch.linspace(-12, 12, 40_001, dtype=torch.float64)
        below = distributions.Normal(o[0, 0], scale(o[0, 1])).cdf(x)
        return torch.trapezoid((below - (x >= y).double()).square(), x)[None]

    outputs = torch.stack([mean, raw])[None]
    assert_same_loss(lambda o: crps_gaussian(o, torch.tensor([y]).double()), reference, outputs, rtol=1e-3, atol=1e-4)


def test_crps_of_a_narrow_distribution_is_the_absolute_error():
    outputs = torch.tensor([[0.0, -50.0]], dtype=torch.float64)
    assert crps_gaussian(outputs, torch.tensor([2.0]).double()).item() == pytest.approx(2.0, abs=FLOOR)


def test_evidential_is_students_t_of_the_paper_and_its_penalty():
    """The predictive distribution of a normal-inverse-gamma prior: df 2 alpha, scale sqrt(beta (1 + v) / (v alpha))."""
    outputs, target = drawn(4)

    def parts(o):
        return o[:, 0], scale(o[:, 1]), 1 + scale(o[:, 2]), scale(o[:, 3])

    def student(o):
        gamma, v, alpha, beta = parts(o)
        return -distributions.StudentT(2 * alpha, gamma, (beta * (1 + v) / (v * alpha)).sqrt()).log_prob(target)

    def penalised(o):
        gamma, v, alpha, _ = parts(o)
        return student(o) + 0.2 * (target - gamma).abs() * (2 * v + alpha)

    assert_same_loss(lambda o: evidential(o, target, lam=0.0), student, outputs, rtol=1e-8)
    assert_same_loss(lambda o: evidential(o, target, lam=0.2), penalised, outputs, rtol=1e-8)


def test_evidential_is_the_integral_over_its_prior():
    """Monte Carlo: variance from the inverse gamma distribution, mean from the normal one, then the density of y."""
    outputs, y = torch.tensor([[0.3, 0.5, 1.0, 0.8]], dtype=torch.float64), torch.tensor([1.2]).double()
    v, alpha, beta = scale(outputs[0, 1]), 1 + scale(outputs[0, 2]), scale(outputs[0, 3])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        variance = 1 / distributions.Gamma(alpha, beta).sample((200_000,))
        mean = distributions.Normal(outputs[0, 0], (variance / v).sqrt()).sample()
    expected = -distributions.Normal(mean, variance.sqrt()).log_prob(y).exp().mean().log()
    assert evidential(outputs, y, lam=0.0).item() == pytest.approx(expected.item(), abs=1e-2)


def test_a_mixture_is_that_of_torch():
    outputs, target = drawn(9)

    def reference(o):
        weights = distributions.Categorical(logits=o[:, :3])
        mixed = distributions.MixtureSameFamily(weights, distributions.Normal(o[:, 3:6], scale(o[:, 6:])))
        return -mixed.log_prob(target)

    assert_same_loss(lambda o: mixture_density(o, target, components=3), reference, outputs, rtol=1e-9)


def test_a_mixture_of_one_is_the_gaussian_likelihood():
    def one(o):
        return mixture_density(torch.cat([torch.zeros_like(o[:, :1]), o], 1), TARGET, components=1)

    assert_same_loss(one, lambda o: gaussian_nll(o, TARGET), TWO)


def test_a_set_of_quantiles_is_the_mean_of_its_pinball_losses():
    outputs, target = drawn(19)

    def reference(o):
        return sum(quantile(o[:, j], target, q=(j + 1) / 20) for j in range(19)) / 19

    assert_same_loss(lambda o: quantile_set(o, target, levels=19), reference, outputs)


def test_the_median_alone_is_half_the_absolute_error():
    outputs, target = drawn(1)
    assert_same_loss(
        lambda o: quantile_set(o, target, levels=1), lambda o: F.l1_loss(o[:, 0], target, reduction="none") / 2, outputs
    )


def test_many_quantiles_of_a_normal_distribution_cost_half_its_crps():
    levels = 999
    normal = distributions.Normal(torch.tensor(0.3), torch.tensor(0.7))
    outputs = normal.icdf(torch.arange(1, levels + 1).double() / (levels + 1))[None]
    raw = math.log(math.expm1(0.7 - FLOOR))
    expected = crps_gaussian(torch.tensor([[0.3, raw]]).double(), torch.tensor([1.0]).double())
    twice = 2 * quantile_set(outputs, torch.tensor([1.0]).double(), levels=levels)
    torch.testing.assert_close(twice, expected, rtol=2e-3, atol=0)


def test_the_smoothed_histogram_has_the_masses_of_scipy():
    logits, _ = drawn(20)
    target = torch.linspace(-1.2, 1.2, len(logits), dtype=torch.float64)
    edges = np.linspace(-1, 1, 21)
    inside = target.clamp(-1, 1).numpy()[:, None]
    below = scipy.stats.norm.cdf(edges, inside, 0.75 * 0.1)
    weights = torch.from_numpy((below[:, 1:] - below[:, :-1]) / (below[:, -1:] - below[:, :1]))
    assert_same_loss(
        lambda o: hl_gauss(o, target, bins=20, reach=1.0, sigma=0.75),
        lambda o: F.cross_entropy(o, weights, reduction="none"),
        logits,
    )


def test_without_smoothing_the_histogram_is_a_classification():
    logits, target = drawn(20)
    target = target.clamp(-2.9, 2.9)
    labels = ((target + 3) / 0.3).long()
    assert_same_loss(
        lambda o: hl_gauss(o, target, bins=20, reach=3.0, sigma=1e-4),
        lambda o: F.cross_entropy(o, labels, reduction="none"),
        logits,
        rtol=1e-6,
    )


def test_wide_smoothing_makes_all_bins_alike():
    logits, target = drawn(10)
    even = hl_gauss(logits, target, bins=10, reach=1.0, sigma=1e5)
    torch.testing.assert_close(even, -logits.log_softmax(1).mean(1), rtol=1e-6, atol=1e-6)
