"""A stack of candidates: members of a family share a call, learning rates a step, and each gets what it gets alone."""

import math

import pytest
import torch

from lossbench import load_loss
from lossbench.learners.stacked.members import Numbers, family_of, identity
from lossbench.learners.stacked.rates import OptimizerOfRates
from lossbench.running.trainer import quiet
from tests.support import stacks
from tests.support.stacks import EXACT, SMALL, Stack, assert_same, rounding, trained_alone

COUNTS = {"class_counts": [100, 30, 10, 3]}


@pytest.fixture(autouse=True)
def _quiet():
    quiet()
    torch.set_num_threads(1)


@pytest.fixture
def together(monkeypatch):
    """Train cells as a stack of candidates."""
    monkeypatch.setattr(stacks, "Stack", lambda *given, **named: Stack(*given, **named, exact=False))
    return stacks.trained_together


OPTIMIZERS = {
    "adam": ["optimizer=adam"],
    "adamw": ["optimizer=adamw", "optimizer.weight_decay=0.1", "scheduler=cosine"],
    "sgd": ["optimizer=sgd", "optimizer.momentum=0.9", "scheduler=warmup_step", "trainer.gradient_clip_val=1"],
    "rmsprop": ["optimizer=rmsprop"],
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_candidates_get_what_they_get_alone(cell, together, optimizer):
    own = [
        ["loss.a1=0.5", "optimizer.lr=0.001"],
        ["loss.a_log=0", "loss.a_q=1", "loss.q=0.3", "optimizer.lr=0.003"],
        ["loss.gamma=1.5", "optimizer.lr=0.001", "seed=1"],
        ["loss.a_log=0.3", "loss.a3=-0.2", "optimizer.lr=0.0001"],
    ]
    cells = [cell(*SMALL, *EXACT, "data=digits_imb", "loss=taylor", *OPTIMIZERS[optimizer], *lines) for lines in own]
    made = together(cells)
    assert len(made.segments) == len(made._groups) == 1
    for learner, each in zip(made.learners, cells, strict=True):
        assert_same(learner, trained_alone(each), 100 * rounding(100))


def test_losses_with_parameters_of_their_own_go_their_share_too(cell, together):
    own = [["optimizer.lr=0.001"], ["optimizer.lr=0.01"]]
    cells = [cell(*SMALL, *EXACT, "data=outliers", "loss=adaptive_robust", *lines) for lines in own]
    made = together(cells)
    assert isinstance(made.segments[0], OptimizerOfRates) and len(made._groups) == 2
    for learner, each in zip(made.learners, cells, strict=True):
        assert_same(learner, trained_alone(each), 100 * rounding(200, 1e-2))


FOCAL = "-(1 - p)^c1*log(p) + c2*(1 - p^c1)/c1 + c3*p"
FAMILIES = {
    "taylor": [{"a_log": 0.0, "a1": 1.0}, {"gamma": 2.0, "a_q": 0.5, "q": 0.2}, {}],
    "margin_family": [{"m": 0.5, "s": 2.0}, {"tau": 1.0, "gamma": 0.3}, {}],
    "robust_family": [{"alpha": 0.0, "tau": 0.8}, {"alpha": -math.inf, "c": 0.1}, {}],
    "gce": [{"q": 0.1}, {"q": 1.0}],
    "poly1": [{"epsilon": -1.0}, {"epsilon": 3.0}],
    "expression": [
        {"expression": FOCAL},
        {"expression": FOCAL, "c1": 3.0, "c2": 0.5},
        {"expression": FOCAL, "c3": -0.2},
    ],
    "expression_residual": [{}, {"c1": 0.2}, {"c1": 4.0}],
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_call_gives_each_member_its_own_value_and_gradient(name, dtype):
    known = COUNTS if name == "margin_family" else {}
    members = [load_loss(name, **known, **parameters) for parameters in FAMILIES[name]]
    assert len({family_of(each) for each in members}) == 1 and len({identity(each) for each in members}) == len(members)
    generator, of_classes = torch.Generator().manual_seed(0), members[0].declaration.takes_classes
    shape = (len(members), 50, 4) if of_classes else (len(members), 50)
    outputs = (4 * torch.randn(shape, generator=generator, dtype=dtype)).requires_grad_()
    target = (
        torch.randint(4, (50,), generator=generator) if of_classes else torch.randn(50, generator=generator).to(dtype)
    )
    target = target.expand(len(members), 50)
    given = Numbers(members).given_to(members[0], 50, outputs)
    value = given(outputs.flatten(0, 1), target.flatten(0, 1)).view(len(members), 50)
    (gradient,) = torch.autograd.grad(value.sum(), outputs)
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-13}
    for number, member in enumerate(members):
        alone = outputs[number].detach().requires_grad_()
        expected = member(alone, target[number])
        torch.testing.assert_close(value[number], expected, **close)
        torch.testing.assert_close(gradient[number], torch.autograd.grad(expected.sum(), alone)[0], **close)


def test_what_does_not_differ_stays_a_number_and_what_does_not_broadcast_is_called_alone():
    same = [load_loss("gce"), load_loss("gce")]
    assert Numbers(same).given_to(same[0], 3, torch.zeros(6)) is same[0]
    one, other = load_loss("focal", gamma=1.0), load_loss("focal", gamma=2.0)
    assert not one.declaration.broadcasts and family_of(one) != family_of(other)
    one, other = load_loss("expression", expression="-log(p)"), load_loss("expression", expression="1 - p")
    assert family_of(one) != family_of(other)
    rare, common = load_loss("margin_family", class_counts=[9, 1]), load_loss("margin_family", class_counts=[1, 9])
    assert family_of(rare) != family_of(common)


def test_declared_losses_take_their_numbers_as_tensors():
    from lossbench.losses.facts import declared_losses

    assert {name for name, facts in declared_losses().items() if facts.broadcasts} >= set(FAMILIES)
