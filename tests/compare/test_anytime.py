"""The confidence sequence of a mean difference: against the integral that defines it, and by counting its errors."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from lossbench.compare.numbers.anytime import SPREAD, confidence_sequence, critical_t, log_e_value


def mixture(t: float, n: int, g: float) -> float:
    """Integrate the density of t over effect sizes from N(0, g), over that without an effect: noncentral t of scipy."""

    def weighted(effect: float) -> float:
        return float(stats.nct.pdf(t, n - 1, effect * np.sqrt(n)) * stats.norm.pdf(effect, 0, np.sqrt(g)))

    middle = t / np.sqrt(n)
    total = integrate.quad(weighted, -8 * np.sqrt(g), 8 * np.sqrt(g), points=[0, middle], limit=400)[0]
    return total / float(stats.t.pdf(t, n - 1))


@pytest.mark.parametrize("g", [0.5, SPREAD])
@pytest.mark.parametrize(("t", "n"), [(0.0, 2), (1.5, 2), (-2.5, 3), (4.0, 5), (3.0, 10), (-3.7, 40)])
def test_the_evidence_is_the_mixture_of_noncentral_t(t, n, g):
    assert np.exp(log_e_value(t, n, g)) == pytest.approx(mixture(t, n, g), rel=1e-4)


def test_one_difference_is_no_evidence():
    assert log_e_value(100.0, 1) == 0
    low, high = confidence_sequence([3.0])
    assert low[0] == -np.inf and high[0] == np.inf


@pytest.mark.parametrize("alpha", [0.05, 0.002])
@pytest.mark.parametrize("n", [6, 8, 20, 50])
def test_the_critical_t_is_where_the_evidence_is_one_over_alpha(n, alpha):
    found = optimize.brentq(lambda t: log_e_value(t, n) + np.log(alpha), 0, 1e4)
    assert critical_t(n, alpha) == pytest.approx(found, rel=1e-6)


def test_it_is_infinite_where_no_t_is_enough():
    for n in range(1, 12):
        reachable = n > 1 and log_e_value(1e12, n) > -np.log(0.001)
        assert np.isfinite(critical_t(n, 0.001)) == reachable, n


def test_the_interval_holds_the_means_that_the_evidence_does_not_refuse():
    values = np.random.default_rng(1).normal(0.3, 0.2, 12)
    low, high = confidence_sequence(values, 0.01)
    for n in range(5, 13):
        for bound in (low[n - 1], high[n - 1]):
            t = stats.ttest_1samp(values[:n], bound).statistic
            assert log_e_value(t, n) == pytest.approx(-np.log(0.01), rel=1e-6)


def test_many_pairs_at_once_are_each_as_alone_and_know_no_future():
    values = np.random.default_rng(2).normal(1e6, 5e3, (4, 3, 20))
    low, high = confidence_sequence(values, 0.02)
    for index in np.ndindex(4, 3):
        alone = confidence_sequence(values[index][:9], 0.02)
        np.testing.assert_array_equal((low[index][:9], high[index][:9]), alone)
    np.testing.assert_allclose((high - low)[..., -1] / 2, values.std(-1, ddof=1) / 20**0.5 * critical_t(20, 0.02), 1e-5)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
@pytest.mark.parametrize("value", [0.0, 0.5, -2.0])
def test_differences_that_are_all_the_same_count_as_tosses_of_a_coin(n, value):
    low, high = confidence_sequence([value] * n, 0.05)
    known = 2.0 ** (1 - n) <= 0.05
    assert (low[-1], high[-1]) == ((value, value) if known else (-np.inf, np.inf))


def test_equal_differences_then_others_are_judged_by_all_of_them():
    low, high = confidence_sequence([0.5, 0.5, 0.5, 0.5, 0.6, 0.4], 0.05)
    assert low[-1] < 0.5 < high[-1] and low[4] > -np.inf


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 2])
def test_a_level_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        confidence_sequence([1.0, 2.0], alpha)


DRAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails": lambda rng, shape: rng.laplace(size=shape),
    "ties": lambda rng, shape: (rng.binomial(500, 0.98, shape) - rng.binomial(500, 0.98, shape)) / 500,
}


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("kind", DRAWS)
def test_looking_after_every_one_of_100_seeds_costs_no_error(kind, alpha):
    values = DRAWS[kind](np.random.default_rng(3), (20_000, 100))
    low, high = confidence_sequence(values, alpha)
    assert ((low > 0) | (high < 0)).any(1).mean() <= alpha


def test_looking_often_at_intervals_that_are_made_for_one_look_costs_much():
    values = np.random.default_rng(3).standard_normal((2000, 100))
    count = np.arange(2, 101)
    mean, square = np.cumsum(values, 1)[:, 1:] / count, np.cumsum(values**2, 1)[:, 1:]
    error = np.sqrt((square - count * mean**2) / (count - 1) / count)
    assert (np.abs(mean) > stats.t.isf(0.025, count - 1) * error).any(1).mean() > 0.3
