"""Letters and mean ranks: published tables, constructed cases, simulation."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from lossbench.compare.numbers.ranks import average_ranks, letter_display
from tests.support.demsar import DEMSAR


class TestLetterDisplay:
    @pytest.mark.parametrize(
        ("count", "different", "letters"),
        [
            (1, [], ["a"]),
            (3, [], ["a", "a", "a"]),
            (3, [(0, 1), (0, 2), (1, 2)], ["a", "b", "c"]),
            (3, [(0, 2)], ["a", "ab", "b"]),  # the middle one is like both ends
            (3, [(0, 1)], ["a", "b", "ab"]),  # the worst, if noisy, is like both of the others
            (4, [(0, 2), (0, 3), (1, 3)], ["a", "ab", "bc", "c"]),
            (4, [(0, 2), (1, 3)], ["ab", "ac", "cd", "bd"]),  # a ring: no order of the items makes groups of neighbours
            (4, [(0, 1), (0, 2), (0, 3)], ["a", "b", "b", "b"]),
        ],
    )
    def test_by_hand(self, count, different, letters):
        assert letter_display(count, different) == letters

    @pytest.mark.parametrize("seed", range(20))
    def test_any_pattern_is_shown_exactly(self, seed):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(2, 10))
        pairs = list(combinations(range(count), 2))
        different = [pairs[i] for i in rng.permutation(len(pairs))[: rng.integers(0, len(pairs) + 1)]]
        letters = letter_display(count, different)
        for pair in pairs:
            assert set(letters[pair[0]]).isdisjoint(letters[pair[1]]) == (pair in different)
        groups = [{i for i in range(count) if name in letters[i]} for name in sorted(set("".join(letters)))]
        assert not any(first <= second for first in groups for second in groups if first is not second)
        assert sorted(groups, key=sorted) == groups
        assert letter_display(count, different[::-1]) == letters  # the order of the pairs doesn't matter

    def test_more_groups_than_letters(self):
        letters = letter_display(54, list(combinations(range(54), 2)))
        assert len(set(letters)) == 54
        assert (letters[0], letters[51], letters[52]) == ("a", "Z", "a'")


class TestAverageRanks:
    def test_demsar(self):
        # his section 3.2: mean ranks, chi-square 9.28, CD 1.25 and, at level 0.1, 1.12. He doesn't correct for ties;
        # three pairs and one four of equal ranks divide chi-square by 1 - (3 (2^3 - 2) + (4^3 - 4)) / (14 (4^3 - 4))
        summary = average_ranks(DEMSAR, higher_is_better=True)
        assert summary.n == 14
        assert summary.ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
        assert summary.critical_difference == pytest.approx(1.25, abs=5e-3)
        assert summary.friedman_p == pytest.approx(stats.chi2.sf(9.28 / (1 - 78 / 840), 3), abs=5e-5)
        assert average_ranks(DEMSAR, higher_is_better=True, alpha=0.1).critical_difference == pytest.approx(
            1.12, abs=5e-3
        )

    @pytest.mark.parametrize(
        ("k", "q_05", "q_10"), [(3, 2.343, 2.052), (4, 2.569, 2.291), (5, 2.728, 2.459), (10, 3.164, 2.920)]
    )
    def test_critical_values_of_demsar(self, k, q_05, q_10):
        scores = np.random.default_rng(0).normal(size=(6, k))
        for alpha, q in ((0.05, q_05), (0.10, q_10)):
            found = average_ranks(scores, higher_is_better=True, alpha=alpha).critical_difference
            assert found / math.sqrt(k * (k + 1) / (6 * 6)) == pytest.approx(q, abs=1.1e-3)

    def test_friedman_by_hand(self):
        # ranks 1 2 3, 1 2 3, 2 1 3: means 4/3, 5/3, 3. chi2 = 12 N / (k (k + 1)) (16/9 + 25/9 + 9 - k (k + 1)^2 / 4)
        # = 3 (41/9 - 3) = 14/3; with 2 degrees of freedom p = exp(-7/3)
        summary = average_ranks([[1, 2, 3], [10, 20, 30], [2, 1, 3]], higher_is_better=False)
        assert summary.ranks == pytest.approx([4 / 3, 5 / 3, 3])
        assert summary.friedman_p == pytest.approx(math.exp(-7 / 3))

    def test_nemenyi_agrees_with_simulation(self):
        # under the null the mean ranks of many data sets are normal, and the p is that of their range
        scores = np.array([[1, 2, 3], [1, 3, 2], [1, 2, 3], [2, 1, 3]])
        summary = average_ranks(scores, higher_is_better=False)
        assert summary.ranks == pytest.approx([1.25, 2, 2.75])
        spread = np.ptp(np.random.default_rng(1).normal(size=(200_000, 3)), axis=1)
        for i, j in combinations(range(3), 2):
            seen = abs(summary.ranks[i] - summary.ranks[j]) / math.sqrt(3 * 4 / (12 * 4))
            assert summary.nemenyi_p[i, j] == pytest.approx(np.mean(spread >= seen), abs=4e-3)
        assert (summary.nemenyi_p == summary.nemenyi_p.T).all() and (np.diag(summary.nemenyi_p) == 1).all()

    def test_p_and_critical_difference_agree(self):
        summary = average_ranks(DEMSAR, higher_is_better=True, alpha=0.1)
        gaps = np.abs(summary.ranks[:, None] - summary.ranks)
        assert ((summary.nemenyi_p < 0.1) == (gaps > summary.critical_difference)).all()
        assert (gaps > summary.critical_difference).sum() == 4  # he names two: C4.5 against both learners with m

    def test_only_the_order_counts(self):
        summary = average_ranks(DEMSAR, higher_is_better=True)
        scales = np.arange(1, 15)[:, None]
        for other in (
            average_ranks(scales * np.exp(DEMSAR), higher_is_better=True),
            average_ranks(-DEMSAR, higher_is_better=False),
        ):
            assert (other.ranks == summary.ranks).all() and other.friedman_p == summary.friedman_p

    @pytest.mark.filterwarnings("error")
    def test_degenerate(self):
        for scores in ([[1.0, 2.0, 3.0]], [[1.0, 2.0], [3.0, 4.0]], [[1.0]]):
            summary = average_ranks(scores, higher_is_better=False)
            assert summary.ranks.tolist() == list(range(1, len(scores[0]) + 1))
            assert math.isnan(summary.friedman_p) and math.isnan(summary.critical_difference)
            assert np.isnan(summary.nemenyi_p).all()
        tied = average_ranks(np.ones((4, 3)), higher_is_better=True)
        assert tied.ranks.tolist() == [2, 2, 2] and tied.friedman_p == 1 and (tied.nemenyi_p == 1).all()

    @pytest.mark.parametrize("scores", [[], [1.0, 2.0], [[1.0, math.nan]], np.empty((2, 0))])
    def test_bad_input(self, scores):
        with pytest.raises(ValueError, match="must be a table"):
            average_ranks(scores, higher_is_better=True)
