"""Each loss against what others say it is: torch, torchvision, closed forms in numpy, limits, and golden numbers.

Value and gradient are compared, since a factor that is detached by mistake passes a test of the value.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from lossbench.losses import classification, imbalance, noise, regression

COUNTS = [100, 10, 1]
# One batch whose values were computed apart from this project (float64; class counts 100, 10, 1).
LOGITS = torch.tensor([[2, -1, 0.5], [0, 3, -2], [1, 1, 1], [-4, 0, 4]], dtype=torch.float64)
TARGET = torch.tensor([0, 2, 1, 2])


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def batch(generator):
    logits = 3 * torch.randn(50, 3, dtype=torch.float64, generator=generator)
    return logits, torch.randint(0, 3, (50,), generator=generator)


def value_and_gradient(function, outputs):
    outputs = outputs.clone().requires_grad_()
    values = function(outputs)
    (gradient,) = torch.autograd.grad(values.sum(), outputs)
    return values.detach(), gradient


def assert_same_loss(function, reference, outputs, rtol=1e-10, atol=1e-12):
    for got, expected in zip(
        value_and_gradient(function, outputs), value_and_gradient(reference, outputs), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=rtol, atol=atol)


# --- Golden batch -------------------------------------------------------------------------------------------------

GOLDEN = {
    "cross_entropy": (classification.cross_entropy, {}, 1.6033470308),
    "focal .5": (imbalance.focal, {"gamma": 0.5}, 1.5125225292),
    "focal 1": (imbalance.focal, {"gamma": 1.0}, 1.4518079158),
    "focal 2": (imbalance.focal, {"gamma": 2.0}, 1.3725214909),
    "focal 3": (imbalance.focal, {"gamma": 3.0}, 1.3216949963),
    "label_smoothing .1": (classification.label_smoothing, {"smoothing": 0.1}, 1.6825136975),
    "mae_prob": (noise.mae_prob, {}, 0.9465008892),
    "gce .7": (noise.gce, {"q": 0.7}, 0.5984834775),
    "balanced_softmax": (imbalance.balanced_softmax, {"class_counts": COUNTS}, 2.5793382716),
    "logit_adjustment 1": (imbalance.logit_adjustment, {"class_counts": COUNTS, "tau": 1.0}, 2.5793382716),
    "logit_adjustment 1.5": (imbalance.logit_adjustment, {"class_counts": COUNTS, "tau": 1.5}, 3.3842228513),
    "class_balanced .9999": (imbalance.class_balanced, {"class_counts": COUNTS, "beta": 0.9999}, 3.5036205456),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_batch(case):
    function, parameters, expected = GOLDEN[case]
    assert function(LOGITS, TARGET, **parameters).mean().item() == pytest.approx(expected, abs=1e-9)


def test_golden_ldam():
    value = imbalance.ldam(LOGITS / 5, TARGET, class_counts=COUNTS, max_m=0.5, s=30.0).mean().item()
    assert value == pytest.approx(13.5356429791, abs=1e-9)


def test_golden_focal_gradient_goes_through_the_modulating_factor():
    _, gradient = value_and_gradient(lambda z: imbalance.focal(z, TARGET, gamma=2.0) / 4, LOGITS)
    expected = torch.tensor([-0.0068211685, 0.0012443552, 0.0055768133], dtype=torch.float64)
    torch.testing.assert_close(gradient[0], expected, rtol=0, atol=1e-9)
    # With a detached factor the gradient would be the one of the cross-entropy times the factor.
    detached = torch.tensor([-0.0024639527, 0.0004494879, 0.0020144649], dtype=torch.float64)
    assert not torch.allclose(gradient[0], detached, rtol=0.1)


def test_weighted_mean_is_over_samples_and_torch_divides_by_the_weights():
    """The same weights on the same batch: 3.5036 as the plain mean, 2.4576 as torch reduces it."""
    weights = torch.tensor([0.0271587, 0.2703689, 2.7024724], dtype=torch.float64)
    ours = imbalance.weighted_cross_entropy(LOGITS, TARGET, class_counts=COUNTS, weight=weights.tolist())
    assert ours.mean().item() == pytest.approx(3.5036205, abs=1e-6)
    assert F.cross_entropy(LOGITS, TARGET, weight=weights).item() == pytest.approx(2.4576151, abs=1e-6)
    torch.testing.assert_close(ours, F.cross_entropy(LOGITS, TARGET, weight=weights, reduction="none"))


# The class counts of CIFAR-10-LT with imbalance factor 100 and what follows from them (computed apart, 4-5 digits).
CIFAR_COUNTS = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
CIFAR_MARGINS = [0.1581, 0.1797, 0.2042, 0.2321, 0.2638, 0.2998, 0.3407, 0.3872, 0.4405, 0.5000]
CIFAR_LOG_PRIOR = [-0.9087, -1.4206, -1.9326, -2.4440, -2.9567, -3.4675, -3.9792, -4.4915, -5.0071, -5.5139]


def test_ldam_margins_of_long_tailed_cifar():
    # With all cosines 0 the loss of class y is log(1 + 9 e^(s m_y)), from which the margin follows.
    values = imbalance.ldam(torch.zeros(10, 10).double(), torch.arange(10), class_counts=CIFAR_COUNTS, s=30.0)
    margins = ((values.exp() - 1) / 9).log() / 30
    np.testing.assert_allclose(margins, CIFAR_MARGINS, atol=5.1e-5)


def test_logit_adjustment_priors_of_long_tailed_cifar():
    values = imbalance.logit_adjustment(torch.zeros(10, 10).double(), torch.arange(10), class_counts=CIFAR_COUNTS)
    np.testing.assert_allclose(-values, CIFAR_LOG_PRIOR, atol=5.1e-5)


# --- Regression ---------------------------------------------------------------------------------------------------

_KINKLESS = torch.linspace(-6, 6, 100, dtype=torch.float64)  # none so near to zero that rounding gives it a sign
RESIDUALS = torch.cat([_KINKLESS, torch.tensor([-900.0, 900.0]).double()])

REGRESSION_REFERENCES = {
    "mse": (regression.mse, {}, lambda p, y: F.mse_loss(p, y, reduction="none")),
    "l2": (regression.l2, {}, lambda p, y: F.mse_loss(p, y, reduction="none")),
    "mae": (regression.mae, {}, lambda p, y: F.l1_loss(p, y, reduction="none")),
    "l1": (regression.l1, {}, lambda p, y: F.l1_loss(p, y, reduction="none")),
    "huber": (
        regression.huber,
        {"delta": 1.7},
        lambda p, y: 1.7 * F.smooth_l1_loss(p, y, beta=1.7, reduction="none"),
    ),
    "quantile .5": (regression.quantile, {"q": 0.5}, lambda p, y: 0.5 * F.l1_loss(p, y, reduction="none")),
    "quantile .9": (
        regression.quantile,
        {"q": 0.9},
        lambda p, y: 0.9 * F.relu(y - p) + 0.1 * F.relu(p - y),
    ),
}


@pytest.mark.parametrize("case", REGRESSION_REFERENCES)
def test_regression_against_torch(case, generator):
    function, parameters, reference = REGRESSION_REFERENCES[case]
    target = torch.randn(RESIDUALS.shape, dtype=torch.float64, generator=generator)
    assert_same_loss(lambda p: function(p, target, **parameters), lambda p: reference(p, target), target - RESIDUALS)


# Value and derivative with respect to the residual, in numpy.
CLOSED_FORMS = {
    "huber": (
        regression.huber,
        {"delta": 1.0},
        lambda r: np.where(np.abs(r) <= 1, 0.5 * r**2, np.abs(r) - 0.5),
        lambda r: np.clip(r, -1, 1),
    ),
    "log_cosh": (
        regression.log_cosh,
        {},
        lambda r: np.logaddexp(r, -r) - np.log(2),
        np.tanh,
    ),
    "cauchy": (
        regression.cauchy,
        {"c": 2.0},
        lambda r: np.log(1 + 0.5 * (r / 2) ** 2),
        lambda r: 2 * r / (r**2 + 8),
    ),
    "tukey": (
        regression.tukey,
        {"c": 2.0},
        lambda r: np.where(np.abs(r) <= 2, 4 / 6 * (1 - (1 - (r / 2) ** 2) ** 3), 4 / 6),
        lambda r: np.where(np.abs(r) <= 2, r * (1 - (r / 2) ** 2) ** 2, 0),
    ),
}


@pytest.mark.parametrize("case", CLOSED_FORMS)
def test_regression_against_closed_form(case):
    function, parameters, value, derivative = CLOSED_FORMS[case]
    target = torch.zeros_like(RESIDUALS)
    values, gradient = value_and_gradient(lambda p: function(p, target, **parameters), -RESIDUALS)
    np.testing.assert_allclose(values, value(RESIDUALS.numpy()), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(-gradient, derivative(RESIDUALS.numpy()), rtol=1e-12, atol=1e-14)


def test_cauchy_is_the_limit_of_barrons_general_loss():
    alpha = 1e-7
    x = RESIDUALS / 1.5
    barron = abs(alpha - 2) / alpha * ((x**2 / abs(alpha - 2) + 1) ** (alpha / 2) - 1)
    torch.testing.assert_close(regression.cauchy(-RESIDUALS, 0 * RESIDUALS, c=1.5), barron, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [(regression.huber, {"delta": 1.0}), (regression.log_cosh, {}), (regression.tukey, {"c": 4.685})],
)
def test_robust_losses_are_half_the_squared_error_near_zero(function, parameters):
    residual = torch.tensor([-1e-3, 1e-4], dtype=torch.float64)
    torch.testing.assert_close(function(residual, 0 * residual, **parameters), 0.5 * residual**2, rtol=2e-6, atol=0)


def test_log_cosh_lies_below_huber_and_is_not_negative():
    below = regression.log_cosh(RESIDUALS, 0 * RESIDUALS) <= regression.huber(RESIDUALS, 0 * RESIDUALS) + 1e-15
    assert below.all()
    small = torch.logspace(-6, -1, 500)
    assert (regression.log_cosh(small, 0 * small) >= 0).all()
    assert regression.log_cosh(torch.zeros(1), torch.zeros(1)).item() == 0


@pytest.mark.parametrize("residual", [1e4, 1e20, 1e30])
def test_tukey_ignores_what_lies_beyond_c(residual):
    value, gradient = value_and_gradient(lambda p: regression.tukey(p, torch.zeros(1), c=3.0), torch.tensor([residual]))
    assert value.item() == pytest.approx(1.5)
    assert gradient.item() == 0


def test_quantile_is_minimised_by_the_quantile(generator):
    target = torch.randn(2001, dtype=torch.float64, generator=generator)
    candidates = target.sort().values
    mean_loss = regression.quantile(candidates[:, None].expand(-1, 2001), target.expand(2001, -1), q=0.8).mean(1)
    assert candidates[mean_loss.argmin()].item() == pytest.approx(np.quantile(target, 0.8))


def test_regression_does_not_broadcast():
    with pytest.raises(ValueError, match=r"shape \(4,\); outputs of shape \(4, 1\)"):
        regression.mse(torch.zeros(4, 1), torch.zeros(4))


# --- Classification -----------------------------------------------------------------------------------------------


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
