"""Losses of tokens against torch, sums over all texts and word vectors, and those of drawn translations by hand."""

import math
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from lossbench.losses import (
    minimum_risk,
    reinforce,
    structured_hinge,
    token_cosine,
    token_cross_entropy,
    token_focal,
    token_label_smoothing,
    unlikelihood,
)
from tests.support.losses import assert_same_loss, value_and_gradient

OF_TOKENS = [
    structured_hinge,
    token_cosine,
    token_cross_entropy,
    token_focal,
    token_label_smoothing,
    unlikelihood,
]
TARGET = torch.tensor([[0, 2, 1, 2, 2], [3, 3, 0, -1, -1], [1, -1, -1, -1, -1]])


def logits(seed=0, shape=(3, 5, 4), scale=2.0):
    return scale * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def over_texts(target, of_text):
    """Return a loss that takes each text by itself, up to its end."""
    lengths = (target >= 0).sum(1).tolist()

    def reference(outputs):
        parts = zip(outputs, target, lengths, strict=True)
        return torch.stack([of_text(each[:length], tokens[:length]) for each, tokens, length in parts])

    return reference


def repeated_tokens(outputs, tokens):
    """Unlikelihood by the definition, place by place."""
    value = F.cross_entropy(outputs, tokens, reduction="sum")
    for place in range(len(tokens)):
        for negative in set(tokens[:place].tolist()) - {int(tokens[place])}:
            value = value - 0.7 * torch.log(1 - outputs[place].softmax(-1)[negative])
    return value


def worst_text(outputs, tokens):
    """Structured hinge by a search over all texts."""
    places = torch.arange(len(tokens))
    texts = [torch.tensor(text) for text in product(range(outputs.shape[-1]), repeat=len(tokens))]
    scores = [outputs[places, text].sum() + 1.5 * (text != tokens).sum() for text in texts]
    return torch.stack(scores).amax() - outputs[places, tokens].sum()


def cosine_of_vectors(outputs, tokens):
    """Cosine loss of torch on word vectors that are the rows of an orthogonal matrix."""
    words = torch.linalg.qr(logits(7, (4, 4)))[0]
    ones = torch.ones(len(tokens))
    return F.cosine_embedding_loss(outputs.softmax(-1) @ words, words[tokens], ones, reduction="sum")


SUMS = {
    "token_cross_entropy": (token_cross_entropy, {}, lambda z, y: F.cross_entropy(z, y, reduction="sum")),
    "token_label_smoothing": (
        token_label_smoothing,
        {"smoothing": 0.3},
        lambda z, y: F.cross_entropy(z, y, reduction="sum", label_smoothing=0.3),
    ),
    "token_focal": (
        token_focal,
        {"gamma": 1.3},
        lambda z, y: sum((1 - p[k]) ** 1.3 * -p[k].log() for p, k in zip(z.softmax(-1), y, strict=True)),
    ),
    "unlikelihood": (unlikelihood, {"alpha": 0.7}, repeated_tokens),
    "structured_hinge": (structured_hinge, {"margin": 1.5}, worst_text),
    "token_cosine": (token_cosine, {}, cosine_of_vectors),
}


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("per", ["token", "sequence"])
def test_value_and_gradient_are_those_of_the_definition(name, per):
    loss, parameters, of_text = SUMS[name]
    lengths = (TARGET >= 0).sum(1) if per == "token" else 1
    reference = over_texts(TARGET, of_text)
    assert_same_loss(
        lambda z: loss(z, TARGET, per=per, **parameters), lambda z: reference(z) / lengths, logits(), rtol=1e-8
    )


def test_cross_entropy_is_that_of_torch_with_an_ignored_index():
    def torchs(outputs):
        return F.cross_entropy(outputs.transpose(1, 2), TARGET, ignore_index=-1, reduction="none").sum(1)

    assert_same_loss(lambda z: token_cross_entropy(z, TARGET, per="sequence"), torchs, logits(1))
    total = token_cross_entropy(logits(1), TARGET, per="sequence").sum() / (TARGET >= 0).sum()
    mean = F.cross_entropy(logits(1).transpose(1, 2), TARGET, ignore_index=-1)
    torch.testing.assert_close(total, mean)
    assert not torch.isclose(token_cross_entropy(logits(1), TARGET).mean(), mean)  # texts count alike, not tokens


