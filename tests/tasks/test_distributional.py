"""Distributional regression and counts from the command to the report: what is composed, recorded, drawn, refused."""

import json

import numpy as np
import pytest
import scipy.stats
import torch

from lossbench.errors import ConfigError
from lossbench.losses import loss
from lossbench.losses.distributions import gaussian
from lossbench.running.plan import why_alone
from lossbench.running.run import run
from tests.support.own_data import OwnRegression

SHORT = ["trainer.max_epochs=2", "model.hidden=[8]"]


def test_the_loss_alone_makes_the_task(cell):
    of_distributions, of_numbers = cell("data=diabetes", "loss=gaussian_nll"), cell("data=diabetes", "loss=mse")
    assert (of_distributions.choices["task"], of_distributions.choices["learner"]) == ("distributional", "supervised")
    assert (of_distributions.config.data.task, of_distributions.monitor) == ("distributional", "crps")
    assert (of_numbers.config.data.task, of_numbers.monitor) == ("regression", "mae_observed")
    assert cell("data=heteroscedastic").loss == "gaussian_nll"
    assert cell("data=heteroscedastic", "loss=mse").config.data.task == "regression"


def test_losses_of_distributions_share_a_problem_and_those_of_numbers_another(cell):
    problems = {name: cell("data=diabetes", f"loss={name}").problem for name in ("gaussian_nll", "quantile_set", "mse")}
    assert problems["gaussian_nll"] == problems["quantile_set"] != problems["mse"]


def test_it_is_supervised_in_all_else(cell):
    made = cell("data=diabetes_outliers", "loss=hl_gauss", "loss.bins=30", "model=mlp", "model.hidden=[8]")
    assert why_alone(made) is None and made.config.data.contamination.kind == "vertical"


def test_predictions_are_in_units_of_the_target(cell):
    made = cell("data=diabetes", "loss=gaussian_nll", *SHORT)
    entry = run(made)
    assert entry["status"] == "finished", entry.get("traceback")
    with np.load(made.path / "predictions.npz") as file:
        found = dict(file)
    assert found["quantiles"].shape == (132, 39) and 100 < found["target"].mean() < 200
    deviation = (found["quantiles"][:, -1] - found["quantiles"][:, 0]) / 2 / scipy.stats.norm.ppf(0.975)
    density = scipy.stats.norm(found["mean"], deviation).logpdf(found["target"])
    np.testing.assert_allclose(found["log_density"], density, rtol=1e-3, atol=1e-3)
    metrics = entry["metrics"]["last"]
    assert metrics["test/nll"] == pytest.approx(-density.mean(), rel=1e-3)
    u = (found["target"] - found["mean"]) / deviation
    crps = deviation * (u * (2 * scipy.stats.norm.cdf(u) - 1) + 2 * scipy.stats.norm.pdf(u) - 1 / np.sqrt(np.pi))
    assert metrics["test/crps"] == pytest.approx(crps.mean(), rel=2e-3)
    assert (made.path / "intervals.png").stat().st_size > 5000


def test_a_comparison_of_both_tasks_has_a_report_for_each(lossbench, tmp_path):
    lines = ["data=heteroscedastic", "data.max_train=200", "data.max_test=100", "tracking=none", *SHORT]
    ended = lossbench("-m", "loss=gaussian_nll,quantile_set,mse", "seed=0,1", *lines)
    assert ended.returncode == 0, ended.stderr
    reports = {
        json.loads(record.read_text())["task"]: record.parent.name
        for record in (tmp_path / "outputs" / "heteroscedastic").glob("*/record.json")
    }
    assert reports.keys() == {"distributional", "regression"}
    engines = {
        json.loads(record.read_text())["engine"]["name"]
        for record in (tmp_path / "outputs" / "heteroscedastic").glob("*/record.json")
    }
    assert engines == {"stacked"}
    texts = [path.read_text() for path in (tmp_path / "outputs" / "comparisons").glob("*/report.html")]
    (ours,) = [text for text in texts if "quantile_set" in text]
    assert len(texts) == 2 and "Not drawn" not in ours
    assert "Predicted intervals" in ours and "Calibration of the predicted distributions" in ours
    assert "CRPS" in ours and "coverage error 90" in ours


def undeclared(outputs, target):
    return (outputs - target).square()


@loss(task="distributional", link=gaussian, outputs=2, source="Me 2026")
def unit_variance(outputs, target):
    """Half the squared error, and a pull of the second output to 0."""
    return 0.5 * (outputs[:, 0] - target).square() + outputs[:, 1].square()


def test_a_loss_of_ones_own_must_say_what_it_predicts(cell):
    with pytest.raises(ConfigError, match=r"loss undeclared must say .* link=lossbench.losses.distributions.gaussian"):
        cell("data=diabetes", "task=distributional", f"loss._target_={__name__}.undeclared")
    made = cell("data=diabetes", "task=distributional", f"loss._target_={__name__}.unit_variance", *SHORT)
    assert np.isfinite(run(made)["metrics"]["last"]["test/crps"])


@pytest.mark.parametrize("name", ["poisson_nll", "mse"])
def test_counts_are_predicted_by_losses_of_counts_and_of_numbers(name, cell):
    entry = run(cell("data=counts", f"loss={name}", "trainer.max_epochs=10", "model.hidden=[16]"))
    assert entry["status"] == "finished", entry.get("traceback")
    metrics = entry["metrics"]["last"]
    assert metrics["test/d2"] > 0.2 and metrics["test/mae"] < metrics["test/mae_observed"]
    assert (entry["data"]["target_center"], entry["data"]["target_scale"]) == (0, 1)


class OwnCounts(OwnRegression):
    """Whole numbers, as counts often come."""

    def target(self, inputs):
        return torch.poisson(inputs[:, 0].exp(), generator=torch.Generator().manual_seed(0)).long()


def test_data_of_ones_own_serve_both_tasks(cell):
    made = cell("data=diabetes", "data._target_=tests.support.own_data.OwnRegression", "loss=quantile_set", *SHORT)
    assert 1 < run(made)["metrics"]["last"]["test/crps"] < 60
    made = cell("data=counts", f"data._target_={__name__}.OwnCounts", "loss=poisson_nll", *SHORT)
    entry = run(made)
    assert entry["status"] == "finished", entry.get("traceback")
    assert np.isfinite(entry["metrics"]["last"]["test/poisson_deviance"])
