"""Corruptions against published counts and rates."""

import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import train_test_split

from lossbench.data.corruptions import choose_per_class, contaminate, imbalanced_counts, part_of, stratified_subset
from lossbench.errors import ConfigError

CIFAR10_LABELS = np.repeat(np.arange(10), 5000)


def rng(seed=0):
    return np.random.default_rng(seed)


# Totals of Cui et al. 2019 and Cao et al. 2019; 12406 and 10847 also stand in google-research/logit_adjustment.
@pytest.mark.parametrize(
    ("num_classes", "kind", "factor", "total", "tail"),
    [
        (10, "exp", 200, 11203, 25),
        (10, "exp", 100, 12406, 50),
        (10, "exp", 50, 13996, 100),
        (10, "exp", 20, 17023, 250),
        (10, "exp", 10, 20431, 500),
        (10, "step", 100, 25250, 50),
        (10, "step", 50, 25500, 100),
        (10, "step", 10, 27500, 500),
        (100, "exp", 200, 9502, 2),
        (100, "exp", 100, 10847, 5),
        (100, "exp", 50, 12608, 10),
        (100, "exp", 20, 15907, 25),
        (100, "exp", 10, 19573, 50),
        (100, "step", 100, 25250, 5),
        (100, "step", 50, 25500, 10),
        (100, "step", 10, 27500, 50),
    ],
)
def test_counts_of_long_tailed_cifar(num_classes, kind, factor, total, tail):
    counts = imbalanced_counts(kind, factor, 50000 // num_classes, num_classes)
    assert (sum(counts), counts[-1], counts[0]) == (total, tail, 50000 // num_classes)
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    ("factor", "n_max", "counts"),
    [
        (100, 5000, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        (50, 5000, [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100]),
        (10, 5000, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
        (200, 5000, [5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25]),
        (20, 5000, [5000, 3584, 2569, 1842, 1320, 946, 678, 486, 348, 250]),
        (100, 1000, [1000, 599, 359, 215, 129, 77, 46, 27, 16, 10]),
    ],
)
def test_counts_of_each_class(factor, n_max, counts):
    assert imbalanced_counts("exp", factor, n_max, 10) == counts


def test_counts_of_the_step():
    assert imbalanced_counts("step", 100, 5000, 10) == [5000] * 5 + [50] * 5
    assert imbalanced_counts("step", 2, 10, 3) == [10, 5, 5]


@pytest.mark.parametrize("n_max", [49, 98, 343, 4900])
def test_tail_is_exact_where_a_float_quotient_is_not(n_max):
    assert imbalanced_counts("exp", 49, n_max, 10)[-1] == n_max // 49


def test_no_imbalance_is_balance():
    assert imbalanced_counts("none", 1, 7, 3) == [7, 7, 7]


@pytest.mark.parametrize("kind", ["exp", "step"])
def test_an_empty_tail_is_an_error(kind):
    with pytest.raises(ConfigError, match="factor of at most 124"):
        imbalanced_counts(kind, 200, 124, 10)


def test_choose_per_class_keeps_what_is_asked_for():
    labels = rng().permutation(np.repeat([0, 1, 2], 20))
    chosen = choose_per_class(labels, [20, 5, 1], rng(1))
    assert np.bincount(labels[chosen]).tolist() == [20, 5, 1]
    assert len(np.unique(chosen)) == 26
    with pytest.raises(ConfigError, match="21 samples of class 1, which has 20"):
        choose_per_class(labels, [1, 21, 1], rng(1))


def test_part_of_ignores_rounding_errors():
    assert [part_of(100, percent / 100) for percent in range(101)] == list(range(101))


@pytest.mark.parametrize("size", [1, 3, 10, 50, 99, 100, 1000])
def test_stratified_subset_has_exactly_the_size(size):
    labels = np.repeat([0, 1, 2, 4], [60, 30, 9, 1])
    chosen = stratified_subset(labels, size, rng())
    assert len(chosen) == len(np.unique(chosen)) == min(size, 100)
    if size >= 4:
        assert set(labels[chosen]) == {0, 1, 2, 4}


def test_stratified_subset_has_the_proportions_of_scikit_learn():
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    theirs, _ = train_test_split(labels, train_size=55, stratify=labels, random_state=0)
    ours = np.bincount(labels[stratified_subset(labels, 55, rng())])
    assert np.abs(ours - np.bincount(theirs)).max() <= 1
    assert ours.sum() == 55


def problem(n=2000):
    inputs = rng(7).normal(3, 2, size=(n, 3)).astype(np.float32)
    return inputs, (10 + 4 * rng(8).normal(size=n)).astype(np.float32)


@pytest.mark.parametrize("kind", ["vertical", "leverage", "heavy_tail", "heteroscedastic"])
def test_contamination_touches_the_masked_samples_only(kind):
    x, y = problem()
    kept = x.copy(), y.copy()
    x_new, y_new, mask = contaminate(kind, x, y, rng(), fraction=0.1, scale=5)
    assert mask.sum() == 200
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])
    np.testing.assert_array_equal(x_new[~mask], x[~mask])
    np.testing.assert_array_equal(y_new[~mask], y[~mask])
    assert (x_new.dtype, y_new.dtype) == (np.float32, np.float32)
    assert ((x_new[mask] != x[mask]).all(), (y_new[mask] == y[mask]).all()) == ((kind == "leverage",) * 2)


def test_vertical_shift_is_a_multiple_of_the_deviation():
    x, y = problem()
    _, up, mask = contaminate("vertical", x, y, rng(), fraction=0.5, scale=3)
    np.testing.assert_allclose((up - y)[mask], 3 * y.std(), rtol=1e-4)
    _, both, mask = contaminate("vertical", x, y, rng(), fraction=0.5, scale=3, shift="symmetric")
    np.testing.assert_allclose(np.abs(both - y)[mask], 3 * y.std(), rtol=1e-4)
    assert 400 < (both > y)[mask].sum() < 600


def test_leverage_moves_every_feature_by_its_own_deviation():
    x, y = problem()
    far, _, mask = contaminate("leverage", x * [1, 10, 100], y, rng(), fraction=0.1, scale=4)
    moved = np.abs(far - x * [1, 10, 100])[mask] / (x * [1, 10, 100]).std(0)
    np.testing.assert_allclose(moved, 4, rtol=1e-4)


def test_heavy_tails_follow_student_t():
    x, y = problem(5000)
    _, noisy, _ = contaminate("heavy_tail", x, y.astype(float), rng(), fraction=1, scale=0.5, df=2.5)
    noise = (noisy - y) / (0.5 * y.astype(float).std())
    assert stats.kstest(noise, stats.t(2.5).cdf).pvalue > 1e-3


def test_heteroscedastic_noise_grows_with_the_rank():
    x, y = problem(10000)
    _, noisy, _ = contaminate("heteroscedastic", x, y.astype(float), rng(), fraction=1, scale=2)
    rank = stats.rankdata(y)
    standard = (noisy - y)[rank > 1] / (2 * y.astype(float).std() * (rank[rank > 1] - 1) / 9999)
    assert stats.kstest(standard, "norm").pvalue > 1e-3


@pytest.mark.parametrize("settings", [{"kind": "vertikal"}, {"kind": "vertical", "shift": "down"}])
def test_unknown_contamination(settings):
    with pytest.raises(ConfigError, match="is not known"):
        contaminate(inputs=np.zeros((3, 1)), target=np.zeros(3), rng=rng(), fraction=1, scale=1, **settings)
