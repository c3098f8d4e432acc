"""Losses of classes against torch, torchvision, closed forms, and limits that make one loss another."""

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from lossbench.losses import classification, imbalance, noise
from tests.support.losses import COUNTS, LOGITS, TARGET, assert_same_loss, value_and_gradient


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def batch(generator):
    logits = 3 * torch.randn(50, 3, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, 3, (50,), generator=generator)


def test_bce_against_torch_on_probabilities(generator):
    logits = 3 * torch.randn(40, dtype=torch.float64, generator=generator)
    target = torch.rand(40, dtype=torch.float64, generator=generator)
    assert_same_loss(
        lambda z: classification.bce(z, target),
        lambda z: F.binary_cross_entropy(z.sigmoid(), target, reduction="none"),
        logits,
    )
    labels = (target > 0.5).long()
    torch.testing.assert_close(classification.bce(logits, labels), classification.bce(logits, labels.double()))


def test_bce_is_the_cross_entropy_of_two_logits(generator):
    logits, labels = torch.randn(20, generator=generator), torch.arange(20) % 2
    two_logits = torch.stack([torch.zeros(20), logits], -1)
    torch.testing.assert_close(classification.bce(logits, labels), classification.cross_entropy(two_logits, labels))


CLASSIFICATION_REFERENCES = {
    "cross_entropy": (classification.cross_entropy, {}, lambda z, y: F.cross_entropy(z, y, reduction="none")),
    "label_smoothing": (
        classification.label_smoothing,
        {"smoothing": 0.2},
        lambda z, y: F.cross_entropy(z, y, label_smoothing=0.2, reduction="none"),
    ),
    "weighted_cross_entropy": (
        imbalance.weighted_cross_entropy,
        {"class_counts": [60, 30, 10]},
        lambda z, y: F.cross_entropy(z, y, weight=torch.tensor([1, 2, 6]).double() / 3, reduction="none"),
    ),
    "focal": (
        imbalance.focal,
        {"gamma": 1.5},
        lambda z, y: (1 - p_y(z, y)) ** 1.5 * F.cross_entropy(z, y, reduction="none"),
    ),
    "gce": (noise.gce, {"q": 0.4}, lambda z, y: (1 - p_y(z, y) ** 0.4) / 0.4),
    "gce 1": (noise.gce, {"q": 1.0}, lambda z, y: 1 - p_y(z, y)),
    "mae_prob": (noise.mae_prob, {}, lambda z, y: (z.softmax(-1) - F.one_hot(y, 3)).abs().sum(-1)),
    "ldam without margin": (
        imbalance.ldam,
        {"class_counts": COUNTS, "max_m": 0.0, "s": 3.0},
        lambda z, y: F.cross_entropy(3 * z, y, reduction="none"),
    ),
    "balanced_softmax": (
        imbalance.balanced_softmax,
        {"class_counts": COUNTS},
        lambda z, y: (
            -(z.exp() * torch.tensor(COUNTS))
            .div((z.exp() @ torch.tensor(COUNTS).double())[:, None])
            .gather(-1, y[:, None])
            .log()[:, 0]
        ),
    ),
}


def p_y(logits, target):
    return logits.softmax(-1)[torch.arange(len(target)), target]


@pytest.mark.parametrize("case", CLASSIFICATION_REFERENCES)
def test_classification_against_reference(case, batch):
    function, parameters, reference = CLASSIFICATION_REFERENCES[case]
    logits, target = batch
    assert_same_loss(lambda z: function(z, target, **parameters), lambda z: reference(z, target), logits)


