"""Focused and reweighted losses against torchvision, torch, limits and numpy by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import expit, softmax
from torchvision.ops import sigmoid_focal_loss

from lossbench.catalogue.examine.contract import examine
from lossbench.catalogue.examine.loss_under_test import LossUnderTest
from lossbench.losses.classification import bce, label_smoothing
from lossbench.losses.focusing import asymmetric_single_label, binary_asymmetric, ovr_asymmetric
from lossbench.losses.gradient_density import dense_ghm_c, ghm_c, ovr_ghm_c
from lossbench.losses.imbalance import focal
from lossbench.losses.reweighted import class_balanced_bce, class_balanced_focal, group_dro, influence_balanced
from lossbench.losses.sigmoid import ovr_bce
from tests.support.losses import COUNTS, assert_same_loss, value_and_gradient

# Effective-number weights of 100, 10 and 1 samples at beta 0.9999, computed apart.
WEIGHTS = torch.tensor([0.0271587, 0.2703689, 2.7024724], dtype=torch.float64)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, 3, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, 3, (40,), generator=generator)


@pytest.fixture
def binary_batch():
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(40, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, 2, (40,), generator=generator)


def one_hot(target):
    return F.one_hot(target, 3).double()


# --- Class-balanced -----------------------------------------------------------------------------------------------


def test_class_balanced_bce_is_a_weighted_sum_of_torch_s(batch):
    logits, target = batch
    plain = lambda z: F.binary_cross_entropy_with_logits(z, one_hot(target), reduction="none").sum(1)  # noqa: E731
    ours = lambda z, beta: class_balanced_bce(z, target, class_counts=COUNTS, beta=beta)  # noqa: E731
    assert_same_loss(lambda z: ours(z, 0.9999), lambda z: WEIGHTS[target] * plain(z), logits, rtol=2e-6)
    assert_same_loss(lambda z: ours(z, 0.0), plain, logits)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_class_balanced_focal_is_a_weighted_sum_of_torchvision_s(batch, gamma):
    logits, target = batch
    plain = lambda z: sigmoid_focal_loss(z, one_hot(target), alpha=-1, gamma=gamma).sum(1)  # noqa: E731
    ours = lambda z: class_balanced_focal(z, target, class_counts=COUNTS, gamma=gamma)  # noqa: E731
    assert_same_loss(ours, lambda z: WEIGHTS[target] * plain(z), logits, rtol=2e-6)


# --- Asymmetric ---------------------------------------------------------------------------------------------------


def asymmetric_by_hand(z, t, gamma_pos, gamma_neg, margin):
    p = expit(z)
    shifted = np.maximum(p - margin, 0)
    return -(t * (1 - p) ** gamma_pos * np.log(p) + (1 - t) * shifted**gamma_neg * np.log(1 - shifted))


@pytest.mark.parametrize("gammas", [(0.0, 4.0), (1.0, 2.0), (0.5, 0.5)])
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.4])
def test_asymmetric_by_hand(batch, gammas, margin):
    logits, target = batch
    expected = asymmetric_by_hand(logits.numpy(), one_hot(target).numpy(), *gammas, margin)
    powers = {"gamma_pos": gammas[0], "gamma_neg": gammas[1], "margin": margin}
    np.testing.assert_allclose(binary_asymmetric(logits[:, 0], target == 0, **powers), expected[:, 0], rtol=1e-9)
    np.testing.assert_allclose(ovr_asymmetric(logits, target, **powers), expected.sum(1), rtol=1e-9)


def test_asymmetric_without_focus_is_binary_cross_entropy(batch, binary_batch):
    off = {"gamma_pos": 0.0, "gamma_neg": 0.0, "margin": 0.0}
    logits, target = binary_batch
    reference = lambda z: F.binary_cross_entropy_with_logits(z, target.double(), reduction="none")  # noqa: E731
    assert_same_loss(lambda z: binary_asymmetric(z, target, **off), reference, logits)
    logits, target = batch
    assert_same_loss(lambda z: ovr_asymmetric(z, target, **off), lambda z: ovr_bce(z, target), logits)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 3.0])
def test_asymmetric_with_equal_powers_is_the_focal_loss_of_torchvision_without_alpha(binary_batch, gamma):
    logits, target = binary_batch
    reference = lambda z: sigmoid_focal_loss(z, target.double(), alpha=-1, gamma=gamma)  # noqa: E731
    ours = lambda z: binary_asymmetric(z, target, gamma_pos=gamma, gamma_neg=gamma, margin=0.0)  # noqa: E731
    assert_same_loss(ours, reference, logits)


def test_a_negative_within_the_margin_has_neither_loss_nor_gradient():
    logits = torch.tensor([-3.0, -2.9]).double()  # p = 0.047 and 0.052
    value, gradient = value_and_gradient(lambda z: binary_asymmetric(z, torch.zeros(2), gamma_neg=1.0), logits)
    assert value[0] == 0 and gradient[0] == 0 and value[1] > 0 and gradient[1] > 0


def single_label_by_hand(logits, target, gamma_pos, gamma_neg, smoothing):
    values = []
    for z, y in zip(logits, target, strict=True):
        p = softmax(z)
        share = np.full(3, smoothing / 3)
        share[y] += 1 - smoothing
        focus = p**gamma_neg
        focus[y] = (1 - p[y]) ** gamma_pos
        values.append(-(share * focus * np.log(p)).sum())
    return values


def test_single_label_form_by_hand(batch):
    logits, target = batch
    expected = single_label_by_hand(logits.numpy(), target.numpy(), 1.5, 4.0, 0.1)
    ours = asymmetric_single_label(logits, target, gamma_pos=1.5, gamma_neg=4.0, smoothing=0.1)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_single_label_form_without_smoothing_is_focal_and_without_focus_label_smoothing(batch):
    logits, target = batch
    ours = lambda z, **powers: asymmetric_single_label(z, target, **powers)  # noqa: E731
    assert_same_loss(lambda z: ours(z, gamma_pos=2.0, smoothing=0.0), lambda z: focal(z, target, gamma=2.0), logits)
    assert_same_loss(
        lambda z: ours(z, gamma_pos=0.0, gamma_neg=0.0, smoothing=0.2),
        lambda z: label_smoothing(z, target, smoothing=0.2),
        logits,
    )


# --- Influence ----------------------------------------------------------------------------------------------------


def test_influence_balanced_is_cross_entropy_in_the_first_half(batch):
    logits, target = batch
    features = torch.randn(40, 7).double()
    ours = lambda z: influence_balanced(z, target, features=features, epoch=4, max_epochs=10)  # noqa: E731
    assert_same_loss(ours, lambda z: F.cross_entropy(z, target, reduction="none"), logits)


def test_influence_balanced_divides_by_the_gradient_of_the_last_layer(batch):
    """The second derivation: |dCE/dW| summed over a last layer W, from autograd."""
    logits, target = batch
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(40, 7, dtype=torch.float64, generator=generator)
    weight = torch.randn(3, 7, dtype=torch.float64, generator=generator).requires_grad_()
    bias = logits - features @ weight.T.detach()  # of each sample, so that the outputs are the logits
    expected = []
    for i in range(40):
        entropy = F.cross_entropy((weight @ features[i] + bias[i])[None], target[i : i + 1])
        (gradient,) = torch.autograd.grad(entropy, weight)
        expected.append(50.0 * entropy.item() / (gradient.abs().sum().item() + 0.01))
    ours = influence_balanced(
        logits, target, features=features, epoch=0, max_epochs=10, alpha=50.0, epsilon=0.01, start_epoch=0
    )
    np.testing.assert_allclose(ours.detach(), expected, rtol=1e-9)


def test_influence_balanced_keeps_the_contract_after_its_warm_up():
    subject = LossUnderTest("influence_balanced", influence_balanced, {"start_epoch": 0}, in_catalogue=True)
    assert {finding.status for finding in examine(subject) if "signature" not in finding.rule} == {"holds"}


# --- Gradient density ---------------------------------------------------------------------------------------------


def ghm_by_hand(logits, target, bins):
    size = np.abs(expit(logits) - target)
    values = []
    for z, t, g in zip(logits, target, size, strict=True):
        low = np.floor(g * bins) / bins
        density = sum(low <= other < low + 1 / bins for other in size) / (1 / bins)
        p = expit(z)
        values.append(-len(logits) / density * (t * np.log(p) + (1 - t) * np.log(1 - p)))
    return np.array(values)


def test_ghm_by_hand_for_one_batch(binary_batch, batch):
    logits, target = binary_batch
    expected = ghm_by_hand(logits.numpy(), target.numpy(), 10)
    np.testing.assert_allclose(ghm_c(bins=10, momentum=0.0)(logits, target.double()), expected, rtol=1e-6)
    logits, target = batch
    expected = ghm_by_hand(logits.flatten().numpy(), one_hot(target).flatten().numpy(), 10).reshape(40, 3).sum(1)
    np.testing.assert_allclose(ovr_ghm_c(bins=10, momentum=0.0)(logits, target), expected, rtol=1e-6)


def test_ghm_of_places_by_hand_and_by_positives(batch):
    """The sum over the places, divided by positives as detectors do, is the paper's: cross-entropies over M S."""
    logits, target = batch
    hot = one_hot(target) * (torch.arange(len(target)) % 4 > 0).unsqueeze(1)  # a quarter is background
    by_hand = ghm_by_hand(logits.flatten().numpy(), hot.flatten().numpy(), 10).reshape(40, 3).sum(1) / hot.numel()
    places = dense_ghm_c(bins=10, momentum=0.0)
    np.testing.assert_allclose(places(logits, hot.to(logits)), by_hand * hot.sum().item(), rtol=1e-6)
    even = dense_ghm_c(bins=1).double()
    plain = torch.nn.functional.binary_cross_entropy_with_logits
    assert_same_loss(
        lambda z: even(z, hot.to(z)),
        lambda z: hot.sum() / hot.numel() * plain(z, hot.to(z), reduction="none").sum(1),
        logits,
    )
    assert dense_ghm_c()(torch.zeros(4, 3), torch.zeros(4, 3)).sum() > 0  # no positives: as if there was one


