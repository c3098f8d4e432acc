"""Losses of overlap against their optimum where probabilities are known, identities, limits and loops over sets."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta as beta_law

from lossbench.losses.labelled_pixels import overlap_of
from lossbench.losses.lovasz import lovasz_softmax
from lossbench.losses.overlap import dice, focal_tversky, generalized_dice, jaccard, log_cosh_dice, tversky
from lossbench.losses.overlap_squared import dice_squared, power_jaccard, sensitivity_specificity
from lossbench.losses.pixels import pixel_cross_entropy
from tests.support.losses import assert_same_loss, value_and_gradient
from tests.support.pixels import certain, field, fitted, images, two_logits

POOLED = {"per": "batch", "background": False}
UNIFORM = (np.arange(200) + 0.5) / 200
RANDOM = np.random.default_rng(4)
LAWS = [beta_law(*RANDOM.uniform(0.4, 3, 2)).ppf(UNIFORM), UNIFORM ** RANDOM.uniform(0.5, 3)]
WEIGHTS = [tuple(RANDOM.uniform(0.1, 1.2, 2).round(2).tolist()) for _ in range(3)]


def best_index(known: np.ndarray, a: float, b: float) -> tuple[float, float]:
    """Return the largest Tversky index of any set of the likeliest bins, and the share of bins in it."""
    p = np.sort(known)[::-1]
    hits, size = p.cumsum(), np.arange(1, len(p) + 1)
    index = hits / (hits + a * (size - hits) + b * (p.sum() - hits))
    return index.max(), (index.argmax() + 1) / len(p)


# --- What minimises them where the probability of each pixel is known ----------------------------------------------


@pytest.mark.parametrize(
    ("loss", "settings", "area"),
    [
        (dice, {}, (math.sqrt(5) - 1) / 2),
        (jaccard, {}, (math.sqrt(5) - 1) / 2),
        (log_cosh_dice, {}, (math.sqrt(5) - 1) / 2),
        (tversky, {"alpha": 0.3, "beta": 0.7}, 0.75543),
        (tversky, {"alpha": 0.7, "beta": 0.3}, 0.47455),
        (focal_tversky, {"alpha": 0.7, "beta": 0.3}, 0.47455),
    ],
)
def test_the_predicted_area_where_all_probabilities_are_as_frequent(loss, settings, area):
    target, known = field(UNIFORM)
    predicted = fitted(lambda z, t: loss(z, t, **POOLED, **settings), target).numpy()
    assert (predicted > 0.5).mean() == pytest.approx(area, abs=0.01)
    sure = np.abs(known - (1 - area)) > 0.05
    assert (np.abs(predicted - 0.5) > 0.4)[sure].all()  # a hard region, with no pixel left open
    assert np.abs(predicted - known).mean() > 0.2  # so it says little of the probability


@pytest.mark.parametrize("law", LAWS, ids=["beta", "power"])
@pytest.mark.parametrize("loss", [dice, jaccard, *WEIGHTS], ids=lambda loss: getattr(loss, "__name__", str(loss)))
def test_the_predicted_area_where_some_probabilities_are_more_frequent(law, loss):
    target, known = field(law)
    a, b = loss if isinstance(loss, tuple) else (0.5, 0.5)
    function = loss if callable(loss) else lambda z, t, **how: tversky(z, t, alpha=a, beta=b, **how)
    index, area = best_index(known, a, b)
    predicted = fitted(lambda z, t: function(z, t, **POOLED), target)
    assert (predicted > 0.5).double().mean().item() == pytest.approx(area, abs=0.01)
    threshold = a * index / (1 - index * (1 - a - b))  # the closed form says the same as the search
    assert (known > threshold).mean() == pytest.approx(area, abs=0.011)


def test_the_best_dice_score_is_twice_its_threshold():
    target, _ = field(UNIFORM)
    certainly = torch.where(torch.tensor(UNIFORM) > (3 - math.sqrt(5)) / 2, 50.0, -50.0).double()
    value = dice(two_logits(certainly, target), target, **POOLED)
    assert 1 - value.item() == pytest.approx(3 - math.sqrt(5), abs=2e-3)
    for moved in (0.34, 0.42):
        other = torch.where(torch.tensor(UNIFORM) > moved, 50.0, -50.0).double()
        assert dice(two_logits(other, target), target, **POOLED) > value


@pytest.mark.parametrize("q", [0.01, 0.1, 0.3])
def test_without_information_dice_predicts_all_pixels_and_cross_entropy_the_prevalence(q):
    target, _ = field(np.array([q]), per_bin=1000)
    predicted = fitted(lambda z, t: dice(z, t, **POOLED), target, steps=150)
    assert predicted.item() > 0.98
    everything = dice(two_logits(torch.tensor([200.0]).double(), target), target, **POOLED).item()
    assert everything == pytest.approx(1 - 2 * q / (1 + q), abs=1e-12)
    assert fitted(pixel_cross_entropy, target, steps=150).item() == pytest.approx(q, abs=1e-3)


def test_squares_below_the_line_leave_a_soft_minimum():
    """Of sum (p - t)^2 / (sum p^2 + V) with the value L: p = eta / (1 - L), at most 1."""
    target, known = field(UNIFORM)
    predicted = fitted(lambda z, t: dice_squared(z, t, **POOLED), target, steps=150)
    value = dice_squared(two_logits(predicted.logit(), target), target, **POOLED).item()
    np.testing.assert_allclose(predicted, np.minimum(known / (1 - value), 1), atol=0.02)
    assert (predicted > 0.5).double().mean().item() == pytest.approx(1 - (1 - value) / 2, abs=0.01)


def test_a_power_in_the_union_leaves_a_soft_minimum():
    """Of the power 2, with the value L: p = eta (2 - L) / (2 (1 - L)), at most 1."""
    target, known = field(UNIFORM)
    predicted = fitted(lambda z, t: power_jaccard(z, t, **POOLED), target, steps=150)
    value = power_jaccard(two_logits(predicted.logit(), target), target, **POOLED).item()
    np.testing.assert_allclose(predicted, np.minimum(known * (2 - value) / (2 - 2 * value), 1), atol=0.02)


def test_images_or_the_batch_are_different_losses():
    """A large region and a small one: by images each counts as much, in the batch the small one hardly does."""
    target = torch.zeros(2, 20, 20, dtype=torch.int64)
    target[0, :, :10], target[1, 0, :4] = 1, 1
    missed = target.clone()
    missed[1] = 0  # the small one is not found
    by_image = dice(certain(missed, 2), target, background=False)
    pooled = dice(certain(missed, 2), target, background=False, per="batch")
    assert by_image.tolist() == [0, 1]
    assert pooled.tolist() == pytest.approx([1 - 2 * 200 / 404] * 2)


# --- Identities and limits ----------------------------------------------------------------------------------------

LOGITS, TARGET = images()
TARGET[1, :6] = 255


@pytest.mark.parametrize("per", ["image", "batch"])
@pytest.mark.parametrize("smooth", [0.0, 1.5])
def test_tversky_is_dice_and_jaccard(per, smooth):
    how = {"per": per, "background": False}
    halves = lambda z: tversky(z, TARGET, alpha=0.5, beta=0.5, smooth=smooth / 2, **how)  # noqa: E731
    ones = lambda z: tversky(z, TARGET, alpha=1.0, beta=1.0, smooth=smooth, **how)  # noqa: E731
    assert_same_loss(halves, lambda z: dice(z, TARGET, smooth=smooth, **how), LOGITS)
    assert_same_loss(ones, lambda z: jaccard(z, TARGET, smooth=smooth, **how), LOGITS)


def test_other_identities():
    one = {"background": False}
    two = (LOGITS[..., :2], TARGET.clamp(max=1).where(TARGET != 255, 255))
    d = dice(*two, **one)
    torch.testing.assert_close(jaccard(*two, **one), 2 * d / (1 + d))
    torch.testing.assert_close(generalized_dice(*two, **one), d)  # of one class the weight falls out
    assert_same_loss(lambda z: power_jaccard(z, TARGET, power=1.0), lambda z: jaccard(z, TARGET), LOGITS)
    assert_same_loss(lambda z: focal_tversky(z, TARGET, gamma=1.0), lambda z: tversky(z, TARGET), LOGITS)
    assert_same_loss(
        lambda z: log_cosh_dice(z, TARGET),
        lambda z: (dice(z, TARGET).exp() + (-dice(z, TARGET)).exp()).log() - math.log(2),
        LOGITS,
    )


def test_focal_tversky_is_the_mean_of_powers_not_the_power_of_the_mean():
    by_class = torch.stack([one_class(tversky, label) for label in range(4)])
    expected = (by_class ** (1 / 1.5)).mean(0)
    torch.testing.assert_close(focal_tversky(LOGITS, TARGET, gamma=1.5), expected)
    assert (expected < by_class.mean(0) ** (1 / 1.5) - 1e-4).all()


def one_class(loss, label):
    """The loss of one class: of two, if it is the foreground and all others together the background."""
    p = LOGITS.log_softmax(-1)
    rest = p.masked_fill(torch.arange(4) == label, -torch.inf).logsumexp(-1)
    target = TARGET.eq(label).long().where(TARGET != 255, 255)
    return loss(torch.stack([rest, p[..., label]], -1), target, background=False)


@pytest.mark.parametrize(
    "loss", [dice, jaccard, tversky, dice_squared, power_jaccard, sensitivity_specificity, lovasz_softmax]
)
def test_the_value_is_the_mean_of_what_each_class_has_alone(loss):
    torch.testing.assert_close(loss(LOGITS, TARGET), torch.stack([one_class(loss, k) for k in range(4)]).mean(0))


def test_smooth_is_added_above_and_below():
    tp, fp, fn, volume = overlap_of(LOGITS, TARGET, "image")
    p = LOGITS.softmax(-1).masked_fill((TARGET == 255).unsqueeze(-1), 0)
    score = (2 * tp + 3) / (p.sum((1, 2)) + volume + 3)
    torch.testing.assert_close(dice(LOGITS, TARGET, smooth=3.0), 1 - score.mean(1))
    torch.testing.assert_close(tp + fp, p.sum((1, 2)))
    torch.testing.assert_close(tp + fn, volume.double())
    absent = TARGET.where((TARGET == 1) | (TARGET == 255), 0)
    assert (
        dice(certain(absent.clamp(max=3)), absent, smooth=3.0) == 0
    ).all()  # classes that are absent get no bonus either
    assert (dice(certain(absent.clamp(max=3)), absent) == 0).all()


def test_generalized_dice_weighs_by_the_inverse_square_of_the_volume():
    """By loops over 0/1 predictions, once with all classes and once with two that are absent."""
    predicted = LOGITS.argmax(-1)
    for target in (TARGET, TARGET.where((TARGET < 2) | (TARGET == 255), 0)):
        for image in range(3):
            valid = (target[image] != 255).numpy()
            a, b = predicted[image].numpy()[valid], target[image].numpy()[valid]
            above = below = 0.0
            for label in set(b.tolist()):
                weight = 1 / (b == label).sum() ** 2
                above += 2 * weight * ((a == label) & (b == label)).sum()
                below += weight * ((a == label).sum() + (b == label).sum())
            value = generalized_dice(certain(predicted), target)[image].item()
            assert value == pytest.approx(1 - above / below, abs=1e-12)


def test_sensitivity_and_specificity_of_hard_predictions():
    """At 0/1 predictions r (1 - sensitivity) + (1 - r) (1 - specificity)."""
    predicted = LOGITS.argmax(-1)
    values = sensitivity_specificity(certain(predicted), TARGET, r=0.3)
    for image in range(3):
        valid = (TARGET[image] != 255).numpy()
        a, b = predicted[image].numpy()[valid], TARGET[image].numpy()[valid]
        missed = [1 - (a == k)[b == k].mean() for k in range(4)]
        alarms = [(a == k)[b != k].mean() for k in range(4)]
        assert values[image].item() == pytest.approx(0.3 * np.mean(missed) + 0.7 * np.mean(alarms), abs=1e-12)
    errors = torch.full_like(LOGITS, 0.0)  # p = 1/4 everywhere: (3/4)^2 and (1/4)^2
    torch.testing.assert_close(
        sensitivity_specificity(errors, TARGET, r=0.3), torch.full((3,), 0.3 * 9 / 16 + 0.7 / 16).double()
    )


def test_a_power_below_1_has_no_infinite_slope_at_a_perfect_prediction():
    for magnitude in (20.0, 200.0, 2000.0):
        values, gradient = value_and_gradient(
            lambda z: focal_tversky(z, TARGET, gamma=3.0), certain(TARGET.clamp(max=3)).float() * magnitude / 2000
        )
        assert values.isfinite().all() and gradient.isfinite().all()
    assert values.max() < 1e-9
