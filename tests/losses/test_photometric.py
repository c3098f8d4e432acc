"""Self-supervised losses of depth against kornia's warp, windows taken apart, known displacements, ray-cast scenes."""

import kornia
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbench.data.ray_casting import depth_scenes
from lossbench.losses.links import left_depth
from lossbench.losses.reprojection import minimum_reprojection, photometric
from lossbench.losses.stereo import appearance_matching, left_right_consistency, monodepth
from tests.support.depth import depth_maps, valid, views
from tests.support.losses import assert_same_loss, value_and_gradient

HEIGHT, WIDTH = 7, 8
OUTPUTS, TARGET = depth_maps(height=HEIGHT, width=WIDTH)
OUTPUTS = 0.3 * OUTPUTS + 1.5  # so far away that most of it stays in view
PAIR = torch.stack([OUTPUTS, OUTPUTS.flip(2)], -1)
FULL = torch.ones_like(TARGET)
CONTEXT = views(height=HEIGHT, width=WIDTH)
FUNCTIONS = [photometric, minimum_reprojection, appearance_matching, left_right_consistency, monodepth]

# --- References ---------------------------------------------------------------------------------------------------


def difference(x, y, counts, alpha):
    """Return e of images by windows of 3x3 pixels taken apart, with variances in two passes; maps (N, H, W)."""
    windows = [F.unfold(each, 3, padding=1).unflatten(1, (-1, 9)) for each in (x, y, counts[:, None].to(x))]
    x_, y_, weight = windows[0], windows[1], windows[2].expand_as(windows[0])
    weight = weight / weight.sum(2, keepdim=True).clamp_min(1)
    m_x, m_y = ((weight * each).sum(2, keepdim=True) for each in (x_, y_))
    s_x, s_y, s_xy = (
        (weight * a * b).sum(2) for a, b in ((x_ - m_x, x_ - m_x), (y_ - m_y, y_ - m_y), (x_ - m_x, y_ - m_y))
    )
    m_x, m_y, c1, c2 = m_x.squeeze(2), m_y.squeeze(2), 0.01**2, 0.03**2
    ssim = (2 * m_x * m_y + c1) * (2 * s_xy + c2) / ((m_x**2 + m_y**2 + c1) * (s_x + s_y + c2))
    unlike = (1 - ssim.unflatten(2, x.shape[-2:])) / 2
    return (alpha * unlike + (1 - alpha) * (x - y).abs()).mean(1)


def warped(outputs, view):
    """Return the view as the image shows it, by kornia, and where kornia projects each pixel to within it."""
    depth, pose, cameras = outputs.exp(), CONTEXT["poses"][:, view], CONTEXT["intrinsics"]
    seen = kornia.geometry.depth.warp_frame_depth(CONTEXT["other_views"][:, view], depth[:, None], pose, cameras)
    points = kornia.geometry.depth.depth_to_3d_v2(depth, cameras)
    points = kornia.geometry.linalg.transform_points(pose[:, None], points)
    u, v = kornia.geometry.camera.project_points(points, cameras[:, None, None]).unbind(-1)
    inside = (u >= -0.5) & (u <= WIDTH - 0.5) & (v >= -0.5) & (v <= HEIGHT - 0.5) & (points[..., 2] > 0)
    border = inside & ~((u >= 0) & (u <= WIDTH - 1) & (v >= 0) & (v <= HEIGHT - 1))
    return seen, inside, border.detach()


def mean_over(values, counts):
    return torch.stack([each[inside].mean() for each, inside in zip(values, counts, strict=True)])


def where_kornia_agrees(view):
    """Leave out what lies in the outer half of the outermost pixels, where kornia blends with black."""
    return torch.where(warped(OUTPUTS, view)[2], 0.0, TARGET)


# --- Other views --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [0, 1])
@pytest.mark.parametrize("alpha", [0.0, 0.85, 1.0])
def test_photometric_is_by_kornias_warp(view, alpha):
    target = where_kornia_agrees(view)
    context = {**CONTEXT, "other_views": CONTEXT["other_views"][:, [view]], "poses": CONTEXT["poses"][:, [view]]}

    def reference(outputs):
        seen, inside, _ = warped(outputs, view)
        counts = valid(target) & inside
        assert 0.3 < counts.double().mean() < valid(target).double().mean()
        return mean_over(difference(seen, context["image"], counts, alpha), counts)

    assert_same_loss(lambda o: photometric(o, target, **context, alpha=alpha), reference, OUTPUTS, rtol=1e-7, atol=1e-9)