def test_ghm_with_equal_density_or_one_bin_is_binary_cross_entropy(binary_batch):
    """A limit: where all sizes of gradient are as frequent there is nothing to harmonise."""
    even = torch.logit((torch.arange(40).double() + 0.5) / 40)
    zeros = torch.zeros(40).double()
    assert_same_loss(lambda z: ghm_c(bins=10).double()(z, zeros), lambda z: bce(z, zeros), even)
    logits, target = binary_batch
    assert_same_loss(lambda z: ghm_c(bins=1).double()(z, target), lambda z: bce(z, target), logits)


def test_ghm_gives_every_filled_bin_the_same_weight(binary_batch):
    """From the definition: the weights of a bin sum to N / M, so that all sum to N times the share of filled bins."""
    logits, target = binary_batch
    weights = ghm_c(bins=10, momentum=0.0)(logits, target) / bce(logits, target)
    bins = (torch.sigmoid(logits) - target).abs().mul(10).long()
    sums = torch.zeros(10).double().index_add(0, bins, weights)
    torch.testing.assert_close(sums[sums > 0], torch.full((len(bins.unique()),), 4.0).double(), rtol=1e-6, atol=0)


def test_ghm_density_is_a_moving_average_that_starts_with_the_first_batch():
    module = ghm_c(bins=2, momentum=0.75)
    easy, hard = torch.tensor([-2.0, -2.0, -2.0, 2.0]), torch.tensor([2.0, 2.0, 2.0, 2.0])
    zeros = torch.zeros(4)
    assert (module(easy, zeros) / bce(easy, zeros)).tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    # 3/4 of one and 1/4 of four samples: 4 / (2 x 1.75)
    assert (module(hard, zeros) / bce(hard, zeros)).tolist() == pytest.approx([4 / 3.5] * 4)
    assert module.histogram.tolist() == pytest.approx([0.75 * 3, 1.75])
    module.eval()(easy, zeros)
    assert module.histogram.tolist() == pytest.approx([0.75 * 3, 1.75])


