"""Losses of two players against torch, closed forms, finite differences and the theory of their best discriminators."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lossbench.catalogue.binding import load_loss
from lossbench.learners.gan import gradient_norm
from lossbench.losses.adversarial import (
    hinge_gan,
    least_squares_gan,
    minimax_gan,
    non_saturating,
    r1_gan,
    relativistic_average_gan,
    relativistic_gan,
    wasserstein,
    wgan_gp,
)
from lossbench.losses.facts import declared_losses

GENERATOR = torch.Generator().manual_seed(0)
FAKE, REAL = 2 * torch.randn(2, 40, dtype=torch.float64, generator=GENERATOR)
ADVERSARIAL = sorted(name for name, facts in declared_losses().items() if facts.task == "gan")
LOG2 = math.log(2)


def bce(scores, label):
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label), reduction="none")


def slope(value, scores):
    scores = scores.clone().requires_grad_()
    return torch.autograd.grad(value(scores).sum(), scores)[0]


REFERENCES = {
    (minimax_gan, "discriminator"): lambda fake, real: bce(real, 1.0) + bce(fake, 0.0),
    (minimax_gan, "generator"): lambda fake, real: -bce(fake, 0.0),
    (non_saturating, "discriminator"): lambda fake, real: bce(real, 1.0) + bce(fake, 0.0),
    (non_saturating, "generator"): lambda fake, real: bce(fake, 1.0),
    (least_squares_gan, "discriminator"): lambda fake, real: (
        F.mse_loss(real, torch.ones_like(real), reduction="none")
        + F.mse_loss(fake, torch.zeros_like(fake), reduction="none")
    ) / 2,
    (least_squares_gan, "generator"): lambda fake, real: F.mse_loss(fake, torch.ones_like(fake), reduction="none") / 2,
    (hinge_gan, "discriminator"): lambda fake, real: (
        F.margin_ranking_loss(real, torch.zeros_like(real), torch.ones_like(real), margin=1.0, reduction="none")
        + F.margin_ranking_loss(fake, torch.zeros_like(fake), -torch.ones_like(fake), margin=1.0, reduction="none")
    ),
    (hinge_gan, "generator"): lambda fake, real: -fake,
    (relativistic_gan, "discriminator"): lambda fake, real: bce(real - fake, 1.0),
    (relativistic_gan, "generator"): lambda fake, real: bce(fake - real, 1.0),
    (relativistic_average_gan, "discriminator"): lambda fake, real: (
        bce(real - fake.mean(), 1.0) + bce(fake - real.mean(), 0.0)
    ),
    (relativistic_average_gan, "generator"): lambda fake, real: (
        bce(real - fake.mean(), 0.0) + bce(fake - real.mean(), 1.0)
    ),
}  # fmt: skip


@pytest.mark.parametrize(("loss", "player"), REFERENCES)
def test_value_and_gradient_of_both_scores_are_torchs(loss, player):
    reference = REFERENCES[loss, player]
    torch.testing.assert_close(loss(FAKE, REAL, player=player), reference(FAKE, REAL))
    torch.testing.assert_close(
        slope(lambda fake: loss(fake, REAL, player=player), FAKE), slope(lambda fake: reference(fake, REAL), FAKE)
    )
    if player == "discriminator" or loss in (relativistic_gan, relativistic_average_gan):
        torch.testing.assert_close(
            slope(lambda real: loss(FAKE, real, player=player), REAL), slope(lambda real: reference(FAKE, real), REAL)
        )


def test_where_the_discriminator_can_not_tell_them_apart():
    zero = torch.zeros(3, dtype=torch.float64)
    at = {
        (minimax_gan, "discriminator"): 2 * LOG2,
        (minimax_gan, "generator"): -LOG2,
        (non_saturating, "generator"): LOG2,
        (hinge_gan, "discriminator"): 2.0,
        (relativistic_gan, "discriminator"): LOG2,
        (relativistic_average_gan, "generator"): 2 * LOG2,
        (wasserstein, "discriminator"): 0.0,
    }
    for (loss, player), value in at.items():
        assert loss(zero, zero, player=player).tolist() == pytest.approx([value] * 3), loss.__name__
    half = zero + 0.5
    assert least_squares_gan(half, half, player="discriminator").tolist() == pytest.approx([0.25] * 3)


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_gradients_of_all_arguments_are_those_of_finite_differences(name, player):
    loss = load_loss(name)
    norms = torch.rand(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1

    def value(fake, real, between, at_real):
        return loss(fake, real, player=player, gradient_norm=between, real_gradient_norm=at_real)

    arguments = [each.clone().requires_grad_() for each in (FAKE[:8], REAL[:8], *norms)]
    assert torch.autograd.gradcheck(value, arguments)


def test_the_generator_still_learns_from_a_sure_discriminator_unless_it_plays_minimax():
    sure = torch.tensor([-40.0])
    assert slope(lambda fake: non_saturating(fake, sure, player="generator"), sure).item() == pytest.approx(-1.0)
    assert abs(slope(lambda fake: minimax_gan(fake, sure, player="generator"), sure).item()) < 1e-15


def test_relativistic_losses_ignore_a_shift_of_all_scores():
    for loss in (relativistic_gan, relativistic_average_gan):
        for player in ("discriminator", "generator"):
            torch.testing.assert_close(loss(FAKE + 7, REAL + 7, player=player), loss(FAKE, REAL, player=player))


# --- The best discriminator of two discrete distributions -----------------------------------------------------------

P = torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=torch.float64)
Q = torch.tensor([0.1, 0.3, 0.2, 0.4], dtype=torch.float64)
MIDDLE = (P + Q) / 2


def best_scores(loss, p, q, steps=4000):
    """Minimise the discriminator's mean loss over one free score for each place; q is that of the fakes."""
    scores = torch.zeros_like(p, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.02)
    pairs = p[:, None] * q[None, :]
    for _ in range(steps):
        optimizer.zero_grad()
        real, fake = (each.flatten() for each in torch.broadcast_tensors(scores[:, None], scores[None, :]))
        objective = (pairs.flatten() * loss(fake, real, player="discriminator")).sum()
        objective.backward()
        optimizer.step()
    return scores.detach(), objective.item()


