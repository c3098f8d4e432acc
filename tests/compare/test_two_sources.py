"""Chance in seeds and in samples: the decomposition by other routes, and how often the interval holds the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from lossbench.compare.numbers.equivalence import p_equivalence
from lossbench.compare.numbers.seeds import seeds_needed
from lossbench.compare.numbers.statistics import paired_difference
from lossbench.compare.numbers.two_sources import (
    Sources,
    half_widths,
    p_within,
    runs_by_draw,
    runs_by_sample,
    tails_beyond,
)
from lossbench.compare.numbers.what_helps import power_of, predicted, what_helps
from tests.support.two_way import crossed, interval, p_difference, resampled


def table_of(rng, seeds, samples, of_seeds=1.0, of_samples=1.0, rest=1.0):
    """Draw a table; each part of the variance of its mean is given in units of 1 / (S N)."""
    a = math.sqrt(of_seeds / samples) * rng.normal(size=(seeds, 1))
    b = math.sqrt(of_samples / seeds) * rng.normal(size=(1, samples))
    return a + b + math.sqrt(rest) * rng.normal(size=(seeds, samples))


def mean_squares(table):
    """Compute the mean squares of a two-way analysis of variance from their definition."""
    seeds, samples = table.shape
    rows, columns = table.mean(1, keepdims=True), table.mean(0, keepdims=True)
    grand = table.mean()
    return (
        samples * ((rows - grand) ** 2).sum() / (seeds - 1),
        seeds * ((columns - grand) ** 2).sum() / (samples - 1),
        ((table - rows - columns + grand) ** 2).sum() / ((seeds - 1) * (samples - 1)),
    )


@pytest.mark.parametrize("shape", [(2, 7), (5, 40), (12, 9)])
def test_sources_are_those_of_the_analysis_of_variance(shape):
    table = table_of(np.random.default_rng(3), *shape, of_seeds=4.0, of_samples=5.0)
    a, b, e = mean_squares(table)
    assert a > e and b > e
    found, size = crossed(table), table.size
    assert (found.seeds, found.samples, found.rest) == pytest.approx(((a - e) / size, (b - e) / size, e / size))
    assert found.variance == pytest.approx((a + b - e) / size)
    assert found.spread == pytest.approx(a / size) and found.sample_degrees == shape[1] - 1
    of_seeds, of_samples = (stats.t.isf(0.005, each - 1) for each in shape)
    half = math.sqrt((of_seeds**2 * a + of_samples**2 * (b - e)) / size)
    assert interval(found, 3.0, 0.99) == pytest.approx((3 - half, 3 + half))
    assert p_difference(found, half) == pytest.approx(0.01)


def test_the_variance_is_never_below_a_mean_square():
    rng = np.random.default_rng(0)
    for _ in range(50):
        table = table_of(rng, 3, 20, of_seeds=0.0, of_samples=0.0)
        a, b, e = (each / table.size for each in mean_squares(table))
        found = crossed(table)
        assert found.variance >= max(a, b) - 1e-12
        assert found.variance == pytest.approx(max(a, e) + max(b, e) - e)
        assert min(found.seeds, found.samples, found.rest) >= 0


def test_samples_that_do_not_vary_leave_the_interval_over_seeds():
    values, none = np.array([0.1, 0.3, 0.2, 0.25]), np.zeros(4)
    found = crossed(np.repeat(values[:, None], 50, axis=1))
    assert (found.samples, found.rest) == pytest.approx((0, 0), abs=1e-15)
    seeds = paired_difference(values, none, higher_is_better=True)
    assert interval(found, values.mean()) == pytest.approx((seeds.low, seeds.high))
    assert p_difference(found, values.mean()) == pytest.approx(seeds.p_t)
    assert p_within(found, values.mean(), 0.4) == pytest.approx(p_equivalence(values, none, 0.4))
    assert what_helps(found, 0.02).seeds == seeds_needed(values - values.mean() + 0.02).estimate


def test_runs_that_are_the_same_leave_the_interval_over_samples():
    values = np.random.default_rng(0).normal(size=30)
    found = crossed(np.tile(values, (4, 1)))
    test = stats.ttest_1samp(values, 0)
    assert found.seeds == found.spread == 0
    assert p_difference(found, values.mean()) == pytest.approx(test.pvalue)
    assert interval(found, values.mean(), 0.9) == pytest.approx(tuple(test.confidence_interval(0.9)))


def test_differences_of_runs_are_those_of_their_tables():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(12, 60)) + 3 * rng.normal(size=60)
    runs = runs_by_sample(table)
    mean, found = runs.difference([0, 3, 6], [2, 4, 9])
    differences = table[[0, 3, 6]] - table[[2, 4, 9]]
    assert mean == pytest.approx(differences.mean())
    assert vars(found) == pytest.approx(vars(crossed(differences)))


def test_samples_of_a_group_are_drawn_together():
    rng = np.random.default_rng(2)
    groups = rng.permutation(np.repeat(np.arange(10), 6))
    by_group = table_of(rng, 4, 10)
    whole = crossed(by_group[:, groups], groups)
    assert vars(whole) == pytest.approx(vars(crossed(by_group)))  # groups of one size: their means
    alone = crossed(by_group[:, groups])  # as if the same sample told six times as much
    assert alone.samples + alone.rest < (whole.samples + whole.rest) / 5
    uneven = np.repeat(np.arange(10), np.arange(1, 11))
    table = rng.normal(size=(4, 55))
    found = crossed(table, uneven)
    assert found.n_samples == 10 and crossed(table, rng.permutation(55)).variance == pytest.approx(
        crossed(table).variance
    )


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_the_unit_does_not_matter(scale):
    table = table_of(np.random.default_rng(4), 5, 50)
    one, other = crossed(table), crossed(scale * table)
    assert other.variance == pytest.approx(scale**2 * one.variance) and p_difference(other, scale) == pytest.approx(
        p_difference(one, 1.0)
    )


@pytest.mark.parametrize(
    "table",
    [
        np.zeros((4, 30)),
        np.full((4, 30), 0.25),
        np.float32(0.25) * (1 + np.float32(6e-8) * np.random.default_rng(0).integers(-2, 3, (4, 30))),
    ],
    ids=["zeros", "all equal", "rounding"],
)
def test_what_has_no_spread_says_so(table):
    found = crossed(table)
    assert found.variance == 0
    mean = 0.25 * bool(table.any())
    assert interval(found, mean) == (mean, mean)
    assert p_within(found, mean, 0.5) == 0.0625 and p_within(found, mean, 0.25 if mean else 0.1) in (1.0, 0.0625)
    assert what_helps(found, mean).seeds is None and what_helps(found, mean).dominant == ""


def test_rounding_of_large_values_is_no_spread():
    values = np.random.default_rng(0).random((1, 50)).repeat(6, axis=0)
    runs = runs_by_sample((values * (1 + 6e-8 * np.random.default_rng(1).integers(-1, 2, values.shape))).tolist())
    assert runs.difference([0, 1, 2], [3, 4, 5])[1].variance == 0


@pytest.mark.parametrize("shape", [(1, 20), (4, 1)])
def test_one_seed_or_sample_tells_nothing(shape):
    found = crossed(np.random.default_rng(0).normal(size=shape))
    assert math.isnan(found.variance) and math.isnan(p_difference(found, 1.0)) and math.isnan(interval(found, 1.0)[0])
    assert math.isnan(p_within(found, 0.0, 1.0)) and what_helps(found, 1.0).seeds is None


@pytest.mark.parametrize("table", [np.zeros(3), np.zeros((0, 3)), np.array([[1.0, np.nan]])])
def test_tables_that_are_none_are_refused(table):
    with pytest.raises(ValueError, match="table"):
        runs_by_sample(table)


def test_draws_of_means_tell_what_the_table_does():
    rng = np.random.default_rng(0)
    table = table_of(rng, 5, 300, of_seeds=3.0, of_samples=4.0)
    weights = rng.multinomial(300, np.full(300, 1 / 300), size=20_000)
    found, expected = resampled(table.mean(1), table @ weights.T / 300, 300), crossed(table)
    for name in ("seeds", "samples", "rest", "variance", "spread"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=0.06), name


def test_draws_without_a_value_are_left_out_for_all():
    replicates = np.random.default_rng(0).normal(size=(4, 100))
    holed = replicates.copy()
    holed[1, 7], holed[2, 9] = np.nan, np.inf
    kept = np.delete(replicates, [7, 9], axis=1)
    np.testing.assert_allclose(
        runs_by_draw(np.zeros(4), holed, 50).covariance, runs_by_draw(np.zeros(4), kept, 50).covariance
    )
    with pytest.raises(ValueError, match="fewer than 2 draws"):
        resampled(np.zeros(4), np.full((4, 5), np.nan), 50)
    with pytest.raises(ValueError, match="shape"):
        resampled(np.zeros(4), np.zeros((3, 5)), 50)


def test_few_draws_cost_degrees_of_freedom():
    rng = np.random.default_rng(0)
    of_samples = rng.normal(size=2000)
    few, many = (resampled(np.zeros(4), np.tile(of_samples[:draws], (4, 1)), 1001) for draws in (11, 1001))
    assert few.sample_degrees == pytest.approx(1 / (1 / 10 + 1 / 1000)) and many.sample_degrees == pytest.approx(500)


OF_SEEDS = Sources(4e-4, 1e-6, 1e-6, 4.01e-4, 999.0, 5, 1000)
OF_SAMPLES = Sources(1e-6, 4e-4, 1e-6, 2e-6, 999.0, 5, 1000)
OF_THE_REST = Sources(0.0, 0.0, 4e-4, 4e-4, 999.0, 5, 1000)


def test_what_helps_is_what_dominates():
    of_seeds, of_samples, of_rest = (what_helps(each, 0.02) for each in (OF_SEEDS, OF_SAMPLES, OF_THE_REST))
    assert [each.dominant for each in (of_seeds, of_samples, of_rest)] == ["seeds", "samples", "either"]
    assert of_seeds.samples is None and of_seeds.seeds is not None
    assert of_samples.seeds is None and of_samples.samples is not None
    assert of_rest.seeds is not None and of_rest.samples is not None
    neither = what_helps(Sources(4e-4, 4e-4, 0.0, 4e-4, 999.0, 5, 1000), 0.02)
    assert (neither.seeds, neither.samples) == (None, None)
    assert what_helps(OF_SEEDS, 0.0).seeds is None


@pytest.mark.parametrize("sources", [OF_SEEDS, OF_THE_REST])
def test_the_number_of_seeds_is_the_first_that_is_enough(sources):
    found = what_helps(sources, 0.03, alpha=0.01, power=0.9).seeds
    assert power_of(sources, 0.03, 0.01, found, 1000) >= 0.9 > power_of(sources, 0.03, 0.01, found - 1, 1000)


def test_predictions_shrink_what_they_say():
    parts = Sources(3.0, 2.0, 1.0, 4.0, 99.0, 5, 100)
    assert predicted(parts, 10, 100).variance == pytest.approx(1.5 + 2 + 0.5)
    assert predicted(parts, 5, 400).variance == pytest.approx(3 + 0.5 + 0.25)
    assert predicted(parts, 5, 100) == parts


def test_the_tail_is_that_whose_interval_reaches_as_far():
    rng, many = np.random.default_rng(5), 500
    seeds, samples = rng.integers(2, 30, many), rng.integers(2, 5000, many)
    of_samples = np.where(rng.random(many) < 0.3, 0, rng.exponential(size=many) ** 3)
    found = [
        Sources(a, b, 0.0, a, n - 1.0, int(s), int(n))
        for a, b, s, n in zip(rng.exponential(size=many) ** 2, of_samples, seeds, samples, strict=True)
    ]
    tails = 10 ** -rng.uniform(0.31, 20, many)
    np.testing.assert_allclose(tails_beyond(found, half_widths(found, tails)), tails, rtol=1e-9)
    assert tails_beyond(found, np.zeros(many)) == pytest.approx(0.5)
    np.testing.assert_allclose(tails_beyond(found, np.full(many, -1.0)), 1 - tails_beyond(found, np.ones(many)))
    assert (tails_beyond(found, np.full(many, 1e9)) < 1e-6).all()


def test_the_interval_is_never_narrower_than_that_of_seeds():
    rng = np.random.default_rng(6)
    for _ in range(100):
        table = table_of(rng, 4, 30, of_seeds=rng.exponential(), of_samples=rng.exponential())
        alone = paired_difference(table.mean(1), np.zeros(4), higher_is_better=True)
        low, high = interval(crossed(table), table.mean())
        assert low <= alone.low + 1e-12 and alone.high - 1e-12 <= high
        assert p_difference(crossed(table), table.mean()) >= alone.p_t * (1 - 1e-9)


def test_power_is_the_share_of_tests_that_find_it():
    rng, found, many = np.random.default_rng(0), 0, 1500
    truth = Sources(1 / 400, 1 / 400, 1 / 400, 2 / 400, 49.0, 8, 50)
    for _ in range(many):
        table = 0.25 + table_of(rng, 8, 50)
        found += p_difference(crossed(table), table.mean()) < 0.05
    expected = power_of(truth, 0.25, 0.05, 8, 50)
    assert found / many == pytest.approx(expected, abs=0.02 + 3 * math.sqrt(expected * (1 - expected) / many))


@pytest.mark.parametrize("kind", ["normal", "skewed", "discrete"])
@pytest.mark.parametrize(
    "parts",
    [(10.0, 1.0, 1.0), (1.0, 10.0, 1.0), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0)],
    ids=["seeds", "samples", "mixed", "rest"],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(kind, parts):
    # 93 to 97 per cent, and three standard deviations of the share of so many tables.
    rng, many, held, (seeds, samples) = np.random.default_rng(7), 600, 0, (5, 200)
    a, b, e = np.sqrt(np.multiply(parts, [1 / samples, 1 / seeds, 1.0]))
    for _ in range(many):
        if kind == "discrete":  # which of two losses is right alone
            level = 1.5 * a * rng.normal(size=(seeds, 1)) + b * rng.normal(size=(1, samples))
            latent = level + rng.normal(size=(seeds, samples))
            table = (latent > 1) - 1.0 * (latent < -1)
        else:
            draw = rng.normal if kind == "normal" else lambda size: rng.exponential(size=size) - 1
            table = a * rng.normal(size=(seeds, 1)) + b * draw(size=(1, samples)) + e * draw(size=(seeds, samples))
        low, high = interval(crossed(table), float(table.mean()))
        held += low <= 0 <= high
    slack = 3 * math.sqrt(0.95 * 0.05 / many)
    assert 0.93 - slack <= held / many <= 0.97 + slack


def owens_interval(rng, table, draws):
    """Draw seeds and samples both, and take the percentiles of the mean."""
    seeds, samples = table.shape
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    of_samples = rng.multinomial(samples, np.full(samples, 1 / samples), draws) / samples
    return np.quantile(np.einsum("bs,sn,bn->b", of_seeds, table, of_samples, optimize=True), [0.025, 0.975])


def test_where_seeds_dominate_few_of_them_are_too_few_for_owens_bootstrap():
    rng, many, ours, owens = np.random.default_rng(0), 300, 0, 0
    for _ in range(many):
        table = table_of(rng, 5, 60, of_seeds=100.0)
        weights = rng.multinomial(60, np.full(60, 1 / 60), size=100)
        low, high = interval(resampled(table.mean(1), table @ weights.T / 60, 60), table.mean())
        ours += low <= 0 <= high
        low, high = owens_interval(rng, table, 200)
        owens += low <= 0 <= high
    assert owens / many < 0.88 and ours / many > 0.95 - 3 * math.sqrt(0.95 * 0.05 / many)