# --- Group DRO ----------------------------------------------------------------------------------------------------


def test_group_dro_by_hand_over_batches(batch):
    logits, target = batch
    module, q = group_dro(num_classes=3, eta=0.3).double(), np.ones(3) / 3
    for part in (slice(0, 20), slice(20, 22), slice(22, 40)):
        entropy = F.cross_entropy(logits[part], target[part], reduction="none").numpy()
        labels = target[part].numpy()
        losses = np.array([entropy[labels == c].mean() if (labels == c).any() else 0.0 for c in range(3)])
        q = q * np.exp(0.3 * losses)
        q = q / q.sum()
        assert module(logits[part], target[part]).mean().item() == pytest.approx(q @ losses, rel=1e-9)
        np.testing.assert_allclose(module.log_q.exp(), q, rtol=1e-9)


def test_group_dro_without_steps_is_the_mean_over_classes_and_with_large_ones_the_worst_class(batch):
    logits, target = batch
    entropy = F.cross_entropy(logits, target, reduction="none")
    of_classes = torch.stack([entropy[target == c].mean() for c in range(3)])
    assert group_dro(num_classes=3, eta=0.0)(logits, target).mean().item() == pytest.approx(of_classes.mean().item())
    assert group_dro(num_classes=3, eta=1e4)(logits, target).mean().item() == pytest.approx(of_classes.max().item())


def test_group_dro_has_the_gradient_of_the_weighted_classes(batch):
    logits, target = batch
    module = group_dro(num_classes=3, eta=0.0).double()
    weights = 40 / (3 * torch.bincount(target).double())
    assert_same_loss(
        lambda z: module(z, target), lambda z: weights[target] * F.cross_entropy(z, target, reduction="none"), logits
    )
