"""Losses of the structure of depth against kornia, torchmetrics, monai, loops over windows and planes in space."""

import kornia
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.metrics import SSIMMetric
from torchmetrics.functional.image import structural_similarity_index_measure

from lossbench.losses.depth_structure import (
    depth_gradient,
    depth_multiscale_gradient,
    depth_normals,
    depth_ssim,
    edge_aware_smoothness,
)
from lossbench.losses.similarity import ssim_map
from tests.support.depth import depth_maps, valid, views
from tests.support.losses import assert_same_loss

OUTPUTS, TARGET = depth_maps(height=9, width=8)
FULL = depth_maps(height=9, width=8, seed=5)[1].nan_to_num(1.0, posinf=1.0).abs() + 0.5  # without holes
CONTEXT = views(height=9, width=8)

# --- Structural similarity ----------------------------------------------------------------------------------------

FIRST = torch.rand(2, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SECOND = (FIRST + 0.2 * torch.randn(FIRST.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
EVERYWHERE = torch.ones(2, 1, 32, 32, dtype=torch.bool)
GAUSSIAN = torch.exp(-0.5 * (torch.arange(-5, 6).double() / 1.5) ** 2)
GAUSSIAN /= GAUSSIAN.sum()


def inner(maps):
    return maps[..., 5:-5, 5:-5]


def ours(x, y=SECOND):
    return ssim_map(x, y, EVERYWHERE, GAUSSIAN)


def test_full_windows_are_those_of_kornia():
    kornias = lambda x: inner(kornia.metrics.ssim(x, SECOND, 11, max_val=1.0, eps=0.0)).flatten(1).mean(1)  # noqa: E731
    assert_same_loss(lambda x: inner(ours(x)).flatten(1).mean(1), kornias, FIRST, rtol=1e-6)


def test_full_windows_are_those_of_torchmetrics_and_monai():
    _, whole = structural_similarity_index_measure(FIRST, SECOND, data_range=1.0, return_full_image=True)
    torch.testing.assert_close(inner(ours(FIRST)), inner(whole).double(), rtol=1e-5, atol=1e-6)
    monais = SSIMMetric(2, data_range=1.0)(FIRST.float(), SECOND.float())
    torch.testing.assert_close(inner(ours(FIRST)).flatten(1).mean(1), monais.flatten().double(), rtol=1e-4, atol=1e-5)


def test_libraries_differ_at_the_border():
    """kornia and torchmetrics reflect images there, monai leaves such windows out; here they hold what there is."""
    reflected = kornia.metrics.ssim(FIRST, SECOND, 11).mean()
    torch.testing.assert_close(
        structural_similarity_index_measure(FIRST, SECOND, data_range=1.0).double(), reflected, rtol=1e-5, atol=1e-6
    )
    left_out = SSIMMetric(2, data_range=1.0)(FIRST.float(), SECOND.float()).mean().double()
    values = sorted([float(reflected), float(left_out), float(ours(FIRST).mean())])
    assert min(np.diff(values)) > 1e-4
    half = kornia.losses.ssim_loss(FIRST, SECOND, 11)
    torch.testing.assert_close(half, (1 - reflected) / 2)


def by_windows(outputs, target, data_range, window, sigma):
    """Go through all valid pixels, take the valid ones of the window with weights that sum to 1, in two passes."""
    values = []
    for log_depth, depth in zip(outputs, target, strict=True):
        rows, columns = torch.nonzero(valid(depth), as_tuple=True)
        prediction, truth = log_depth[rows, columns].exp(), depth[rows, columns]
        each = []
        for row, column in zip(rows, columns, strict=True):
            apart = torch.stack([rows - row, columns - column])
            weight = torch.exp(-0.5 * (apart.double() / sigma).square().sum(0)) * (apart.abs() <= window // 2).all(0)
            weight = weight / weight.sum()
            m_p, m_d = (weight * prediction).sum(), (weight * truth).sum()
            s_p, s_d = (weight * (prediction - m_p) ** 2).sum(), (weight * (truth - m_d) ** 2).sum()
            s_pd = (weight * (prediction - m_p) * (truth - m_d)).sum()
            c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
            each.append((2 * m_p * m_d + c1) * (2 * s_pd + c2) / ((m_p**2 + m_d**2 + c1) * (s_p + s_d + c2)))
        values.append(1 - torch.stack(each).mean())
    return torch.stack(values)


@pytest.mark.parametrize(("data_range", "window", "sigma"), [(10.0, 11, 1.5), (2.0, 3, 0.8)])
def test_depth_ssim_by_loops_over_windows(data_range, window, sigma):
    settings = {"data_range": data_range, "window": window, "sigma": sigma}
    assert_same_loss(
        lambda o: depth_ssim(o, TARGET, **settings), lambda o: by_windows(o, TARGET, **settings), OUTPUTS, rtol=1e-8
    )


def test_depth_ssim_of_the_truth_is_zero_and_at_most_two():
    assert depth_ssim(FULL.log(), FULL).abs().max() < 1e-12
    assert (depth_ssim(torch.randn_like(FULL) * 300, FULL) <= 2).all()


def test_a_window_has_an_odd_number_of_pixels():
    with pytest.raises(ValueError, match="window=4"):
        depth_ssim(OUTPUTS, TARGET, window=4)


# --- Differences between neighbours -------------------------------------------------------------------------------


def kornias_slopes(maps, images=None):
    """kornia's smoothness of each map: without edges in the image the plain mean |dx| + mean |dy|."""
    images = torch.zeros(len(maps), 3, *maps.shape[1:], dtype=maps.dtype) if images is None else images
    pairs = zip(maps[:, None, None], images[:, None], strict=True)
    return torch.stack([kornia.losses.inverse_depth_smoothness_loss(each, image) for each, image in pairs])


def slopes_by_loops(maps):
    """Mean |dx| + mean |dy| of maps that are NaN where they are not valid."""
    total = []
    for each in maps:
        right = [each[i, j + 1] - each[i, j] for i in range(each.shape[0]) for j in range(each.shape[1] - 1)]
        below = [each[i + 1, j] - each[i, j] for i in range(each.shape[0] - 1) for j in range(each.shape[1])]
        known = [[abs(d) for d in differences if not torch.isnan(d)] for differences in (right, below)]
        total.append(sum(sum(differences) / len(differences) for differences in known if differences))
    return torch.stack(total)


def with_holes(maps):
    return torch.where(valid(TARGET), maps, torch.nan)


def test_depth_gradient_is_kornias_of_the_error():
    assert_same_loss(lambda o: depth_gradient(o, FULL), lambda o: kornias_slopes(o.exp() - FULL), OUTPUTS)


def test_depth_gradient_with_holes_by_loops_over_pairs():
    assert_same_loss(
        lambda o: depth_gradient(o, TARGET), lambda o: slopes_by_loops(with_holes(o.exp() - TARGET)), OUTPUTS
    )


def test_multiscale_gradient_is_kornias_at_each_scale():
    assert_same_loss(
        lambda o: depth_multiscale_gradient(o, FULL, scales=3),
        lambda o: sum(kornias_slopes((o - FULL.log())[:, ::step, ::step]) for step in (1, 2, 4)),
        OUTPUTS,
    )


def test_multiscale_gradient_with_holes_by_loops_over_pairs():
    def loops(o):
        error = with_holes(o - TARGET.log())
        return sum(slopes_by_loops(error[:, ::step, ::step]) for step in (1, 2, 4, 8))

    assert_same_loss(lambda o: depth_multiscale_gradient(o, TARGET), loops, OUTPUTS)


def test_a_step_in_the_error_is_seen_at_every_scale():
    """A step of height 1 between columns 3 and 4 of 8: one of 7, of 3 and of 1 pairs."""
    step = (torch.arange(8) > 3).double().expand(1, 8, 8)
    value = depth_multiscale_gradient(step, torch.ones(1, 8, 8, dtype=torch.float64), scales=4)
    assert value.item() == pytest.approx(1 / 7 + 1 / 3 + 1)


def test_common_errors_are_forgiven_by_differences():
    torch.testing.assert_close(
        depth_multiscale_gradient(OUTPUTS + 2, TARGET), depth_multiscale_gradient(OUTPUTS, TARGET)
    )
    assert depth_gradient((FULL + 3).log(), FULL).abs().max() < 1e-12


def test_smoothness_is_kornias_of_inverse_depth_over_its_mean():
    def reference(o):
        inverse = (-o).exp()
        return kornias_slopes(inverse / inverse.mean((1, 2), keepdim=True), CONTEXT["image"])

    assert_same_loss(lambda o: edge_aware_smoothness(o, FULL, image=CONTEXT["image"]), reference, OUTPUTS)


def test_smoothness_takes_bytes_and_forgets_the_truth():
    counts = (255 * CONTEXT["image"]).round().to(torch.uint8)
    of_bytes = edge_aware_smoothness(OUTPUTS, TARGET, image=counts)
    torch.testing.assert_close(of_bytes, edge_aware_smoothness(OUTPUTS, TARGET, image=counts.double() / 255))
    torch.testing.assert_close(edge_aware_smoothness(OUTPUTS + 5, 3 * TARGET, image=counts), of_bytes)
    assert edge_aware_smoothness(torch.ones_like(OUTPUTS), TARGET, image=counts).abs().max() < 1e-12


# --- Normals ------------------------------------------------------------------------------------------------------

CAMERAS = CONTEXT["intrinsics"]


def by_cross_products(log_depth, depth):
    """Unproject pixels by kornia, and take the cross products of the ways to the right and to the lower neighbour."""
    sides = []
    for each in (log_depth.exp(), depth):
        points = kornia.geometry.depth.depth_to_3d_v2(each, CAMERAS)
        corner = points[:, :-1, :-1]
        sides.append(torch.linalg.cross(points[:, 1:, :-1] - corner, points[:, :-1, 1:] - corner))
    return 1 - F.cosine_similarity(*sides, dim=-1, eps=0.0)


def test_normals_are_the_cross_products_of_points():
    assert_same_loss(
        lambda o: depth_normals(o, FULL, intrinsics=CAMERAS),
        lambda o: by_cross_products(o, FULL).mean((1, 2)),
        OUTPUTS,
        rtol=1e-9,
        atol=1e-11,
    )


def test_normals_with_holes_are_the_mean_over_triples_of_valid_pixels():
    known = valid(TARGET)
    triples = known[:, :-1, :-1] & known[:, 1:, :-1] & known[:, :-1, 1:]
    each = by_cross_products(OUTPUTS, torch.where(known, TARGET, 1.0))
    expected = torch.stack([angles[inside].mean() for angles, inside in zip(each, triples, strict=True)])
    torch.testing.assert_close(depth_normals(OUTPUTS, TARGET, intrinsics=CAMERAS), expected)


def plane(normal, distance):
    """Return the depth (3, 9, 8) of a plane n . X = distance, as each of the cameras sees it."""
    columns, rows = np.meshgrid(np.arange(8), np.arange(9))
    pixels = torch.tensor(np.stack([columns, rows, np.ones_like(rows)])).double()
    rays = torch.einsum("nij,jhw->nihw", torch.linalg.inv(CAMERAS), pixels)
    return distance / torch.einsum("i,nihw->nhw", torch.tensor(normal, dtype=torch.float64), rays)


@pytest.mark.parametrize("angle", [0.0, 10.0, 25.0])
def test_the_angle_between_two_planes(angle):
    tilt = np.radians(angle)
    one, other = plane((0, 0, 1), 2.0), plane((np.sin(tilt), 0, np.cos(tilt)), 5.0)
    assert (other > 0).all()
    values = depth_normals(one.log(), other, intrinsics=CAMERAS)
    torch.testing.assert_close(values, torch.full((3,), 1 - np.cos(tilt), dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_a_common_factor_turns_no_normal():
    torch.testing.assert_close(
        depth_normals(OUTPUTS + 3, TARGET, intrinsics=CAMERAS), depth_normals(OUTPUTS, TARGET, intrinsics=CAMERAS)
    )
