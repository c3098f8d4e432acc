"""Scale- and shift-invariant losses against least squares of numpy and torch, and sorted residuals."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from lossbench.losses.depth_aligned import median_of_valid, ssi, ssi_trimmed
from tests.support.depth import depth_maps, valid
from tests.support.losses import assert_same_loss, value_and_gradient

OUTPUTS, TARGET = depth_maps(height=9, width=8)
PERFECT = torch.where(valid(TARGET), TARGET, 1.0).log()


def by_image(function):
    """Apply a function of predicted and true inverse depth of the valid pixels of one image to each image."""

    def reference(outputs):
        pairs = ((-o[valid(d)], d[valid(d)]) for o, d in zip(outputs, TARGET, strict=True))
        return torch.stack([function(inverse.exp(), 1 / depth) for inverse, depth in pairs])

    return reference


def affine(outputs, scale, shift):
    """Scale and shift the inverse depth of log depth."""
    return -(scale * (-outputs).exp() + shift).log()


def test_ssi_is_half_the_mean_squared_residual_of_least_squares():
    def residual(x, y):
        design = torch.stack([x, torch.ones_like(x)], 1)
        solution = torch.linalg.lstsq(design, y.unsqueeze(1)).solution
        return (design @ solution - y.unsqueeze(1)).square().mean() / 2

    assert_same_loss(lambda o: ssi(o, TARGET), by_image(residual), OUTPUTS)


def test_ssi_by_numpys_least_squares_and_by_the_correlation():
    values = ssi(OUTPUTS, TARGET).numpy()
    for value, o, d in zip(values, OUTPUTS.numpy(), TARGET.numpy(), strict=True):
        known = np.isfinite(d) & (d > 0)
        x, y = np.exp(-o[known]), 1 / d[known]
        _, residuals, *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y)
        assert value == pytest.approx(residuals[0] / (2 * known.sum()), rel=1e-10)
        assert value == pytest.approx(y.var() * (1 - pearsonr(x, y).statistic ** 2) / 2, rel=1e-10)


def test_the_gradient_through_the_alignment_is_that_with_the_alignment_held():
    """By the envelope theorem: scale and shift are where the same sum is smallest."""

    def held(x, y):
        known = x.detach().numpy()
        solution, *_ = np.linalg.lstsq(np.stack([known, np.ones_like(known)], 1), y.numpy())
        return (float(solution[0]) * x + float(solution[1]) - y).square().mean() / 2

    assert_same_loss(lambda o: ssi(o, TARGET), by_image(held), OUTPUTS)


def robust(x, y, trim):
    """As written in the paper: standardise by median and mean absolute deviation, sort, drop the largest."""
    aligned = [(z - z.quantile(0.5)) / (z - z.quantile(0.5)).abs().mean() for z in (x, y)]
    kept = len(x) - int(trim * len(x) + 1e-9)
    return (aligned[0] - aligned[1]).abs().sort().values[:kept].sum() / (2 * len(x))


@pytest.mark.parametrize("trim", [0.0, 0.2, 0.5, 0.99])
def test_ssi_trimmed_as_the_paper_says(trim):
    assert_same_loss(lambda o: ssi_trimmed(o, TARGET, trim=trim), by_image(lambda x, y: robust(x, y, trim)), OUTPUTS)


@pytest.mark.parametrize(("trim", "expected"), [(0.0, 8 / 30), (0.19, 8 / 30), (0.2, 4 / 30), (0.39, 4 / 30)])
def test_as_many_pixels_as_the_share_holds_are_dropped(trim, expected):
    """By hand: x is (-1, -.5, 0, .5, 3) and y (-5, -2.5, 0, 2.5, 5) / 3 after the alignment."""
    x, y = torch.tensor([[[[1.0, 2, 3, 4, 9]]], [[[1.0, 2, 3, 4, 5]]]]).double()
    assert ssi_trimmed(-x.log(), 1 / y, trim=trim).item() == pytest.approx(expected)


@pytest.mark.parametrize("function", [ssi, ssi_trimmed])
@pytest.mark.parametrize(("scale", "shift"), [(7.0, 0.0), (1.0, 3.0), (0.01, 0.5)])
def test_scale_and_shift_of_inverse_depth_change_nothing(function, scale, shift):
    torch.testing.assert_close(function(affine(OUTPUTS, scale, shift), TARGET), function(OUTPUTS, TARGET))
    perfect = function(affine(PERFECT, scale, shift), TARGET)
    torch.testing.assert_close(perfect, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("function", [ssi, ssi_trimmed])
def test_scale_and_shift_of_the_depth_itself_are_not_forgiven(function):
    torch.testing.assert_close(function(PERFECT + 1, TARGET), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (function((PERFECT.exp() + 1).log(), TARGET) > 1e-3).all()


def test_near_and_far_turned_round_cost_nothing_under_least_squares_and_much_when_trimmed():
    turned = affine(PERFECT, -1.0, 1 + (-PERFECT).exp().max())
    torch.testing.assert_close(ssi(turned, TARGET), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (ssi_trimmed(turned, TARGET) > 0.2).all()


@pytest.mark.parametrize("function", [ssi, ssi_trimmed])
def test_a_flat_prediction_or_target_has_a_finite_gradient(function):
    for outputs in (torch.zeros(1, 4, 4), 1e-6 * torch.randn(1, 4, 4), torch.full((1, 4, 4), 300.0)):
        for target in (torch.full((1, 4, 4), 2.0), torch.arange(1.0, 17.0).view(1, 4, 4)):
            values, gradient = value_and_gradient(lambda o, target=target: function(o, target), outputs)
            assert values.isfinite().all() and gradient.abs().max() < 1e4


def test_median_is_numpys():
    values = torch.randn(4, 5, 3, dtype=torch.float64)
    known = torch.rand(4, 5, 3) < 0.6
    known[3] = False
    found = median_of_valid(values, known)
    expected = [np.median(v[k]) for v, k in zip(values[:3].numpy(), known[:3].numpy(), strict=True)]
    np.testing.assert_allclose(found[:3], expected, rtol=1e-14)
    assert found[3] == 0
