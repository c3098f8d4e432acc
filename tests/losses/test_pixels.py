"""Losses of single pixels against torch and definitions, and what minimises them where probabilities are known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbench.losses.labelled_pixels import IGNORED
from lossbench.losses.pixels import (
    pixel_bce,
    pixel_cross_entropy,
    pixel_focal,
    pixel_top_k,
    pixel_weighted_cross_entropy,
)
from tests.support.losses import assert_same_loss
from tests.support.pixels import COUNTS, field, fitted, images

LOGITS, TARGET = images()
TARGET[0, :5] = TARGET[1, 2:9, 3:] = IGNORED
UNIFORM = (np.arange(100) + 0.5) / 100


def first(logits):
    """As torch has it: the classes after the samples."""
    return logits.movedim(-1, 1)


def each_image(loss):
    """Return a loss of a batch as one value for each of its images."""
    return lambda logits: torch.stack([loss(logits[[i]], TARGET[[i]]) for i in range(len(logits))])


def test_cross_entropy_is_torchs_mean_over_the_valid_pixels_of_an_image():
    def torchs(logits, target):
        return F.cross_entropy(first(logits), target, ignore_index=IGNORED)

    assert_same_loss(lambda z: pixel_cross_entropy(z, TARGET), each_image(torchs), LOGITS)


def test_images_count_the_same_where_torch_counts_pixels():
    ours = pixel_cross_entropy(LOGITS, TARGET)
    torchs = F.cross_entropy(first(LOGITS), TARGET, ignore_index=IGNORED)
    valid = (TARGET != IGNORED).sum((1, 2))
    torch.testing.assert_close((ours * valid).sum() / valid.sum(), torchs)
    assert abs(ours.mean() - torchs) > 1e-3


def test_bce_is_torchs_summed_over_the_classes():
    def torchs(logits, target):
        valid = target != IGNORED
        truth = F.one_hot(target[valid], 4).double()
        return 4 * F.binary_cross_entropy_with_logits(logits[valid], truth)

    assert_same_loss(lambda z: pixel_bce(z, TARGET), each_image(torchs), LOGITS)


@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 0.0, 3.0]])
def test_weights_multiply_and_do_not_divide(weight):
    """torch divides by the sum of the weights of the true classes: both numbers, for each image."""
    inverse = 1 / torch.tensor(COUNTS, dtype=torch.float64)
    weights = 4 * inverse / inverse.sum() if weight is None else torch.tensor(weight, dtype=torch.float64)

    def summed(logits, target):
        total = F.cross_entropy(first(logits), target, weights, ignore_index=IGNORED, reduction="sum")
        return total / (target != IGNORED).sum()

    def ours(logits):
        return pixel_weighted_cross_entropy(logits, TARGET, class_counts=COUNTS, weight=weight)

    assert_same_loss(ours, each_image(summed), LOGITS)
    torchs = each_image(lambda z, t: F.cross_entropy(first(z), t, weights, ignore_index=IGNORED))(LOGITS)
    mean_weight = torch.stack([weights[each[each != IGNORED]].mean() for each in TARGET])
    torch.testing.assert_close(ours(LOGITS), torchs * mean_weight)
    assert ((mean_weight - 1).abs() > 0.1).any()


def test_equal_counts_weigh_nothing_and_wrong_ones_are_refused():
    assert_same_loss(
        lambda z: pixel_weighted_cross_entropy(z, TARGET, class_counts=[7] * 4),
        lambda z: pixel_cross_entropy(z, TARGET),
        LOGITS,
    )
    for counts in ([1, 2, 3], [1, 2, 0, 4]):
        with pytest.raises(ValueError, match=r"class_counts|class counts"):
            pixel_weighted_cross_entropy(LOGITS, TARGET, class_counts=counts)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.5])
def test_focal_by_its_definition(gamma):
    def defined(logits, target):
        p = logits[target != IGNORED].softmax(-1).gather(1, target[target != IGNORED][:, None])
        return ((1 - p) ** gamma * -p.log()).mean()

    assert_same_loss(lambda z: pixel_focal(z, TARGET, gamma=gamma), each_image(defined), LOGITS, rtol=1e-8)


def test_focal_without_gamma_is_cross_entropy():
    assert_same_loss(
        lambda z: pixel_focal(z, TARGET, gamma=0.0), lambda z: pixel_cross_entropy(z, TARGET), LOGITS, rtol=1e-9
    )


@pytest.mark.parametrize("share", [0.001, 0.1, 0.37, 1.0])
def test_top_k_is_the_mean_of_the_largest(share):
    def largest(logits, target):
        values = F.cross_entropy(logits[target != IGNORED], target[target != IGNORED], reduction="none")
        return values.topk(max(1, round(share * len(values)))).values.mean()

    assert_same_loss(lambda z: pixel_top_k(z, TARGET, share=share), each_image(largest), LOGITS)


# --- What minimises them ------------------------------------------------------------------------------------------


def test_cross_entropies_are_minimised_by_the_probabilities():
    target, known = field(UNIFORM, per_bin=200)
    for loss in (pixel_cross_entropy, pixel_bce):
        predicted = fitted(loss, target)
        assert np.abs(predicted.numpy() - known).max() < 0.02 and np.abs(predicted.numpy() - known).mean() < 0.003
        assert (predicted > 0.5).double().mean().item() == pytest.approx(0.5, abs=0.006)


def test_focal_predicts_the_same_area_with_less_confidence():
    target, known = field(UNIFORM, per_bin=200)
    predicted = fitted(lambda z, t: pixel_focal(z, t, gamma=2.0), target).numpy()
    assert (predicted > 0.5).mean() == pytest.approx(0.5, abs=0.006)
    confident = np.abs(known - 0.5) > 0.05
    assert (np.abs(predicted - 0.5) < np.abs(known - 0.5))[confident].all()


def test_weights_move_the_threshold_to_where_both_errors_cost_the_same():
    """Of weights a_0 and a_1: a_0 (1 - p) = a_1 p."""
    target, _ = field(UNIFORM, per_bin=200)
    predicted = fitted(lambda z, t: pixel_weighted_cross_entropy(z, t, class_counts=[1, 1], weight=[1.0, 3.0]), target)
    assert (predicted > 0.5).double().mean().item() == pytest.approx(0.75, abs=0.006)
