"""Runs that are far from the others of their loss: found where they are, rarely elsewhere, and told in the verdict."""

import numpy as np
import pytest

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.far_runs import far_runs
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.verdict import verdict
from tests.support.compared import made_up


def runs(values) -> dict[int, float]:
    return dict(enumerate(values))


def test_a_run_that_fails_is_found_and_its_loss_named():
    rng = np.random.default_rng(0)
    values = {label: runs(0.9 + 0.01 * rng.normal(size=8)) for label in ("mse", "mae")}
    assert far_runs(values) == {}
    values["mae"][5] = 0.3
    assert far_runs(values) == {"mae": [5]}
    assert far_runs({label: {s: -1e6 * v for s, v in each.items()} for label, each in values.items()}) == {"mae": [5]}


def test_few_runs_and_runs_without_a_number_tell_nothing():
    assert far_runs({"mse": runs([0.9, 0.9, 0.9, 0.1])}) == {} == far_runs({})
    assert far_runs({"mse": runs([0.9, 0.91, 0.9, 0.92, float("nan")])}) == {}


@pytest.mark.parametrize(("value", "far"), [(0.91, False), (0.5, True)])
def test_of_a_coarse_metric_the_next_step_is_not_far(value, far):
    assert bool(far_runs({"mse": runs([0.9] * 7 + [value])})) == far


@pytest.mark.parametrize(("n", "most"), [(5, 0.015), (10, 0.004), (30, 0.004)])
def test_normal_runs_are_rarely_called_far(n, most):
    rng, many = np.random.default_rng(1), 1500
    alarms = sum(
        bool(far_runs({k: runs(row) for k, row in zip("ab", rng.normal(size=(2, n)), strict=True)}))
        for _ in range(many)
    )
    assert alarms / many < most + 3 * np.sqrt(most / many)


def told(values: dict[str, list[float]], **options) -> str:
    entries = [made_up(label, seed, value) for label, each in values.items() for seed, value in enumerate(each)]
    (comparison,) = comparisons(entries)
    return verdict(analyse(comparison, Options(population="seeds", **options)))


def test_the_verdict_warns_of_them():
    rng = np.random.default_rng(2)
    values = {label: list(0.8 + 0.01 * rng.normal(size=7)) for label in ("cross_entropy", "focal")}
    assert "Far from" not in told(values)
    values["focal"][2], values["focal"][4] = 0.2, 0.25
    text = told(values)
    assert "Far from the other runs of the loss: 2 of 7 runs of focal (seeds 2, 4)." in text
    assert "intervals of 95 % then held in 91 to 94 %" in text


def test_what_would_resolve_the_difference_to_the_baseline_is_said_once():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(3, 6))
    noise -= noise.mean(1, keepdims=True)
    means = {"cross_entropy": 0.801, "focal": 0.804, "gce": 0.799}
    values = {label: list(mean + 0.01 * each) for (label, mean), each in zip(means.items(), noise, strict=True)}
    text = told(values)
    assert "focal has the best mean" in text and "can't be told apart from" in text
    assert text.count("would be needed to resolve it") + text.count("would resolve it") == 1, text
