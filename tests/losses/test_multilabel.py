"""Losses of several labels against torch, torchvision, loops over pairs and labels, and limits."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import expit, logsumexp
from torchvision.ops import sigmoid_focal_loss

from lossbench.catalogue.binding import load_loss
from lossbench.losses.multilabel import (
    multilabel_asymmetric,
    multilabel_bce,
    multilabel_focal,
    multilabel_label_smoothing,
    multilabel_two_way,
    multilabel_zlpr,
)
from lossbench.losses.multilabel_imbalance import (
    distribution_balanced,
    multilabel_class_balanced,
    multilabel_eql,
    multilabel_weighted_bce,
)
from lossbench.losses.ranking import two_way, zlpr
from tests.support.losses import assert_same_loss, value_and_gradient

SAMPLES, LABELS = 24, 4
COUNTS, SIZE = [60, 40, 9, 2], 100
GENERATOR = torch.Generator().manual_seed(0)
Z = 3 * torch.randn(SAMPLES, LABELS, dtype=torch.float64, generator=GENERATOR)
T = (torch.rand(SAMPLES, LABELS, generator=GENERATOR) < 0.4).long()
T[0], T[1] = 0, 1  # a sample without labels, and one with all
Y = T.double()
TOGETHER = {"class_counts": COUNTS, "train_size": SIZE}


def bce(z, **settings):
    return F.binary_cross_entropy_with_logits(z, Y, reduction="none", **settings)


# --- Each label by itself -----------------------------------------------------------------------------------------


def test_bce_is_torchs_multilabel_loss():
    reference = lambda z: F.multilabel_soft_margin_loss(z, Y, reduction="none")  # noqa: E731
    assert_same_loss(lambda z: multilabel_bce(z, T), reference, Z)


def test_weighted_bce_is_torchs_with_pos_weight():
    weights = torch.tensor([2 / 3, 1.5, 91 / 9, 49.0], dtype=torch.float64)
    reference = lambda z: bce(z, pos_weight=weights).mean(-1)  # noqa: E731
    assert_same_loss(lambda z: multilabel_weighted_bce(z, T, **TOGETHER), reference, Z)
    own = {"class_counts": [0] * 4, "train_size": SIZE, "pos_weight": weights.tolist()}
    assert_same_loss(lambda z: multilabel_weighted_bce(z, T, **own), reference, Z)


def all_samples():
    """The targets of a training set with the counts of each label."""
    return (torch.arange(SIZE).unsqueeze(1) < torch.tensor(COUNTS)).double()


def test_weighted_bce_counts_positives_and_negatives_of_a_label_alike():
    """At p = 1/2 the gradients of all samples with a label and of all without it cancel."""
    target = all_samples()
    _, gradient = value_and_gradient(lambda z: multilabel_weighted_bce(z, target, **TOGETHER), 0 * target)
    assert gradient.sum(0).abs().max() < 1e-12 < gradient.abs().max()


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_is_torchvisions(alpha, gamma):
    assert_same_loss(
        lambda z: multilabel_focal(z, T, alpha=alpha, gamma=gamma),
        lambda z: sigmoid_focal_loss(z, Y, alpha=alpha, gamma=gamma).mean(-1),
        Z,
        rtol=1e-9,
    )


def test_asymmetric_without_its_parameters_is_the_sum_of_bce():
    none = {"gamma_pos": 0.0, "gamma_neg": 0.0, "margin": 0.0}
    assert_same_loss(lambda z: multilabel_asymmetric(z, T, **none), lambda z: bce(z).sum(-1), Z)


def test_asymmetric_with_equal_powers_is_focal_without_alpha():
    both = {"gamma_pos": 2.0, "gamma_neg": 2.0, "margin": 0.0}
    reference = lambda z: sigmoid_focal_loss(z, Y, alpha=-1, gamma=2.0).sum(-1)  # noqa: E731
    assert_same_loss(lambda z: multilabel_asymmetric(z, T, **both), reference, Z, rtol=1e-9)


def test_asymmetric_by_the_formula_on_probabilities():
    p = expit(Z.numpy())
    shifted = np.maximum(p - 0.1, 0)
    positive, negative = (1 - p) * np.log(p), shifted**3 * np.log(1 - shifted)
    expected = -np.where(T.numpy() == 1, positive, negative).sum(1)
    ours = multilabel_asymmetric(Z, T, gamma_pos=1.0, gamma_neg=3.0, margin=0.1)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def asymmetric_by_probabilities(z, target, detach):
    """Return the terms on probabilities, with torch's gradient recording switched off for the factors if they are."""
    p = z.sigmoid()
    kept = (p - 0.05).relu()
    with torch.set_grad_enabled(not detach):
        factors = torch.where(target == 1, (1 - p) ** 1, kept**4)
    return -factors * torch.where(target == 1, p, 1 - kept).log()


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("name", ["binary_asymmetric", "multilabel_asymmetric", "ovr_asymmetric"])
def test_the_factors_are_part_of_the_gradient_or_held_constant(name, detach):
    loss = load_loss(name, gamma_pos=1.0, detach_focusing=detach)
    outputs, target = {"binary": (Z[:, 0], T[:, 0]), "multiclass": (Z, T.argmax(1))}.get(loss.declaration.task, (Z, T))
    labels = F.one_hot(target, LABELS) if name.startswith("ovr") else target
    reference = lambda z: asymmetric_by_probabilities(z, labels, detach).reshape(SAMPLES, -1).sum(1)  # noqa: E731
    assert_same_loss(lambda z: loss(z, target), reference, outputs, rtol=1e-9)


