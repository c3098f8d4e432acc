"""Scaled and shifted cross-entropies and the equalization losses against golden numbers, limits and numpy by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import expit, log_softmax, softmax

from lossbench.losses.equalization import eql, eql_v2, softmax_eql
from lossbench.losses.imbalance import logit_adjustment
from lossbench.losses.logit_adjusted import cdt, seesaw, vs
from lossbench.losses.sigmoid import ovr_bce
from tests.support.losses import CIFAR_COUNTS, COUNTS, LOGITS, TARGET, assert_same_loss, value_and_gradient

# (max n / n_c)^0.2 for long-tailed CIFAR-10, computed apart (5 digits).
CIFAR_TEMPERATURES = [1, 1.1078, 1.2272, 1.3594, 1.5062, 1.6682, 1.8480, 2.0473, 2.2698, 2.5119]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, 3, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, 3, (40,), generator=generator)


def cross_entropy(logits, target):
    return F.cross_entropy(logits, target, reduction="none")


# --- Vector scaling and its parts ---------------------------------------------------------------------------------


def test_golden_vs():
    value = vs(LOGITS, TARGET, class_counts=COUNTS, gamma=0.2, tau=1.2).mean().item()
    assert value == pytest.approx(2.8741513683, abs=2e-10)


def test_vs_without_scale_is_logit_adjustment_and_without_shift_cdt(batch):
    logits, target = batch
    counts = {"class_counts": COUNTS}
    adjusted = lambda z: logit_adjustment(z, target, tau=1.3, **counts)  # noqa: E731
    assert_same_loss(lambda z: vs(z, target, gamma=0.0, tau=1.3, **counts), adjusted, logits)
    assert_same_loss(
        lambda z: vs(z, target, gamma=0.3, tau=0.0, **counts), lambda z: cdt(z, target, gamma=0.3, **counts), logits
    )
    assert_same_loss(lambda z: vs(z, target, gamma=0.0, tau=0.0, **counts), lambda z: cross_entropy(z, target), logits)


def test_cdt_divides_by_the_temperatures_of_long_tailed_cifar():
    """A second derivation: torch's cross-entropy of logits divided by temperatures that were computed apart."""
    logits = torch.randn(10, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    temperatures = torch.tensor(CIFAR_TEMPERATURES, dtype=torch.float64)
    assert_same_loss(
        lambda z: cdt(z, torch.arange(10), class_counts=CIFAR_COUNTS, gamma=0.2),
        lambda z: cross_entropy(z / temperatures, torch.arange(10)),
        logits,
        rtol=2e-4,
        atol=2e-4,
    )


# --- Seesaw -------------------------------------------------------------------------------------------------------


def seesaw_by_hand(logits, target, seen, p, q, eps):
    values = []
    for z, y in zip(logits, target, strict=True):
        probabilities = softmax(z)
        total = np.exp(z[y])
        for j in range(len(z)):
            if j != y:
                mitigation = min(1.0, max(seen[j], 1) / max(seen[y], 1)) ** p
                compensation = max(1.0, probabilities[j] / max(probabilities[y], eps)) ** q
                total += mitigation * compensation * np.exp(z[j])
        values.append(np.log(total) - z[y])
    return np.array(values)


def test_seesaw_by_hand_with_the_counts_of_the_batches_before(batch):
    logits, target = batch
    module = seesaw(num_classes=3, p=0.8, q=2.0, eps=0.01)
    seen = np.zeros(3)
    for part in (slice(0, 25), slice(25, 30), slice(30, 40)):
        expected = seesaw_by_hand(logits[part].numpy(), target[part].numpy(), seen, 0.8, 2.0, 0.01)
        np.testing.assert_allclose(module(logits[part], target[part]), expected, rtol=1e-6)
        seen += np.bincount(target[part], minlength=3)
    assert module.seen.tolist() == seen.tolist()


def test_seesaw_does_not_count_in_evaluation(batch):
    module = seesaw(num_classes=3).eval()
    module(*batch)
    assert module.seen.tolist() == [0, 0, 0]


def test_seesaw_without_powers_is_cross_entropy(batch):
    logits, target = batch
    module = seesaw(num_classes=3, p=0.0, q=0.0)
    module(logits, target)
    assert_same_loss(lambda z: module(z, target), lambda z: cross_entropy(z, target), logits)


def test_seesaw_has_the_gradient_of_a_cross_entropy_with_the_factors_held_constant(batch):
    logits, target = batch
    module = seesaw(num_classes=3).double()
    module.seen = torch.tensor(COUNTS).double()
    value, gradient = value_and_gradient(lambda z: module.eval()(z, target), logits)
    # e^(shift) of another class follows from the values: gradients there are a softmax of shifted logits.
    probability = logits.softmax(1)
    p_y = probability.gather(1, target[:, None])
    counts = torch.tensor(COUNTS).double()
    factors = (counts / counts[target][:, None]).clamp(max=1) ** 0.8
    factors = factors * (probability / p_y.clamp(min=0.01)).clamp(min=1) ** 2
    factors[torch.arange(len(target)), target] = 1
    weighted = factors * logits.exp()
    expected = weighted / weighted.sum(1, keepdim=True) - F.one_hot(target, 3)
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(value, weighted.sum(1).log() - logits.gather(1, target[:, None])[:, 0])


# --- Equalization -------------------------------------------------------------------------------------------------


def test_eql_leaves_out_the_negative_terms_of_rare_classes(batch):
    """The frequencies of 100, 10 and 1 samples are 0.90, 0.09 and 0.009: the last class is rare at 0.05."""
    logits, target = batch
    weights = torch.ones(40, 3).double()
    weights[target != 2, 2] = 0
    reference = lambda z: F.binary_cross_entropy_with_logits(  # noqa: E731
        z, F.one_hot(target, 3).double(), weight=weights, reduction="none"
    ).sum(1)
    assert_same_loss(lambda z: eql(z, target, class_counts=COUNTS, lam=0.05), reference, logits)


def test_equalization_without_rare_classes(batch):
    logits, target = batch
    at = {"class_counts": COUNTS, "lam": 0.005}
    sample = {"index": torch.arange(40), "epoch": 0}
    assert_same_loss(lambda z: eql(z, target, **at), lambda z: ovr_bce(z, target), logits)
    assert_same_loss(lambda z: softmax_eql(z, target, **at, **sample), lambda z: cross_entropy(z, target), logits)


def test_softmax_eql_that_always_leaves_rare_classes_out(batch):
    logits, target = batch
    sample = {"index": torch.arange(40), "epoch": 0}
    values = softmax_eql(logits, target, class_counts=COUNTS, gamma=1.0, lam=0.05, **sample)
    expected = [-log_softmax(z if y == 2 else z[:2])[y] for z, y in zip(logits.numpy(), target.numpy(), strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def left_out(seed=0, epoch=0, index=None, gamma=0.7, counts=(1, 1, 1, 1, 1000)):
    """Return which of the first four classes were left out, (N, 4): with all logits 0 but one, by the value."""
    index = torch.arange(2000) if index is None else index
    columns = []
    for column in range(4):
        logits = torch.zeros(len(index), 5)
        logits[:, column] = 50.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            state = torch.get_rng_state()
            target = torch.full((len(index),), 4)
            value = softmax_eql(logits, target, class_counts=counts, index=index, epoch=epoch, gamma=gamma, lam=0.1)
            assert torch.equal(state, torch.get_rng_state())
        columns.append(value < 10)
    return torch.stack(columns, 1)


def test_softmax_eql_draws_as_often_as_gamma_and_independently_of_class_and_sample():
    draws = left_out().double()
    assert draws.mean(0).tolist() == pytest.approx([0.7] * 4, abs=0.04)  # four standard deviations
    correlations = torch.corrcoef(torch.cat([draws.T, draws.roll(1, 0).T])) - torch.eye(8)
    assert correlations.abs().max() < 0.1


def test_softmax_eql_draws_follow_seed_epoch_and_index_alone():
    some = torch.tensor([3, 1999, 7])
    assert torch.equal(left_out(index=some), left_out()[some])
    for other in (left_out(seed=1), left_out(epoch=1)):
        assert (other != left_out()).double().mean().item() == pytest.approx(2 * 0.7 * 0.3, abs=0.03)


def eql_v2_by_hand(batches, gamma, mu, alpha):
    positive, negative = np.zeros(3), np.zeros(3)
    values = []
    for logits, target in batches:
        ratio = np.divide(positive, negative, out=np.full(3, np.inf), where=negative > 0)
        push = expit(gamma * (ratio - mu))
        pull = 1 + alpha * (1 - push)
        value = np.zeros(len(logits))
        before = positive.copy(), negative.copy()
        for i, (z, y) in enumerate(zip(logits, target, strict=True)):
            for k in range(3):
                p = expit(z[k])
                if k == y:
                    value[i] -= pull[k] * np.log(p)
                    positive[k] += pull[k] * (1 - p)
                else:
                    value[i] -= push[k] * np.log(1 - p)
                    negative[k] += push[k] * p
        assert (positive >= before[0]).all() and (negative >= before[1]).all()
        values.append(value)
    return values


def test_eql_v2_by_hand_over_three_batches(batch):
    logits, target = batch
    parts = [slice(0, 10), slice(10, 25), slice(25, 40)]
    module = eql_v2(num_classes=3, gamma=12.0, mu=0.8, alpha=4.0).double()
    expected = eql_v2_by_hand([(logits[p].numpy(), target[p].numpy()) for p in parts], 12.0, 0.8, 4.0)
    for part, values in zip(parts, expected, strict=True):
        np.testing.assert_allclose(module(logits[part], target[part]), values, rtol=1e-10)


def test_eql_v2_starts_as_binary_cross_entropy_and_ends_so_for_balanced_classes(batch):
    logits, target = batch
    assert_same_loss(lambda z: eql_v2(num_classes=3)(z, target), lambda z: ovr_bce(z, target), logits)
    balanced = eql_v2(num_classes=3).double().eval()
    balanced.positive_gradient, balanced.negative_gradient = torch.full((3,), 50.0), torch.ones(3)
    assert_same_loss(lambda z: balanced(z, target), lambda z: ovr_bce(z, target), logits)
