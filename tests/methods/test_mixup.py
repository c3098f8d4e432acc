"""Mixup against its definition, its limits and the run without it."""

import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from lossbench.errors import ConfigError
from lossbench.losses.facts import declared_losses
from lossbench.methods.mixup import Mixture, draw_mixture
from lossbench.running import plan
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from lossbench.running.trainer import quiet
from tests.support.records import numbers

QUICK = ["data.max_train=200", "data.batch_size=32", "model.hidden=[16]", "trainer.max_epochs=3"]
WITH_MEMORY = ["elr", "eql_v2", "ghm_c", "group_dro", "ovr_ghm_c", "seesaw"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quiet()
    torch.set_num_threads(1)
    monkeypatch.setattr("lossbench.running.artifacts.draw_run", lambda *_: [])


def test_shares_follow_the_beta_distribution_and_partners_are_a_permutation():
    steps = [{"seed": 0, "epoch": epoch, "step": step} for epoch in range(20) for step in range(50)]
    mixtures = [draw_mixture(samples=5, alpha=0.4, **each) for each in steps]
    assert stats.kstest([mixture.share for mixture in mixtures], stats.beta(0.4, 0.4).cdf).pvalue > 1e-3
    assert all(sorted(mixture.partner.tolist()) == list(range(5)) for mixture in mixtures)
    firsts = torch.bincount(torch.tensor([int(mixture.partner[0]) for mixture in mixtures]), minlength=5)
    assert stats.chisquare(firsts.numpy()).pvalue > 1e-3


def test_a_mixture_depends_on_seed_epoch_and_step_alone():
    def same(one, other):
        return one.share == other.share and torch.equal(one.partner, other.partner)

    first, again = (draw_mixture(samples=8, seed=1, epoch=2, step=3) for _ in range(2))
    assert same(first, again)
    for seed, epoch, step in [(0, 2, 3), (1, 3, 3), (1, 2, 2)]:
        assert not same(first, draw_mixture(samples=8, seed=seed, epoch=epoch, step=step))


def learner_and_batch(cell, *lines):
    each = cell(*QUICK, *lines)
    data = build_data(each.config.data)
    learner = build_learner(each, data)
    learner.on_train_epoch_start()
    return learner, next(iter(data.train_dataloader()))


def test_cross_entropy_of_a_mixture_is_that_of_mixed_targets(cell):
    """For the cross-entropy the mixture of two losses is the loss of the mixture of the targets: value and gradient."""
    learner, batch = learner_and_batch(cell, "data=digits_imb", "mixup=mixup")
    parameters = list(learner.network.parameters())
    value = learner.training_step(batch, 4)
    found = torch.autograd.grad(value, parameters)
    mixture = draw_mixture(samples=len(batch.target), seed=0, epoch=0, step=4)
    share, partner = mixture.share, mixture.partner
    outputs = learner.network(share * batch.inputs + (1 - share) * batch.inputs[partner])
    one_hot = F.one_hot(batch.target, 10).float()
    expected = F.cross_entropy(outputs, share * one_hot + (1 - share) * one_hot[partner])
    torch.testing.assert_close(value, expected)
    for one, other in zip(found, torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_weights_go_with_the_targets_that_are_mixed(cell):
    lines = ["data=digits_imb", "mixup=mixup", "mixup.alpha=0.3", "weighting=inverse", "loss=focal"]
    learner, batch = learner_and_batch(cell, *lines)
    value = learner.training_step(batch, 0)
    mixture = draw_mixture(samples=len(batch.target), seed=0, epoch=0, step=0, alpha=0.3)
    outputs, weights = learner.network(mixture.mix(batch.inputs)), learner.class_weights(0)
    parts = [
        weights[target] * learner.loss(outputs, target) for target in (batch.target, batch.target[mixture.partner])
    ]
    torch.testing.assert_close(value, (mixture.share * parts[0] + (1 - mixture.share) * parts[1]).mean())


def test_regression_and_one_logit_are_mixed_too(cell):
    for lines in (["data=diabetes", "loss=mse"], ["data=breast_cancer", "loss=bce"]):
        learner, batch = learner_and_batch(cell, *lines, "mixup=mixup")
        mixture = draw_mixture(samples=len(batch.target), seed=0, epoch=0, step=0)
        outputs = learner.network(mixture.mix(batch.inputs))
        targets = [target.to(outputs.dtype) for target in (batch.target, batch.target[mixture.partner])]
        first, second = (learner.loss(outputs, target) for target in targets)
        value = learner.training_step(batch, 0)
        torch.testing.assert_close(value, (mixture.share * first + (1 - mixture.share) * second).mean())


def unmixed(*, samples):
    """Return a mixture in which each sample counts alone: mixup of the user."""
    return Mixture(1.0, torch.arange(samples))


def test_a_share_of_one_is_the_run_without_mixup(cell):
    plain, mixed = (cell("data=digits_imb", *QUICK, *more) for more in ([], [f"mixup._target_={__name__}.unmixed"]))
    assert plain.problem == mixed.problem and mixed.method == "cross_entropy+unmixed"
    run(plain)
    run(mixed)
    assert numbers(mixed) == numbers(plain)


def test_mixed_runs_train_alone(cell):
    cells = [cell("data=digits_imb", f"mixup={name}") for name in ("none", "mixup")]
    assert [plan.why_alone(each) for each in cells] == [None, "mixup=mixup has no stacked form"]


def test_losses_with_a_memory_are_known():
    found = {name for name, facts in declared_losses().items() if facts.memory}
    assert set(WITH_MEMORY) <= found
    assert not found & {"adaptive_robust", "balanced_mse", "gaussian_nll_global", "focal"}


@pytest.mark.parametrize("loss", [*sorted(set(WITH_MEMORY) - {"ghm_c"}), "softmax_eql"])
def test_losses_with_a_memory_are_refused(cell, loss):
    with pytest.raises(ConfigError, match=f"mixup=mixup: loss={loss} remembers"):
        cell(f"loss={loss}", "data=digits_imb", "mixup=mixup")


def test_a_range_is_checked(cell):
    with pytest.raises(ConfigError, match=r"mixup\.alpha=0 is out of range"):
        cell("mixup=mixup", "mixup.alpha=0")
