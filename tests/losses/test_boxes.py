"""Losses of boxes against torchvision, pixels, numbers by hand, closed forms and limits: value and gradient."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch.nn import functional as F
from torchvision import ops

from lossbench import losses
from lossbench.losses import box_distances, boxes
from tests.support.losses import assert_same_loss, value_and_gradient

SUCCESSORS = ["box_giou", "box_diou", "box_ciou", "box_eiou", "box_siou"]
BY_OVERLAP = ["box_iou", "box_log_iou", "box_alpha_iou", *SUCCESSORS, "box_focal_eiou"]
BY_DISTANCE = ["box_l1", "box_mse", "box_smooth_l1", "box_balanced_l1", "box_wing", "box_wasserstein"]
CASES = 200


def of(name, box, target):
    """The loss of one box."""
    row = torch.tensor([box, target], dtype=torch.float64)
    return getattr(losses, name)(row[:1], row[1:]).item()


def made_up(seed=0, spread=1.0, size=1.0):
    """Boxes and targets, float64, some of which overlap."""
    generator = torch.Generator().manual_seed(seed)
    centre = spread * torch.randn(2, CASES, 2, generator=generator, dtype=torch.float64)
    half = size * (0.2 + torch.rand(2, CASES, 2, generator=generator, dtype=torch.float64))
    return torch.cat([centre - half, centre + half], -1).unbind(0)


BOXES, TARGETS = made_up()
CORNERS = torch.randn(CASES, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
"""Any four numbers: in three of four a corner is not where it should be."""


def test_the_families_hold_these_losses():
    assert sorted(boxes.__all__) == sorted(BY_OVERLAP) and sorted(box_distances.__all__) == sorted(BY_DISTANCE)


# --- By overlap: references ---------------------------------------------------------------------------------------

TORCHVISION = {
    "box_iou": lambda p, t: 1 - ops.box_iou(p, t).diagonal(),
    "box_log_iou": lambda p, t: -ops.box_iou(p, t).diagonal().clamp(min=1e-6).log(),
    "box_alpha_iou": lambda p, t: 1 - ops.box_iou(p, t).diagonal() ** 3,
    "box_giou": ops.generalized_box_iou_loss,
    "box_diou": ops.distance_box_iou_loss,
    "box_ciou": lambda p, t: ops.complete_box_iou_loss(p, t, eps=0),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_against_torchvision(name):
    large, target = 1000 * BOXES, 1000 * TARGETS  # against its eps of 1e-7
    ours = getattr(losses, name)
    assert_same_loss(lambda p: ours(p, target), lambda p: TORCHVISION[name](p, target), large, rtol=1e-9, atol=1e-11)
    overlap = 1 - boxes.box_iou(BOXES, TARGETS)
    assert 30 < (overlap > 0).sum() < 170


@pytest.mark.parametrize("name", ["box_giou", "box_diou", "box_ciou"])
def test_torchvision_adds_a_number_to_areas_so_that_small_boxes_are_others(name):
    """torchvision 0.29.1: boxes of 1/10,000 of the image, in units of its side."""
    small, target = 1e-4 * BOXES, 1e-4 * TARGETS
    torch.testing.assert_close(getattr(losses, name)(small, target), getattr(losses, name)(BOXES, TARGETS))
    assert (TORCHVISION[name](small, target) - TORCHVISION[name](BOXES, TARGETS)).abs().max() > 0.3


@pytest.mark.parametrize("name", BY_OVERLAP)
def test_the_unit_and_the_origin_do_not_matter(name):
    function = getattr(losses, name)
    value, gradient = value_and_gradient(lambda p: function(p, TARGETS), BOXES)
    for unit in (1e-5, 1e5):
        move = unit * torch.tensor([3.0, -2.0, 3.0, -2.0])
        got = value_and_gradient(lambda p, u=unit, m=move: function(p, u * TARGETS + m), unit * BOXES + move)
        torch.testing.assert_close(got[0], value, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(unit * got[1], gradient, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", BY_OVERLAP)
def test_mirrored_and_turned_boxes_have_the_same_value(name):
    function, value = getattr(losses, name), getattr(losses, name)(BOXES, TARGETS)
    for order, sign in (([2, 1, 0, 3], [-1, 1, -1, 1]), ([1, 0, 3, 2], [1, 1, 1, 1])):
        moved = [torch.tensor(sign) * each[:, order] for each in (BOXES, TARGETS)]
        torch.testing.assert_close(function(*moved), value)


def counted(box, target):
    """Areas of both, of either and of the hull of boxes with whole numbers in [0, 12), as pixels."""
    grid = np.zeros((2, 12, 12), dtype=bool)
    for layer, (x1, y1, x2, y2) in zip(grid, (box, target), strict=True):
        layer[y1:y2, x1:x2] = True  # empty where x2 < x1
    xs, ys = [*box[::2], *target[::2]], [*box[1::2], *target[1::2]]
    return (grid[0] & grid[1]).sum(), (grid[0] | grid[1]).sum(), (max(xs) - min(xs)) * (max(ys) - min(ys))


def test_areas_are_those_of_pixels_whatever_the_four_numbers():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 12, (500, 4))
    corners[:250] = np.sort(corners[:250].reshape(-1, 2, 2), axis=1).reshape(-1, 4)  # half of them in order
    low, size = rng.integers(0, 7, (500, 2)), rng.integers(1, 6, (500, 2))
    targets = np.concatenate([low, low + size], 1)
    shared, covered, hull = np.array([counted(*pair) for pair in zip(corners, targets, strict=True)]).T
    assert (shared > 0).sum() > 80 and (covered == size.prod(1)).sum() > 150
    arguments = torch.tensor(corners).double(), torch.tensor(targets).double()
    np.testing.assert_allclose(boxes.box_iou(*arguments), 1 - shared / covered, rtol=1e-12)
    giou = 1 - shared / covered + (hull - covered) / hull
    np.testing.assert_allclose(boxes.box_giou(*arguments), giou, rtol=1e-12)


@pytest.mark.parametrize(
    "name", sorted({*BY_OVERLAP, *BY_DISTANCE} - {"box_ciou", "box_focal_eiou"})
)  # whose weight is constant
@pytest.mark.parametrize("inputs", [BOXES, CORNERS], ids=["boxes", "any corners"])
def test_the_gradient_is_that_of_the_value(name, inputs):
    function = getattr(losses, name)
    free = inputs[:60].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: function(p, TARGETS[:60]), free)


# --- By overlap: numbers by hand ----------------------------------------------------------------------------------

HAND = ([0, 0, 2, 2], [1, 1, 4, 3])
"""I = 1, U = 4 + 6 - 1; hull 4 x 3; centres (1, 1) and (2.5, 2); sides 2 x 2 and 3 x 2."""
APART = Fraction(13, 4) / 25
ANGLE = math.asin(1 / math.hypot(1.5, 1))
SLOWER = 1 + 2 * math.sin(ANGLE - math.pi / 4) ** 2  # 2 - the cost of the angle, as the paper prints it
V = 4 / math.pi**2 * (math.atan(3 / 2) - math.pi / 4) ** 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("box_iou", Fraction(8, 9)),
        ("box_log_iou", math.log(9)),
        ("box_alpha_iou", Fraction(728, 729)),
        ("box_giou", Fraction(8, 9) + Fraction(3, 12)),
        ("box_diou", Fraction(8, 9) + APART),
        ("box_ciou", 8 / 9 + float(APART) + V**2 / (8 / 9 + V)),
        ("box_eiou", Fraction(8, 9) + APART + Fraction(1, 16)),
        (
            "box_siou",
            8 / 9
            + (1 - math.exp(-SLOWER * (1.5 / 4) ** 2) + 1 - math.exp(-SLOWER / 9)) / 2
            + (1 - math.exp(-1 / 3)) ** 4 / 2,
        ),
    ],
)
def test_one_pair_by_hand(name, expected):
    assert of(name, *HAND) == pytest.approx(float(expected), rel=1e-12)


def test_eiou_by_the_printed_formula():
    def printed(p):
        hull = torch.max(p, TARGETS)[:, 2:] - torch.min(p, TARGETS)[:, :2]
        sides = (p[:, 2:] - p[:, :2]) - (TARGETS[:, 2:] - TARGETS[:, :2])
        return ops.distance_box_iou_loss(1e3 * p, 1e3 * TARGETS) + ((sides / hull) ** 2).sum(1)

    assert_same_loss(lambda p: boxes.box_eiou(p, TARGETS), printed, BOXES, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_eiou_is_eiou_times_a_power_of_torchvisions_overlap(gamma):
    weight = ops.box_iou(BOXES, TARGETS).diagonal() ** gamma
    assert_same_loss(
        lambda p: boxes.box_focal_eiou(p, TARGETS, gamma=gamma),
        lambda p: weight * boxes.box_eiou(p, TARGETS),
        BOXES,
    )


def test_focal_eiou_of_a_pair_by_hand_and_without_overlap():
    """1/2 of it overlaps; the centres are 1/2 apart in a hull of 2 by 2, and the heights differ by half of it."""
    assert of("box_focal_eiou", [0, 0, 2, 1], [0, 0, 2, 2]) == pytest.approx(0.5**0.5 * (0.5 + 0.25 / 8 + 0.25))
    apart = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[3.0, 1, 5, 4]])
    value, gradient = value_and_gradient(lambda p: boxes.box_focal_eiou(p, apart[1]), apart[0])
    assert value.item() == 0 and (gradient == 0).all()
    assert boxes.box_focal_eiou(*apart, gamma=0.0) == boxes.box_eiou(*apart)


def test_siou_by_the_printed_formula():
    """The angle as the paper has it, by arcsine and sine, on boxes in all directions."""
    box, target = BOXES.numpy(), TARGETS.numpy()
    dx, dy = ((target - box)[:, :2] + (target - box)[:, 2:]).T / 2
    angle = 1 - 2 * np.sin(np.arcsin(np.abs(dy) / np.hypot(dx, dy)) - np.pi / 4) ** 2
    cw, ch = (np.maximum(box, target)[:, 2:] - np.minimum(box, target)[:, :2]).T
    distance = sum(1 - np.exp((angle - 2) * (apart / side) ** 2) for apart, side in ((dx, cw), (dy, ch)))
    sides, true = box[:, 2:] - box[:, :2], target[:, 2:] - target[:, :2]
    shape = ((1 - np.exp(-np.abs(sides - true) / np.maximum(sides, true))) ** 3).sum(1)
    expected = 1 - ops.box_iou(BOXES, TARGETS).diagonal().numpy() + (distance + shape) / 2
    np.testing.assert_allclose(boxes.box_siou(BOXES, TARGETS, theta=3.0), expected, rtol=1e-10)


def test_the_weight_of_cious_aspect_is_constant_in_its_gradient():
    """By differences: the gradient of DIoU, and the weight times that of v."""
    box, target = torch.tensor([HAND[0]]).double(), torch.tensor([HAND[1]]).double()
    _, gradient = value_and_gradient(lambda p: boxes.box_ciou(p, target), box)

    def v(b):
        return 4 / math.pi**2 * (math.atan(3 / 2) - math.atan((b[2] - b[0]) / (b[3] - b[1]))) ** 2

    expected, weight, step = [], V / (8 / 9 + V), 1e-6
    for place in range(4):
        low, high = list(HAND[0]), list(HAND[0])
        low[place] -= step
        high[place] += step
        diou = of("box_diou", high, HAND[1]) - of("box_diou", low, HAND[1])
        expected.append((diou + weight * (v(high) - v(low))) / (2 * step))
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-6)


# --- By overlap: limits and degenerate boxes ----------------------------------------------------------------------


def test_giou_of_neighbours_and_of_boxes_far_apart():
    assert of("box_giou", [0, 0, 1, 1], [1, 0, 2, 1]) == pytest.approx(1)
    assert of("box_giou", [0, 0, 1, 1], [1e6, 0, 1e6 + 1, 1]) == pytest.approx(2, abs=1e-5)


@pytest.mark.parametrize("box", [[1, 1, 3, 3], [0, 1, 4, 3], [-2, -1, 6, 5]])
def test_diou_of_concentric_boxes_is_that_of_iou(box):
    target = [0, 0, 4, 4]
    assert of("box_diou", box, target) == of("box_iou", box, target)


def test_boxes_of_one_shape_have_no_aspect_to_learn():
    """Concentric and similar: CIoU is IoU, where EIoU still compares the sides."""
    box, target = [1, 1, 3, 3], [0, 0, 4, 4]
    assert of("box_ciou", box, target) == of("box_iou", box, target) == 0.75
    assert of("box_eiou", box, target) == pytest.approx(0.75 + 2 * (2 / 4) ** 2)


POINT, LINE, SQUARE = [1, 1, 1, 1], [1, 0, 1, 2], [0, 0, 2, 2]
EPS = -math.log(1e-6)
DEGENERATE = {
    "equal": (SQUARE, SQUARE, dict.fromkeys(BY_OVERLAP, 0)),
    "equal points": (POINT, POINT, {**dict.fromkeys(BY_OVERLAP, 1), "box_log_iou": EPS, "box_focal_eiou": 0}),
    "equal lines": (LINE, LINE, {**dict.fromkeys(BY_OVERLAP, 1), "box_log_iou": EPS, "box_focal_eiou": 0}),
    "a point in a box": (
        POINT,
        SQUARE,
        {
            "box_iou": 1, "box_log_iou": EPS, "box_alpha_iou": 1, "box_giou": 1, "box_diou": 1, "box_eiou": 3,
            "box_ciou": 1 + 0.25**2 / 1.25, "box_siou": 1 + (1 - math.exp(-1)) ** 4,
        },
    ),
    "a line in a box": (
        LINE,
        SQUARE,
        {
            "box_iou": 1, "box_log_iou": EPS, "box_alpha_iou": 1, "box_giou": 1, "box_diou": 1, "box_eiou": 2,
            "box_ciou": 1 + 0.25**2 / 1.25, "box_siou": 1 + (1 - math.exp(-1)) ** 4 / 2,
        },
    ),
    "a box in a box": (
        [0, 0, 1, 2],
        SQUARE,
        {"box_iou": 0.5, "box_log_iou": math.log(2), "box_alpha_iou": 0.875, "box_giou": 0.5, "box_diou": 0.53125},
    ),
    "no overlap": (
        [0, 0, 1, 1],
        [3, 0, 4, 1],
        {"box_iou": 1, "box_log_iou": EPS, "box_alpha_iou": 1, "box_giou": 1.5, "box_diou": 1 + 9 / 17},
    ),
    "corners that touch": (
        [0, 0, 1, 1], [1, 1, 2, 2], {"box_iou": 1, "box_log_iou": EPS, "box_giou": 1.5, "box_diou": 1.25},
    ),
    "x2 < x1": (
        [2, 0, 0, 2],
        SQUARE,
        {"box_iou": 1, "box_log_iou": EPS, "box_giou": 1, "box_diou": 1, "box_eiou": 1 + 4, "box_alpha_iou": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("name", [*BY_OVERLAP, *BY_DISTANCE])
def test_degenerate_boxes_have_a_stated_value_and_a_finite_gradient(case, name):
    box, target, expected = DEGENERATE[case]
    if name in expected:
        assert of(name, box, target) == pytest.approx(expected[name], abs=1e-12)
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        row = torch.tensor([box], dtype=dtype)
        values, gradient = value_and_gradient(lambda p: getattr(losses, name)(p, torch.tensor([target]).to(p)), row)
        assert values.isfinite().all() and gradient.isfinite().all()


def test_equal_boxes_of_area_0_in_torchvision():
    """torchvision 0.29.1, [[1, 1, 1, 1]] twice: GIoU and DIoU as here, 1, but CIoU NaN."""
    point = torch.tensor([POINT]).double()
    assert ops.generalized_box_iou_loss(point, point).item() == boxes.box_giou(point, point).item() == 1
    assert ops.distance_box_iou_loss(point, point).item() == boxes.box_diou(point, point).item() == 1
    assert math.isnan(ops.complete_box_iou_loss(point, point).item()) and boxes.box_ciou(point, point).item() == 1


def test_torchvision_takes_the_product_of_two_negative_sides_as_an_area():
    """torchvision 0.29.1: of [[2, 2, 0, 0]] and its target [[0, 0, 2, 2]] the union is 8 and GIoU 0, not 1."""
    turned, target = torch.tensor([[2.0, 2, 0, 0]]), torch.tensor([[0.0, 0, 2, 2]])
    assert ops.generalized_box_iou_loss(turned, target).item() == pytest.approx(0)
    assert boxes.box_giou(turned, target).item() == 1


@pytest.mark.parametrize(
    ("name", "turned"),
    [("box_giou", [9, 9, -5, -5]), ("box_eiou", [1.5, 1.2, 1, 1]), ("box_siou", [1.5, 1.2, 1, 1])],
    ids=["by the hull", "by the sides", "by the sides"],
)
def test_a_turned_box_is_turned_back(name, turned):
    target = torch.tensor([[0.0, 0, 2, 2]])
    _, gradient = value_and_gradient(lambda p: getattr(losses, name)(p, target), torch.tensor([turned]).float())
    width, height = (gradient[0, :2] - gradient[0, 2:]).tolist()  # of their descent
    assert width > 0 and height > 0


def test_boxes_without_overlap_have_no_gradient_by_iou_and_one_by_its_successors():
    box, target = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[3.0, 1, 5, 4]])
    for name in BY_OVERLAP:
        _, gradient = value_and_gradient(lambda p, n=name: getattr(losses, n)(p, target), box)
        moved = -gradient[0, ::2].sum()
        assert moved > 0 if name in SUCCESSORS else moved == 0, name


@pytest.mark.parametrize("name", [*BY_OVERLAP, *BY_DISTANCE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-30, 1e-18, 0.0, 30.0, 1e4])
def test_extreme_corners_in_every_order_are_finite(name, dtype, size):
    corners = size * torch.cartesian_prod(*[torch.tensor([-1.0, 0.5, 1.0])] * 4).to(dtype)
    for unit in (torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1])):
        targets = unit.to(dtype).expand_as(corners)
        values, gradient = value_and_gradient(lambda p, t=targets: getattr(losses, name)(p, t), corners)
        assert values.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("name", [*BY_OVERLAP, *BY_DISTANCE])
def test_a_box_has_the_same_value_alone_and_among_others(name):
    function, together = getattr(losses, name), getattr(losses, name)(BOXES, TARGETS)
    alone = [function(box[None], target[None]) for box, target in zip(BOXES, TARGETS, strict=True)]
    torch.testing.assert_close(torch.cat(alone), together)


@pytest.mark.parametrize("name", ["box_giou", "box_l1"])
def test_nothing_is_broadcast(name):
    with pytest.raises(ValueError, match=r"shape \(1, 4\); outputs of shape \(5, 4\)"):
        getattr(losses, name)(torch.zeros(5, 4), torch.zeros(1, 4))
    with pytest.raises(ValueError, match=r"takes \(N, 4\)"):
        getattr(losses, name)(torch.zeros(5, 3), torch.zeros(5, 3))


# --- By distance --------------------------------------------------------------------------------------------------

ELEMENTWISE = {
    "box_l1": lambda p, t: F.l1_loss(p, t, reduction="none"),
    "box_mse": lambda p, t: F.mse_loss(p, t, reduction="none"),
    "box_smooth_l1": lambda p, t: F.smooth_l1_loss(p, t, beta=1 / 9, reduction="none"),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_distances_are_summed_over_the_four_numbers(name):
    assert_same_loss(
        lambda p: getattr(losses, name)(p, TARGETS), lambda p: ELEMENTWISE[name](p, TARGETS).sum(1), CORNERS
    )


def test_balanced_l1_and_wing_of_boxes_by_hand():
    """One residual below the bound and one beyond, of those of Pang et al. 2019 and Feng et al. 2018."""
    b = math.exp(3) - 1
    inner = 0.5 / b * (b / 2 + 1) * math.log(b / 2 + 1) - 0.25
    assert of("box_balanced_l1", [0, 0, 0, 0], [0.5, 0, -2, 0]) == pytest.approx(inner + 3 + 1.5 / b - 0.5)
    wing = 10 * math.log(1 + 0.5 / 2) + 20 - 10 + 10 * math.log(6)
    assert of("box_wing", [0, 0, 0, 0], [0.5, 0, -20, 0]) == pytest.approx(wing)


def test_wasserstein_is_the_distance_of_gaussians():
    """By the formula for any two Gaussians, with roots of matrices."""
    expected = []
    for box, target in zip(BOXES.numpy(), TARGETS.numpy(), strict=True):
        means = [(each[:2] + each[2:]) / 2 for each in (box, target)]
        one, two = (np.diag(((each[2:] - each[:2]) / 2) ** 2) for each in (box, target))
        root = sqrtm(one)
        squared = ((means[0] - means[1]) ** 2).sum() + np.trace(one + two - 2 * sqrtm(root @ two @ root)).real
        expected.append(1 - math.exp(-math.sqrt(squared) / 3))
    np.testing.assert_allclose(box_distances.box_wasserstein(BOXES, TARGETS, c=3.0), expected, rtol=1e-9)


def test_wasserstein_has_no_gradient_at_the_target_itself():
    value, gradient = value_and_gradient(lambda p: box_distances.box_wasserstein(p, TARGETS), TARGETS)
    assert (value == 0).all() and (gradient == 0).all()
