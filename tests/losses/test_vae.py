"""The losses of variational autoencoders against torch.distributions, limits and closed forms, values and gradients."""

import math

import pytest
import torch
from torch import distributions

from lossbench.catalogue.binding import load_loss
from lossbench.losses.links import pixel_means
from lossbench.losses.vae import SMALLEST_VARIANCE, kl_divergence
from lossbench.tasks.autoencoding.metrics import active_units, bound_of_each

NAMES = ("vae_bernoulli", "vae_gaussian", "vae_l1")


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(3)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    images = torch.rand(5, 1, 3, 3, generator=generator, dtype=torch.float64)
    return {"logits": draw(5, 1, 3, 3), "images": images, "mean": draw(5, 4), "log_variance": draw(5, 4)}


def value(name, given, epoch=0, **parameters):
    code = {"mean": given["mean"], "log_variance": given["log_variance"]}
    return load_loss(name, **parameters)(given["logits"], given["images"], epoch=epoch, **code)


def free(given):
    return [given[name] for name in ("logits", "mean", "log_variance")]


def divergence(given):
    code = distributions.Normal(given["mean"], (0.5 * given["log_variance"]).exp())
    return distributions.kl_divergence(code, distributions.Normal(0.0, 1.0)).sum(1)


def log_likelihood(name, given, **parameters):
    means = given["logits"].sigmoid()
    if name == "vae_gaussian":
        pixels = distributions.Normal(means, math.sqrt(parameters.get("variance", 0.5)))
    elif name == "vae_l1":
        pixels = distributions.Laplace(means, parameters.get("b", 1.0))
    else:
        pixels = distributions.Bernoulli(logits=given["logits"], validate_args=False)
    return pixels.log_prob(given["images"]).sum((1, 2, 3))


def assert_same(one, other, given):
    torch.testing.assert_close(one, other)
    for ours, theirs in zip(
        torch.autograd.grad(one.sum(), free(given), allow_unused=True, retain_graph=True),
        torch.autograd.grad(other.sum(), free(given), allow_unused=True, retain_graph=True),
        strict=True,
    ):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("vae_bernoulli", {}),
        ("vae_gaussian", {}),
        ("vae_gaussian", {"variance": 0.01}),
        ("vae_l1", {}),
        ("vae_l1", {"b": 0.2}),
    ],
)
def test_is_the_negative_evidence_lower_bound_of_torch_distributions(name, parameters, given):
    expected = divergence(given) - log_likelihood(name, given, **parameters)
    assert_same(value(name, given, **parameters), expected, given)


def test_the_divergence_is_that_of_torch_distributions_and_least_at_the_prior(given):
    torch.testing.assert_close(kl_divergence(given["mean"], given["log_variance"]).sum(1), divergence(given))
    zero = torch.zeros(2, 3, requires_grad=True)
    least = kl_divergence(zero, zero)
    assert (least == 0).all() and torch.autograd.grad(least.sum(), zero)[0].abs().max() == 0


def test_the_squared_error_has_the_factor_1_by_default_but_for_a_constant(given):
    error = (given["images"] - given["logits"].sigmoid()).square().sum((1, 2, 3))
    expected = error + 9 / 2 * math.log(math.pi) + divergence(given)
    assert_same(value("vae_gaussian", given), expected, given)


@pytest.mark.parametrize("name", NAMES)
def test_without_beta_only_the_pixels_count(name, given):
    torch.testing.assert_close(value(name, given, beta=0.0), -log_likelihood(name, given))
    gradients = torch.autograd.grad(value(name, given, beta=0.0).sum(), [given["mean"], given["log_variance"]])
    assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_beta_weighs_the_divergence(name, given):
    assert_same(value(name, given, beta=4.0), 4 * divergence(given) - log_likelihood(name, given), given)


