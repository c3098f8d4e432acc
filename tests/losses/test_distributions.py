"""The links of distributional losses against scipy and torch.distributions; their metrics against other libraries."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.metrics import d2_tweedie_score, mean_pinball_loss, mean_poisson_deviance
from torch.nn import functional as F
from torchmetrics.functional.regression import continuous_ranked_probability_score

from lossbench.catalogue.binding import load_loss
from lossbench.losses import crps_gaussian, distributions
from lossbench.losses.distributions import FLOOR, LEVELS, Predictive
from lossbench.tasks.counts.metrics import count_metrics
from lossbench.tasks.distributional.metrics import RECORDED, crps_of_quantiles, distributional_metrics

LINKED = ["gaussian_nll", "heteroscedastic_laplace_nll", "student_t_nll", "evidential", "mixture_density",
          "quantile_set", "hl_gauss"]  # fmt: skip


def outputs_for(name: str, samples: int = 40):
    outputs = torch.randn(samples, load_loss(name).num_outputs(None), generator=torch.Generator().manual_seed(0))
    return outputs.double()


def predicted(name: str) -> Predictive:
    return load_loss(name).link(outputs_for(name))


def scale(raw):
    return F.softplus(raw) + FLOOR


OUTPUTS = 2 * torch.randn(30, 4, generator=torch.Generator().manual_seed(1)).double()
LOCATION, SCALE = OUTPUTS[:, :1].numpy(), scale(OUTPUTS[:, 1:2]).numpy()
V, ALPHA, BETA = (scale(OUTPUTS[:, k : k + 1]).numpy() + (k == 2) for k in (1, 2, 3))
REFERENCES = {
    "gaussian": (distributions.gaussian(OUTPUTS[:, :2]), scipy.stats.norm(LOCATION, SCALE)),
    "laplace": (distributions.laplace(OUTPUTS[:, :2]), scipy.stats.laplace(LOCATION, SCALE)),
    "student_t": (distributions.t_distribution(OUTPUTS[:, :2], nu=4.0), scipy.stats.t(4.0, LOCATION, SCALE)),
    "normal_inverse_gamma": (
        distributions.normal_inverse_gamma(OUTPUTS),
        scipy.stats.t(2 * ALPHA, LOCATION, np.sqrt(BETA * (1 + V) / (V * ALPHA))),
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_distributions_are_those_of_scipy(name):
    ours, reference = REFERENCES[name]
    spread = reference.ppf(0.75) - reference.ppf(0.25)
    np.testing.assert_allclose(
        ours.quantiles / spread, reference.ppf(LEVELS.numpy()) / spread, atol=1e-4 if "gamma" in name else 1e-9
    )
    target = torch.linspace(-5, 5, 30, dtype=torch.float64)
    np.testing.assert_allclose(ours.log_density(target), reference.logpdf(target.numpy()[:, None])[:, 0], rtol=1e-7)
    np.testing.assert_allclose(ours.mean, reference.mean()[:, 0], atol=1e-9)


@pytest.mark.parametrize("name", LINKED)
def test_quantiles_mean_and_density_are_of_one_distribution(name):
    """The density, integrated numerically, has the quantiles, the mean and 1 in all."""
    predictive = predicted(name)
    for row in range(2):
        t = torch.linspace(-8, 8, 16_001, dtype=torch.float64)
        x = predictive.quantiles[row, 99] + torch.sinh(t) * 0.05  # from far tails to fine steps
        outputs = outputs_for(name)[row : row + 1].expand(len(x), -1)
        density = load_loss(name).link(outputs).log_density(x).exp()
        mass = torch.cumulative_trapezoid(density, x)
        at = torch.searchsorted(x, predictive.quantiles[row].contiguous()) - 1
        np.testing.assert_allclose(mass[at], LEVELS, atol=1e-2)
        assert mass[-1].item() == pytest.approx(1, abs=1e-2)
        assert torch.trapezoid(density * x, x).item() == pytest.approx(predictive.mean[row].item(), abs=1e-2)


def test_the_likelihood_of_the_metrics_is_the_loss():
    """For losses that are likelihoods, minus the log density at the target is the value of the loss."""
    target = torch.linspace(-4, 4, 40, dtype=torch.float64)
    for name in LINKED[:5]:
        loss = load_loss(name, **({"lam": 0.0} if name == "evidential" else {}))
        outputs = outputs_for(name)
        torch.testing.assert_close(-loss.link(outputs).log_density(target), loss(outputs, target))


def test_quantiles_that_cross_are_sorted_and_ends_have_exponential_tails():
    predictive = distributions.quantiles(torch.tensor([[1.0, 0.0, 2.0]], dtype=torch.float64))
    assert predictive.quantiles[0, [49, 99, 149]].tolist() == pytest.approx([0.0, 1.0, 2.0])
    assert predictive.quantiles[0, 24].item() == pytest.approx(math.log(0.5))  # half of the mass below the first one
    assert predictive.log_density(torch.tensor([0.5]).double()).item() == pytest.approx(math.log(0.25))
    assert predictive.log_density(torch.tensor([4.0]).double()).item() == pytest.approx(math.log(0.25) - 2)


def test_quantiles_that_coincide_have_a_finite_density():
    predictive = distributions.quantiles(torch.zeros(1, 19, dtype=torch.float64))
    assert predictive.log_density(torch.zeros(1).double()).item() == pytest.approx(math.log(0.05 / FLOOR))


def test_targets_beyond_the_histogram_have_a_density():
    logits = torch.zeros(2, 10, dtype=torch.float64)
    logits[1] = torch.tensor([-900.0] * 9 + [900.0])  # certain of the last bin
    predictive = distributions.histogram(logits, reach=5.0)
    assert predictive.mean[0].item() == pytest.approx(0.0, abs=1e-9)
    found = predictive.log_density(torch.tensor([7.0, -3.0]).double())
    assert found[0].item() == pytest.approx(math.log(0.1) - 3)  # the last bin starts at 4
    assert found[1].item() == pytest.approx(math.log(distributions.SMALLEST_MASS), abs=1e-3)


def test_a_mixture_of_two_far_modes_has_the_quantiles_of_both():
    raw = math.log(math.expm1(0.1 - FLOOR))
    predictive = distributions.gaussian_mixture(torch.tensor([[0.0, 0.0, -5.0, 5.0, raw, raw]]).double())
    normal = scipy.stats.norm(-5, 0.1)
    assert predictive.quantiles[0, 49].item() == pytest.approx(normal.ppf(0.5), abs=1e-3)
    assert predictive.quantiles[0, 9].item() == pytest.approx(normal.ppf(0.1), abs=1e-3)
    assert predictive.quantiles[0, 189].item() == pytest.approx(-normal.ppf(0.1), abs=1e-3)


# --- Metrics ------------------------------------------------------------------------------------------------------


def recorded(predictive: Predictive, target, clean=None):
    return {
        "mean": predictive.mean, "quantiles": predictive.quantiles[:, RECORDED], "target": target,
        "log_density": predictive.log_density(target), "crps": crps_of_quantiles(predictive.quantiles, target),
        "target_clean": target if clean is None else clean,
    }  # fmt: skip


def test_the_crps_of_quantiles_is_the_closed_form():
    outputs = OUTPUTS[:, :2]
    for target in (
        outputs[:, 0],
        outputs[:, 0] + 1.5 * scale(outputs[:, 1]),
        outputs[:, 0] - 10 * scale(outputs[:, 1]),
    ):
        ours = crps_of_quantiles(distributions.gaussian(outputs).quantiles, target)
        torch.testing.assert_close(ours, crps_gaussian(outputs, target), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["heteroscedastic_laplace_nll", "student_t_nll", "mixture_density"])
def test_the_crps_of_quantiles_is_that_of_an_ensemble(name):
    """torchmetrics takes draws; here 4000 quantiles in the middle of equal parts stand for them."""
    loss = load_loss(name)
    outputs = outputs_for(name, samples=5)
    target = torch.linspace(-2, 2, 5, dtype=torch.float64)
    fine = (torch.arange(4000).double() + 0.5) / 4000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributions, "LEVELS", fine)
        distributions._student_quantiles.cache_clear()
        draws = loss.link(outputs).quantiles
    distributions._student_quantiles.cache_clear()
    ours = crps_of_quantiles(loss.link(outputs).quantiles, target).mean().item()
    assert ours == pytest.approx(continuous_ranked_probability_score(draws, target).item(), rel=3e-3)


def test_right_predictions_are_calibrated_and_wrong_ones_are_not():
    generator = torch.Generator().manual_seed(0)
    deviation = torch.rand(20_000, generator=generator).double() + 0.1
    target = deviation * torch.randn(20_000, generator=generator).double()
    raw = torch.log(torch.expm1(deviation - FLOOR))
    outputs = torch.stack([torch.zeros_like(raw), raw], 1)
    right = distributional_metrics(recorded(distributions.gaussian(outputs), target))
    for percent in (50, 80, 90, 95):
        assert right[f"coverage_{percent}"] == pytest.approx(percent / 100, abs=0.01)
        assert right[f"coverage_error_{percent}"] == pytest.approx(abs(right[f"coverage_{percent}"] - percent / 100))
        width = 2 * scipy.stats.norm.ppf(0.5 + percent / 200) * deviation.mean().item()
        assert right[f"width_{percent}"] == pytest.approx(width, rel=1e-6)
    assert right["calibration_error"] < 0.01
    assert right["crps"] == pytest.approx(deviation.mean().item() / math.sqrt(math.pi), rel=0.03)
    narrow = distributional_metrics(recorded(distributions.gaussian(outputs - torch.tensor([0.0, 1.0])), target))
    shifted = distributional_metrics(recorded(distributions.gaussian(outputs + torch.tensor([1.0, 0.0])), target))
    for wrong in (narrow, shifted):
        assert wrong["crps"] > right["crps"] and wrong["nll"] > right["nll"]
        assert wrong["calibration_error"] > 0.05 and wrong["coverage_error_90"] > 0.05


def test_calibration_error_by_hand():
    """All targets below all quantiles: the share is 1 at every level, and the error the mean of 1 - level."""
    quantiles = torch.linspace(1, 2, 39).double().expand(4, -1)
    zero = torch.zeros(4).double()
    ours = distributional_metrics(
        {"mean": zero, "quantiles": quantiles, "target": zero, "target_clean": zero, "log_density": zero, "crps": zero}
    )
    assert ours["calibration_error"] == pytest.approx(0.5) and ours["coverage_95"] == 0
    assert ours["rmse"] == 0 and ours["mae"] == 1.5  # of the mean, and of the median


def test_pinball_agrees_with_scikit_learn():
    predictive, target = predicted("gaussian_nll"), torch.linspace(-3, 3, 40).double()
    levels = LEVELS[RECORDED].tolist()
    quantiles = predictive.quantiles[:, RECORDED]
    expected = np.mean([mean_pinball_loss(target, quantiles[:, k], alpha=level) for k, level in enumerate(levels)])
    assert distributional_metrics(recorded(predictive, target))["pinball"] == pytest.approx(expected)
    assert levels[0] == pytest.approx(0.025) and levels[19] == pytest.approx(0.5) and len(levels) == 39


def test_errors_against_the_clean_and_the_observed_truth():
    predictive, target = predicted("gaussian_nll"), torch.linspace(-3, 3, 40).double()
    ours = distributional_metrics(recorded(predictive, target, clean=target + 1))
    assert ours["mae_observed"] == pytest.approx((predictive.mean - target).abs().mean().item())
    assert ours["rmse"] == pytest.approx((predictive.mean - target - 1).square().mean().sqrt().item())


def test_count_metrics_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    rate = rng.gamma(2.0, 1.0, size=200) + 0.1
    y, prediction = rng.poisson(rate).astype(float), rate * rng.uniform(0.5, 2.0, size=200)
    ours = count_metrics(*map(torch.from_numpy, (prediction, y, rate)))
    assert ours["poisson_deviance"] == pytest.approx(mean_poisson_deviance(y, prediction))
    assert ours["d2"] == pytest.approx(d2_tweedie_score(y, prediction, power=1))
    assert ours["mae"] == pytest.approx(np.abs(prediction - rate).mean())
    assert ours["mae_observed"] == pytest.approx(np.abs(prediction - y).mean())


def test_a_negative_prediction_of_a_count_has_a_finite_deviance():
    zero, one, below = torch.zeros(2).double(), torch.ones(2).double(), torch.tensor([-3.0, 0.01]).double()
    assert count_metrics(below, one, one)["poisson_deviance"] == pytest.approx(
        mean_poisson_deviance(one, torch.full((2,), 0.01))
    )
    assert "d2" not in count_metrics(below, zero, zero)
