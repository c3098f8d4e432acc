"""The loss of YOLO v1 against a loop over cells and boxes in plain numbers: value, gradient and limits."""

import math

import numpy as np
import pytest
import torch

from lossbench.losses import yolo_v1
from tests.support.losses import value_and_gradient

N, S, B, K = 5, 3, 2, 4


def made_up(seed=0):
    rng = np.random.default_rng(seed)
    outputs = rng.uniform(0.05, 0.95, (N, S, S, 5 * B + K))
    outputs[..., 2] *= rng.choice([1, -1], (N, S, S), p=[0.8, 0.2])  # some widths below 0
    target = rng.uniform(0.1, 0.9, (N, S, S, 5 + K))
    target[..., 4] = rng.uniform(size=(N, S, S)) < 0.4
    target[..., 5:] = np.eye(K)[rng.integers(0, K, (N, S, S))]
    return outputs, target


def overlap(one, other, row, column):
    """IoU of two boxes of a cell, at their places in the image."""
    sides = []
    for start, axis in ((column, 0), (row, 1)):
        ends = []
        for box in (one, other):
            centre, size = (start + box[axis]) / S, box[2 + axis]
            ends.append((centre - size / 2, centre + size / 2) if size > 0 else (centre, centre))
        sides.append((max(0.0, min(ends[0][1], ends[1][1]) - max(ends[0][0], ends[1][0])), ends))
    shared = sides[0][0] * sides[1][0]
    areas = [math.prod(ends[which][1] - ends[which][0] for _, ends in sides) for which in (0, 1)]
    return shared / (sum(areas) - shared)


def root(number):
    return math.copysign(math.sqrt(abs(number)), number)


def by_loops(outputs, target, held=None):
    """One image, and what its gradient holds: by cell the responsible box and its IoU."""
    total, chosen = 0.0, {}
    for row in range(S):
        for column in range(S):
            cell, true = outputs[row, column], target[row, column]
            boxes = [cell[5 * b : 5 * b + 5] for b in range(B)]
            best = None
            if true[4] == 1:
                ious = [overlap(box, true, row, column) for box in boxes]
                best, iou = (int(np.argmax(ious)), max(ious)) if held is None else held[row, column]
                chosen[row, column] = best, iou
                x, y, w, h, c = boxes[best]
                total += 5 * ((x - true[0]) ** 2 + (y - true[1]) ** 2)
                total += 5 * ((root(w) - root(true[2])) ** 2 + (root(h) - root(true[3])) ** 2)
                total += (c - iou) ** 2
                total += sum((cell[5 * B + k] - true[5 + k]) ** 2 for k in range(K))
            total += sum(0.5 * box[4] ** 2 for b, box in enumerate(boxes) if b != best)
    return total, chosen


@pytest.mark.parametrize("seed", [0, 1])
def test_against_loops_over_cells_and_boxes(seed):
    outputs, target = made_up(seed)
    values, gradient = value_and_gradient(lambda z: yolo_v1(z, torch.tensor(target)), torch.tensor(outputs))
    held = [by_loops(*pair) for pair in zip(outputs, target, strict=True)]
    np.testing.assert_allclose(values, [value for value, _ in held], rtol=1e-12)
    chosen = [best for _, cells in held for best, _ in cells.values()]
    assert 0 < np.mean(chosen) < 1 and len(chosen) > 10  # both boxes are responsible somewhere
    expected, step = np.zeros_like(outputs[0]), 1e-6
    for place in np.ndindex(*expected.shape):
        moved = [outputs[0].copy(), outputs[0].copy()]
        moved[0][place] -= step
        moved[1][place] += step
        low, high = (by_loops(each, target[0], held[0][1])[0] for each in moved)
        expected[place] = (high - low) / (2 * step)
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-5, atol=1e-7)


def test_the_truth_costs_nothing_with_one_predictor_and_the_overlap_is_a_whole():
    _, target = made_up()
    target[..., :4] *= target[..., 4:5]
    outputs = np.concatenate([target[..., :5], target[..., 5:]], -1)
    assert yolo_v1(torch.tensor(outputs), torch.tensor(target)).abs().max() < 1e-12


def test_cells_without_an_object_pull_confidences_alone():
    outputs, target = made_up()
    target[..., 4] = 0
    values, gradient = value_and_gradient(
        lambda z: yolo_v1(z, torch.tensor(target), lambda_noobj=2.0), torch.tensor(outputs)
    )
    confidences = outputs[..., [4, 9]]
    np.testing.assert_allclose(values, 2 * (confidences**2).sum((1, 2, 3)))
    assert gradient[..., [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]].abs().max() == 0


def test_the_confidence_of_the_responsible_box_aims_at_its_overlap():
    """By hand: a box of half the width has IoU 1/2; the other, which has none, aims at 0."""
    target = torch.tensor([0.5, 0.5, 0.4, 0.4, 1.0]).view(1, 1, 1, 5)
    outputs = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.3, 0.5, 0.5, 0.2, 0.4, 0.9]).view(1, 1, 1, 10)
    sides = (math.sqrt(0.4) - math.sqrt(0.2)) ** 2
    expected = 5 * sides + (0.9 - 0.5) ** 2 + 0.5 * 0.3**2
    assert yolo_v1(outputs, target).item() == pytest.approx(expected, rel=1e-5)
    assert yolo_v1(outputs, target, lambda_coord=0.0, lambda_noobj=0.0).item() == pytest.approx(0.16, rel=1e-5)


def test_widths_around_0_have_a_finite_slope():
    """The root is continuous and odd, and a line within 1/10,000."""
    target = torch.zeros(1, 1, 1, 5, dtype=torch.float64)
    target[..., 4] = 1
    found = []
    for width in (-4e-4, -1e-4, -5e-5, 0.0, 5e-5, 1e-4, 4e-4):
        outputs = torch.tensor([0.0, 0.0, width, 0.0, 0.0], dtype=torch.float64).view(1, 1, 1, 5)
        value, gradient = value_and_gradient(lambda z: yolo_v1(z, target, lambda_coord=1.0), outputs)
        assert gradient.isfinite().all()
        found.append(value.item())
    np.testing.assert_allclose(found, [4e-4, 1e-4, 2.5e-5, 0, 2.5e-5, 1e-4, 4e-4], rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 30.0, 1e4])
def test_extreme_outputs_are_finite(dtype, size):
    outputs, target = (torch.tensor(each) for each in made_up())
    for extreme in (size * (outputs - 0.5).sign(), -size * (outputs - 0.5).sign()):
        values, gradient = value_and_gradient(lambda z: yolo_v1(z, target.to(dtype)), extreme.to(dtype))
        assert values.isfinite().all() and gradient.isfinite().all()


def test_an_image_has_the_same_value_alone():
    outputs, target = (torch.tensor(each) for each in made_up())
    alone = [yolo_v1(outputs[row : row + 1], target[row : row + 1]) for row in range(N)]
    torch.testing.assert_close(torch.cat(alone), yolo_v1(outputs, target))


@pytest.mark.parametrize(("numbers", "wanted"), [(13, 9), (4, 9), (10, 3)])
def test_outputs_that_are_no_boxes_and_classes_are_refused(numbers, wanted):
    with pytest.raises(ValueError, match=r"needs 5 B \+ K and 5 \+ K"):
        yolo_v1(torch.zeros(1, 2, 2, numbers), torch.zeros(1, 2, 2, wanted))