def kl(p, q):
    return torch.xlogy(p, p / q).nansum().item()


def test_the_best_minimax_discriminator_is_the_share_of_the_data_and_measures_jensen_shannon():
    p, q = P[:3] / P[:3].sum(), Q[:3] / Q[:3].sum()
    scores, value = best_scores(minimax_gan, p, q)
    torch.testing.assert_close(scores.sigmoid(), p / (p + q), atol=1e-4, rtol=0)
    middle = (p + q) / 2
    jensen_shannon = (kl(p, middle) + kl(q, middle)) / 2
    assert value == pytest.approx(2 * LOG2 - 2 * jensen_shannon, abs=1e-6)


def test_the_best_least_squares_discriminator_is_the_share_of_the_data():
    scores, value = best_scores(least_squares_gan, P, Q)
    torch.testing.assert_close(scores, P / (P + Q), atol=1e-4, rtol=0)
    assert value == pytest.approx((P * Q / (P + Q)).sum().item() / 2, abs=1e-6)


def test_the_best_hinge_discriminator_measures_total_variation():
    _, value = best_scores(hinge_gan, P, Q)
    total_variation = (P - Q).abs().sum().item() / 2
    assert value == pytest.approx(2 - 2 * total_variation, abs=2e-2)


# --- Penalties ------------------------------------------------------------------------------------------------------


class Linear(nn.Module):
    """A critic with the same slope everywhere."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def score(self, points):
        return points.flatten(1) @ self.weight


def test_the_gradient_norm_of_a_linear_critic_is_that_of_its_weight():
    critic = Linear(torch.tensor([3.0, 4.0], dtype=torch.float64))
    points = torch.randn(5, 2, dtype=torch.float64)
    norms = gradient_norm(critic, points)
    assert norms.tolist() == pytest.approx([5.0] * 5)
    zero = torch.zeros(5, dtype=torch.float64)
    value = wgan_gp(zero, zero, player="discriminator", gradient_norm=norms, penalty=10.0)
    assert value.tolist() == pytest.approx([160.0] * 5)  # 10 (5 - 1)^2
    (gradient,) = torch.autograd.grad(value.mean(), critic.weight)
    assert gradient.tolist() == pytest.approx([48.0, 64.0])  # 2 10 (5 - 1) w / |w|
    value = r1_gan(zero, zero, player="discriminator", real_gradient_norm=norms, gamma=10.0) - 2 * LOG2
    assert value.tolist() == pytest.approx([125.0] * 5)  # 10 / 2 25


def test_without_their_penalties_they_are_the_plain_losses():
    norms = torch.rand_like(FAKE)
    plain = wasserstein(FAKE, REAL, player="discriminator")
    assert torch.equal(wgan_gp(FAKE, REAL, player="discriminator", gradient_norm=norms, penalty=0.0), plain)
    assert torch.equal(
        r1_gan(FAKE, REAL, player="discriminator", real_gradient_norm=norms, gamma=0.0),
        non_saturating(FAKE, REAL, player="discriminator"),
    )


def test_a_flat_critic_has_a_gradient_norm_that_can_be_trained():
    critic = Linear(torch.zeros(2, dtype=torch.float64))
    norms = gradient_norm(critic, torch.ones(3, 2, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(norms.sum(), critic.weight)
    assert norms.tolist() == [0.0] * 3 and gradient.isfinite().all()