@pytest.mark.parametrize("loss", OF_TOKENS)
@pytest.mark.parametrize("per", ["token", "sequence"])
def test_a_text_without_a_token_is_0_and_moves_nothing(loss, per):
    """Where torch's mean is NaN."""
    target = torch.full((2, 5), -1)
    assert F.cross_entropy(logits(shape=(10, 4)), target.flatten(), ignore_index=-1).isnan()
    value, gradient = value_and_gradient(lambda z: loss(z, target, per=per), logits(shape=(2, 5, 4)))
    assert value.tolist() == [0, 0] and gradient.abs().sum() == 0


@pytest.mark.parametrize("loss", OF_TOKENS)
def test_what_comes_after_the_end_is_not_read(loss):
    changed = logits().masked_fill((TARGET < 0).unsqueeze(-1), 1e4)
    torch.testing.assert_close(loss(changed, TARGET), loss(logits(), TARGET))
    _, gradient = value_and_gradient(lambda z: loss(z, TARGET), changed)
    assert gradient[TARGET < 0].abs().sum() == 0 and gradient.isfinite().all()


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [(token_label_smoothing, {"smoothing": 0.0}), (token_focal, {"gamma": 0.0}), (unlikelihood, {"alpha": 0.0})],
)
def test_limits_that_are_the_cross_entropy(loss, parameters):
    assert_same_loss(lambda z: loss(z, TARGET, **parameters), lambda z: token_cross_entropy(z, TARGET), logits(2))


def test_values_of_uniform_tokens():
    """Perplexity V; a cosine of 1 / sqrt(V); the negatives of 0, 1, 0, 2 are none, 0, 1, and 0 with 1."""
    uniform, target = torch.zeros(1, 4, 16, dtype=torch.float64), torch.tensor([[0, 1, 0, 2]])
    assert token_cross_entropy(uniform, target).exp().item() == pytest.approx(16)
    assert token_cosine(uniform, target).item() == pytest.approx(0.75)
    assert structured_hinge(uniform, target).item() == 1
    expected = 4 * math.log(16) - 4 * math.log(15 / 16)
    assert unlikelihood(uniform, target, per="sequence").item() == pytest.approx(expected)


def test_unlikelihood_of_what_has_no_probability_is_0_and_of_what_is_certain_finite():
    """-log(1 - p) of a token that leads by z is z, also where p rounds to 1."""
    target, lead = torch.tensor([[0, 1]]), 3000.0
    outputs = torch.tensor([[[0.0, -1e4], [-lead, 0.0]]])
    assert unlikelihood(outputs, target, per="sequence").item() == 0
    outputs = torch.tensor([[[0.0, -1e4], [lead, 0.0]]])
    value, gradient = value_and_gradient(lambda z: unlikelihood(z, target, per="sequence"), outputs)
    assert value.item() == 2 * lead and gradient[0, 1].tolist() == [2, -2]


def test_the_hinge_is_0_where_every_token_leads_by_the_margin():
    outputs = 2.0 * F.one_hot(TARGET.clamp_min(0), 4)
    assert structured_hinge(outputs, TARGET, margin=2.0).tolist() == [0, 0, 0]
    assert structured_hinge(outputs, TARGET, margin=3.0).tolist() == [1, 1, 1]


# Translations that the model has drawn.

DRAWN = torch.tensor([[[0, 1, 2], [2, 1, -1], [3, -1, -1]], [[1, 1, 1], [0, -1, -1], [2, 3, -1]]])
COSTS = torch.tensor([[0.1, 0.5, 1.0], [0.4, 0.0, 0.7]], dtype=torch.float64)
SHAPE = (2, 3, 3, 4)


def log_probabilities(outputs):
    """Return log p (2, 3) of the drawn translations, token by token."""
    log_p = outputs.log_softmax(-1)
    rows = [
        [sum(log_p[n, s, t, k] for t, k in enumerate(DRAWN[n, s].tolist()) if k >= 0) for s in range(3)]
        for n in range(2)
    ]
    return torch.stack([torch.stack(row) for row in rows])


