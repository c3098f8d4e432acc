"""Losses over several data sets: SciPy, all signings, closed forms, and a posterior drawn another way."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from lossbench.compare.numbers.across import bayesian_signed_rank, pairwise_signed_rank
from lossbench.compare.numbers.analysis import Options, analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.report.across import rank_across, ranks_table, told
from lossbench.compare.report.figures.critical_difference import critical_difference
from tests.support.compared import made_up
from tests.support.demsar import DEMSAR


class TestPairwise:
    @pytest.mark.parametrize("n", [2, 5, 9, 20])
    def test_agrees_with_scipy_and_holm(self, n):
        scores = np.random.default_rng(n).normal(size=(n, 4)) + np.array([0, 0.2, 0.5, 1.5])
        found = pairwise_signed_rank(scores)
        pairs = list(combinations(range(4), 2))
        raw = [stats.wilcoxon(scores[:, i], scores[:, j], method="exact").pvalue for i, j in pairs]
        lowest = 0.0
        for step, which in enumerate(np.argsort(raw)):  # Holm, step by step
            lowest = max(lowest, min(1.0, raw[which] * (len(pairs) - step)))
            assert found.p[pairs[which]] == found.p[pairs[which][::-1]] == pytest.approx(lowest)
        assert found.n == n and (np.diag(found.p) == 1).all()

    def test_coarse_scores_tie_on_every_data_set(self):
        """Steps of a test set of 360 samples: equal steps share their rank, although they differ by rounding."""
        steps = np.array([2, -1, 1, 4, 1, -3, 5, 1])
        base = np.array([0.9, 0.8, 0.95, 0.7, 0.85, 0.6, 0.75, 0.65])
        found = pairwise_signed_rank(np.stack([base + steps / 360, base], axis=1)).p[0, 1]
        ranks = stats.rankdata(np.abs(steps))
        sums = np.array([ranks[np.array(signs, bool)].sum() for signs in product([0, 1], repeat=8)])
        seen = ranks[steps > 0].sum()
        assert found == pytest.approx(2 * min(np.mean(sums >= seen), np.mean(sums <= seen)))

    def test_rounding_on_one_data_set_is_no_difference(self):
        small = np.array([1e-4, 2e-4, 3e-4])
        scores = np.array([[1000.0, 1000.0 + 1e-5], *zip(small, 1.5 * small, strict=True)])
        # the first is none; the others are differences, although they are far below the precision of the first
        assert pairwise_signed_rank(scores).p[0, 1] == 2 / 2**3

    def test_a_pair_does_not_depend_on_the_others(self):
        """The point of Benavoli et al. 2016: but for the number of pairs, other losses don't matter."""
        scores = np.random.default_rng(0).normal(size=(12, 3)) + np.array([0, 0.4, 1.2])
        others = np.random.default_rng(1).normal(size=(12, 1))
        alone = pairwise_signed_rank(scores[:, [0, 2]]).p[0, 1]
        three, replaced = pairwise_signed_rank(scores), pairwise_signed_rank(np.hstack([scores[:, [0, 2]], others]))
        assert alone <= three.p[0, 2] <= 3 * alone + 1e-12 and alone <= replaced.p[0, 1] <= 3 * alone + 1e-12

    def test_cliques_of_four_learners(self):
        """Demšar's table: C4.5 against both learners with m, as his Nemenyi test at 0.1."""
        found = pairwise_signed_rank(DEMSAR, alpha=0.1)
        differ = [pair for pair in combinations(range(4), 2) if found.p[pair] <= 0.1]
        raw = {pair: stats.wilcoxon(*DEMSAR[:, pair].T, zero_method="wilcox").pvalue for pair in differ}
        assert differ == [(0, 1), (0, 3)] and max(raw.values()) < 0.1 / 4
        assert found.cliques == [(0, 2), (1, 2, 3)]

    @pytest.mark.parametrize(
        ("n", "losses", "smallest", "enough"),
        [(5, 2, 0.0625, 6), (5, 3, 0.1875, 7), (3, 10, 1.0, 11), (8, 3, 3 / 128, 7)],
    )
    def test_power(self, n, losses, smallest, enough):
        found = pairwise_signed_rank(np.arange(n * losses, dtype=float).reshape(n, losses) ** 2)
        assert (found.smallest, found.enough) == (pytest.approx(smallest), enough)
        assert found.p.min() >= smallest - 1e-12
        pairs = losses * (losses - 1) // 2
        assert pairs * 2.0 ** (1 - enough) <= 0.05 < pairs * 2.0 ** (2 - enough)

    def test_false_alarms(self):
        rng = np.random.default_rng(3)
        alarms = [len(pairwise_signed_rank(scores).cliques) > 1 for scores in rng.normal(size=(300, 10, 4))]
        assert np.mean(alarms) <= 0.08

    @pytest.mark.filterwarnings("error")
    def test_degenerate(self):
        one = pairwise_signed_rank([[1.0, 2.0, 3.0]])
        assert one.cliques == [(0, 1, 2)] and np.isnan(one.p[np.triu_indices(3, 1)]).all() and one.smallest == 1
        tied = pairwise_signed_rank(np.zeros((6, 2)))
        assert tied.cliques == [(0, 1)] and (tied.p == 1).all()
        assert pairwise_signed_rank([[1.0], [2.0]]).cliques == [(0,)]
        with pytest.raises(ValueError, match="must be a table"):
            pairwise_signed_rank([[1.0, math.nan]])
        with pytest.raises(ValueError, match="alpha=5"):
            pairwise_signed_rank([[1.0, 2.0]], alpha=5)


