"""Losses that correct wrong labels beside what others say they are: torch, closed forms, theorems, limits.

Value and gradient are compared. All but ELR have their source from memory: each is checked against a second derivation.
"""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Categorical, kl_divergence

from lossbench.losses import noise_regularised, noise_transition
from tests.support.losses import LOGITS, TARGET, assert_same_loss, value_and_gradient

LATE = {"epoch": 9, "max_epochs": 10}
MATRIX = [[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.3, 0.1, 0.6]]
SYMMETRIC = [[0.7, 0.15, 0.15], [0.15, 0.7, 0.15], [0.15, 0.15, 0.7]]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(50, 3, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, 3, (50,), generator=generator)


def ce(z, y):
    return F.cross_entropy(z, y, reduction="none")


def one_hot(y):
    return F.one_hot(y, 3).double()


REFERENCES = {
    # torch's cross-entropy with soft targets, through which the gradient goes; and the entropy of torch
    "bootstrap_soft": (
        noise_regularised.bootstrap_soft,
        {"beta": 0.7},
        lambda z, y: F.cross_entropy(z, 0.7 * one_hot(y) + 0.3 * z.softmax(-1), reduction="none"),
    ),
    "bootstrap_soft by entropy": (
        noise_regularised.bootstrap_soft,
        {"beta": 0.7},
        lambda z, y: 0.7 * ce(z, y) + 0.3 * Categorical(logits=z).entropy(),
    ),
    "bootstrap_hard": (
        noise_regularised.bootstrap_hard,
        {"beta": 0.7},
        lambda z, y: F.cross_entropy(z, 0.7 * one_hot(y) + 0.3 * one_hot(z.argmax(-1)), reduction="none"),
    ),
    # the mean cross-entropy over all labels is a divergence from the uniform distribution, plus log K
    "cores2": (
        noise_regularised.cores2,
        {"beta": 1.5, **LATE},
        lambda z, y: (
            ce(z, y)
            - 1.5 * (kl_divergence(Categorical(logits=torch.zeros(3).double()), Categorical(logits=z)) + math.log(3))
        ),
    ),
    # by matrix product
    "forward_correction": (
        noise_transition.forward_correction,
        {"matrix": MATRIX},
        lambda z, y: F.nll_loss((z.softmax(-1) @ torch.tensor(MATRIX, dtype=torch.float64)).log(), y, reduction="none"),
    ),
    "backward_correction": (
        noise_transition.backward_correction,
        {"matrix": MATRIX},
        lambda z, y: torch.linalg.solve(torch.tensor(MATRIX, dtype=torch.float64), -z.log_softmax(-1).T).T.gather(
            1, y[:, None]
        )[:, 0],
    ),
    "forward(rate=0) = CE": (noise_transition.forward_correction, {"rate": 0.0}, ce),
    "backward(rate=0) = CE": (noise_transition.backward_correction, {"rate": 0.0}, ce),
    "bootstrap_hard(1) = CE": (noise_regularised.bootstrap_hard, {"beta": 1.0}, ce),
    "cores2 at first = CE": (noise_regularised.cores2, {"epoch": 1, "max_epochs": 10}, ce),
    "peer_loss(0) = CE": (noise_regularised.peer_loss, {"alpha": 0.0}, ce),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_against_reference(case, batch):
    function, parameters, reference = REFERENCES[case]
    logits, target = batch
    tolerance = 1e-9
    if function in (noise_regularised.cores2, noise_regularised.peer_loss):  # the references have no floor of 1e-8
        logits, tolerance = logits / 3, 1e-5
    assert_same_loss(
        lambda z: function(z, target, **parameters), lambda z: reference(z, target), logits, tolerance, tolerance
    )


# --- Known noise --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{"rate": 0.3}, {"matrix": MATRIX}])
def test_backward_correction_has_the_clean_cross_entropy_as_its_mean_over_the_noise(given, batch):
    transition = torch.tensor(given.get("matrix", SYMMETRIC), dtype=torch.float64)
    logits, clean = batch
    noisy = torch.stack(
        [noise_transition.backward_correction(logits, torch.full((50,), label), **given) for label in range(3)], -1
    )
    mean = (transition[clean] * noisy).sum(-1)
    torch.testing.assert_close(mean, ce(logits, clean))


@pytest.mark.parametrize("given", [{"rate": 0.3}, {"matrix": MATRIX}])
def test_forward_correction_is_least_at_the_clean_probabilities(given):
    transition = torch.tensor(given.get("matrix", SYMMETRIC), dtype=torch.float64)
    clean = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    logits = clean.log().requires_grad_()
    values = noise_transition.forward_correction(logits.expand(3, 3), torch.arange(3), **given)
    risk = (clean @ transition * values).sum()
    assert torch.autograd.grad(risk, logits)[0].abs().max() < 1e-7


def test_renumbered_classes_with_a_renumbered_matrix_have_the_same_values(batch):
    logits, target = batch
    order = torch.tensor([2, 0, 1])
    renumbered = torch.tensor(MATRIX)[order][:, order].tolist()
    for function in (noise_transition.forward_correction, noise_transition.backward_correction):
        moved = function(logits[:, order], order.argsort()[target], matrix=renumbered)
        torch.testing.assert_close(moved, function(logits, target, matrix=MATRIX))


@pytest.mark.parametrize(
    ("function", "given", "said"),
    [
        (noise_transition.forward_correction, {"matrix": [[0.5, 0.5], [0.0, 1.0]]}, r"shape \(2, 2\); 3 outputs need"),
        (noise_transition.forward_correction, {"matrix": [[1, 0, 0.2], [0, 1, 0], [0, 0, 1]]}, r"sum to \[1.2, 1"),
        (noise_transition.forward_correction, {"matrix": [[1, 0, 0], [1, 0, 0], [0, 0, 1]]}, "never occur"),
        (noise_transition.backward_correction, {"rate": 2 / 3}, "can't be inverted"),
        (noise_transition.backward_correction, {"matrix": [[1, 0, 0], [1, 0, 0], [0, 0, 1]]}, "can't be inverted"),
    ],
)
def test_a_matrix_that_does_not_fit_is_told(function, given, said):
    with pytest.raises(ValueError, match=said):
        function(LOGITS, TARGET, **given)
    with pytest.raises(ValueError, match="integer class indices of shape"):
        function(LOGITS, TARGET[:3])


# --- Contrast and memory ------------------------------------------------------------------------------------------


def test_peer_loss_is_the_mean_over_all_pairs_of_inputs_and_labels(batch):
    logits, target = batch[0][:8], batch[1][:8]

    def over_all_pairs(z):
        pairs = [ce(z[i : i + 1], target[j : j + 1]) for i, j in itertools.product(range(8), repeat=2)]
        return (ce(z, target).mean() - 0.7 * torch.cat(pairs).mean())[None]

    assert_same_loss(
        lambda z: noise_regularised.peer_loss(z, target, alpha=0.7).mean()[None],
        over_all_pairs,
        logits / 2,
        1e-4,
        1e-4,
    )


def test_peer_loss_is_only_scaled_by_symmetric_noise_of_two_classes():
    # M: the theorem of the paper; every pattern of flips, with its probability
    logits = torch.tensor([[1.0, -1.0], [0.3, 0.2], [-2.0, 0.5], [0.0, 0.7]], dtype=torch.float64)
    clean, rate = torch.tensor([0, 1, 1, 0]), 0.3
    mean = torch.zeros((), dtype=torch.float64)
    for pattern in itertools.product([0, 1], repeat=4):
        flips = torch.tensor(pattern)
        probability = rate ** flips.sum() * (1 - rate) ** (4 - flips.sum())
        mean += probability * noise_regularised.peer_loss(logits, clean ^ flips).mean()
    torch.testing.assert_close(mean, (1 - 2 * rate) * noise_regularised.peer_loss(logits, clean).mean())


@pytest.mark.parametrize("epoch", [0, 10, 11, 25, 38, 39, 40, 99])
def test_cores2_grows_from_no_weight_to_beta(epoch):
    schedule = np.concatenate([np.zeros(10), np.linspace(0, 2, 30), np.full(60, 2.0)])  # of the authors' code
    values = noise_regularised.cores2(LOGITS, TARGET, epoch=epoch, max_epochs=100)
    every = torch.stack([ce(LOGITS, torch.full((4,), label)) for label in range(3)]).mean(0)
    torch.testing.assert_close(values, ce(LOGITS, TARGET) - schedule[epoch] * every, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("epochs", "weights"), [(10, [0, 0, 1, 2, 2]), (3, [0, 2, 2]), (30, [0] * 4 + [0.25, 0.5])])
def test_cores2_grows_over_its_share_of_any_training(epochs, weights):
    peak = torch.tensor([[0.0, 200.0]], dtype=torch.float64)  # the second term is log 1e-8 / 2
    settings = {"max_epochs": epochs}
    values = [noise_regularised.cores2(peak, torch.tensor([1]), epoch=e, **settings) for e in range(len(weights))]
    found = [value.item() / (math.log(1e-8) / 2) for value in values]
    assert found == pytest.approx(weights, abs=1e-6)


def test_cores2_can_begin_at_once():
    values = noise_regularised.cores2(LOGITS, TARGET, epoch=0, max_epochs=5, beta=1.0, start=0.0, ramp=0.0)
    assert values.mean() < ce(LOGITS, TARGET).mean()


def test_contrast_is_bounded_for_certain_predictions():
    logits = torch.tensor([[1e4, 0.0, 0.0], [1e4, 0.0, 0.0]])
    values = noise_regularised.cores2(logits, torch.tensor([0, 1]), **LATE)
    assert values[0].item() == pytest.approx(-2 * 2 / 3 * -math.log(1e-8), rel=1e-5)
    assert noise_regularised.peer_loss(logits, torch.tensor([0, 1])).min().item() > -19


def test_elr_remembers_each_sample_and_holds_its_memory_constant(batch):
    logits, target = batch[0][:4], batch[1][:4]
    index = torch.tensor([5, 0, 3, 2])
    criterion = noise_regularised.elr(num_samples=7, num_classes=3, beta=0.9, lam=7.0).double()
    memory = np.zeros((4, 3))
    for step in range(3):
        outputs = logits / (step + 1)
        p = outputs.softmax(-1).clamp(1e-4, 1 - 1e-4).numpy()
        memory = 0.9 * memory + 0.1 * p / p.sum(1, keepdims=True)
        past = torch.tensor(memory)
        assert_same_loss(
            lambda z: criterion(z, target, index=index),
            lambda z, past=past: ce(z, target) + 7 * torch.log(1 - (past * z.softmax(-1).clamp(1e-4, 1 - 1e-4)).sum(1)),
            outputs,
        )
    np.testing.assert_allclose(criterion.memory[index].numpy(), memory)
    assert criterion.memory[[1, 4, 6]].abs().sum() == 0


def test_elr_without_training_remembers_nothing_and_keeps_its_memory_in_the_checkpoint():
    criterion = noise_regularised.elr(num_samples=4, num_classes=3)
    index = torch.arange(4)
    before = criterion.eval()(LOGITS.float(), TARGET, index=index)
    assert criterion.memory.abs().sum() == 0
    torch.testing.assert_close(criterion.train()(LOGITS.float(), TARGET, index=index), before)
    assert criterion.memory.sum().item() == pytest.approx(4 * 0.3) and list(criterion.state_dict()) == ["memory"]


def test_elr_pulls_towards_what_was_predicted_before():
    criterion = noise_regularised.elr(num_samples=1, num_classes=2, beta=0.5, lam=3.0)
    confident, index = torch.tensor([[3.0, 0.0]]), torch.tensor([0])
    for _ in range(10):
        criterion(confident, torch.tensor([0]), index=index)
    _, gradient = value_and_gradient(lambda z: criterion(z, torch.tensor([1]), index=index), confident)
    assert gradient[0, 0] < 0  # a wrong label now: its cross-entropy alone would pull towards class 1
