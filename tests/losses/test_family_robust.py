"""The family of tilted robust losses against its members in the catalogue, numpy, bounds, and what it predicts."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch

from lossbench.catalogue.binding import load_loss
from lossbench.losses import robust_family
from lossbench.losses.family_robust import MEMBERS, NEAR
from tests.support.families import assert_same_by_sample, broken_at, drawn
from tests.support.losses import RESIDUALS, assert_same_loss, subject_of, value_and_gradient

ZERO = torch.zeros_like(RESIDUALS)


def family(**parameters):
    return lambda prediction: robust_family(prediction, ZERO, **parameters)


def of_catalogue(name, **parameters):
    loaded = load_loss(name, **parameters)
    return lambda prediction: loaded(prediction, ZERO)


@pytest.mark.parametrize("name", [name for name in MEMBERS if name != "student_t"])
def test_has_its_members_exactly(name):
    assert_same_loss(family(**MEMBERS[name]), of_catalogue(name), RESIDUALS)


@pytest.mark.parametrize(
    ("name", "given", "parameters"),
    [
        *(("expectile", {"t": t}, {"tau": t}) for t in (0.1, 0.9)),
        *(
            ("general_robust", {"alpha": alpha, "c": 1.7}, {"alpha": alpha, "c": 1.7})
            for alpha in (-math.inf, -1e20, -7.5, -2.0, -0.01, -1e-18, 0.0, 1e-18, 0.01, 0.5, 1.0, 1.99, 2 - 3e-16, 2.0)
        ),
        *((name, {"c": 0.3}, {**MEMBERS[name], "c": 0.3}) for name in ("cauchy", "geman_mcclure", "welsch")),
        ("pseudo_huber", {"c": 3.0}, {"alpha": 1.0, "c": 3.0, "factor": 9.0}),
    ],
)
def test_has_them_with_other_parameters_too(name, given, parameters):
    assert_same_loss(family(**parameters), of_catalogue(name, **given), RESIDUALS)


@pytest.mark.parametrize(("nu", "scale"), [(4.0, 1.0), (1.0, 0.3)])
def test_has_students_t_but_for_a_constant(nu, scale):
    parameters = {"alpha": 0.0, "c": scale * math.sqrt(nu / 2), "factor": (nu + 1) / 2}
    assert nu != 4 or parameters == pytest.approx(MEMBERS["student_t"])
    other = of_catalogue("student_t", nu=nu, scale=scale)
    least = other(ZERO)
    assert_same_loss(family(**parameters), lambda prediction: other(prediction) - least, RESIDUALS)


@pytest.mark.parametrize("c", [0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("q", [0.5, 0.1])
def test_has_the_quantile_loss_as_a_limit(q, c):
    """It is |q - 1[r < 0]| (sqrt(r^2 + c^2) - c), and |r| - c <= sqrt(r^2 + c^2) - c <= |r|."""
    short = of_catalogue("quantile", q=q)(RESIDUALS) - family(alpha=1.0, c=c, factor=c / 2, tau=q)(RESIDUALS)
    assert (short >= -1e-12).all() and (short <= max(q, 1 - q) * c + 1e-12).all()


ABOVE = {"huber": 0.5, "log_cosh": 1 - math.log(2), "mae": 1e-3, "quantile": 5e-4, "smooth_l1": 0.5}


@pytest.mark.parametrize("name", NEAR)
def test_comes_near_to_others(name):
    above = ABOVE[name]
    short = of_catalogue(name)(RESIDUALS) - family(**NEAR[name])(RESIDUALS)
    assert (short >= -1e-12).all() and (short <= above + 1e-12).all()
    assert short.max() > 0.9 * above  # at the far residuals: the bound is the best


@pytest.mark.parametrize("parameters", drawn("robust_family", 6), ids=str)
def test_equals_the_printed_formula_and_its_derivative_by_hand(parameters):
    alpha, c, tau = (parameters[key] for key in ("alpha", "c", "tau"))
    r = -RESIDUALS.numpy()
    base, weight = (r / c) ** 2 / (2 - alpha) + 1, 2 * np.abs(tau - (r < 0))
    value, gradient = value_and_gradient(family(**{**parameters, "factor": 3.0}), RESIDUALS)
    np.testing.assert_allclose(value, 3 * weight * (2 - alpha) / alpha * (base ** (alpha / 2) - 1), rtol=1e-8)
    np.testing.assert_allclose(gradient, -3 * weight * r / c**2 * base ** (alpha / 2 - 1), rtol=1e-7)


def test_golden_values():
    """By hand: 2 * 0.9 * (sqrt(3 + 1) - 1) and the other side, 2 * 0.1 of it."""
    target = torch.tensor([1.0, -1.0]) * 3**0.5
    assert robust_family(torch.zeros(2), target, alpha=1.0, tau=0.9).tolist() == pytest.approx([1.8, 0.2])


def prediction_for(sample, **parameters):
    """The constant of the smallest mean loss, by a search on the values alone."""
    y = torch.tensor(sample)
    risk = lambda f: robust_family(torch.full_like(y, f), y, **parameters).mean().item()  # noqa: E731
    return scipy.optimize.minimize_scalar(risk, bounds=(-10, 10), method="bounded", options={"xatol": 1e-8}).x


SKEWED = scipy.stats.gamma(2.0).ppf((np.arange(2000) + 0.5) / 2000)


@pytest.mark.parametrize("tau", [0.2, 0.5, 0.8])
def test_predicts_expectiles_and_in_the_limit_quantiles(tau):
    assert prediction_for(SKEWED, tau=tau) == pytest.approx(scipy.stats.expectile(SKEWED, tau), abs=1e-5)
    near = prediction_for(SKEWED, tau=tau, alpha=1.0, c=1e-4)
    assert near == pytest.approx(np.quantile(SKEWED, tau), abs=2e-3)


@pytest.mark.parametrize("alpha", [2.0, 1.0, 0.0, -2.0, -math.inf])
def test_predicts_the_mean_of_symmetric_noise_with_one_peak_and_not_of_skewed_noise(alpha):
    symmetric = 1.5 + scipy.stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    assert prediction_for(symmetric, alpha=alpha) == pytest.approx(1.5, abs=1e-4)
    off = abs(prediction_for(SKEWED, alpha=alpha) - SKEWED.mean())
    assert (off < 1e-5) if alpha == 2 else (off > 0.1)


def test_each_sample_may_have_parameters_of_its_own():
    members = [{**subject_of("robust_family").parameters, **each} for each in {**MEMBERS, **NEAR}.values()]
    candidates = drawn("robust_family", len(RESIDUALS) - len(members)) + members
    for outputs in (RESIDUALS, RESIDUALS.float()):
        target = torch.zeros_like(outputs)
        assert_same_by_sample(lambda free, y=target, **given: robust_family(free, y, **given), outputs, candidates)


@pytest.mark.parametrize("alpha", [2.0, 2 - 1e-9, 1.0, 1e-9, 0.0, -1e-9, -1e9, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_limits_of_alpha_are_finite_as_tensors_too(alpha, dtype):
    outputs = torch.tensor([0.0, 1e-4, -1.0, 1e4, -1e4], dtype=dtype)
    shapes = torch.full((5,), alpha, dtype=dtype)
    value, gradient = value_and_gradient(lambda f: robust_family(f, torch.zeros_like(f), alpha=shapes), outputs)
    assert value.isfinite().all() and gradient.isfinite().all() and value[0] == gradient[0] == 0


@pytest.mark.parametrize("parameters", [*MEMBERS.values(), *NEAR.values(), *drawn("robust_family", 5)], ids=str)
def test_keeps_the_contract_wherever_it_is_searched(parameters):
    assert broken_at("robust_family", parameters) == {}
