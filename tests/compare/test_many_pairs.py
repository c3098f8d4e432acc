"""All pairs of a metric at once give what each pair alone gives, to the last bit, and letters what all groups give."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from lossbench.compare.numbers.packed_pairs import PackedPairs
from lossbench.compare.numbers.pairs import Runs, compare_pairs
from lossbench.compare.numbers.ranks import cliques
from lossbench.compare.numbers.signed_rank import signed_rank_p, signed_rank_ps
from lossbench.compare.numbers.statistics import paired_difference, paired_differences
from lossbench.compare.numbers.two_sources import runs_by_draw, runs_by_sample

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 33])
@pytest.mark.parametrize("digits", [1, 12])
def test_many_pairs_are_each_pair(n, digits):
    first, second = RNG.normal(size=(2, 20, n)).round(digits)
    second[::5] = first[::5] + 0.25  # no spread
    found = paired_differences(first, second, higher_is_better=True, among=190)
    alone = [paired_difference(*rows, higher_is_better=True, among=190) for rows in zip(first, second, strict=True)]
    assert list(map(repr, found)) == list(map(repr, alone))  # NaN is NaN


def test_the_t_test_of_many_pairs_is_that_of_scipy():
    first, second = RNG.normal(size=(2, 20, 6))
    found = [each.p_t for each in paired_differences(first, second, higher_is_better=False)]
    assert found == pytest.approx([stats.ttest_rel(*rows).pvalue for rows in zip(first, second, strict=True)])


def test_signed_ranks_against_every_way_to_sign_them():
    rows = RNG.integers(-3, 4, size=(30, 6)).astype(float)  # ties and zeros
    for row, found in zip(rows, signed_rank_ps(rows), strict=True):
        ranks = stats.rankdata(np.abs(row[row != 0]))
        sums = [ranks[list(signs)].sum() for signs in product([False, True], repeat=len(ranks))]
        seen = ranks[row[row != 0] > 0].sum()
        expected = min(1, 2 * min(np.mean(np.less_equal(sums, seen)), np.mean(np.greater_equal(sums, seen))))
        assert found == signed_rank_p(row) == pytest.approx(expected)


def test_cliques_are_all_groups_that_nothing_can_be_added_to():
    for count in range(8):
        pairs = list(combinations(range(count), 2))
        different = {pair for pair in pairs if RNG.random() < 0.4}
        fine = [
            set(group)
            for size in range(count + 1)
            for group in combinations(range(count), size)
            if not different.intersection(combinations(group, 2))
        ]
        largest = sorted(tuple(sorted(group)) for group in fine if not any(group < other for other in fine))
        assert cliques(count, list(different)) == largest


def test_sources_of_many_pairs_are_those_of_each(monkeypatch):
    runs = runs_by_sample(RNG.normal(size=(12, 40)))
    places = RNG.permuted(np.tile(np.arange(12), (7, 1)), axis=1)
    one, other = places[:, :4], places[:, 4:8]
    alone = [runs.difference(*rows)[1] for rows in zip(one, other, strict=True)]
    assert runs.differences(one, other) == alone
    monkeypatch.setattr("lossbench.compare.numbers.two_sources.LARGEST_BLOCK", 40)  # in several blocks
    assert runs.differences(one, other) == alone


@pytest.mark.parametrize("by_draw", [False, True])
def test_sources_from_deviations_of_each_seed_are_those_from_all_runs(monkeypatch, by_draw):
    losses, seeds = 7, 5
    shared, table = RNG.normal(size=60), RNG.normal(size=(losses * seeds, 60))
    table = table + 2 * shared  # most of it cancels out in a difference
    runs = runs_by_draw(table.mean(axis=1), table, 300) if by_draw else runs_by_sample(table)
    places = np.arange(losses * seeds).reshape(losses, seeds)
    first, second = np.array(list(combinations(range(losses), 2))).T
    told = []
    for most in (losses * seeds, 1):
        monkeypatch.setattr("lossbench.compare.numbers.two_sources.MOST_TOGETHER", most)
        found = runs.differences(places[first], places[second])
        told.append([(each.seeds, each.samples, each.rest, each.spread, each.sample_degrees) for each in found])
    together, each_seed = told
    for one, other in zip(together, each_seed, strict=True):
        assert other == pytest.approx(one, rel=1e-9, abs=1e-12)  # of sums of 480 numbers of about 1


@pytest.mark.parametrize("margin", [None, 0.5])
def test_packed_pairs_are_what_was_packed(margin):
    table = RNG.normal(size=(4, 6))
    table[1] = table[0] + 0.25  # no spread
    runs = {f"loss{k}": list(row) for k, row in enumerate(table)} | {"short": [0.5]}
    pairs = {
        pair: Runs(*(runs[label] for label in pair), "short" not in pair, list(range(6)))
        for pair in combinations(runs, 2) if pair != ("loss1", "loss2")
    }  # fmt: skip
    places, by_sample = np.arange(24).reshape(4, 6), runs_by_sample(RNG.normal(size=(24, 30)))
    asked = [(0, 2), (2, 3)]
    sources = {(f"loss{k}", f"loss{m}"): by_sample.difference(places[k], places[m])[1] for k, m in asked}
    found = compare_pairs(pairs, size=9, better="higher", confidence=0.95, margin=margin, sources=lambda _: sources)
    packed = PackedPairs(found)
    assert list(packed) == list(found) and len(packed) == 9
    assert {pair: repr(each) for pair, each in packed.items()} == {pair: repr(each) for pair, each in found.items()}
    for pair in [("loss1", "loss2"), ("loss2", "loss0"), ("loss0", "other")]:
        assert pair not in packed and packed.get(pair) is None
    assert ("loss0", "loss1") in packed and 3 not in packed
