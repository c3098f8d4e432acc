"""Combinations by what terms have done so far, against numpy, torchjd, torch's optimizers and values found by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torchjd import scalarization

from lossbench.methods.combining import cov_weighting, dwa, famo, gradnorm
from lossbench.methods.combining.adam import Adam

TERMS = ["mask", "kind", "depth"]
COURSE = np.random.default_rng(0).lognormal(sigma=0.4, size=(30, 3)) * np.linspace(1, 0.2, 30)[:, None] * [1, 5, 0.01]


def steps_of(combine, course=COURSE):
    """Yield what a method descends, and its weights, in each step of a course of values."""
    for values in torch.as_tensor(course):
        total = combine(values)
        yield total.item(), combine.weights.clone()


# --- Dynamic weight average ---------------------------------------------------------------------------------------


def test_dwa_by_hand():
    combine = dwa(terms=["mask", "kind"]).double()
    means = [[4.0, 1.0], [2.0, 1.0], [2.0, 0.5]]
    found = []
    for epoch in range(4):
        combine.start_epoch(epoch, torch.tensor(means[epoch - 1], dtype=torch.float64) if epoch else None)
        found += [weights.tolist() for _, weights in steps_of(combine, [[1.0, 1.0]])]
    slow, fast = 2 * math.exp(0.5) / (math.exp(0.5) + math.exp(0.25)), 2 / (1 + math.exp(0.25))
    np.testing.assert_allclose(found, [[1, 1], [1, 1], [fast, slow], [slow, fast]], rtol=1e-12)


def test_dwa_is_that_of_torchjd():
    ours, theirs = dwa(terms=TERMS, temperature=1.5).double(), scalarization.DWA(temperature=1.5).double()
    for epoch in range(5):
        ours.start_epoch(epoch, torch.as_tensor(COURSE[6 * epoch - 6 : 6 * epoch].mean(0)) if epoch else None)
        if epoch:
            theirs.step()
        for values in torch.as_tensor(COURSE[6 * epoch : 6 * epoch + 6]):
            torch.testing.assert_close(ours(values), theirs(values))
        assert ours.weights.sum().item() == pytest.approx(3)


def test_dwa_takes_the_means_of_an_epoch_once_though_it_begins_twice():
    combine = dwa(terms=["mask", "kind"])
    for epoch, means in [(1, [4.0, 1.0]), (2, [2.0, 1.0]), (2, [2.0, 1.0])]:
        combine.start_epoch(epoch, torch.tensor(means))
    assert combine.earlier.tolist() == [4, 1]


def test_dwa_of_terms_that_were_not_above_0_counts_them_as_unchanged():
    combine = dwa(terms=[*TERMS, "all"])
    combine.start_epoch(1, torch.tensor([0.0, -1.0, 2.0, 1.0]))
    combine.start_epoch(2, torch.tensor([3.0, -2.0, -1.0, 1.0]))
    combine(torch.ones(4))
    assert combine.weights.tolist() == [1, 1, 1, 1]


# --- Coefficient of variation -------------------------------------------------------------------------------------


def test_cov_weighting_is_that_of_numpy_over_all_steps_before():
    combine = cov_weighting(terms=TERMS).double()
    ratios = np.array([row / COURSE[:step].mean(0) if step else np.ones(3) for step, row in enumerate(COURSE)])
    for step, (total, weights) in enumerate(steps_of(combine)):
        variation = ratios[:step].std(0) / ratios[:step].mean(0) if step > 1 else np.ones(3)
        np.testing.assert_allclose(weights, variation / variation.sum(), rtol=1e-10)
        assert total == pytest.approx((weights.numpy() * COURSE[step]).sum())


def test_cov_weighting_with_decay_is_that_of_weighted_samples():
    decay, combine = 0.8, cov_weighting(terms=TERMS, decay=0.8).double()
    ratios, shares, means = [], [], None
    for step, (_, weights) in enumerate(steps_of(combine)):
        if step > 1:
            mean = np.average(ratios, axis=0, weights=shares)
            variation = np.average((ratios - mean) ** 2, axis=0, weights=shares) ** 0.5 / mean
            np.testing.assert_allclose(weights, variation / variation.sum(), rtol=1e-10)
        ratios.append(COURSE[step] / means if step else np.ones(3))
        shares = [share * decay for share in shares] + [1 - decay if step else 1.0]
        means = np.average(COURSE[: step + 1], axis=0, weights=shares)


def test_cov_weighting_takes_no_notice_of_scales_and_of_what_is_not_finite():
    scaled, plain = cov_weighting(terms=TERMS).double(), cov_weighting(terms=TERMS).double()
    for (_, ours), (_, theirs) in zip(steps_of(scaled, COURSE * [100, 1, 1e-6]), steps_of(plain), strict=True):
        torch.testing.assert_close(ours, theirs)
    before = {name: state.clone() for name, state in plain.state_dict().items() if name != "weights"}
    plain(torch.tensor([1.0, torch.nan, 1.0]))
    assert all(torch.equal(state, plain.state_dict()[name]) for name, state in before.items())


def test_cov_weighting_of_terms_that_do_not_vary_is_uniform():
    combine = cov_weighting(terms=["mask", "kind"])
    assert [weights.tolist() for _, weights in steps_of(combine, np.ones((5, 2)))] == [[0.5, 0.5]] * 5


# --- FAMO ---------------------------------------------------------------------------------------------------------


def test_adam_is_that_of_torch():
    ours, theirs = torch.tensor([0.5, -2.0], dtype=torch.float64), nn.Parameter(torch.tensor([0.5, -2.0]).double())
    adam, optimizer = Adam(2, lr=0.1, weight_decay=0.01).double(), torch.optim.Adam([theirs], lr=0.1, weight_decay=0.01)
    for gradient in torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)):
        adam.step(ours, gradient)
        theirs.grad = gradient.clone()
        optimizer.step()
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)


def test_famo_is_that_of_torchjd():
    ours, theirs = famo(terms=TERMS).double(), scalarization.FAMO(3).double()
    for before, after in itertools.pairwise(torch.as_tensor(COURSE)):
        torch.testing.assert_close(ours(before), theirs(before))
        ours.after_step(after)
        theirs.update(after)
    shares = torch.softmax(ours.logits, 0) / torch.as_tensor(COURSE[-2])
    torch.testing.assert_close(ours.weights.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert ((ours.weights / ours.weights[0] - shares / shares[0]).abs() < 0.2 * shares / shares[0]).all()


def test_famo_is_that_of_numpy():
    combine = famo(terms=TERMS, lr=0.1, weight_decay=0.05).double()
    logits, gradients = np.zeros(3), []
    for before, after in itertools.pairwise(COURSE):
        shares = np.exp(logits) / np.exp(logits).sum()
        total = combine(torch.as_tensor(before)).item()
        assert total == pytest.approx((shares * np.log(before)).sum() / (shares / before).sum(), rel=1e-5)
        combine.after_step(torch.as_tensor(after))
        slopes = np.diag(shares) - np.outer(shares, shares)
        gradients.append(slopes @ np.log(before / after) + 0.05 * logits)
        ages = np.arange(len(gradients))[::-1, None]  # Adam as weighted means over all gradients so far
        first = np.average(gradients, axis=0, weights=np.broadcast_to(0.9**ages, (len(gradients), 3)))
        second = np.average(np.square(gradients), axis=0, weights=np.broadcast_to(0.999**ages, (len(gradients), 3)))
        logits = logits - 0.1 * first / (np.sqrt(second) + 1e-8)
        np.testing.assert_allclose(combine.logits, logits, rtol=1e-4, atol=1e-6)


def test_famo_is_moved_by_nothing_that_is_not_finite():
    combine = famo(terms=TERMS)
    combine.after_step(torch.ones(3))  # no step before
    combine(torch.ones(3))
    combine.after_step(torch.tensor([1.0, torch.inf, 1.0]))
    assert combine.logits.tolist() == [0, 0, 0]


# --- GradNorm -----------------------------------------------------------------------------------------------------


def test_gradnorm_is_autograd_through_the_norms():
    torch.manual_seed(0)
    trunk, heads = nn.Linear(4, 5).double(), [nn.Linear(5, 1).double() for _ in TERMS]
    inputs, scales = torch.randn(16, 4).double(), (1.0, 20.0, 0.3)
    ours = gradnorm(terms=TERMS, alpha=0.7, lr=0.05).double()
    weights = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer, initial = torch.optim.Adam([weights], lr=0.05), None
    for _ in range(12):
        features = trunk(inputs).tanh()
        values = torch.stack([c * (head(features) - 1).square().mean() for c, head in zip(scales, heads, strict=True)])
        torch.testing.assert_close(ours(values), (weights * values).sum())
        norms = torch.stack(
            [torch.autograd.grad(w * v, trunk.weight, create_graph=True)[0].norm()
             for w, v in zip(weights, values, strict=True)]
        )  # fmt: skip
        slopes = torch.autograd.grad(values.sum(), list(trunk.parameters()), retain_graph=True)
        initial = values.detach() if initial is None else initial
        rates = (values / initial) / (values / initial).mean()
        optimizer.zero_grad()
        (norms - (norms.mean() * rates**0.7).detach()).abs().sum().backward(inputs=[weights])
        optimizer.step()
        with torch.no_grad():
            weights *= 3 / weights.sum()
        ours.balance(values, norms / ours.weights)
        torch.testing.assert_close(ours.learned, weights.detach())
        with torch.no_grad():
            torch._foreach_add_(list(trunk.parameters()), list(slopes), alpha=-0.01)


def test_gradnorm_draws_the_norms_together_whatever_the_scale():
    combine, norms = gradnorm(terms=["mask", "kind"], alpha=0.0, lr=0.02), torch.tensor([1.0, 9.0])
    for _ in range(200):
        combine.balance(torch.ones(2), norms)
    torch.testing.assert_close(combine.learned, torch.tensor([1.8, 0.2]), rtol=0, atol=0.05)


def test_gradnorm_helps_the_slow_term():
    combine = gradnorm(terms=["slow", "fast"])
    combine.balance(torch.tensor([1.0, 1.0]), torch.ones(2))
    assert combine.learned.tolist() == [1, 1]
    for _ in range(5):
        combine.balance(torch.tensor([0.9, 0.1]), torch.ones(2))
    assert combine.learned[0] > 1.1 and combine.learned.sum().item() == pytest.approx(2)


def test_gradnorm_keeps_its_weights_above_0_and_finite():
    combine = gradnorm(terms=["mask", "kind"], lr=0.5)
    for values, norms in [([1, 1], [1, 1e4]), ([0.0, 1], [1, 1e4]), ([0.0, 0], [0, 0]), ([torch.nan, 1], [1, 1])] * 5:
        combine.balance(torch.tensor(values), torch.tensor(norms))
        assert (combine.learned > 0).all() and combine.learned.sum().item() == pytest.approx(2)
