"""Seed counts: published power tables, simulation, and the range by another pivot."""

import math

import numpy as np
import pytest
from scipy import stats

from lossbench.compare.numbers.seeds import MOST_SEEDS, SeedsNeeded, seeds_needed


def with_effect(effect: float, n: int = 20) -> np.ndarray:
    """Differences whose mean is `effect` and whose sample standard deviation is 1."""
    noise = np.random.default_rng(0).normal(size=n)
    return (noise - noise.mean()) / noise.std(ddof=1) + effect


class TestSeedsNeeded:
    @pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (-0.5, 34)])
    def test_agrees_with_power_tables(self, effect, n):
        """Two-sided paired t test, power 0.8, level 0.05, as G*Power gives it."""
        assert seeds_needed(with_effect(effect)).estimate == n

    @pytest.mark.parametrize(("effect", "power", "alpha"), [(0.8, 0.8, 0.05), (1.5, 0.9, 0.01)])
    def test_achieved_power(self, effect, power, alpha):
        n = seeds_needed(with_effect(effect), power, alpha).estimate
        rng = np.random.default_rng(12)
        found, one_less = (
            np.mean(stats.ttest_1samp(rng.normal(effect, 1, size=(20_000, size)), 0, axis=1).pvalue < alpha)
            for size in (n, n - 1)
        )
        assert found >= power - 0.01
        assert one_less < power + 0.01

    def test_large_samples_follow_the_normal_formula(self):
        # n = ((z_0.975 + z_0.8) / d)^2 = (2.80159 / 0.05)^2 = 3140, and about 2 more for the estimated variance
        assert seeds_needed(with_effect(0.05)).estimate == pytest.approx(3141, abs=2)

    def test_scale_and_units_do_not_matter(self):
        differences = with_effect(0.7)
        assert seeds_needed(differences) == seeds_needed(1e-6 * differences) == seeds_needed(-1e6 * differences)

    @pytest.mark.filterwarnings("error")
    def test_degenerate(self):
        assert seeds_needed([0.1]) is None
        assert seeds_needed([0.0, 0.0]) is seeds_needed([0.1, 0.1, 0.1]) is None  # no spread: nothing can be said
        assert seeds_needed([-1.0, 1.0]).estimate is seeds_needed([-1.0, 1.0]).high is None
        assert seeds_needed(with_effect(0.01)).estimate is None  # 78 490 by the normal formula
        assert MOST_SEEDS == 10_000
        assert seeds_needed([1.0, 1.01]) == seeds_needed(with_effect(50.0)) == SeedsNeeded(2, 2, 2)
        assert seeds_needed(with_effect(1e6)) is None

    @pytest.mark.parametrize(("effect", "n"), [(0.5, 5), (1.0, 5), (0.3, 12)])
    def test_the_range_is_that_of_the_effects_that_are_as_likely(self, effect, n):
        """By the pivot t sqrt(chi2 / df) - z of the noncentrality, which needs no noncentral t distribution."""
        rng = np.random.default_rng(14)
        t = effect * math.sqrt(n)
        pivot = t * np.sqrt(rng.chisquare(n - 1, 400_000) / (n - 1)) - rng.normal(size=400_000)
        lower, upper = np.maximum(np.quantile(pivot, [0.25, 0.75]), 0) / math.sqrt(n)
        found = seeds_needed(with_effect(effect, n))
        assert found.estimate == seeds_needed(with_effect(effect)).estimate
        assert found.low == pytest.approx(seeds_needed(with_effect(upper)).estimate, rel=0.02, abs=1)
        expected = seeds_needed(with_effect(lower)).estimate
        assert found.high == expected if expected is None else found.high == pytest.approx(expected, rel=0.04)

    def test_half_of_the_ranges_hold_the_right_number(self):
        """A pilot of 5 runs and a true effect of 0.5, which takes 34 seeds: a quarter of the ranges on either side."""
        rng = np.random.default_rng(15)
        found = [seeds_needed(draw) for draw in rng.normal(0.5, 1, size=(150, 5))]
        assert np.mean([each.low <= 34 <= (each.high or math.inf) for each in found]) == pytest.approx(0.54, abs=0.11)
        estimates = np.quantile([each.estimate or math.inf for each in found], [0.25, 0.75], method="nearest")
        assert estimates[0] < 20 and estimates[1] > 55  # the estimate alone says little
        assert all(each.low <= (each.estimate or math.inf) <= (each.high or math.inf) for each in found)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [(([],), "shape"), (([1.0, math.nan],), "nan"), (([1.0, 2.0], 1.0), "power"), (([1.0, 2.0], 0.8, 0), "alpha")],
    )
    def test_bad_input(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            seeds_needed(*arguments)
