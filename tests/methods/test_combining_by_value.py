"""Combinations by the values of a step, against scipy, torch, torchjd and closed forms: value and gradient."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from scipy.stats import gmean
from torch.func import grad
from torchjd import scalarization

from lossbench.errors import ConfigError
from lossbench.methods.combining import (
    chebyshev,
    cov_weighting,
    dwa,
    famo,
    geometric_mean,
    gradnorm,
    plain_sum,
    random_weighting,
    uncertainty,
    uncertainty_revised,
)

TERMS = ["mask", "kind", "depth"]
VALUES = torch.tensor([0.3, 2.0, 40.0], dtype=torch.float64)
LOGARITHMIC = [chebyshev, famo, geometric_mean]


def made(method, **settings):
    return method(terms=TERMS, **settings).double()


def value_and_gradient(combine, values=VALUES):
    values = values.clone().requires_grad_()
    total = combine(values)
    return total.detach(), torch.autograd.grad(total, values, retain_graph=True)[0]


@pytest.mark.parametrize(
    "method",
    [plain_sum, uncertainty, uncertainty_revised, dwa, cov_weighting, random_weighting, geometric_mean, chebyshev,
     famo, gradnorm],
)  # fmt: skip
def test_weights_are_the_gradient_with_respect_to_the_terms(method):
    combine = made(method)
    _, gradient = value_and_gradient(combine)
    torch.testing.assert_close(combine.weights, gradient)


def test_plain_sum_is_the_sum():
    total, gradient = value_and_gradient(made(plain_sum))
    assert total.item() == pytest.approx(42.3)
    assert gradient.tolist() == [1, 1, 1]


# --- Learned uncertainties ----------------------------------------------------------------------------------------


def test_uncertainty_is_the_likelihood_of_torch():
    combine = made(uncertainty)
    combine.log_variance.data = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
    roots = VALUES.sqrt().requires_grad_()
    variance = combine.log_variance.detach().exp().requires_grad_()
    expected = F.gaussian_nll_loss(torch.zeros(3), roots, variance, reduction="sum")
    torch.testing.assert_close(combine(VALUES).detach(), expected.detach())
    (pull,) = torch.autograd.grad(combine(VALUES), combine.log_variance)
    (expected_pull,) = torch.autograd.grad(expected, variance)
    torch.testing.assert_close(pull, expected_pull * variance.detach())


def test_uncertainty_is_that_of_torchjd():
    theirs, ours = scalarization.UW(3).double(), made(uncertainty, start=-0.5)
    theirs.log_var.data.fill_(-0.5)
    torch.testing.assert_close(value_and_gradient(ours), value_and_gradient(theirs))


@pytest.mark.parametrize(
    ("settings", "variance_of"),
    [
        ({"method": uncertainty}, lambda value: value),
        ({"method": uncertainty, "likelihood": "softmax"}, lambda value: 2 * value),
        ({"method": uncertainty_revised}, lambda value: (value + (value**2 + 8 * value) ** 0.5) / 4),
    ],
)
def test_the_best_variance_has_a_closed_form_and_the_gradient_leads_there(settings, variance_of):
    combine = made(**settings)
    combine.log_variance.data = variance_of(VALUES).log()
    (pull,) = torch.autograd.grad(combine(VALUES), combine.log_variance)
    assert pull.abs().max() < 1e-12
    if settings["method"] is uncertainty:
        torch.testing.assert_close(combine.weights * VALUES, torch.full_like(VALUES, 0.5))
    combine.log_variance.data += torch.tensor([0.1, 0.1, -0.1], dtype=torch.float64)
    (pull,) = torch.autograd.grad(combine(VALUES), combine.log_variance)
    assert (pull.sign() == torch.tensor([1, 1, -1])).all()


def test_the_best_variance_of_the_revised_form_is_that_of_scipy():
    for value in VALUES.tolist():
        found = minimize_scalar(lambda s2, v=value: v / (2 * s2) + np.log1p(s2), bounds=(1e-3, 1e3), method="bounded")
        combine = uncertainty_revised(terms=["one"], start=float(np.log(found.x))).double()
        assert combine(torch.tensor([value], dtype=torch.float64)).item() == pytest.approx(found.fun, rel=1e-6)
        assert found.x == pytest.approx((value + (value**2 + 8 * value) ** 0.5) / 4, rel=1e-4)


def test_the_price_of_the_revised_form_is_never_below_0():
    for start in (-30.0, 0.0, 30.0):
        assert uncertainty_revised(terms=["one"], start=start)(torch.zeros(1)) >= 0
    assert uncertainty(terms=["one"], start=-30.0)(torch.zeros(1)) == -15


# --- Draws --------------------------------------------------------------------------------------------------------


def test_random_weights_are_those_of_the_seed_and_the_step_and_leave_the_global_generator_alone():
    one, same, other = (made(random_weighting, seed=seed) for seed in (1, 1, 2))
    before = torch.get_rng_state()
    drawn = []
    for combine in (one, same, other):
        for _ in range(3):
            combine(VALUES)
            drawn.append(combine.weights.clone())
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(*pair) for pair in zip(drawn[:3], drawn[3:6], strict=True))
    assert len({tuple(each.tolist()) for each in drawn}) == 6


def test_random_weights_sum_to_1_and_are_alike_on_average():
    combine = made(random_weighting)
    drawn = torch.stack([combine(VALUES) * 0 + combine.weights for _ in range(2000)])
    torch.testing.assert_close(drawn.sum(1), torch.ones(2000, dtype=torch.float64))
    torch.testing.assert_close(drawn.mean(0), torch.full_like(VALUES, 1 / 3), rtol=0, atol=0.02)
    logs = drawn.log() - drawn.log().mean(1, keepdim=True)  # of normal draws, less their mean
    assert logs.var(0).mean().item() == pytest.approx(2 / 3, rel=0.1)


# --- Geometric mean -----------------------------------------------------------------------------------------------


def test_geometric_mean_is_that_of_scipy_and_torchjd_and_has_the_gradient_of_the_product():
    total, gradient = value_and_gradient(made(geometric_mean))
    assert total.item() == pytest.approx(gmean(VALUES.numpy()), rel=1e-7)
    torch.testing.assert_close((total, gradient), value_and_gradient(scalarization.GeometricMean()), rtol=1e-7, atol=0)
    others = torch.stack([VALUES[1] * VALUES[2], VALUES[0] * VALUES[2], VALUES[0] * VALUES[1]])
    torch.testing.assert_close(gradient, others * VALUES.prod() ** (-2 / 3) / 3, rtol=1e-7, atol=0)


def test_geometric_mean_of_a_term_of_0_is_finite_where_torchjds_gradient_is_not():
    values = torch.tensor([0.0, 4.0], dtype=torch.float64)
    total, gradient = value_and_gradient(geometric_mean(terms=TERMS[:2]).double(), values)
    assert total.item() == pytest.approx(2e-4, rel=1e-6)  # the root of 4 and the addend of 1e-8
    torch.testing.assert_close(gradient, torch.tensor([1e4, 2.5e-5], dtype=torch.float64))
    assert value_and_gradient(scalarization.GeometricMean(), values)[1].isnan().any()


# --- Tchebycheff --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mu", [0.05, 0.5, 1.0, 3.0])
def test_chebyshev_is_the_log_sum_of_scipy_beside_the_nadir(mu):
    nadir = torch.tensor([0.5, 1.5, 90.0], dtype=torch.float64)
    combine = made(chebyshev, mu=mu, warmup_epochs=2)
    combine.start_epoch(1, nadir / 7)
    combine.start_epoch(2, nadir)
    total, gradient = value_and_gradient(combine)
    expected = mu * logsumexp(np.log(VALUES.numpy() / nadir.numpy()) / mu)
    assert total.item() == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(
        gradient, grad(lambda v: mu * ((v / nadir) ** (1 / mu)).sum().log())(VALUES), rtol=1e-6, atol=0
    )


def test_chebyshev_tends_to_its_hard_form():
    nadir = torch.tensor([0.5, 1.5, 90.0], dtype=torch.float64)
    totals = []
    for mu in (0.0, 1e-3, 1e-30):
        combine = made(chebyshev, mu=mu)
        combine.start_epoch(1, nadir)
        total, gradient = value_and_gradient(combine)
        totals.append(total.item())
        torch.testing.assert_close(gradient, torch.tensor([0, 0.5, 0], dtype=torch.float64))  # 1 / L of the worst
    assert totals == pytest.approx([np.log(4 / 3)] * 3, rel=1e-6)


def test_the_hard_form_shares_its_gradient_between_ties():
    combine = made(chebyshev, mu=0.0, warmup_epochs=0)
    _, gradient = value_and_gradient(combine)  # all are where they start
    torch.testing.assert_close(gradient, 1 / (3 * VALUES))


def test_chebyshev_warms_up_with_the_sum_of_logarithms():
    combine = made(chebyshev, warmup_epochs=2)
    for epoch, means in enumerate([None, VALUES]):
        combine.start_epoch(epoch, means)
        total, gradient = value_and_gradient(combine)
        assert total.item() == pytest.approx(np.log(VALUES.numpy()).sum())
        torch.testing.assert_close(gradient, 1 / VALUES)
    assert combine.nadir.isnan().all()


def test_chebyshev_without_a_warm_up_starts_from_the_first_step():
    combine = made(chebyshev, warmup_epochs=0)
    combine(VALUES)
    assert combine(VALUES / 2).item() == pytest.approx(np.log(1.5))


# --- What terms may be --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", LOGARITHMIC)
def test_a_term_below_0_is_refused_by_name(method):
    with pytest.raises(ConfigError, match=rf"combine={method.__name__} .*: kind is -0.5\. Use a method"):
        method(terms=TERMS)(torch.tensor([1.0, -0.5, 2.0]))


@pytest.mark.parametrize("method", [uncertainty, uncertainty_revised, dwa, cov_weighting, random_weighting, gradnorm])
def test_the_others_take_terms_below_0(method):
    combine = method(terms=TERMS)
    for epoch in range(4):
        combine.start_epoch(epoch, torch.tensor([1.0, -0.5, 0.0]) if epoch else None)
        assert combine(torch.tensor([1.0, -0.5, 0.0])).isfinite()
        assert combine.weights.isfinite().all()


@pytest.mark.parametrize("method", [*LOGARITHMIC, uncertainty, uncertainty_revised, dwa, cov_weighting, gradnorm])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_of_any_size_give_finite_totals_and_gradients(method, dtype):
    combine = method(terms=TERMS)
    for values in ([0.0, 1.0, 1e4], [1e-30, 1e30, 1.0], [0.0, 0.0, 0.0], [1e4, 1e4, 1e4]):
        total, gradient = value_and_gradient(combine, torch.tensor(values, dtype=dtype))
        assert total.isfinite() and gradient.isfinite().all(), values


@pytest.mark.parametrize("method", LOGARITHMIC)
def test_a_term_that_is_nan_makes_the_total_nan_as_of_a_run_that_diverged(method):
    assert method(terms=TERMS)(torch.tensor([1.0, torch.nan, 2.0])).isnan()


def test_a_method_can_be_made_of_half_precision():
    assert uncertainty(terms=TERMS).half()(VALUES.half()).dtype == torch.float16
