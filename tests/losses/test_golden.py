"""Losses of classes against numbers that were computed apart from this project."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbench.losses import classification, imbalance, noise
from tests.support.losses import CIFAR_COUNTS, COUNTS, LOGITS, TARGET, value_and_gradient

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


# What follows from the class counts of CIFAR-10-LT with imbalance factor 100 (computed apart, 4-5 digits).
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
