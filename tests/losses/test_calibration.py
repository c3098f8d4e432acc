"""Losses for calibration against torch.distributions, closed forms, identities and golden numbers: value and gradient.

Those that the catalogue of sources gives from memory alone (dual focal, confidence penalty, LogitNorm, Brier, DCA,
MDCA, squentropy) are each checked against a second derivation, which the name of the test says.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Categorical, Dirichlet, kl_divergence

from lossbench.losses.calibration import brier, confidence_penalty, edl, logit_norm, mbls, squentropy
from lossbench.losses.calibration_batch import dca, mdca, mmce
from lossbench.losses.calibration_focal import dual_focal, flsd53
from lossbench.losses.classification import cross_entropy
from lossbench.losses.imbalance import focal
from lossbench.losses.links import dirichlet_mean, normalised_softmax
from lossbench.losses.noise import mae_prob
from tests.support.losses import LOGITS, TARGET, assert_same_loss, value_and_gradient

Z = 2 * torch.randn(60, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.arange(60) % 4
ONE_HOT = F.one_hot(Y, 4).double()


def torchs_cross_entropy(z, y=Y):
    return F.cross_entropy(z, y, reduction="none")


# --- Focal losses -------------------------------------------------------------------------------------------------


def test_flsd53_by_closed_form():
    p = Z.softmax(-1).numpy()
    p_y = p[np.arange(60), Y]
    gamma = np.where(p_y < 0.2, 5, 3)
    assert set(gamma) == {3, 5}
    slope = gamma * (1 - p_y) ** (gamma - 1) * np.log(p_y) - (1 - p_y) ** gamma / p_y
    values, gradient = value_and_gradient(lambda z: flsd53(z, Y), Z)
    np.testing.assert_allclose(values, -((1 - p_y) ** gamma) * np.log(p_y), rtol=1e-10)
    np.testing.assert_allclose(gradient, (slope * p_y)[:, None] * (ONE_HOT.numpy() - p), rtol=1e-8, atol=1e-14)


def test_flsd53_is_the_focal_loss_with_gamma_3_for_likely_samples_and_5_for_others():
    # The golden batch has p_y of 0.79, 0.006, 0.33 and 0.98.
    gammas = [3.0, 5.0, 3.0, 3.0]
    expected = torch.cat([focal(LOGITS[[row]], TARGET[[row]], gamma=gammas[row]) for row in range(4)])
    torch.testing.assert_close(flsd53(LOGITS, TARGET), expected)


def test_dual_focal_by_sorting_the_probabilities_of_each_sample():
    def sorted_by_hand(z):
        values = []
        for row, y in zip(z.softmax(-1), Y, strict=True):
            ranked = row.sort().values
            place = int((ranked < row[y]).sum())
            runner_up = ranked[place - 1] if place else torch.zeros(()).double()
            values.append((1 - row[y] + runner_up) ** 5 * -row[y].log())
        return torch.stack(values)

    assert_same_loss(lambda z: dual_focal(z, Y), sorted_by_hand, Z, rtol=1e-9)


def test_dual_focal_with_two_classes_is_a_multiple_of_the_focal_loss():
    z, y = Z[:, :2], Y % 2
    leads = z.argmax(-1) == y
    factor = torch.where(leads, 2.0**3, 1.0).double()
    assert_same_loss(lambda z: dual_focal(z, y, gamma=3.0), lambda z: factor * focal(z, y, gamma=3.0), z, rtol=1e-9)


def test_dual_focal_without_gamma_is_the_cross_entropy():
    assert_same_loss(lambda z: dual_focal(z, Y, gamma=0.0), torchs_cross_entropy, Z)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dual_focal_of_certain_predictions_has_a_finite_gradient(dtype):
    logits = torch.tensor([[1e4, 0.0], [0.0, 1e4]], dtype=dtype)
    values, gradient = value_and_gradient(lambda z: dual_focal(z, torch.tensor([0, 0]), gamma=0.5), logits)
    assert values.tolist() == pytest.approx([0, 1e4], rel=0.01) and gradient.isfinite().all()


# --- Additions to the cross-entropy -------------------------------------------------------------------------------


def test_confidence_penalty_by_the_entropy_of_torch_distributions():
    assert_same_loss(
        lambda z: confidence_penalty(z, Y, beta=0.3),
        lambda z: torchs_cross_entropy(z) - 0.3 * Categorical(logits=z).entropy(),
        Z,
    )


def test_confidence_penalty_is_the_divergence_from_the_uniform_distribution_up_to_a_constant():
    uniform = Categorical(torch.ones(60, 4, dtype=torch.float64))
    assert_same_loss(
        lambda z: confidence_penalty(z, Y, beta=0.3) + 0.3 * math.log(4),
        lambda z: torchs_cross_entropy(z) + 0.3 * kl_divergence(Categorical(logits=z), uniform),
        Z,
    )


def test_mbls_without_margin_holds_the_mean_logit_to_the_largest():
    assert_same_loss(
        lambda z: mbls(z, Y, margin=0.0, alpha=0.1),
        lambda z: torchs_cross_entropy(z) + 0.1 * (z.max(-1).values - z.mean(-1)),
        Z,
    )


def test_mbls_counts_what_lies_beyond_the_margin():
    logits = torch.tensor([[13.0, 1.0, -2.0], [9.0, 1.0, -0.5]], dtype=torch.float64)
    y = torch.tensor([0, 0])
    values, gradient = value_and_gradient(lambda z: mbls(z, y, alpha=0.3) - cross_entropy(z, y), logits)
    assert values.tolist() == pytest.approx([0.3 * (2 + 5) / 3, 0])
    np.testing.assert_allclose(gradient, [[0.2, -0.1, -0.1], [0, 0, 0]], atol=1e-12)


def test_squentropy_by_the_norm_of_the_logits():
    assert_same_loss(
        lambda z: squentropy(z, Y),
        lambda z: torchs_cross_entropy(z) + (z.norm(dim=-1) ** 2 - (z * ONE_HOT).sum(-1) ** 2) / 3,
        Z,
    )


# --- LogitNorm, Brier ---------------------------------------------------------------------------------------------


def test_logit_norm_is_the_cross_entropy_of_unit_vectors():
    unit = Z / np.linalg.norm(Z, axis=-1, keepdims=True)
    torch.testing.assert_close(logit_norm(Z, Y, tau=0.5), torchs_cross_entropy(unit / 0.5))
    torch.testing.assert_close(normalised_softmax(Z, tau=0.5), (2 * unit).softmax(-1))


def test_logit_norm_knows_the_direction_alone():
    values, gradient = value_and_gradient(lambda z: logit_norm(z, Y, tau=0.5), Z)
    torch.testing.assert_close(logit_norm(17 * Z, Y, tau=0.5), values)
    assert (gradient * Z).sum(-1).abs().max() < 1e-12 < gradient.abs().max()


def test_logit_norm_has_the_gradient_of_a_projection():
    """Chain rule by hand: (I - u u') / (tau |z|) times p - Y, with u = z / |z|."""
    length = Z.norm(dim=-1, keepdim=True)
    unit = Z / length
    pull = (unit / 0.5).softmax(-1) - ONE_HOT
    expected = (pull - unit * (unit * pull).sum(-1, keepdim=True)) / (0.5 * length)
    torch.testing.assert_close(value_and_gradient(lambda z: logit_norm(z, Y, tau=0.5), Z)[1], expected)


def test_brier_on_the_golden_batch():
    # Computed apart from this project.
    assert brier(LOGITS, TARGET).mean().item() == pytest.approx(0.6577293524, abs=2e-10)


def test_brier_is_the_summed_squared_error_of_torch():
    assert_same_loss(lambda z: brier(z, Y), lambda z: F.mse_loss(z.softmax(-1), ONE_HOT, reduction="none").sum(-1), Z)


def test_brier_is_minimised_by_the_true_probabilities():
    shares = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    _, gradient = value_and_gradient(
        lambda z: shares * brier(z.expand(3, 3), torch.arange(3)), shares.log().unsqueeze(0)
    )
    assert gradient.abs().max() < 1e-12


# --- Evidential classification ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epoch", "share"), [(0, 0.0), (4, 0.4), (10, 1.0), (25, 1.0)])
def test_edl_by_torch_distributions(epoch, share):
    def by_moments(z):
        alpha = 1 + z.clamp(min=0)
        dirichlet = Dirichlet(alpha)
        risk = ((ONE_HOT - dirichlet.mean) ** 2 + dirichlet.variance).sum(-1)
        misleading = Dirichlet(torch.where(ONE_HOT.bool(), 1.0, alpha))
        return risk + share * kl_divergence(misleading, Dirichlet(torch.ones(60, 4, dtype=torch.float64)))

    assert_same_loss(lambda z: edl(z, Y, epoch=epoch), by_moments, Z, rtol=1e-8, atol=1e-10)


def test_edl_is_the_mean_squared_error_of_draws_from_its_dirichlet_distribution():
    outputs = torch.tensor([[2.0, 0.5, -1.0]])
    generator = np.random.default_rng(0)
    draws = generator.dirichlet([3.0, 1.5, 1.0], 200_000)
    expected = ((draws - np.array([0, 1, 0])) ** 2).sum(1).mean()
    assert edl(outputs, torch.tensor([1]), epoch=0).item() == pytest.approx(expected, abs=5e-3)
    np.testing.assert_allclose(dirichlet_mean(outputs)[0], draws.mean(0), atol=3e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("magnitude", [1e4, 30.0, 0.0])
def test_edl_stays_finite_once_the_divergence_counts(dtype, magnitude):
    outputs = magnitude * torch.tensor([[1, -1, 1], [-1, -1, -1], [1, 1, 1]], dtype=dtype)
    values, gradient = value_and_gradient(lambda z: edl(z, torch.tensor([0, 1, 1]), epoch=20), outputs)
    assert values.dtype == dtype and values.isfinite().all() and gradient.isfinite().all()


# --- Terms of a batch ---------------------------------------------------------------------------------------------


def confidence_and_correctness(z):
    p = z.softmax(-1)
    return p.max(-1).values, (p.argmax(-1) == Y).double()


def with_dca(z):
    confidence, correct = confidence_and_correctness(z)
    return torchs_cross_entropy(z).mean() + 3 * (confidence.sum() / 60 - correct.sum() / 60).abs()


def with_mdca(z):
    p = z.softmax(-1)
    return (
        torchs_cross_entropy(z).mean()
        + 3 * sum((p[:, k].mean() - F.one_hot(Y, 4)[:, k].sum() / 60).abs() for k in range(4)) / 4
    )


def with_mmce(z):
    confidence, correct = confidence_and_correctness(z)
    pairs = [
        (correct[i] - confidence[i])
        * (correct[j] - confidence[j])
        * torch.exp(-(confidence[i] - confidence[j]).abs() / 0.4)
        for i in range(60)
        for j in range(60)
    ]
    return torchs_cross_entropy(z).mean() + 3 * torch.stack(pairs).mean()


@pytest.mark.parametrize(
    ("function", "weight", "reference"),
    [(dca, "beta", with_dca), (mdca, "beta", with_mdca), (mmce, "weight", with_mmce)],
)
def test_the_plain_mean_is_the_cross_entropy_plus_the_term_of_the_batch(function, weight, reference):
    assert_same_loss(lambda z: function(z, Y, **{weight: 3.0}).mean(), reference, Z)
    assert_same_loss(lambda z: function(z, Y, **{weight: 0.0}), torchs_cross_entropy, Z)


def test_dca_and_mdca_of_one_sample():
    """DCA of a right prediction is what its confidence lacks; MDCA is the absolute error of the probabilities / K."""
    right = Z.argmax(-1)
    for row in range(5):
        one, label = Z[row : row + 1], right[row : row + 1]
        lack = 1 - one.softmax(-1).max()
        assert (dca(one, label) - cross_entropy(one, label)).item() == pytest.approx(lack.item())
        other = (label + 1) % 4
        excess = mdca(one, other) - cross_entropy(one, other)
        assert excess.item() == pytest.approx(mae_prob(one, other).item() / 4)


@pytest.mark.parametrize("function", [dca, mdca, mmce])
def test_a_calibrated_batch_has_the_cross_entropy_alone(function):
    # Of four samples with confidence 3/4 three are right, and each class is as frequent as it is expected.
    logits = torch.tensor([[3.0, 1.0]], dtype=torch.float64).log().expand(4, 2)
    target = torch.tensor([0, 0, 0, 1])
    torch.testing.assert_close(function(logits, target), cross_entropy(logits, target))


def test_mmce_is_not_negative():
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        z, y = torch.randn(12, 3, generator=generator), torch.randint(0, 3, (12,), generator=generator)
        assert (mmce(z, y) - cross_entropy(z, y)).min() > -1e-6
