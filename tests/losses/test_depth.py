"""Pixelwise losses of depth against torch, scipy and sums over pairs; and what all losses of depth keep."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad

from lossbench.losses.depth import depth_berhu, depth_log_l1, depth_mae, depth_mse, silog, silog_root
from lossbench.losses.facts import declared_losses
from tests.support.depth import bound, depth_maps, valid, views
from tests.support.losses import assert_same_loss, losses_of, value_and_gradient

OUTPUTS, TARGET = depth_maps()
FROM_VIEWS = {"photometric", "minimum_reprojection", "appearance_matching", "left_right_consistency", "monodepth"}


def by_image(function):
    """Apply a function of log depth and true depth of the valid pixels of one image to each image."""

    def reference(outputs):
        pairs = ((o[valid(d)], d[valid(d)]) for o, d in zip(outputs, TARGET, strict=True))
        return torch.stack([function(log_depth, depth) for log_depth, depth in pairs])

    return reference


# --- Each loss ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (depth_mae, lambda o, d: F.l1_loss(o.exp(), d)),
        (depth_mse, lambda o, d: F.mse_loss(o.exp(), d)),
        (depth_log_l1, lambda o, d: F.l1_loss(o, d.log())),
    ],
)
def test_plain_errors_are_torchs_of_the_valid_pixels(function, reference):
    assert_same_loss(lambda o: function(o, TARGET), by_image(reference), OUTPUTS)


def over_pairs(log_depth, depth, lam):
    """Equation 4 of Eigen et al. 2014, as sums over pixels and over pairs of pixels."""
    g = log_depth - depth.log()
    return (g**2).sum() / len(g) - lam / len(g) ** 2 * (g[:, None] * g[None, :]).sum()


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.85, 1.0])
def test_silog_is_the_sum_over_pairs_of_pixels(lam):
    assert_same_loss(lambda o: silog(o, TARGET, lam=lam), by_image(lambda o, d: over_pairs(o, d, lam)), OUTPUTS)


def test_silog_at_one_is_the_variance_and_at_zero_the_squared_log_error():
    assert_same_loss(
        lambda o: silog(o, TARGET, lam=1.0), by_image(lambda o, d: (o - d.log()).var(correction=0)), OUTPUTS
    )
    assert_same_loss(lambda o: silog(o, TARGET, lam=0.0), by_image(lambda o, d: F.mse_loss(o, d.log())), OUTPUTS)


@pytest.mark.parametrize(("lam", "alpha"), [(0.85, 10.0), (0.5, 1.0)])
def test_silog_root_is_the_root_of_the_sum_over_pairs(lam, alpha):
    assert_same_loss(
        lambda o: silog_root(o, TARGET, lam=lam, alpha=alpha),
        by_image(lambda o, d: alpha * over_pairs(o, d, lam).sqrt()),
        OUTPUTS,
    )


def test_a_common_factor_costs_what_lam_leaves_of_it():
    shifted = OUTPUTS + math.log(3)
    torch.testing.assert_close(silog(shifted, TARGET, lam=1.0), silog(OUTPUTS, TARGET, lam=1.0))
    perfect = torch.where(valid(TARGET), TARGET, 1.0).log()
    torch.testing.assert_close(
        silog(perfect + math.log(3), TARGET), torch.full((3,), 0.5 * math.log(3) ** 2, dtype=torch.float64)
    )


def test_the_root_has_a_finite_gradient_at_no_error():
    depth = torch.tensor([[[1.0, 2.0, 4.0]]])
    values, gradient = value_and_gradient(lambda o: silog_root(o, depth), depth.log())
    assert values.item() == 0 and gradient.abs().max() == 0


def test_berhu_is_the_integral_of_its_slope_with_the_threshold_of_the_batch():
    """Its slope over |r| is 1 up to c and |r| / c beyond, so at the worst pixel 1 / fraction."""
    inside = valid(TARGET)
    errors = torch.where(inside, OUTPUTS.exp() - TARGET, 0.0)
    c = 0.2 * errors.abs().max().item()
    values, gradient = value_and_gradient(lambda o: depth_berhu(o, TARGET), OUTPUTS)
    expected = torch.zeros(3, dtype=torch.float64)
    for row in range(3):
        areas = [quad(lambda r: max(1, r / c), 0, abs(r), points=[c])[0] for r in errors[row][inside[row]].tolist()]
        expected[row] = sum(areas) / len(areas)
    torch.testing.assert_close(values, expected, rtol=1e-7, atol=0)
    slopes = errors.sign() * (errors.abs() / c).clamp_min(1) * OUTPUTS.exp() / inside.sum((1, 2), keepdim=True)
    torch.testing.assert_close(gradient, torch.where(inside, slopes, 0.0))
    assert (errors.abs() / c).max().item() == pytest.approx(5)


def test_the_threshold_of_berhu_is_constant_in_the_gradient():
    """Residuals 1 and 10, c = 2: 10 / 2 of the larger one. A threshold that moved along would leave 2.6 of it."""
    depth, target = torch.tensor([[[2.0, 11.0]]]), torch.ones(1, 1, 2)
    values, gradient = value_and_gradient(lambda o: 2 * depth_berhu(o, target), depth.log())
    assert values.item() == pytest.approx(1 + 26)
    assert (gradient / depth).flatten().tolist() == pytest.approx([1, 5])
    moving = depth[0, 0, 1] - 1
    moving = moving.clone().requires_grad_()
    ((moving**2 + (0.2 * moving) ** 2) / (2 * 0.2 * moving)).backward()
    assert moving.grad.item() == pytest.approx(2.6)


def test_berhu_without_error_is_zero():
    values, gradient = value_and_gradient(lambda o: depth_berhu(o, torch.ones(2, 1, 2)), torch.zeros(2, 1, 2))
    assert values.tolist() == [0, 0] and gradient.abs().max() == 0


# --- What all losses of depth keep --------------------------------------------------------------------------------


def maps_of(name, **sizes):
    return depth_maps(outputs=declared_losses()[name].outputs, **sizes)


@pytest.mark.parametrize("name", losses_of("depth"))
def test_what_is_predicted_or_seen_at_an_invalid_pixel_has_no_influence(name):
    outputs, target = maps_of(name)
    context, holes = views(), ~valid(target)
    values, gradient = value_and_gradient(lambda o: bound(name, context)(o, target), outputs)
    changed = {**context, "image": torch.where(holes[:, None], 1 - context["image"], context["image"])}
    other = outputs.clone()
    left = other[..., 0] if other.dim() == 4 else other
    left[holes] = 4.0
    torch.testing.assert_close(bound(name, changed)(other, torch.where(holes, math.nan, target)), values)
    of_left = gradient[..., 0] if gradient.dim() == 4 else gradient
    assert (of_left[holes] == 0).all() and gradient.abs().sum() > 0


@pytest.mark.parametrize("name", sorted({*losses_of("depth")} - FROM_VIEWS))
def test_rows_and_columns_of_invalid_pixels_are_as_if_cropped_away(name):
    outputs, target = depth_maps(height=8, width=9)
    target[:, 6:], target[:, :, 7:] = 0.0, -1.0
    context = views(height=8, width=9)
    cropped = {**context, "image": context["image"][..., :6, :7]}
    values, gradient = value_and_gradient(lambda o: bound(name, context)(o, target), outputs)
    expected = value_and_gradient(lambda o: bound(name, cropped)(o, target[:, :6, :7]), outputs[:, :6, :7])
    torch.testing.assert_close(values, expected[0])
    torch.testing.assert_close(gradient[:, :6, :7], expected[1])


@pytest.mark.parametrize("name", losses_of("depth"))
def test_an_image_without_a_valid_pixel_has_neither_value_nor_gradient(name):
    outputs, target = maps_of(name)
    target[1] = torch.tensor([0.0, -1.0, math.nan, math.inf, 0.0, 0.0, 0.0])
    values, gradient = value_and_gradient(lambda o: bound(name, views())(o, target), outputs)
    assert values[1] == 0 and (gradient[1] == 0).all()
    assert (values[[0, 2]] > 0).all() and gradient.isfinite().all()


@pytest.mark.parametrize("name", losses_of("depth"))
def test_half_precision_is_computed_in_single(name):
    outputs, target = maps_of(name)
    context = {key: value.float() for key, value in views().items()}
    half = bound(name, context)(outputs.bfloat16(), target.float())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, bound(name, context)(outputs.bfloat16().float(), target.float()))
