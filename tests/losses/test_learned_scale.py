"""Likelihoods with learned parameters against torch.distributions and scipy, and their parameters at the optimum."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.integrate import quad
from scipy.optimize import minimize
from torch import distributions
from torch.nn import functional as F

from lossbench.catalogue.binding import load_loss
from lossbench.losses import general_robust, learned_scale, student_t
from lossbench.losses.learned_scale import adaptive_robust, gaussian_nll_global, laplace_nll, learned_student_t
from tests.support.losses import RESIDUALS, assert_same_loss, value_and_gradient

ZERO = torch.zeros_like(RESIDUALS)
HEAVY = torch.from_numpy(scipy.stats.t.rvs(3, scale=0.7, size=600, random_state=0))


def of(module):
    return module.double()


def minimise_over_parameters(module, target):
    """Minimise the mean loss of the prediction 0 over the loss's own parameters."""
    optimizer = torch.optim.LBFGS(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        max_iter=200,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        mean = module(torch.zeros_like(target), target).mean()
        mean.backward()
        return mean

    optimizer.step(closure)
    return module


REFERENCES = {
    "gaussian": (lambda: gaussian_nll_global(sigma=1.7), lambda r: -distributions.Normal(r, 1.7).log_prob(ZERO)),
    "laplace": (lambda: laplace_nll(b=0.6), lambda r: -distributions.Laplace(r, 0.6).log_prob(ZERO)),
    "student": (
        lambda: learned_student_t(nu=3.0, scale=0.6),
        lambda r: -distributions.StudentT(3.0, r, 0.6).log_prob(ZERO),
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_starts_as_the_density_of_torch(name):
    module, reference = REFERENCES[name]
    module = of(module())
    assert_same_loss(lambda p: module(p, ZERO), reference, RESIDUALS, rtol=1e-7, atol=1e-12)


def test_adaptive_robust_at_one_is_the_hyperbolic_distribution_of_scipy():
    residuals = RESIDUALS[:-2]  # without ±900, where the density of scipy underflows
    expected = -scipy.stats.genhyperbolic.logpdf(0, 1, 1, 0, loc=residuals, scale=0.8)
    value = of(adaptive_robust(alpha=1.0, c=0.8))(residuals, ZERO[:-2]).detach()
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_gaussian_differs_from_torch_by_its_constant():
    ours = of(gaussian_nll_global(sigma=1.3))(RESIDUALS, ZERO).detach()
    expected = F.gaussian_nll_loss(RESIDUALS, ZERO, torch.full_like(ZERO, 1.69), reduction="none", full=True)
    torch.testing.assert_close(ours, expected)


def test_student_t_with_learned_scale_starts_as_the_fixed_one():
    module = of(learned_student_t(nu=4.0, scale=0.5))
    assert_same_loss(lambda p: module(p, ZERO), lambda p: student_t(p, ZERO, nu=4.0, scale=0.5), RESIDUALS, rtol=1e-8)


def test_adaptive_robust_is_the_general_loss_and_a_constant():
    module = of(adaptive_robust(alpha=0.7, c=0.4))
    _, gradient = value_and_gradient(lambda p: module(p, ZERO), RESIDUALS)
    _, expected = value_and_gradient(lambda p: general_robust(p, ZERO, alpha=0.7, c=0.4), RESIDUALS)
    torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=1e-12)


# --- The partition function ---------------------------------------------------------------------------------------

# Barron's published values, from the tests of his code.
PUBLISHED = {0.5: 3.638993131, 1.0: 3.272306973, 1.5: 2.965924889}


def partition(alpha, dtype=torch.float64):
    module = adaptive_robust(alpha=alpha).to(dtype)
    zero = torch.zeros(1, dtype=dtype)
    return (module(zero, zero) - module.c.log()).exp().item()


@pytest.mark.parametrize("alpha", PUBLISHED)
def test_partition_function_has_the_published_values(alpha):
    assert partition(alpha) == pytest.approx(PUBLISHED[alpha], abs=1e-8)
    assert partition(alpha, torch.float32) == pytest.approx(PUBLISHED[alpha], rel=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.25, 0.6, 1.2, 1.8, 1.95])
def test_partition_function_is_the_integral_by_scipy(alpha):
    b = 2 - alpha
    density = lambda x: math.exp(-(b / alpha) * ((x * x / b + 1) ** (alpha / 2) - 1))  # noqa: E731
    expected = 2 * (quad(density, 0, 5)[0] + quad(density, 5, 100)[0] + quad(density, 100, math.inf, limit=500)[0])
    assert partition(alpha) == pytest.approx(expected, rel=1e-6)


def test_partition_function_ends_in_the_cauchy_and_the_normal_distribution():
    # Where it ends, alpha is a thousandth away from 0 and 2; Z has slope 1.2 and about b log b there.
    assert partition(0.0010001) == pytest.approx(math.pi * math.sqrt(2), abs=5e-3)
    assert partition(1.9989999) == pytest.approx(math.sqrt(2 * math.pi), abs=5e-3)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1.0, 1.5, 1.99])
