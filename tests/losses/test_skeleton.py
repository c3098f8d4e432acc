"""Soft skeletons against scipy's grey morphology and known skeletons, and the centreline Dice loss of known masks."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from lossbench.losses.overlap import dice
from lossbench.losses.skeleton import cl_dice, soft_skeleton
from tests.support.losses import value_and_gradient
from tests.support.pixels import certain, images

EVERY = torch.ones(1, 1, 1, dtype=torch.bool)
CROSS = ndimage.generate_binary_structure(2, 1)


def scipys(p: np.ndarray, iterations: int) -> np.ndarray:
    """The skeleton of one map: 1 - prod(1 - what an erosion and dilation take away), over further erosions."""
    kept = np.ones_like(p)
    for _ in range(iterations + 1):
        eroded = ndimage.grey_erosion(p, footprint=CROSS, mode="constant", cval=1.0)
        dilated = ndimage.grey_dilation(eroded, size=(3, 3), mode="constant", cval=0.0)
        kept *= 1 - np.maximum(p - dilated, 0)
        p = eroded
    return 1 - kept


@pytest.mark.parametrize("iterations", [0, 1, 3, 10])
def test_skeletons_are_made_of_scipys_erosions_and_dilations(iterations):
    p = images()[0].softmax(-1).movedim(-1, 1)
    found = soft_skeleton(p.flatten(0, 1), EVERY.expand(12, 16, 17), iterations).view(p.shape)
    expected = [[scipys(each, iterations) for each in image] for image in p.numpy()]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_the_skeleton_of_a_line_is_the_line_and_of_a_bar_its_middle():
    bars = torch.zeros(2, 11, 20)
    bars[0, 5, 2:18] = 1
    bars[1, 3:8, 2:18] = 1
    line, middle = soft_skeleton(bars, EVERY.expand(2, 11, 20), 3)
    torch.testing.assert_close(line, bars[0])
    assert (middle[5, 4:16] == 1).all() and middle[:, 5:15].sum() == 10  # but for the ends
    too_few = soft_skeleton(bars, EVERY.expand(2, 11, 20), 1)[1]
    assert (too_few[:, 5:15] == 0).all()


def by_loops(predicted, target, iterations, smooth):
    """1 - the harmonic mean of both shares, of masks (H, W) of 0 and 1."""
    s_p, s_t = (scipys(each.astype(float), iterations) for each in (predicted, target))
    precision = (s_p[target == 1].sum() + smooth) / (s_p.sum() + smooth)
    recall = (s_t[predicted == 1].sum() + smooth) / (s_t.sum() + smooth)
    return 1 - 2 / (1 / precision + 1 / recall)


@pytest.mark.parametrize("background", [True, False])
def test_centreline_dice_of_masks(background):
    logits, target = images()
    predicted = logits.argmax(-1)
    labels = range(0 if background else 1, 4)
    expected = [
        np.mean([by_loops((a == k).numpy(), (b == k).numpy(), 2, 0.5) for k in labels])
        for a, b in zip(predicted, target, strict=True)
    ]
    found = cl_dice(certain(predicted), target, iterations=2, smooth=0.5, background=background)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_gap_costs_more_than_a_rim():
    """12 pixels of a tube are missed: cut out of its middle, or along its sides. The Dice loss sees no difference."""
    target = torch.zeros(1, 15, 40, dtype=torch.int64)
    target[0, 6:9, 2:38] = 1
    gap, rim = target.clone(), target.clone()
    gap[0, 6:9, 18:22] = 0
    rim[0, 6, 10:22] = 0
    one = {"background": False}
    torch.testing.assert_close(dice(certain(gap, 2), target, **one), dice(certain(rim, 2), target, **one))
    assert cl_dice(certain(gap, 2), target) > 5 * cl_dice(certain(rim, 2), target)


def test_a_region_without_a_skeleton_and_a_constant_prediction_have_a_value():
    """Of an image that one class fills, and of p that is the same everywhere."""
    target = torch.ones(1, 6, 6, dtype=torch.int64)
    assert cl_dice(certain(target, 2), target).item() == 0
    target[0, :3] = 0
    values, gradient = value_and_gradient(lambda z: cl_dice(z, target), torch.zeros(1, 6, 6, 2).double())
    assert values.isfinite().all() and gradient.isfinite().all() and (gradient != 0).any()