def test_minimum_reprojection_takes_the_best_view_and_leaves_out_what_does_not_move():
    target = torch.where(valid(where_kornia_agrees(0)), where_kornia_agrees(1), 0.0)
    # The image is a mixture of the views, so that now one, now the other fits, warped or not.
    share = torch.rand(3, 1, HEIGHT, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    image = share * CONTEXT["other_views"][:, 0] + (1 - share) * warped(OUTPUTS, 1)[0]
    kept = []

    def reference(outputs):
        fits, still = [], []
        for view in (0, 1):
            seen, inside, _ = warped(outputs, view)
            each = difference(seen, image, valid(target) & inside, 0.85)
            fits.append(torch.where(inside, each, torch.inf))
            still.append(difference(CONTEXT["other_views"][:, view], image, valid(target), 0.85))
        best = torch.minimum(*fits)
        moving = valid(target) & (best < torch.minimum(*still))
        kept.append((moving, fits))
        return mean_over(best, moving)

    context = {**CONTEXT, "image": image}
    assert_same_loss(lambda o: minimum_reprojection(o, target, **context), reference, OUTPUTS, rtol=1e-7, atol=1e-9)
    moving, fits = kept[0]
    assert 0.1 < moving.double().mean() / valid(target).double().mean() < 0.9
    assert 0.1 < (fits[0] < fits[1])[moving].double().mean() < 0.9


def test_where_nothing_moves_nothing_is_learned():
    """The views are the image itself, so that no warp can be better than none."""
    still = {**CONTEXT, "other_views": CONTEXT["image"][:, None].expand(-1, 2, -1, -1, -1)}
    values, gradient = value_and_gradient(lambda o: minimum_reprojection(o, FULL, **still), OUTPUTS)
    assert values.abs().max() == 0 and gradient.abs().max() == 0


def test_bytes_are_shares_of_255():
    bytes_ = {key: (255 * CONTEXT[key]).round().to(torch.uint8) for key in ("image", "other_views")}
    shares = {key: value.double() / 255 for key, value in bytes_.items()}
    for function in FUNCTIONS:
        outputs = OUTPUTS if function in (photometric, minimum_reprojection) else PAIR
        of_bytes = function(outputs, TARGET, **{**CONTEXT, **bytes_})
        torch.testing.assert_close(of_bytes, function(outputs, TARGET, **{**CONTEXT, **shares}))


@pytest.mark.parametrize("function", [photometric, minimum_reprojection])
def test_what_leaves_the_view_or_lies_behind_it_has_neither_value_nor_gradient(function):
    behind = CONTEXT["poses"].clone()
    behind[:, :, 2, 3] = -1000.0
    values, gradient = value_and_gradient(lambda o: function(o, FULL, **{**CONTEXT, "poses": behind}), OUTPUTS)
    assert values.abs().max() == 0 and gradient.abs().max() == 0
    near = OUTPUTS.clone()
    near[:, 2, 3] = -8  # displaced by thousands of pixels
    first = {**CONTEXT, "other_views": CONTEXT["other_views"][:, :1], "poses": CONTEXT["poses"][:, :1]}
    values, gradient = value_and_gradient(lambda o: function(o, FULL, **first), near)
    assert (gradient[:, 2, 3] == 0).all() and gradient.abs().sum() > 0
    if function is photometric:
        torch.testing.assert_close(values, function(near, torch.where(near < -1, 0.0, FULL), **first))


# --- A rectified pair ---------------------------------------------------------------------------------------------


def displaced(pixels, seed=0):
    """Return a pair whose right view is the left one, all of it moved so many pixels to the left, and log depths."""
    strip = torch.rand(2, 3, 5, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    left, right = strip[..., 5:25], strip[..., 5 + pixels : 25 + pixels]
    intrinsics = torch.diag(torch.tensor([12.0, 12.0, 1.0], dtype=torch.float64)).repeat(2, 1, 1)
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1, 1)
    poses[..., 0, 3] = -0.25
    depth = torch.full((2, 5, 20, 2), 12 * 0.25 / pixels, dtype=torch.float64)
    context = {"image": left, "other_views": right[:, None], "intrinsics": intrinsics, "poses": poses}
    return depth.log(), torch.ones(2, 5, 20, dtype=torch.float64), context


@pytest.mark.parametrize("pixels", [1, 3])
@pytest.mark.parametrize("function", [appearance_matching, left_right_consistency, monodepth])
def test_a_plane_that_faces_the_pair_is_an_exact_displacement(function, pixels):
    log_depth, target, context = displaced(pixels)
    assert function(log_depth, target, **context).abs().max() < 1e-7
    if function is not left_right_consistency:
        assert (function(log_depth + 0.5, target, **context) > 0.05).all()
        turned = {**context, "poses": torch.linalg.inv(context["poses"])}  # the camera to the left
        assert (function(log_depth, target, **turned) > 0.05).all()


@pytest.mark.parametrize("function", [photometric, minimum_reprojection])
def test_a_displacement_is_exact_for_one_view_too(function):
    log_depth, target, context = displaced(2)
    assert function(log_depth[..., 0], target, **context).abs().max() < 1e-7
    assert (photometric(log_depth[..., 0] + 0.5, target, **context) > 0.05).all()


def test_appearance_matching_is_photometric_both_ways():
    """From the right camera the left one stands at the inverse pose; the right depth is that of the right image."""
    there = {**CONTEXT, "other_views": CONTEXT["other_views"][:, :1], "poses": CONTEXT["poses"][:, :1]}
    back = {
        **there,
        "image": CONTEXT["other_views"][:, 0],
        "other_views": CONTEXT["image"][:, None],
        "poses": torch.linalg.inv(there["poses"]),
    }
    assert_same_loss(
        lambda o: appearance_matching(o, FULL, **CONTEXT),
        lambda o: photometric(o[..., 0], FULL, **there) + photometric(o[..., 1], FULL, **back),
        PAIR,
        rtol=1e-8,
        atol=1e-10,
    )


def disparities():
    return (CONTEXT["intrinsics"][:, 0, 0] * 0.3)[:, None, None, None] / PAIR.exp().numpy()


def test_left_right_consistency_by_interpolation_of_each_row():
    own, column = disparities(), np.arange(WIDTH)
    expected = []
    for each in own.numpy():
        off = [[], []]
        for row in range(HEIGHT):
            for side, sign in ((0, -1), (1, 1)):
                place = column + sign * each[row, :, side]
                inside = (place >= -0.5) & (place <= WIDTH - 0.5)
                other = np.interp(place, column, each[row, :, 1 - side])  # constant beyond the ends
                off[side].append(np.abs(each[row, :, side] - other)[inside] / WIDTH)
        expected.append(sum(np.concatenate(side).mean() for side in off))
    np.testing.assert_allclose(left_right_consistency(PAIR, FULL, **CONTEXT), expected, rtol=1e-9)


def test_left_right_consistency_moves_both_disparities():
    """Disparities of 1 and 1 + delta pixels: both terms are |delta| over the width, whatever is sampled."""
    log_depth, target, context = displaced(1)
    log_depth[..., 1] -= np.log(1.25)
    values, gradient = value_and_gradient(lambda o: left_right_consistency(o, target, **context), log_depth)
    np.testing.assert_allclose(values, 2 * 0.25 / 20)
    # d = fx b / p falls with log p as -d: the left one grows towards the right one, which falls.
    assert (gradient[..., 0].sum((1, 2)) > 0).all() and (gradient[..., 1].sum((1, 2)) < 0).all()
    np.testing.assert_allclose(gradient[..., 0].sum((1, 2)), 2 * 1 / 20)
    np.testing.assert_allclose(gradient[..., 1].sum((1, 2)), -2 * 1.25 / 20)


def test_monodepth_is_the_weighted_sum_with_kornias_smoothness():
    reach = (CONTEXT["intrinsics"][:, 0, 0] * 0.3)[:, None, None, None]
    images = (CONTEXT["image"], CONTEXT["other_views"][:, 0])

    def reference(outputs):
        ways = (reach / outputs.exp() / WIDTH).unbind(-1)
        smooth = [
            torch.stack(
                [
                    kornia.losses.inverse_depth_smoothness_loss(d[None, None], i[None])
                    for d, i in zip(*both, strict=True)
                ]
            )
            for both in zip(ways, images, strict=True)
        ]
        matching = appearance_matching(outputs, FULL, **CONTEXT, alpha=0.5)
        return 2 * matching + 3 * left_right_consistency(outputs, FULL, **CONTEXT) + 0.7 * sum(smooth)

    assert_same_loss(
        lambda o: monodepth(o, FULL, **CONTEXT, alpha=0.5, alpha_ap=2.0, alpha_lr=3.0, alpha_ds=0.7), reference, PAIR
    )


def test_a_right_pixel_counts_where_what_it_shows_is_valid():
    """Of the left view, columns 0 to 9 are not known: the right pixels that show them are 0 to 7."""
    log_depth, target, context = displaced(2)
    target[..., :10] = 0
    ruined = {**context, "image": context["image"].clone()}
    ruined["image"][..., :10] = 0.5
    _, gradient = value_and_gradient(lambda o: appearance_matching(o, target, **ruined), log_depth + 0.1)
    used = (gradient != 0).any(0).any(0)
    assert not used[:10, 0].any() and used[10:, 0].all()
    assert not used[:7, 1].any() and used[9:17, 1].all()


def test_the_link_of_a_pair_takes_the_left_depth():
    torch.testing.assert_close(left_depth(PAIR), OUTPUTS.exp())
    assert left_depth(torch.full((1, 2, 2, 2), 1e4)).isfinite().all()


# --- Scenes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [photometric, minimum_reprojection, appearance_matching])
@pytest.mark.parametrize("off", [-0.3, 0.3])
def test_true_depth_fits_ray_cast_scenes_best(function, off):
    scenes = depth_scenes(4, np.random.default_rng(0), size=48)
    images, depth, other_views, intrinsics, poses = (torch.from_numpy(each) for each in scenes)
    context = {"image": images, "other_views": other_views, "intrinsics": intrinsics, "poses": poses}
    outputs = torch.where(depth > 0, depth, 1).log()
    if function is appearance_matching:  # the depth of the right view is about that of the left one
        outputs = torch.stack([outputs, outputs], -1)
    fits, wrong = (function(each, depth, **context) for each in (outputs, outputs + off))
    assert (fits < wrong).all()