def drawn_another_way(z: list[float], margin: float, draws: int = 4000) -> list[float]:
    """Draw the posterior from gamma variables, and sum each pair once, as a loop: better, equal, worse."""
    rng = np.random.default_rng(42)
    z, wins = [0.0, *z], [0, 0, 0]
    for _ in range(draws):
        gammas = [rng.gamma(0.5), *(rng.exponential() for _ in z[1:])]
        total, regions = sum(gammas), [0.0, 0.0, 0.0]
        for i in range(len(z)):
            for j in range(i + 1):
                mean, mass = round((z[i] + z[j]) / 2, 9), gammas[i] * gammas[j] * (1 if i == j else 2) / total**2
                regions[0 if mean > margin else 2 if mean < -margin else 1] += mass
        wins[regions.index(max(regions))] += 1
    return [count / draws for count in wins]


class TestBayesian:
    def test_one_data_set_in_closed_form(self):
        # the weight of the prior is Beta(1/2, 1), whose distribution function is the root. Of z = 1 and margin 0 all
        # pairs but the prior with itself are better: P(w0^2 < 1/2) = 2^(-1/4). With margin 0.75 only (1, 1) is:
        # P((1 - w0)^2 > 1/2) = sqrt(1 - 2^(-1/2))
        found = bayesian_signed_rank([2.0], [1.0], higher_is_better=True)
        assert [found.better, found.equal] == pytest.approx([2**-0.25, 1 - 2**-0.25], abs=0.01)
        found = bayesian_signed_rank([2.0], [1.0], higher_is_better=True, margin=0.75)
        assert found.better == pytest.approx(math.sqrt(1 - 2**-0.5), abs=0.01) and found.worse == 0

    @pytest.mark.parametrize("margin", [0.0, 0.01, 0.05])
    def test_agrees_with_another_way_to_draw(self, margin):
        z = [0.03, -0.01, 0.02, 0.06, -0.02, 0.004]
        found = bayesian_signed_rank(np.array(z) + 0.8, np.full(6, 0.8), higher_is_better=True, margin=margin)
        expected = drawn_another_way(z, margin)
        assert [found.better, found.equal, found.worse] == pytest.approx(expected, abs=0.03)

    def test_many_data_sets_agree_with_the_signed_rank_test(self):
        """With many data sets and no margin the probability of "worse" is near the one-sided p (Benavoli et al.)."""
        rng = np.random.default_rng(5)
        values, base = rng.normal(0.2, 1, 60), np.zeros(60)
        one_sided = stats.wilcoxon(values, alternative="greater", method="approx").pvalue
        assert bayesian_signed_rank(values, base, higher_is_better=True).worse == pytest.approx(one_sided, abs=0.02)

    def test_three_data_sets_on_one_side_are_a_hint_only(self):
        """A quarter of the draws of equal losses are on one side: what is said with 0.99 is wrong too often."""
        found = bayesian_signed_rank([0.9, 0.8, 0.7], [0.85, 0.78, 0.62], higher_is_better=True)
        # all pairs of differences but that of the prior with itself are better: P(w0^2 < 1/2), w0 of Beta(1/2, 3)
        assert found.better == pytest.approx(stats.beta.cdf(math.sqrt(0.5), 0.5, 3), abs=0.004)

    def test_directions(self):
        a, b = np.random.default_rng(6).normal(size=(2, 7))
        up, back = (bayesian_signed_rank(*pair, higher_is_better=True, margin=0.1) for pair in ((a, b), (b, a)))
        down = bayesian_signed_rank(a, b, higher_is_better=False, margin=0.1)
        assert (up.better, up.equal, up.worse) == (back.worse, back.equal, back.better)
        assert (down.better, down.worse) == (up.worse, up.better)
        assert up.better + up.equal + up.worse == pytest.approx(1)

    def test_equal_losses_are_called_equal(self):
        base = np.linspace(0.6, 0.9, 8)
        found = bayesian_signed_rank(base + 0.001 * np.array([1, -1] * 4), base, higher_is_better=True, margin=0.01)
        assert found.equal == 1.0
        assert bayesian_signed_rank(base, base + 1e-9, higher_is_better=True).equal == 1.0  # below single precision

    @pytest.mark.parametrize(
        ("values", "baseline", "margin", "message"),
        [
            ([1.0], [1.0, 2.0], 0.0, "1 data sets and baseline 2"),
            ([math.nan], [1.0], 0.0, "nan"),
            ([1.0], [1.0], -1, "-1"),
        ],
    )
    def test_bad_input(self, values, baseline, margin, message):
        with pytest.raises(ValueError, match=message):
            bayesian_signed_rank(values, baseline, higher_is_better=True, margin=margin)