def test_label_smoothing_is_torchs_of_two_logits_for_each_label():
    def of_two_logits(z):
        pairs = torch.stack([torch.zeros_like(z), z], -1).flatten(0, 1)
        return F.cross_entropy(pairs, T.flatten(), label_smoothing=0.2, reduction="none").view(z.shape).mean(-1)

    assert_same_loss(lambda z: multilabel_label_smoothing(z, T, smoothing=0.2), of_two_logits, Z)


# --- Rare labels --------------------------------------------------------------------------------------------------


def test_class_balanced_limits():
    counts = {"class_counts": COUNTS}
    assert_same_loss(lambda z: multilabel_class_balanced(z, T, **counts, beta=0.0), lambda z: bce(z).mean(-1), Z)
    inverse = 1 / torch.tensor(COUNTS, dtype=torch.float64)  # beta towards 1: the inverse frequency, with the mean 1
    reference = lambda z: (inverse / inverse.mean() * bce(z)).mean(-1)  # noqa: E731
    assert_same_loss(lambda z: multilabel_class_balanced(z, T, **counts, beta=1 - 1e-9), reference, Z, rtol=1e-6)


def test_class_balanced_has_the_papers_weights():
    # (1 - b) / (1 - b^n) as 1 over the geometric sum 1 + b + ... + b^(n - 1)
    effective = np.array([sum(0.9**i for i in range(count)) for count in COUNTS])
    weights = torch.from_numpy(LABELS / effective / (1 / effective).sum())
    reference = lambda z: (weights * bce(z)).mean(-1)  # noqa: E731
    assert_same_loss(lambda z: multilabel_class_balanced(z, T, class_counts=COUNTS, beta=0.9), reference, Z)


def test_eql_by_a_loop():
    def loop(z):
        values = []
        for scores, labels in zip(z, T.tolist(), strict=True):
            value = torch.zeros((), dtype=z.dtype)
            for score, has, count in zip(scores, labels, COUNTS, strict=True):
                spared = any(labels) and not has and count / SIZE < 0.1
                value = value if spared else value + F.softplus(-score if has else score)
            values.append(value)
        return torch.stack(values)

    assert_same_loss(lambda z: multilabel_eql(z, T, **TOGETHER, lam=0.1), loop, Z)
    assert_same_loss(lambda z: multilabel_eql(z, T, **TOGETHER, lam=0.0), lambda z: bce(z).sum(-1), Z)


def test_a_rare_label_is_held_down_by_samples_without_labels_alone():
    _, gradient = value_and_gradient(lambda z: multilabel_eql(z, T, **TOGETHER, lam=0.1), Z)
    rare, labelled = gradient[:, 2:], T.any(1)
    assert (rare[~labelled] > 0).all() and (rare[labelled][T[labelled, 2:] == 0] == 0).all()
    assert (rare[T[:, 2:] == 1] < 0).all()