def test_minimum_risk_is_the_expected_cost():
    def reference(outputs):
        weights = log_probabilities(outputs).exp() ** 0.3
        return (weights / weights.sum(1, keepdim=True) * COSTS).sum(1)

    assert_same_loss(lambda z: minimum_risk(z, DRAWN, costs=COSTS, alpha=0.3), reference, logits(3, SHAPE))


def test_the_gradient_of_minimum_risk_by_hand():
    """By log p of a translation it is alpha Q (cost - risk); by a logit, times [v = y_t] - p(v) at its tokens."""
    outputs, alpha = logits(4, SHAPE), 0.8
    value, gradient = value_and_gradient(lambda z: minimum_risk(z, DRAWN, costs=COSTS, alpha=alpha), outputs)
    share = (alpha * log_probabilities(outputs)).softmax(1)
    by_log_p = alpha * share * (COSTS - value.unsqueeze(1))
    hot = F.one_hot(DRAWN.clamp_min(0), 4) - outputs.softmax(-1)
    expected = by_log_p[..., None, None] * hot * (DRAWN >= 0).unsqueeze(-1)
    torch.testing.assert_close(gradient, expected)


def test_minimum_risk_counts_a_translation_once_and_equal_costs_for_nothing():
    outputs = logits(5, SHAPE)
    again = torch.cat([DRAWN, DRAWN[:, :1]], 1), torch.cat([COSTS, COSTS[:, :1]], 1)
    twice = torch.cat([outputs, outputs[:, :1]], 1)
    torch.testing.assert_close(
        minimum_risk(twice, again[0], costs=again[1], alpha=0.5), minimum_risk(outputs, DRAWN, costs=COSTS, alpha=0.5)
    )
    value, gradient = value_and_gradient(
        lambda z: minimum_risk(z, DRAWN, costs=torch.full_like(COSTS, 0.3), alpha=0.5), outputs
    )
    torch.testing.assert_close(value, torch.full_like(value, 0.3))
    assert gradient.abs().max() < 1e-15


def test_reinforce_weighs_log_probabilities_by_the_advantage():
    baseline = torch.tensor([0.4, 0.6], dtype=torch.float64)

    def reference(outputs):
        reward = 1 - COSTS
        return -((reward - (1 - baseline).unsqueeze(1)) * log_probabilities(outputs)).mean(1)

    outputs = logits(6, SHAPE)
    assert_same_loss(lambda z: reinforce(z, DRAWN, costs=COSTS, baseline_cost=baseline), reference, outputs)


def test_reinforce_has_no_gradient_where_all_cost_as_much_as_the_baseline():
    same = torch.full_like(COSTS, 0.3)
    _, gradient = value_and_gradient(
        lambda z: reinforce(z, DRAWN, costs=same, baseline_cost=same[:, 0]), logits(6, SHAPE)
    )
    assert gradient.abs().sum() == 0


def test_a_cheaper_translation_than_the_baseline_becomes_likelier():
    outputs = logits(8, SHAPE).requires_grad_()
    baseline = torch.tensor([0.4, 0.6], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(reinforce(outputs, DRAWN, costs=COSTS, baseline_cost=baseline).sum(), outputs)
    change = (log_probabilities(outputs - 0.01 * gradient) - log_probabilities(outputs)).detach()
    assert (change.sign() == (baseline.unsqueeze(1) - COSTS).sign()).all()


def test_the_gradient_of_reinforce_is_that_of_the_expected_cost():
    """The mean over all translations, as often as the model draws them, with any baseline."""
    free = logits(9, (2, 3)).requires_grad_()  # two places, three tokens: nine translations
    drawn = torch.tensor(list(product(range(3), repeat=2)))
    costs = torch.rand(9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def probability():
        log_p = free.log_softmax(-1)
        return (log_p[0, drawn[:, 0]] + log_p[1, drawn[:, 1]]).exp()

    (expected,) = torch.autograd.grad((probability() * costs).sum(), free)
    each = reinforce(
        free.expand(9, 1, 2, 3), drawn.unsqueeze(1), costs=costs.unsqueeze(1), baseline_cost=torch.full((9,), 0.37)
    )
    (gradient,) = torch.autograd.grad((probability().detach() * each).sum(), free)
    torch.testing.assert_close(gradient, expected)