def ranking(datasets: int, gaps: dict[str, float], **options):
    """Losses on several data sets, each better than cross-entropy by about its gap."""
    analyses = []
    for k in range(datasets):
        entries = [
            made_up(
                loss, seed, 0.6 + 0.02 * k + gap + 0.001 * (k % 3) + 0.002 * seed,
                problem=str(k) * 9, choices={"data": f"set{k}", "model": "mlp"},
            )
            for loss, gap in {"cross_entropy": 0.0, **gaps}.items() for seed in range(2)
        ]  # fmt: skip
        analyses.append(analyse(comparisons(entries)[0], Options(**options)))
    (found,) = rank_across(analyses)
    return found


def test_with_few_data_sets_the_report_says_what_they_can_show():
    across = ranking(3, {"focal": 0.1, "ldam": -0.1}, margin=0.01)
    text = told(across)
    assert "focal is not shown to differ from any loss (signed-rank tests over data sets at 0.05, Holm over 3" in text
    assert "with 3 data sets no p can be below 0.75 after Holm, only from 7 data sets on at most 0.05" in text
    assert "A hint that so few can give: on the whole focal is better than cross_entropy with a probability of" in text
    assert "equal within ±0.01" in text and "Nemenyi" in text
    table = ranks_table(across)
    assert table.heading[2:7] == ["group", "p vs cross_entropy", "P(better)", "P(equal)", "P(worse)"]
    rows = {row[0]: row[1:7] for row in table.rows}
    assert rows["cross_entropy"][2:] == ["–"] * 4 and rows["focal"][1] == rows["ldam"][1] == "a"
    assert rows["focal"][2:] == ["0.750", ">0.99", "<0.01", "<0.01"] and rows["ldam"][5] == ">0.99"


def test_with_many_data_sets_pairs_differ():
    across = ranking(9, {"focal": 0.1, "ldam": -0.1})
    text = told(across)
    assert "Pair by pair focal differs from every other loss" in text and "Bayesian" not in text
    assert [row[2] for row in ranks_table(across).rows] == ["a", "b", "c"]
    picture = critical_difference(across)
    assert not [line for line in picture.figure.axes[0].lines if line.get_linestyle() == "None"]  # no clique, no bar


def test_two_losses_have_a_test_and_a_picture():
    across = ranking(7, {"focal": 0.1})
    assert "Friedman" not in told(across) and "Nemenyi" not in told(across)
    assert "Pair by pair focal differs from cross_entropy (signed-rank tests over data sets at 0.05)" in told(across)
    assert "7 data sets" in critical_difference(across).caption
