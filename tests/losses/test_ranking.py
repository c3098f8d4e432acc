"""Losses that rank against loops over pairs, closed forms of their optima, and limits."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import logsumexp

from lossbench.losses.ranking import auc_squared_hinge, aucm, two_way, zlpr
from lossbench.losses.sigmoid import ovr_bce
from tests.support.losses import assert_same_loss, value_and_gradient


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(30, 3, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, 3, (30,), generator=generator)


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(30, dtype=torch.float64, generator=generator), (torch.arange(30) < 10).double()


# --- Pairs of samples ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.3, 1.0, 2.5])
def test_pairs_by_a_loop(scores, margin):
    outputs, target = scores
    s = outputs.numpy()
    expected = np.mean([max(0.0, margin - (s[i] - s[j])) ** 2 for i in range(10) for j in range(10, 30)])
    values = auc_squared_hinge(outputs, target, margin=margin)
    assert values.mean().item() == pytest.approx(expected, rel=1e-12)
    # a pair is shared half and half: positives and negatives have the same total
    assert values[:10].sum().item() == pytest.approx(values[10:].sum().item(), rel=1e-12)


def test_pairs_have_a_closed_form_where_no_pair_is_beyond_the_margin(scores):
    """The second derivation: the mean square of the differences by mean and variance of both classes."""
    outputs, target = scores

    def closed(s):
        return (9.0 - s[:10].mean() + s[10:].mean()) ** 2 + s[:10].var(correction=0) + s[10:].var(correction=0)

    value, gradient = value_and_gradient(lambda s: auc_squared_hinge(s, target, margin=9.0) / 30, outputs)
    free = outputs.clone().requires_grad_()
    closed(free).backward()
    assert value.sum().item() == pytest.approx(closed(outputs).item(), rel=1e-12)
    torch.testing.assert_close(gradient, free.grad)


def test_pairs_do_not_see_a_shift_and_are_0_when_all_are_ranked_or_there_are_none(scores):
    outputs, target = scores
    torch.testing.assert_close(auc_squared_hinge(outputs + 7, target), auc_squared_hinge(outputs, target))
    assert (auc_squared_hinge(10 * target, target) == 0).all()
    value, gradient = value_and_gradient(lambda s: auc_squared_hinge(s, torch.ones(30)), outputs)
    assert (value == 0).all() and (gradient == 0).all()


# --- The minimum-maximum form -------------------------------------------------------------------------------------


def test_aucm_at_its_optimum_is_the_squared_loss_of_pairs(scores):
    """The identity that the form is derived from; no pair is beyond a margin of 1, as the scores are in [0, 1]."""
    outputs, target = scores
    module = aucm(class_counts=[20, 10]).double()
    p = outputs.sigmoid()
    a, b = p[:10].mean(), p[10:].mean()
    module.a.data, module.b.data, module.alpha.data = a, b, 1 - a + b
    pairs = auc_squared_hinge(p, target, margin=1.0).mean()
    r = 1 / 3
    assert module(outputs, target).mean().item() == pytest.approx(r * (1 - r) * pairs.item(), rel=1e-12)
    # and so is its gradient with respect to the scores
    _, expected = value_and_gradient(lambda z: r * (1 - r) * auc_squared_hinge(z.sigmoid(), target), outputs)
    _, gradient = value_and_gradient(lambda z: module(z, target), outputs)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("margin", [1.0, 0.1])
def test_aucm_descent_of_one_optimizer_finds_the_saddle_point(scores, margin):
    outputs, target = scores
    outputs = outputs + 2 * target
    module = aucm(class_counts=[20, 10], margin=margin).double()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    for _ in range(400):
        optimizer.zero_grad()
        module(outputs, target).mean().backward()
        optimizer.step()
    p = outputs.sigmoid()
    a, b = p[:10].mean().item(), p[10:].mean().item()
    assert module.a.item() == pytest.approx(a, abs=1e-6)
    assert module.b.item() == pytest.approx(b, abs=1e-6)
    module(outputs, target)  # a step below 0 is taken back at the next call
    assert module.alpha.item() == pytest.approx(max(0.0, margin - a + b), abs=1e-6)
    assert margin == 1.0 or module.alpha.item() == 0


def test_aucm_has_gradients_for_its_players_of_opposite_sign(scores):
    """By differences of the value: descent for a and b, ascent for alpha."""
    outputs, target = scores
    module = aucm(class_counts=[20, 10]).double()
    for parameter, start in zip(module.parameters(), (0.6, 0.3, 0.4), strict=True):
        parameter.data.fill_(start)
    module(outputs, target).mean().backward()
    for name, sign in (("a", 1), ("b", 1), ("alpha", -1)):
        parameter, step = getattr(module, name), 1e-5
        values = []
        for change in (step, -2 * step):
            parameter.data += change
            values.append(module(outputs, target).mean().item())
        parameter.data += step
        assert parameter.grad.item() == pytest.approx(sign * (values[0] - values[1]) / (2 * step), abs=1e-8)


def test_aucm_is_for_two_classes():
    with pytest.raises(ValueError, match="two classes"):
        aucm(class_counts=[3, 3, 3])


# --- Classes ------------------------------------------------------------------------------------------------------


def test_zlpr_by_hand(batch):
    logits, target = batch
    expected = [
        np.log1p(sum(np.exp(z[k]) for k in range(3) if k != y)) + np.log1p(np.exp(-z[y]))
        for z, y in zip(logits.numpy(), target.numpy(), strict=True)
    ]
    np.testing.assert_allclose(zlpr(logits, target), expected, rtol=1e-12)


def test_zlpr_of_two_classes_is_the_sum_of_their_binary_cross_entropies(batch):
    logits, target = batch[0][:, :2], batch[1] % 2
    assert_same_loss(lambda z: zlpr(z, target), lambda z: ovr_bce(z, target), logits)


def test_two_way_by_hand(batch):
    """The multi-label formula on one-hot targets, rows and columns by scipy's logsumexp."""
    logits, target = batch
    target = target.clamp(max=1)  # class 2 is in no sample
    y, z = F.one_hot(target, 3).bool().numpy(), logits.numpy()

    def softplus_of(scores, positive, temperature_pos=4.0, temperature_neg=1.5):
        above = temperature_neg * logsumexp(scores[~positive] / temperature_neg)
        return np.log1p(np.exp(above + temperature_pos * logsumexp(-scores[positive] / temperature_pos)))

    rows = np.mean([softplus_of(z[i], y[i]) for i in range(30)])
    columns = np.mean([softplus_of(z[:, c], y[:, c]) for c in range(2)])
    ours = two_way(logits, target, temperature_pos=4.0, temperature_neg=1.5)
    assert ours.mean().item() == pytest.approx(rows + columns, rel=1e-12)


def test_two_way_of_a_batch_of_one_class_is_cross_entropy(batch):
    logits, target = batch[0], torch.ones(30, dtype=torch.long)
    reference = lambda z: F.cross_entropy(z, target, reduction="none")  # noqa: E731
    assert_same_loss(lambda z: two_way(z, target), reference, logits)
