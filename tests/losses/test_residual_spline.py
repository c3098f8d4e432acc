"""The spline of the residual against scipy, the losses that are its members, and limits."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.interpolate import PPoly, make_interp_spline

from lossbench import load_loss
from lossbench.losses.residual_spline import KNOTS, MEMBERS, NEAR, spline_residual
from tests.support.losses import RESIDUALS, assert_same_loss, value_and_gradient

NAMES = [f"{side}{knot:g}" for side in ("above", "below") for knot in KNOTS[1:]]
NUMBERS = dict(zip(NAMES, (0.7, 1.1, 0.2, 0.4, 0.0, 2.5), strict=True))
CLOSE = torch.linspace(-5, 5, 400, dtype=torch.float64)


def from_residuals(residuals, **parameters):
    return value_and_gradient(lambda p: spline_residual(p, torch.zeros_like(p), **parameters), -residuals)


def by_scipy(residuals, scale, numbers, convex):
    """The antiderivative of scipy's linear spline of the slope, which is level beyond the last knot."""
    numbers = np.cumsum(numbers) if convex else np.asarray(numbers)
    slope = make_interp_spline([*KNOTS, 1e6], [0.0, *numbers, numbers[-1]], k=1)
    size = np.abs(residuals) / scale
    return scale * PPoly.from_spline(slope).antiderivative()(size), slope(size)