def slow_distribution_balanced(z, alpha, beta, mu, lam, kappa, gamma):
    """The paper's formula, label by label: probabilities of a draw by class and by instance, then both parts."""
    values = []
    for scores, labels in zip(z, T.tolist(), strict=True):
        by_instance = sum(1 / LABELS / count for count, has in zip(COUNTS, labels, strict=True) if has)
        total = 0
        for score, has, count in zip(scores, labels, COUNTS, strict=True):
            by_class = 1 / LABELS / count
            ratio = by_class / by_instance if by_instance else math.inf
            weight = alpha + (1 / (1 + math.exp(-beta * (ratio - mu))) if ratio < math.inf else 1)
            prior = count / SIZE
            least = -math.log(1 / prior - 1)  # the bias that minimises the cross-entropy of a constant
            moved = score + kappa * least
            q = moved.sigmoid() if has else 1 - (lam * moved).sigmoid()
            entropy = torch.log1p(torch.exp(-moved)) if has else torch.log1p(torch.exp(lam * moved)) / lam
            total = total + weight * (1 - q) ** gamma * entropy / LABELS
        values.append(total)
    return torch.stack(values)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("settings", [(0.1, 10.0, 0.2, 2.0, 0.05), (0.3, 5.0, 0.6, 5.0, 0.2)])
def test_distribution_balanced_by_a_loop_over_the_papers_formula(settings, gamma):
    names = ("alpha", "beta", "mu", "lam", "kappa")
    chosen = {**dict(zip(names, settings, strict=True)), "gamma": gamma}
    assert_same_loss(
        lambda z: distribution_balanced(z, T, **TOGETHER, **chosen),
        lambda z: slow_distribution_balanced(z, **chosen),
        Z,
        rtol=1e-9,
    )


PLAIN = {"alpha": 0.5, "beta": 0.0, "lam": 1.0, "kappa": 0.0}


def test_distribution_balanced_limits():
    plain = lambda z: distribution_balanced(z, T, **TOGETHER, **PLAIN, gamma=0.0)  # noqa: E731
    assert_same_loss(plain, lambda z: bce(z).mean(-1), Z)
    focused = lambda z: distribution_balanced(z, T, **TOGETHER, **PLAIN, gamma=2.0)  # noqa: E731
    assert_same_loss(focused, lambda z: sigmoid_focal_loss(z, Y, alpha=-1, gamma=2.0).mean(-1), Z, rtol=1e-9)


def test_the_shift_makes_zero_the_logit_of_the_prior():
    """With kappa = 1 a constant fits the data best at 0: the gradients of all samples cancel."""
    target = all_samples()
    plain = {**PLAIN, "kappa": 1.0}
    _, gradient = value_and_gradient(
        lambda z: distribution_balanced(z, target, **TOGETHER, **plain, gamma=0.0), 0 * target
    )
    assert gradient.sum(0).abs().max() < 1e-12 < gradient.abs().max()


def test_a_label_of_every_sample_is_finite():
    counts = {"class_counts": [SIZE, 40, 9, 2], "train_size": SIZE}
    value, gradient = value_and_gradient(lambda z: distribution_balanced(z, T, **counts), Z)
    assert value.isfinite().all() and gradient.isfinite().all()


# --- Ranks --------------------------------------------------------------------------------------------------------


def test_zlpr_by_all_pairs():
    """exp of the loss is the sum over pairs of (label or zero) and (non-label or zero) of e^(second - first)."""
    expected = []
    for z, t in zip(Z.numpy(), T.numpy(), strict=True):
        above, below = [*z[t == 1], 0.0], [*z[t == 0], 0.0]
        expected.append(math.log(sum(math.exp(low - high) for high in above for low in below)))
    np.testing.assert_allclose(multilabel_zlpr(Z, T), expected, rtol=1e-12)


def test_zlpr_closed_form():
    def closed(z):
        above, below = (torch.where(side == T, (1 - 2 * side) * z, -torch.inf).exp().sum(-1) for side in (0, 1))
        return torch.log1p(above) + torch.log1p(below)

    assert_same_loss(lambda z: multilabel_zlpr(z, T), closed, Z)
    one = T[:, :1]
    assert_same_loss(lambda z: multilabel_zlpr(z, one), lambda z: bce(z.expand(-1, LABELS))[:, 0], Z[:, :1])


