"""Distance maps against scipy, pixel for pixel, and the losses of them against sums over what is predicted."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from lossbench.losses.distance_maps import boundary, distance_to, hausdorff_dt, signed_distance
from lossbench.losses.labelled_pixels import IGNORED
from tests.support.losses import assert_same_loss, value_and_gradient
from tests.support.pixels import certain, images, masks

LOGITS, TARGET = images()
EVERY = torch.ones(1, 1, 1, 1, dtype=torch.bool)


def scipys(mask: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The signed distance to a mask (H, W): outside to it, inside to the others; 0 where either is empty."""
    if not mask.any() or not others.any():
        return np.zeros(mask.shape)
    return np.where(mask, -distance_transform_edt(~others), distance_transform_edt(~mask) * others)


def signed_by_scipy(target):
    """Signed distances (N, 4, H, W) by loops."""
    maps = [[scipys(each == k, (each != k) & (each != IGNORED)) for k in range(4)] for each in target.numpy()]
    return torch.tensor(np.array(maps))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (8, 1), (13, 20), (64, 64), (40, 128)], ids=str)
@pytest.mark.parametrize("share", [0.001, 0.03, 0.5, 0.98])
def test_distances_are_scipys(shape, share):
    mask = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0)) < share
    found = distance_to(mask).numpy()
    for each, its in zip(found.reshape(-1, *shape), mask.numpy().reshape(-1, *shape), strict=True):
        if its.any():
            expected = distance_transform_edt(~its)
            np.testing.assert_array_equal(np.rint(each**2), np.rint(expected**2))  # whole numbers: exact
            np.testing.assert_allclose(each, expected, rtol=2e-7)
        else:
            assert np.isinf(each).all()


def test_signed_distances_are_scipys_with_absent_classes_and_ignored_pixels():
    target = masks()[1]
    target[0] = 2  # one class fills the image
    target[1, :5], target[1, 5:] = 3, IGNORED
    target[2, 2:4, 1:6] = target[3, :, 4] = IGNORED
    target[4] = IGNORED
    valid = (target != IGNORED).unsqueeze(1)
    truth = target.unsqueeze(1) == torch.arange(4).view(4, 1, 1)
    found = signed_distance(truth, valid, torch.float64)
    torch.testing.assert_close(found, signed_by_scipy(target), rtol=1e-15, atol=0)
    assert (found[[0, 1, 4]] == 0).all()  # absent, filling what is valid, or without a valid pixel: no border
    assert (found[5].abs() >= 1).all()  # else nowhere 0


def test_regions_need_not_cover_the_image():
    """As those of a prediction with no class above one half."""
    mask = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    mask = (mask == mask.amax(1, keepdim=True)) & (mask > 0.8)
    found = signed_distance(mask, EVERY.expand(1, 1, 9, 11))
    for k in range(3):
        expected = scipys(mask[0, k].numpy(), ~mask[0, k].numpy())
        np.testing.assert_allclose(found[0, k], expected, rtol=2e-7)


# --- The boundary loss --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [True, False])
def test_boundary_is_the_mean_of_probability_times_distance(background):
    distance = signed_by_scipy(TARGET).movedim(1, -1)
    first = 0 if background else 1

    def defined(logits):
        return (logits.softmax(-1) * distance)[..., first:].mean((1, 2, 3))  # each image has all classes

    assert_same_loss(lambda z: boundary(z, TARGET, background=background), defined, LOGITS)


def test_the_boundary_loss_of_a_mask_is_the_sum_of_distances_in_it_and_smallest_at_the_truth():
    predicted, target = (each.clamp(max=1) for each in masks())
    distance = signed_by_scipy(target)[:, 1]
    pixels = target[0].numel()

    def of(mask):
        return pixels * boundary(certain(mask, 2), target, background=False)

    torch.testing.assert_close(of(predicted), (distance * predicted).sum((1, 2)), rtol=1e-12, atol=1e-12)
    best = of(target)
    assert (best < 0).all() and (best < of(predicted)).all()
    rim = (distance.abs() == 1).flatten(1).long().argmax(1)  # one pixel at the border the other way round
    for image, place in enumerate(rim.tolist()):
        flipped = target.clone()
        flipped[image].view(-1)[place] ^= 1
        assert of(flipped)[image].item() == pytest.approx(best[image].item() + 1, abs=1e-10)


def test_objects_of_any_width_have_an_inside():
    """A line of one pixel and a square of 3. With 1 added inside, as by the authors, the line would have nothing."""
    target = torch.zeros(2, 7, 7, dtype=torch.int64)
    target[0, 3], target[1, 2:5, 2:5] = 1, 1
    perfect = 49 * boundary(certain(target, 2), target, background=False)
    torch.testing.assert_close(perfect, torch.tensor([-7.0, -10.0]).double())


def test_background_and_foreground_of_two_classes_have_the_same_gradient():
    target = TARGET.clamp(max=1)
    _, both = value_and_gradient(lambda z: boundary(z, target), LOGITS[..., :2])
    _, one = value_and_gradient(lambda z: boundary(z, target, background=False), LOGITS[..., :2])
    torch.testing.assert_close(both, one)


# --- The Hausdorff loss -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.7, 1.0, 2.0])
def test_hausdorff_is_the_squared_error_times_powers_of_both_distances(alpha):
    of_truth = signed_by_scipy(TARGET).movedim(1, -1).abs()
    above_half = (3 * LOGITS).softmax(-1) > 0.5
    nowhere = above_half.any(-1).logical_not()
    assert nowhere.any()
    maps = [[scipys(each[..., k], ~each[..., k]) for k in range(4)] for each in above_half.numpy()]
    of_prediction = torch.tensor(np.array(maps)).movedim(1, -1).abs()
    truth = torch.nn.functional.one_hot(TARGET, 4)

    def defined(logits):
        return ((logits.softmax(-1) - truth) ** 2 * (of_truth**alpha + of_prediction**alpha)).mean((1, 2, 3))

    assert_same_loss(lambda z: hausdorff_dt(z, TARGET, alpha=alpha), defined, 3 * LOGITS)


def test_a_false_alarm_costs_its_squared_distance():
    target = torch.zeros(1, 5, 12, dtype=torch.int64)
    target[0, :, 0] = 1
    costs = []
    for column in range(1, 12):
        predicted = target.clone()
        predicted[0, 2, column] = 1
        costs.append(60 * hausdorff_dt(certain(predicted, 2), target, background=False).item())
    expected = [column**2 + 1 for column in range(1, 12)]  # the alarm itself lies 1 inside of what is predicted
    assert costs == pytest.approx(expected, rel=1e-12)
    assert hausdorff_dt(certain(target, 2), target).item() == 0


def test_a_class_that_is_predicted_nowhere_has_the_distance_of_the_truth_alone():
    target = torch.zeros(1, 5, 6, dtype=torch.int64)
    target[0, 1:4, 1:4] = 1
    value = 30 * hausdorff_dt(certain(torch.zeros_like(target), 2), target, background=False).item()
    assert value == pytest.approx(8 * 1 + 1 * 4)