@pytest.mark.parametrize("name", NAMES)
def test_many_free_bits_are_a_constant_and_none_change_nothing(name, given):
    plenty = value(name, given, free_bits=50.0)
    torch.testing.assert_close(plenty, 4 * 50.0 - log_likelihood(name, given))
    gradients = torch.autograd.grad(plenty.sum(), [given["mean"], given["log_variance"]])
    assert all((gradient == 0).all() for gradient in gradients)
    assert_same(value(name, given, free_bits=0.0), value(name, given), given)


def test_free_bits_are_counted_for_each_image_and_latent():
    code = {"mean": torch.tensor([[1.0, 2.0]]), "log_variance": torch.zeros(1, 2), "epoch": 0}
    loss = load_loss("vae_bernoulli", free_bits=1.0)  # divergences of 0.5 and 2 nats
    pixels = 4 * math.log(2)
    assert float(loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), **code)) == pytest.approx(pixels + 1 + 2)


@pytest.mark.parametrize("name", NAMES)
def test_the_warm_up_grows_in_equal_steps_and_ends(name, given):
    shares = [
        (value(name, given, epoch, warmup_epochs=4, beta=2.0) + log_likelihood(name, given)) / divergence(given)
        for epoch in range(6)
    ]
    for share, expected in zip(shares, [0.0, 0.5, 1.0, 1.5, 2.0, 2.0], strict=True):
        torch.testing.assert_close(share, torch.full_like(share, expected))


def test_the_variance_of_null_is_the_one_with_the_smallest_value(given):
    """It is from memory of the paper: checked by the minimum over a grid, image by image, and by its gradient."""
    best = value("vae_gaussian", given, variance=None)
    grid = torch.linspace(0.02, 2, 1000) ** 2
    tried = torch.stack([value("vae_gaussian", given, variance=float(each)) for each in grid]).min(0)
    assert (best <= tried.values + 1e-9).all()
    torch.testing.assert_close(best, tried.values, atol=1e-4, rtol=0)
    error = (given["images"] - given["logits"].sigmoid()).square().mean((1, 2, 3))
    closed = 9 / 2 * (1 + (2 * math.pi * error).log()) + divergence(given)
    assert_same(best, closed, given)


def test_an_image_that_is_met_exactly_costs_what_rounding_does():
    images = torch.full((1, 1, 2, 2), 0.5)
    code = {"mean": torch.zeros(1, 1), "log_variance": torch.zeros(1, 1), "epoch": 0}
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    exact = load_loss("vae_gaussian", variance=None)(logits, images, **code)
    assert float(exact.detach()) == pytest.approx(2 * math.log(2 * math.pi * SMALLEST_VARIANCE), rel=1e-5)
    assert torch.autograd.grad(exact.sum(), logits)[0].isfinite().all()


def test_the_bound_that_is_measured_is_that_of_the_bernoulli_loss(given):
    found = bound_of_each(pixel_means(given["logits"]), given["images"], given["mean"], given["log_variance"])
    torch.testing.assert_close(found["neg_elbo"], value("vae_bernoulli", given))
    torch.testing.assert_close(found["kl"], divergence(given))
    torch.testing.assert_close(found["reconstruction"], -log_likelihood("vae_bernoulli", given))
    error = (given["images"] - given["logits"].sigmoid()).square()
    torch.testing.assert_close(found["mse"], error.mean((1, 2, 3)))


def test_a_pixel_that_is_certain_and_wrong_has_a_finite_bound():
    found = bound_of_each(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.zeros(1, 2), torch.zeros(1, 2))
    assert float(found["reconstruction"]) == pytest.approx(-math.log(1e-7), rel=1e-4)


def test_latents_in_use_are_those_whose_mean_varies():
    mean = torch.stack([torch.tensor([-1.0, 1.0]), torch.tensor([0.1, 0.2]), torch.tensor([5.0, 5.3])], dim=1)
    assert active_units(mean) == 2  # variances 1, 0.0025 and 0.0225