@pytest.mark.parametrize("convex", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_value_and_gradient_are_those_of_scipy(convex, symmetric, scale):
    values, gradient = from_residuals(RESIDUALS, scale=scale, **NUMBERS, convex=convex, symmetric=symmetric)
    r = RESIDUALS.numpy()
    above = by_scipy(r, scale, [NUMBERS[name] for name in NAMES[:3]], convex)
    below = above if symmetric else by_scipy(r, scale, [NUMBERS[name] for name in NAMES[3:]], convex)
    np.testing.assert_allclose(values, np.where(r > 0, above[0], below[0]), rtol=1e-10)
    np.testing.assert_allclose(-gradient, np.where(r > 0, above[1], -below[1]), rtol=1e-10)


def test_value_is_the_integral_of_a_slope_drawn_by_hand():
    corners = [0, 1.5, 3, 6], [0, 0.7, 1.1, 0.2]
    expected = quad(lambda r: np.interp(r, *corners), 0, 10, points=corners[0][1:])[0]
    values, _ = from_residuals(torch.tensor([10.0]).double(), scale=1.5, **NUMBERS, convex=False)
    assert values.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", MEMBERS)
def test_members_are_the_losses_of_the_catalogue(name):
    member = load_loss(name)
    assert_same_loss(
        lambda p: spline_residual(p, torch.zeros_like(p), **MEMBERS[name]),
        lambda p: member(p, torch.zeros_like(p)),
        -RESIDUALS,
    )


@pytest.mark.parametrize("name", ["mae", "quantile"])
def test_rounded_members_are_near_by_half_a_scale(name):
    member, zeros = load_loss(name), torch.zeros_like(RESIDUALS)
    values, gradient = from_residuals(RESIDUALS, **NEAR[name])
    theirs, slope = value_and_gradient(lambda p: member(p, zeros), -RESIDUALS)
    bound = NEAR[name]["above1"] * NEAR[name]["scale"] / 2
    assert (theirs - values).max() <= bound * (1 + 1e-6)
    assert (theirs - values).min() >= 0
    torch.testing.assert_close(gradient, slope)  # no residual of the test is within a scale


BOUNDS = {"cauchy": 0.1, "geman_mcclure": 0.1, "log_cosh": 0.04, "mae": 1e-9, "quantile": 1e-9, "tukey": 0.13,
          "welsch": 0.07}  # fmt: skip


@pytest.mark.parametrize("name", NEAR)
def test_near_losses_are_near_by_their_slope(name):
    member, residuals = load_loss(name), CLOSE[CLOSE.abs() <= 4.8]
    _, theirs = value_and_gradient(lambda p: member(p, torch.zeros_like(p)), -residuals)
    _, gradient = from_residuals(residuals, **NEAR[name])
    assert (gradient - theirs).abs().max() < BOUNDS[name]


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_quantiles_and_expectiles_of_any_level(q):
    residuals = RESIDUALS[RESIDUALS.abs() > 0.01]
    values, gradient = from_residuals(residuals, scale=1e-6, above1=q, below1=1 - q)
    assert torch.allclose(values, torch.maximum(q * residuals, (q - 1) * residuals), atol=1e-6)
    assert torch.allclose(-gradient, torch.where(residuals > 0, q, q - 1).double())
    steep = {f"{side}{knot}": 2000 * w * f for side, w in (("above", q), ("below", 1 - q)) for knot, f in KNOWN_GROWTH}
    expectile = load_loss("expectile", t=q)
    assert_same_loss(
        lambda p: spline_residual(p, torch.zeros_like(p), scale=1000.0, **steep),
        lambda p: expectile(p, torch.zeros_like(p)),
        -residuals,
    )


KNOWN_GROWTH = ((1, 1.0), (2, 1.0), (4, 2.0))
"""By knot the part of the slope of a squared error that is added there."""


@pytest.mark.parametrize("convex", [True, False])
def test_it_is_0_at_0_rises_to_both_sides_and_is_convex_where_it_says_so(convex):
    draws = np.random.default_rng(0)
    for _ in range(20):
        numbers = {name: float(draws.uniform(0.01, 2)) for name in NAMES}
        values, gradient = from_residuals(CLOSE, scale=float(draws.uniform(0.1, 2)), **numbers, convex=convex)
        slope = -gradient
        assert (values > 0).all()
        assert (slope * CLOSE > 0).all()
        assert not convex or (slope.diff() >= -1e-12).all()
        at_zero = from_residuals(torch.zeros(1).double(), **numbers, convex=convex)
        assert at_zero[0].item() == at_zero[1].item() == 0


def test_a_residual_at_a_knot_has_the_slope_that_is_given_there():
    knots = torch.tensor([1.0, 2.0, 4.0, -1.0, -2.0, -4.0])
    _, gradient = from_residuals(knots, **NUMBERS, convex=False)
    np.testing.assert_allclose(gradient.abs(), list(NUMBERS.values()), rtol=1e-6)


def test_far_residuals_pull_no_more_where_the_last_slope_is_0():
    _, gradient = from_residuals(torch.tensor([-50.0, 5.0, 1e6]).double(), **{**NUMBERS, "above4": 0.0}, convex=False)
    assert gradient.tolist() == [2.5, 0.0, 0.0]


def test_symmetric_takes_the_side_above():
    numbers = {name: NUMBERS[name] for name in NAMES[:3]}
    both = {name.replace("above", "below"): value for name, value in numbers.items()}
    ours = from_residuals(RESIDUALS, **NUMBERS, symmetric=True)
    for got, expected in zip(ours, from_residuals(RESIDUALS, **numbers, **both), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("convex", [True, False])
def test_each_number_may_differ_from_sample_to_sample(convex):
    draws = torch.Generator().manual_seed(0)
    given = {name: torch.rand(len(RESIDUALS), dtype=torch.float64, generator=draws) + 0.1 for name in [*NAMES, "scale"]}
    values, gradient = from_residuals(RESIDUALS, **given, convex=convex)
    for row, residual in enumerate(RESIDUALS):
        numbers = {name: each[row].item() for name, each in given.items()}
        value, slope = from_residuals(residual[None], **numbers, convex=convex)
        assert values[row].item() == pytest.approx(value.item(), rel=1e-12)
        assert gradient[row].item() == pytest.approx(slope.item(), rel=1e-12)


def test_numbers_of_half_precision_outputs_keep_their_type():
    prediction = torch.tensor([1.0, 300.0], dtype=torch.bfloat16)
    assert spline_residual(prediction, torch.zeros_like(prediction)).dtype == torch.bfloat16