def test_gradient_in_the_learned_parameters(alpha):
    module = of(adaptive_robust(alpha=alpha, c=0.7))
    latents = dict(module.named_parameters())
    residuals = torch.tensor([0.0, 0.1, 1.0, 30.0], dtype=torch.float64)

    def value(latent_alpha, latent_c):
        given = {"latent_alpha": latent_alpha, "latent_c": latent_c}
        return torch.func.functional_call(module, given, (residuals, torch.zeros(4).double()))

    assert torch.autograd.gradcheck(value, (latents["latent_alpha"], latents["latent_c"]))


# --- Densities ----------------------------------------------------------------------------------------------------

DENSITIES = {
    "gaussian": lambda: gaussian_nll_global(sigma=0.6),
    "laplace": lambda: laplace_nll(b=0.6),
    "student": lambda: learned_student_t(nu=3.0, scale=0.6),
    "adaptive .5": lambda: adaptive_robust(alpha=0.5, c=0.6),
    "adaptive 1.5": lambda: adaptive_robust(alpha=1.5, c=0.6),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_is_a_density(name):
    module = of(DENSITIES[name]())
    x = 0.6 * torch.sinh(torch.linspace(-16, 16, 4001, dtype=torch.float64))
    density = (-module(torch.zeros_like(x), x)).exp().detach()
    assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=2e-5)


# --- The learned parameters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0.05, 1.0, 20.0])
def test_sigma_goes_to_the_root_mean_square(start):
    module = minimise_over_parameters(of(gaussian_nll_global(sigma=start)), HEAVY)
    assert module.sigma.item() == pytest.approx(HEAVY.square().mean().sqrt().item(), rel=1e-6)


@pytest.mark.parametrize("start", [0.05, 1.0, 20.0])
def test_b_goes_to_the_mean_absolute_residual(start):
    module = minimise_over_parameters(of(laplace_nll(b=start)), HEAVY)
    assert module.b.item() == pytest.approx(HEAVY.abs().mean().item(), rel=1e-6)


def test_student_t_goes_to_the_fit_of_scipy():
    nu, _, scale = scipy.stats.t.fit(HEAVY.numpy(), floc=0)
    module = minimise_over_parameters(of(learned_student_t(learn_nu=True)), HEAVY)
    assert module.nu.item() == pytest.approx(nu, rel=1e-3)
    assert module.scale.item() == pytest.approx(scale, rel=1e-3)


def test_nu_stays_where_it_is_unless_it_is_learned():
    module = minimise_over_parameters(of(learned_student_t(nu=7.0)), HEAVY)
    _, _, scale = scipy.stats.t.fit(HEAVY.numpy(), f0=7.0, floc=0)
    assert module.nu.item() == pytest.approx(7.0, rel=1e-6)
    assert module.scale.item() == pytest.approx(scale, rel=1e-3)


def test_adaptive_robust_learns_a_smaller_alpha_from_heavier_tails():
    normal = torch.from_numpy(np.random.default_rng(0).normal(size=600))
    on_normal = minimise_over_parameters(of(adaptive_robust()), normal)
    on_heavy = minimise_over_parameters(of(adaptive_robust()), HEAVY)
    assert on_normal.alpha.item() > 1.7
    assert on_heavy.alpha.item() < 1
    # Near alpha = 2 it is the normal density, whose scale is known.
    assert on_normal.c.item() == pytest.approx(normal.square().mean().sqrt().item(), rel=0.1)


def test_adaptive_robust_goes_to_the_maximum_likelihood_that_scipy_finds():
    residuals = HEAVY.numpy()

    def robust(x, alpha):
        b = 2 - alpha
        return (b / alpha) * ((x * x / b + 1) ** (alpha / 2) - 1)

    def mean(parameters):
        alpha, c = parameters
        integral = sum(quad(lambda x: math.exp(-robust(x, alpha)), *ends)[0] for ends in ((0, 5), (5, math.inf)))
        return np.mean(robust(residuals / c, alpha)) + math.log(2 * c * integral)

    expected = minimize(mean, (0.8, 0.8), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9}).x
    module = minimise_over_parameters(of(adaptive_robust()), HEAVY)
    np.testing.assert_allclose([module.alpha.item(), module.c.item()], expected, rtol=2e-3)


@pytest.mark.parametrize("name", learned_scale.__all__)
def test_parameters_are_learned_and_stay_positive(name):
    loss = load_loss(name)
    learned = [parameter for parameter in loss.module.parameters() if parameter.requires_grad]
    loss(torch.zeros(5), torch.randn(5, generator=torch.Generator().manual_seed(0))).mean().backward()
    assert learned and all(parameter.grad.abs() > 0 for parameter in learned)
    with torch.no_grad():
        for parameter in learned:
            parameter.fill_(-1e4)
    value = loss(torch.tensor([1.0, -1e4]), torch.zeros(2))
    assert value.isfinite().all()


@pytest.mark.parametrize("name", learned_scale.__all__)
def test_shapes_that_differ_are_refused(name):
    with pytest.raises(ValueError, match=r"does not broadcast"):
        load_loss(name)(torch.zeros(3, 1), torch.zeros(3))
