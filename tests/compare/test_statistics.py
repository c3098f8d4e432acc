"""Intervals and paired tests: hand-worked numbers, published examples, SciPy, and simulation."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

from lossbench.compare.numbers.across import holm
from lossbench.compare.numbers.statistics import BCA_FROM, NO_TEST, mean_interval, paired_difference, smallest_p
from lossbench.compare.numbers.unpaired import unpaired_difference

# Student 1908, hours of sleep gained with two drugs by ten patients
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
# Darwin 1876, crossed minus self-fertilised maize, eighths of an inch; analysed in Fisher, The Design of Experiments
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]

better = partial(paired_difference, higher_is_better=True)


class TestMeanInterval:
    def test_by_hand(self):
        # 1, 2, 3: mean 2, sd 1, standard error 1 / sqrt 3 = 0.57735, t(0.975, 2) = 4.30265 (any t table): 2 +- 2.48414
        result = mean_interval([1, 2, 3])
        assert (result.n, result.mean, result.sd, result.kind) == (3, 2, 1, "95% Student t")
        assert (result.low, result.high) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-5)

    @pytest.mark.parametrize("confidence", [0.5, 0.9, 0.995])
    def test_agrees_with_scipy(self, confidence):
        values = np.random.default_rng(1).gamma(2, size=7)
        result = mean_interval(values, confidence)
        reference = stats.ttest_1samp(values, 0).confidence_interval(confidence)
        assert (result.low, result.high) == pytest.approx(tuple(reference), rel=1e-12)
        assert result.kind == f"{100 * confidence:g}% Student t"

    @pytest.mark.parametrize("method", ["t", "bca"])
    @pytest.mark.filterwarnings("error")
    def test_degenerate(self, method):
        one = mean_interval([0.3], method=method)
        assert (one.n, one.mean) == (1, 0.3) and all(math.isnan(x) for x in (one.sd, one.low, one.high))
        two = mean_interval([1.0, 2.0], method=method)
        assert two.low <= 1 and two.high >= 2

    def test_bca_moves_with_the_data_and_is_repeatable(self):
        values = np.random.default_rng(2).lognormal(size=BCA_FROM)
        first = mean_interval(values, method="bca")
        assert first == mean_interval(values, method="bca")
        moved = mean_interval(3 * values + 7, method="bca")
        assert (moved.low, moved.high) == pytest.approx((3 * first.low + 7, 3 * first.high + 7), rel=1e-3)
        assert first.high - first.mean > first.mean - first.low  # it follows the long tail
        assert first.kind == "95% BCa bootstrap"

    def test_coverage_of_t(self):
        draws = np.random.default_rng(3).normal(5, 2, size=(2000, 5))
        covered = [r.low <= 5 <= r.high for r in map(mean_interval, draws)]
        assert np.mean(covered) == pytest.approx(0.95, abs=0.015)

    def test_coverage_of_bca(self):
        # measured: 0.847 with 5 runs and 0.895 with 10 (1500 draws), 0.916 with 15 and 0.922 with 20 (3500 draws)
        draws = np.random.default_rng(4).normal(5, 2, size=(500, BCA_FROM))
        results = [mean_interval(row, method="bca") for row in draws]
        assert {result.kind for result in results} == {"95% BCa bootstrap"}
        assert np.mean([r.low <= 5 <= r.high for r in results]) == pytest.approx(0.915, abs=0.04)

    def test_few_runs_get_a_t_interval_that_says_so(self):
        values = np.random.default_rng(4).normal(size=BCA_FROM - 1)
        asked, plain = mean_interval(values, method="bca"), mean_interval(values)
        assert (asked.low, asked.high) == (plain.low, plain.high)
        assert asked.kind == "95% Student t (BCa needs 15 runs)"

    @pytest.mark.parametrize("method", ["t", "bca"])
    @pytest.mark.parametrize("same", [[0.1] * 3, [0.0] * 4, [1.0] * 30, np.float32([0.7, 0.7]), [0.3, 0.1 + 0.2]])
    @pytest.mark.filterwarnings("error")
    def test_runs_without_spread_have_no_interval(self, same, method):
        result = mean_interval(same, method=method)
        assert result.mean == pytest.approx(same[0]) and result.sd == 0 and result.n == len(same)
        assert math.isnan(result.low) and math.isnan(result.high)
        assert result.note == "no spread, too coarse to tell"

    def test_the_smallest_spread_of_a_coarse_metric_is_one(self):
        result = mean_interval([0.9, 0.9, 0.9 + 1 / 60_000])  # a sample of 60 000
        assert result.note == "" and result.low < result.mean < result.high

    def test_coverage_of_a_coarse_metric(self):
        # accuracy over 360 samples, three seeds that differ by a sample at most: width zero would cover 77 %
        rng = np.random.default_rng(6)
        runs = np.round(rng.normal(350.2, 0.6, size=(2000, 3)))
        steps = np.arange(345, 357)  # the mean of the rounded values, in closed form
        chances = np.diff(stats.norm.cdf(np.append(steps - 0.5, 356.5), 350.2, 0.6))
        true = float((steps * chances).sum() / 360)
        results = [mean_interval(row / 360) for row in runs]
        covered = [result.low <= true <= result.high for result in results if not result.note]
        assert np.mean([bool(result.note) for result in results]) == pytest.approx(0.22, abs=0.03)
        assert np.mean(covered) > 0.95 and np.sum(covered) / len(results) < 0.8

    def test_several_intervals_hold_together(self):
        rng = np.random.default_rng(7)
        alone, together = 0, 0
        for runs in rng.normal(size=(500, 4, 6)):
            alone += all(r.low <= 0 <= r.high for r in (mean_interval(row) for row in runs))
            together += all(r.low <= 0 <= r.high for r in (mean_interval(row, among=4) for row in runs))
        assert together / 500 == pytest.approx(1 - 4 * 0.0125, abs=0.025) and alone / 500 < 0.87
        one, four = mean_interval([1, 2, 3], 0.9875), mean_interval([1, 2, 3], 0.95, among=4)
        assert (four.low, four.high) == pytest.approx((one.low, one.high))
        assert four.kind == "simultaneous 95% Student t"
        with pytest.raises(ValueError, match="among=0"):
            mean_interval([1, 2, 3], among=0)

    def test_bounds_cut(self):
        values = [0.95, 0.99, 1.0]
        free, cut = mean_interval(values), mean_interval(values, bounds=(0.0, 1.0))
        assert free.high > 1 == cut.high and (cut.low, cut.mean, cut.sd) == (free.low, free.mean, free.sd)
        assert math.isnan(mean_interval([1.0], bounds=(0.0, 1.0)).low)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([],), "shape"),
            (([[1.0, 2.0]],), "shape"),
            (([1.0, math.nan],), r"values\[1\] is nan"),
            (([1.0, math.inf],), r"values\[1\] is inf"),
            (([1.0, 2.0], 95), "confidence=95"),
            (([1.0, 2.0], 0.95, "percentile"), "method='percentile'"),
        ],
    )
    def test_bad_input(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            mean_interval(*arguments)


class TestPairedDifference:
    def test_sleep(self):
        # Student 1908 and R's t.test(extra ~ group, paired): t = 4.0621, p = 0.002833, interval 0.7001 ... 2.4599
        # signed ranks: one zero is dropped, the other nine are all positive: p = 2 / 2^9
        result = better(DRUG_2, DRUG_1)
        assert (result.n, result.kind) == (10, "95% Student t")
        assert result.mean == pytest.approx(1.58)
        assert (result.low, result.high, result.p_t) == pytest.approx((0.7001142, 2.4598858, 0.00283289), rel=1e-5)
        assert result.p_wilcoxon == 2 / 2**9
        assert result.effect_size == pytest.approx(4.0621 / math.sqrt(10), rel=1e-4)
        assert result.improvement == 0.95  # nine wins and a tie

    def test_maize(self):
        # Fisher: t = 2.148 with 14 degrees of freedom, p just below 5%; R's wilcox.test: V = 96, exact p = 0.04126
        result = better(MAIZE, np.zeros(15))
        assert result.effect_size * math.sqrt(15) == pytest.approx(2.148, abs=5e-4)
        assert result.p_t == pytest.approx(0.0497, abs=5e-5)
        assert result.p_wilcoxon == pytest.approx(0.04126, abs=5e-6)

    def test_ties_by_hand(self):
        # differences 1, 1, -2: ranks 1.5, 1.5, 3. Sums of the positive ranks over the 8 signings:
        # 0, 1.5, 1.5, 3, 3, 4.5, 4.5, 6. Seen: 3; P(<= 3) = 5/8, P(>= 3) = 5/8, twice that is capped at 1.
        assert better([1, 1, -2], [0, 0, 0]).p_wilcoxon == 1
        # 1, 1, 2, -1: ranks 2, 2, 4, 2, seen 8 of 10; sums >= 8: 8 (three ways), 10: 4/16; p = 8/16
        assert better([1, 1, 2, -1], [0, 0, 0, 0]).p_wilcoxon == 0.5

    @pytest.mark.parametrize("n", [2, 5, 9, 25, 50])
    def test_signed_ranks_agree_with_scipy_without_ties(self, n):
        rng = np.random.default_rng(n)
        a, b = rng.normal(0.3, 1, n), rng.normal(0, 1, n)
        assert better(a, b).p_wilcoxon == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue, rel=1e-9)

    @pytest.mark.parametrize("seed", range(4))
    def test_signed_ranks_agree_with_all_permutations_with_ties(self, seed):
        differences = np.random.default_rng(seed).integers(-2, 5, size=9) / 360.0  # an accuracy over 360 samples

        def positive_ranks(d):
            return stats.rankdata(np.abs(d[d != 0]))[d[d != 0] > 0].sum()

        reference = stats.permutation_test((differences,), positive_ranks, permutation_type="samples", n_resamples=512)
        assert better(0.9 + differences, np.full(9, 0.9)).p_wilcoxon == pytest.approx(reference.pvalue)

    def test_signed_ranks_near_the_normal_limit(self):
        rng = np.random.default_rng(5)
        a, b = rng.normal(0.1, 1, 150), rng.normal(0, 1, 150)
        reference = stats.wilcoxon(a, b, method="asymptotic").pvalue
        assert better(a, b).p_wilcoxon == pytest.approx(reference, abs=2e-3)

    def test_directions(self):
        a, b = np.random.default_rng(6).normal(size=(2, 8))
        forward, backward, lower = better(a, b), better(b, a), paired_difference(a, b, higher_is_better=False)
        assert (backward.mean, backward.low, backward.high) == pytest.approx(
            (-forward.mean, -forward.high, -forward.low)
        )
        assert (backward.p_t, backward.p_wilcoxon) == pytest.approx((forward.p_t, forward.p_wilcoxon))
        assert backward.effect_size == pytest.approx(-forward.effect_size)
        assert forward.improvement == np.mean(a > b) == 1 - backward.improvement == 1 - lower.improvement
        assert (lower.mean, lower.p_t) == (forward.mean, forward.p_t)

    def test_a_shared_seed_effect_cancels(self):
        a, b, shared = np.random.default_rng(7).normal(size=(3, 6))
        plain, shifted = better(a, b), better(a + 100 * shared, b + 100 * shared)
        assert (shifted.low, shifted.high, shifted.p_t) == pytest.approx((plain.low, plain.high, plain.p_t))

    @pytest.mark.filterwarnings("error")
    def test_degenerate(self):
        one = better([0.6], [0.5])
        assert all(math.isnan(x) for x in (one.low, one.high, one.p_t, one.effect_size))
        assert (one.n, one.p_wilcoxon, one.improvement, one.note) == (1, 1, 1, "")

    @pytest.mark.parametrize(
        ("differences", "p_wilcoxon", "improvement"),
        [
            ([0.0] * 3, 1, 0.5),
            ([0.05] * 3, 0.25, 1),
            ([-0.05] * 6, 0.03125, 0),
            ([0.1 + 0.2 - 0.3, 0.0], 1, 0.5),
        ],
    )
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.filterwarnings("error")
    def test_differences_without_spread_have_no_t_test(self, differences, p_wilcoxon, improvement, dtype):
        """18/360 better with each of 3 seeds: the spread that is left is rounding, and a t test gives p < 1e-6."""
        baseline = np.array([0.91, 0.93, 0.94, 0.92, 0.9, 0.95][: len(differences)], dtype)
        values = (baseline.astype(float) + differences).astype(dtype)
        result = better(values, baseline, among=3)
        assert result.mean == pytest.approx(np.mean(differences), abs=1e-7)
        assert all(math.isnan(x) for x in (result.low, result.high, result.p_t, result.effect_size))
        assert result.note == NO_TEST == "no spread, no test"
        assert (result.p_wilcoxon, result.improvement) == (p_wilcoxon, improvement)

    def test_simultaneous(self):
        a, b = np.random.default_rng(10).normal(size=(2, 8))
        for compare in (paired_difference, unpaired_difference):
            three = compare(a, b, higher_is_better=True, among=3)
            wider = compare(a, b, higher_is_better=True, confidence=1 - 0.05 / 3)
            assert (three.low, three.high, three.p_t) == pytest.approx((wider.low, wider.high, wider.p_t))
            assert three.kind.startswith("simultaneous 95% ")

    def test_other_seeds_without_spread(self):
        result = unpaired_difference([0.9, 0.9], [0.8, 0.8, 0.8], higher_is_better=True)
        assert result.note == NO_TEST and math.isnan(result.low) and math.isnan(result.p_t)
        assert unpaired_difference([0.9], [0.8, 0.8], higher_is_better=True).note == ""

    def test_coverage(self):
        rng = np.random.default_rng(8)
        seed_effect = rng.normal(0, 3, size=(2000, 5))  # larger than the noise, as in real sweeps
        a = 1 + seed_effect + rng.normal(size=(2000, 5))
        b = seed_effect + rng.normal(size=(2000, 5))
        results = [better(x, y) for x, y in zip(a, b, strict=True)]
        assert np.mean([r.low <= 1 <= r.high for r in results]) == pytest.approx(0.95, abs=0.015)

    def test_false_alarms(self):
        rng = np.random.default_rng(9)
        results = [better(x, y) for x, y in rng.normal(size=(2000, 2, 8))]
        assert np.mean([r.p_t <= 0.05 for r in results]) == pytest.approx(0.05, abs=0.015)
        # exact and discrete: of the sums 0 ... 36 those up to 3 and from 33 on have p <= 0.05, 2 * 5 of 256 signings
        assert np.mean([r.p_wilcoxon <= 0.05 for r in results]) == pytest.approx(10 / 256, abs=0.013)

    @pytest.mark.parametrize(
        ("values", "baseline", "message"),
        [
            ([1.0, 2.0], [1.0], "2 runs and baseline 1"),
            ([], [], "values has shape"),
            ([1.0], [math.nan], r"baseline\[0\] is nan"),
        ],
    )
    def test_bad_input(self, values, baseline, message):
        with pytest.raises(ValueError, match=message):
            better(values, baseline)


class TestHolm:
    def test_by_hand(self):
        # in order: 0.005 * 4 = 0.02, 0.01 * 3 = 0.03, 0.03 * 2 = 0.06, 0.04 * 1 raised to 0.06
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_capped_and_monotone(self):
        p = np.random.default_rng(0).uniform(size=50)
        adjusted = holm(p)
        assert (adjusted >= p).all() and adjusted.max() == 1
        assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
        assert adjusted[p.argmin()] == pytest.approx(min(1, 50 * p.min()))  # the first step is Bonferroni's

    def test_nan_is_kept_and_not_counted(self):
        adjusted = holm([0.02, math.nan, 0.03])
        assert adjusted[[0, 2]] == pytest.approx([0.04, 0.04]) and math.isnan(adjusted[1])
        assert np.isnan(holm([math.nan, math.nan])).all()
        assert holm([]).shape == (0,)

    @pytest.mark.parametrize("p", [[0.5, 1.5], [-0.1], [[0.5]], 0.5])
    def test_bad_input(self, p):
        with pytest.raises(ValueError, match="in \\[0, 1\\]"):
            holm(p)

    def test_any_false_alarm_with_one_shared_baseline(self):
        rng = np.random.default_rng(11)
        draws = rng.normal(size=(600, 5, 5))  # repetition, loss (the first is the baseline), seed
        alarms = [min(holm([better(x, runs[0]).p_t for x in runs[1:]])) <= 0.05 for runs in draws]
        assert np.mean(alarms) <= 0.06


@pytest.mark.parametrize(
    ("n", "p"), [(1, 1), (2, 0.5), (3, 0.25), (5, 0.0625), (6, 0.03125), (9, 0.00390625), (11, 0.0009765625)]
)
def test_smallest_p(n, p):
    assert smallest_p(n) == p
    differences = np.arange(1.0, n + 1)  # all on one side: nothing is more extreme
    assert better(differences, np.zeros(n)).p_wilcoxon == p


def test_smallest_p_of_bad_input():
    with pytest.raises(ValueError, match="n=0"):
        smallest_p(0)