def test_soft_targets_against_torch(batch, generator):
    logits, target = batch
    soft = torch.rand(50, 3, dtype=torch.float64, generator=generator).softmax(-1)
    assert_same_loss(
        lambda z: classification.cross_entropy(z, soft), lambda z: F.cross_entropy(z, soft, reduction="none"), logits
    )
    one_hot = F.one_hot(target, 3).double()
    torch.testing.assert_close(
        classification.cross_entropy(logits, one_hot), classification.cross_entropy(logits, target)
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_with_two_classes_is_torchvisions_sigmoid_form(gamma, generator):
    logits = 3 * torch.randn(40, dtype=torch.float64, generator=generator)
    target = torch.arange(40) % 2
    assert_same_loss(
        lambda z: imbalance.focal(torch.stack([torch.zeros_like(z), z], -1), target, gamma=gamma),
        lambda z: sigmoid_focal_loss(z, target.double(), alpha=-1, gamma=gamma),
        logits,
    )


def test_focal_with_more_classes_is_not_torchvisions_sigmoid_form():
    sigmoid_form = sigmoid_focal_loss(LOGITS, F.one_hot(TARGET, 3).double(), alpha=-1, gamma=2).sum(-1).mean()
    assert sigmoid_form.item() != pytest.approx(imbalance.focal(LOGITS, TARGET).mean().item(), rel=0.05)


# --- Limits: a loss at a special value of its parameter is another loss -------------------------------------------

LIMITS = {
    "focal(0) = CE": (imbalance.focal, {"gamma": 0.0}, classification.cross_entropy, {}, 1e-12),
    "smoothing(0) = CE": (classification.label_smoothing, {"smoothing": 0.0}, classification.cross_entropy, {}, 1e-12),
    "gce(q to 0) = CE": (noise.gce, {"q": 1e-9}, classification.cross_entropy, {}, 1e-6),
    "cb(0) = CE": (imbalance.class_balanced, {"beta": 0.0}, classification.cross_entropy, {}, 1e-12),
    "cb(beta to 1) = weighted CE": (
        imbalance.class_balanced,
        {"beta": 1 - 1e-9},
        imbalance.weighted_cross_entropy,
        {"class_counts": COUNTS},
        1e-6,
    ),
    "la(1) = balanced softmax": (
        imbalance.logit_adjustment,
        {"tau": 1.0},
        imbalance.balanced_softmax,
        {"class_counts": COUNTS},
        1e-10,
    ),
    "la(0) = CE": (imbalance.logit_adjustment, {"tau": 0.0}, classification.cross_entropy, {}, 1e-12),
}


@pytest.mark.parametrize("case", LIMITS)
def test_limit(case, batch):
    function, parameters, reference, reference_parameters, tolerance = LIMITS[case]
    logits, target = batch
    if function in (imbalance.class_balanced, imbalance.logit_adjustment):
        parameters = {**parameters, "class_counts": COUNTS}
    assert_same_loss(
        lambda z: function(z, target, **parameters),
        lambda z: reference(z, target, **reference_parameters),
        logits,
        rtol=tolerance,
        atol=tolerance,
    )


COUNT_LOSSES = [
    imbalance.weighted_cross_entropy,
    imbalance.balanced_softmax,
    imbalance.logit_adjustment,
    imbalance.ldam,
    imbalance.class_balanced,
]


@pytest.mark.parametrize("function", COUNT_LOSSES)
def test_classes_can_be_renamed(function, batch):
    logits, target = batch
    order = torch.tensor([2, 0, 1])
    renamed = function(logits[:, order], order.argsort()[target], class_counts=torch.tensor(COUNTS)[order])
    torch.testing.assert_close(renamed, function(logits, target, class_counts=COUNTS))


@pytest.mark.parametrize("function", COUNT_LOSSES)
def test_counts_must_fit(function, batch):
    with pytest.raises(ValueError, match="class 1"):
        function(*batch, class_counts=[5, 0, 1])
    with pytest.raises(ValueError, match="4 class counts or weights for 3 outputs"):
        function(*batch, class_counts=[4, 3, 2, 1])


def test_mae_prob_is_symmetric(batch):
    logits, _ = batch
    total = sum(noise.mae_prob(logits, torch.full((50,), k)) for k in range(3))
    torch.testing.assert_close(total, torch.full((50,), 4.0, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("function", "parameters", "at_one", "at_zero"),
    [
        (imbalance.focal, {"gamma": 0.5}, 0, 1e4),
        (imbalance.focal, {"gamma": 0.0}, 0, 1e4),
        (noise.gce, {"q": 0.7}, 0, 1 / 0.7),
        (noise.mae_prob, {}, 0, 2),
    ],
)
def test_certain_predictions_have_finite_gradients(function, parameters, at_one, at_zero, dtype):
    logits = torch.tensor([[1e4, 0.0], [1e4, 0.0]], dtype=dtype)
    values, gradient = value_and_gradient(lambda z: function(z, torch.tensor([0, 1]), **parameters), logits)
    assert values.tolist() == pytest.approx([at_one, at_zero], rel=math.ldexp(1, -7))
    assert gradient[0].abs().max() == 0
    assert gradient.isfinite().all()


def test_wrong_targets_are_named():
    with pytest.raises(ValueError, match="integer class indices of shape"):
        imbalance.focal(torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(ValueError, match="integer class indices of shape"):
        classification.cross_entropy(torch.zeros(4, 3), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="class probabilities"):
        classification.cross_entropy(torch.zeros(3, 3), torch.zeros(3))
