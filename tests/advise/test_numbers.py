"""What is said of residuals, against residuals that were made so."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_poisson_deviance

from lossbench.advise.numbers import (
    core_of,
    dispersion,
    expected_counts,
    poisson_deviance,
    rare_share,
    robust_center_and_scale,
    robust_predictions,
    spread_of,
)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("side", [-1, 0, 1])
def test_outliers_are_counted_by_side(share, side):
    rng = np.random.default_rng(1)
    residual = rng.normal(size=2000)
    signs = side or rng.choice([-1, 1], 2000)
    residual[: int(2000 * share)] += np.broadcast_to(signs * 15.0, 2000)[: int(2000 * share)]
    core = core_of(residual)
    assert core.outliers == pytest.approx(share, abs=0.01)
    assert core.side == pytest.approx(side, abs=0.2)
    assert core.scale == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("df", [1.5, 3.0, 100.0])
def test_tails_are_no_outliers(df):
    core = core_of(stats.t.rvs(df, size=4000, random_state=1))
    assert core.outliers < 0.01
    assert 1 / core.df == pytest.approx(1 / df, abs=0.07)


def test_without_outliers_it_is_the_fit_of_scipy():
    residual = 2 + 3 * stats.t.rvs(4, size=3000, random_state=2)
    df, center, scale = stats.t.fit(residual)
    core = core_of(residual)
    assert (core.df, core.center, core.scale) == pytest.approx((df, center, scale), rel=0.15)


def test_center_and_scale_of_a_gaussian():
    assert robust_center_and_scale(5 + 2 * stats.norm.rvs(size=20000, random_state=3)) == pytest.approx(
        (5, 2), abs=0.07
    )


def test_equal_residuals_have_no_outliers():
    core = core_of(np.zeros(50))
    assert (core.outliers, core.side) == (0, 0)


def test_a_robust_fit_is_not_moved():
    rng = np.random.default_rng(4)
    inputs = rng.normal(size=(1500, 3))
    clean = inputs @ [1.0, -2.0, 0.5]
    name, predicted = robust_predictions(inputs, clean + 0.1 * rng.normal(size=1500) + 50 * (rng.random(1500) < 0.2))
    assert "Huber" in name
    assert np.median(np.abs(predicted - clean)) < 0.1


def test_spread_is_seen_where_it_grows_only():
    rng = np.random.default_rng(5)
    inputs = rng.uniform(size=(1500, 1))
    spread = spread_of(inputs, rng.normal(size=1500) * (0.1 + 2 * inputs[:, 0]))
    assert spread is not None
    assert stats.spearmanr(spread, inputs[:, 0]).statistic > 0.8
    assert spread_of(inputs, rng.normal(size=1500)) is None


def test_dispersion_of_poisson_and_of_negative_binomial():
    rng = np.random.default_rng(6)
    inputs = rng.uniform(-1, 1, (2000, 2))
    rate = np.exp(1 + inputs[:, 0])
    narrow, wide = rng.poisson(rate), rng.poisson(rate * rng.gamma(1, 1, 2000))
    assert dispersion(narrow, expected_counts(inputs, narrow)) == pytest.approx(1, abs=0.1)
    assert dispersion(wide, expected_counts(inputs, wide)) == pytest.approx(1 + rate.mean(), rel=0.2)


def test_poisson_deviance_is_that_of_scikit_learn():
    rng = np.random.default_rng(7)
    target, expected = rng.poisson(2, 100), rng.uniform(0.5, 4, 100)
    assert poisson_deviance(target, expected).mean() == pytest.approx(mean_poisson_deviance(target, expected))


def test_rare_targets():
    assert rare_share(np.linspace(0, 1, 1000)) == 0
    assert rare_share(np.append(np.linspace(0, 1, 1000), 10.0)) == pytest.approx(0.9)