def test_one_label_to_a_sample_is_the_single_label_form():
    classes = torch.arange(SAMPLES) % LABELS
    one_hot = F.one_hot(classes, LABELS)
    assert_same_loss(lambda z: multilabel_zlpr(z, one_hot), lambda z: zlpr(z, classes), Z)
    assert_same_loss(lambda z: multilabel_two_way(z, one_hot), lambda z: two_way(z, classes), Z)


@pytest.mark.parametrize("temperatures", [(4.0, 1.0), (1.0, 2.5)])
def test_two_way_by_hand(temperatures):
    """Rows and columns one by one with scipy's logsumexp; label 3 is in no sample, and the first one has no label."""
    soft_min, soft_max = temperatures
    target = T.clone()
    target[:, 3] = 0
    y, z = target.bool().numpy(), Z.numpy()

    def softplus_of(scores, positive):
        if positive.all():
            return 0.0
        above = soft_max * logsumexp(scores[~positive] / soft_max)
        return np.logaddexp(0, above + soft_min * logsumexp(-scores[positive] / soft_min))

    rows = [softplus_of(z[i], y[i]) for i in range(SAMPLES) if y[i].any()]
    columns = [softplus_of(z[:, k], y[:, k]) for k in range(3)]
    assert len(rows) < SAMPLES
    settings = {"temperature_pos": soft_min, "temperature_neg": soft_max}
    ours = multilabel_two_way(Z, target, **settings)
    assert ours.mean().item() == pytest.approx(np.mean(rows) + np.mean(columns), rel=1e-12)
    # The shares: in a sample without labels there is nothing to rank, in another its row and parts of its columns.
    assert ours[0] == 0
    size = y[:, :3].sum(0)
    parts = SAMPLES * (softplus_of(z[5], y[5]) / len(rows) + (np.array(columns) / size)[y[5, :3]].sum() / 3)
    assert ours[5].item() == pytest.approx(parts, rel=1e-12)


def test_two_way_with_small_temperatures_is_the_hardest_pair():
    """The limit: the largest non-label against the smallest label, in rows and columns."""
    ours = multilabel_two_way(Z, T, temperature_pos=1e-3, temperature_neg=1e-3).mean()
    hardest = []
    for scores, has in ((Z, T == 1), (Z.T, T.T == 1)):
        lows = torch.where(has, scores, torch.inf).min(1).values
        highs = torch.where(has, -torch.inf, scores).max(1).values
        hardest.append(F.softplus(highs - lows)[has.any(1)].mean())
    assert ours.item() == pytest.approx(sum(hardest).item(), rel=1e-2)


@pytest.mark.parametrize("target", [torch.zeros(3, 2), torch.ones(3, 2)])
def test_two_way_of_all_alike_is_0_with_the_gradient_0(target):
    value, gradient = value_and_gradient(lambda z: multilabel_two_way(z, target), Z[:3, :2])
    assert (value == 0).all() and (gradient == 0).all()


# --- Shapes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["distribution_balanced", "multilabel_asymmetric", "multilabel_bce", "multilabel_class_balanced", "multilabel_eql",
     "multilabel_focal", "multilabel_label_smoothing", "multilabel_two_way", "multilabel_weighted_bce",
     "multilabel_zlpr"],
)  # fmt: skip
def test_targets_are_integers_or_floats_of_the_same_shape(name):
    loss = load_loss(name, **TOGETHER)
    torch.testing.assert_close(loss(Z, T), loss(Z, Y))
    with pytest.raises(ValueError, match=r"shape|size"):
        loss(Z, T[:, :3])


@pytest.mark.parametrize("name", ["distribution_balanced", "multilabel_class_balanced", "multilabel_weighted_bce"])
def test_counts_are_one_for_each_label(name):
    with pytest.raises(ValueError, match="3 class counts or weights for 4"):
        load_loss(name, class_counts=[5, 5, 5], train_size=SIZE)(Z, T)
    with pytest.raises(ValueError, match="no sample in class 1"):
        load_loss(name, class_counts=[5, 0, 5, 5], train_size=SIZE)(Z, T)
