"""Intervals for many looks: against t tests, an integral, other numbers, and by counting their errors."""

import numpy as np
import pytest
from scipy import integrate, stats

from lossbench.compare.numbers.sequential import RESERVE, confidence_sequence, critical_t, spent

EVERY = range(2, 51)


def t_of(values: np.ndarray) -> np.ndarray:
    """Return t after each seed, by the textbook."""
    count = np.arange(1, values.shape[-1] + 1)
    mean = np.cumsum(values, -1) / count
    with np.errstate(all="ignore"):
        return mean / np.sqrt((np.cumsum(values**2, -1) - count * mean**2) / (count - 1) / count)


@pytest.mark.parametrize("n", [3, 5, 12, 50, 150])
def test_one_look_is_the_t_test(n):
    levels = np.array([0.05, 0.005, 0.0005])
    found = critical_t(levels.tolist(), [n], n)
    assert np.isinf(found[:, :-1]).all()
    assert found[:, -1] == pytest.approx(stats.t.isf(levels * (1 - RESERVE), n - 1), rel=0.02)
    assert (stats.t.sf(found[:, -1], n - 1) <= levels).all()


@pytest.mark.parametrize("n", [3, 6])
def test_the_second_of_two_looks_passes_with_the_chance_that_is_left(n):
    """The chance to pass at n + 1 only, by the integral over the first t and the share of the next difference."""
    level = 0.05
    first, second = critical_t([level], [n, n + 1], n + 1)[0][[n - 1, n]]

    def next_t(t: np.ndarray, angle: np.ndarray) -> np.ndarray:
        root = np.sqrt(n) * t / np.sqrt(t**2 + n - 1) * np.cos(angle) + np.sin(angle)
        return root * np.sqrt(n) / np.sqrt(n + 1 - root**2)

    angles, t = np.linspace(-np.pi / 2, np.pi / 2, 2001), np.linspace(-30, first, 2001)[:, None]
    density = np.cos(angles) ** (n - 1)
    passes = (density * (next_t(t, angles) > second)).sum(1) / density.sum()
    chance = integrate.trapezoid(passes * stats.t.pdf(t[:, 0], n - 1), t[:, 0])
    left = float(np.diff(spent([n, n + 1], level, n + 1))[0])
    assert chance == pytest.approx(left, rel=0.02)


@pytest.mark.parametrize(("step", "beyond"), [(1, 50), (4, 50), (1, 80)])
def test_the_errors_at_all_looks_together_are_those_that_may_be_spent(step, beyond):
    plan, levels = [*range(3, 50, step), 50], [0.05, 0.01]
    looks = [*plan, *range(51, beyond + 1)]
    critical = critical_t(levels, looks, 50)
    t = t_of(np.random.default_rng(3).standard_normal((100_000, beyond)))
    for level, bound in zip(levels, critical, strict=True):
        passed = np.maximum.accumulate(t[:, 2:] > bound[2:], axis=1).mean(0)
        for n in (10, 25, 50, beyond):
            done = max(look for look in looks if look <= n)
            allowed = float(spent(done, level, 50))
            error = np.sqrt(allowed / 100_000)
            assert allowed * 0.98 - 3.5 * error <= passed[n - 3] <= allowed + 3.5 * error


@pytest.mark.parametrize("planned", [2, 3, 5, 50])
@pytest.mark.parametrize("level", [0.5, 0.025, 1e-6])
def test_nearly_all_of_a_level_is_spent_by_plan_and_never_more(planned, level):
    n = np.arange(1, 2000)
    share = spent(n, level, planned) / level
    assert share[0] == 0 and share[planned - 1] == pytest.approx(1 - RESERVE) and share[-1] < 1
    assert (np.diff(share) >= 0).all() and share[2 * planned - 1] == pytest.approx(1 - RESERVE / 2)


@pytest.mark.parametrize("planned", [5, 20, 50, 200])
@pytest.mark.parametrize("losses", [2, 5, 20])
def test_what_is_shown_at_a_level_is_shown_at_each_larger_one(losses, planned):
    levels = sorted(0.05 / s / (losses - 1) for s in range(1, losses + 1))
    found = critical_t(levels, range(3, planned + 1), planned)
    assert (found[1:] <= found[:-1]).all()


def test_looks_after_the_plan_change_none_of_it():
    plan = [3, 6, 9, 10]
    np.testing.assert_array_equal(critical_t([0.01], plan, 10)[0], critical_t([0.01], [*plan, 11, 12], 10)[0, :10])


def test_the_interval_holds_the_means_whose_t_is_within():
    values = np.random.default_rng(1).normal(0.3, 0.2, 12)
    critical = critical_t([0.005], EVERY, 50)[0]
    low, high = confidence_sequence(values, critical, 0.005)
    for n in range(6, 13):
        found = [stats.ttest_1samp(values[:n], bound).statistic for bound in (low[n - 1], high[n - 1])]
        assert found == pytest.approx([critical[n - 1], -critical[n - 1]], rel=1e-6)


def test_one_difference_tells_nothing():
    low, high = confidence_sequence([3.0], critical_t([0.025], EVERY, 50)[0], 0.025)
    assert low[0] == -np.inf and high[0] == np.inf


def test_many_pairs_at_once_are_each_as_alone_and_know_no_future():
    values, critical = np.random.default_rng(2).normal(1e6, 5e3, (4, 3, 20)), critical_t([0.01], EVERY, 50)[0]
    low, high = confidence_sequence(values, critical, 0.01)
    for index in np.ndindex(4, 3):
        alone = confidence_sequence(values[index][:9], critical, 0.01)
        np.testing.assert_array_equal((low[index][:9], high[index][:9]), alone)
    np.testing.assert_allclose((high - low)[..., -1] / 2, values.std(-1, ddof=1) / 20**0.5 * critical[19], 1e-5)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
@pytest.mark.parametrize("value", [0.0, 0.5, -2.0])
def test_differences_that_are_all_the_same_count_as_tosses_of_a_coin(n, value):
    low, high = confidence_sequence([value] * n, critical_t([0.025], EVERY, 50)[0], 0.025)
    known = 2.0**-n <= 0.025
    assert (low[-1], high[-1]) == ((value, value) if known else (-np.inf, np.inf))


def test_equal_differences_then_others_are_judged_by_all_of_them():
    low, high = confidence_sequence([0.5] * 6 + [0.6, 0.4], critical_t([0.025], EVERY, 50)[0], 0.025)
    assert low[-1] < 0.5 < high[-1] and low[5] == 0.5


@pytest.mark.parametrize("level", [0, 1, -0.1, 2])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match="level"):
        critical_t([level], EVERY, 50)


DRAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails": lambda rng, shape: rng.laplace(size=shape),
    "ties": lambda rng, shape: (rng.binomial(500, 0.98, shape) - rng.binomial(500, 0.98, shape)) / 500,
}


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("kind", DRAWS)
def test_looking_after_every_one_of_50_seeds_costs_no_error(kind, alpha):
    values = DRAWS[kind](np.random.default_rng(3), (20_000, 50))
    low, high = confidence_sequence(values, critical_t([alpha / 2], EVERY, 50)[0], alpha / 2)
    assert ((low > 0) | (high < 0)).any(1).mean() <= alpha + 2 * np.sqrt(alpha / 20_000)


def test_looking_often_at_intervals_that_are_made_for_one_look_costs_much():
    t = t_of(np.random.default_rng(3).standard_normal((2000, 100)))[:, 1:]
    assert (np.abs(t) > stats.t.isf(0.025, np.arange(1, 100))).any(1).mean() > 0.3
