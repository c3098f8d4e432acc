import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import ttest_1samp

from lossbench.rag.ppi import NO_DISAGREEMENT, prediction_powered_mean

Z = 1.959963984540054


def made_up(rng, labelled=60, others=600, truth=0.6, wrong=(0.3, 0.1)):
    """People say yes with probability `truth`; the judge is wrong on a no and on a yes as often as `wrong` says."""
    y = rng.random(labelled + others) < truth
    f = np.where(y, rng.random(len(y)) >= wrong[1], rng.random(len(y)) < wrong[0])
    return y[:labelled], f[:labelled], f[labelled:]


def test_against_a_calculation_by_hand():
    y, f, g = [1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 1], [1, 0, 0, 1, 1, 0, 1, 0]
    found = prediction_powered_mean(y, f, g, bounds=(-9, 9))
    mean = 4 / 8 + (0 - 1 + 0 + 1 + 0 + 0) / 6
    variance = (8 * 0.25 / 7) / 8 + (2 / 5) / 6
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((mean - Z * variance**0.5, mean + Z * variance**0.5))
    assert (found.n, found.n_judged, found.weight, found.kind, found.note) == (6, 8, 1.0, "95% PPI", "")


@pytest.mark.parametrize("form", ["plain", "tuned"])
def test_the_interval_covers_what_it_says(form):
    rng = np.random.default_rng(0)
    found = [prediction_powered_mean(*made_up(rng), form=form) for _ in range(1500)]
    covered = np.mean([each.low <= 0.6 <= each.high for each in found])
    assert 0.93 < covered < 0.97
    assert np.mean([each.mean for each in found]) == pytest.approx(0.6, abs=0.006)


def test_the_judge_alone_would_be_wrong():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(300):
        interval = ttest_1samp(made_up(rng)[2], 0).confidence_interval()
        covered.append(interval.low <= 0.6 <= interval.high)
    assert np.mean(covered) < 0.5


def test_tuning_minimises_the_variance():
    y, f, g = (values.astype(float) for values in made_up(np.random.default_rng(2), 2000, 4000))

    def variance(weight):
        return np.var(y - weight * f, ddof=1) / len(y) + weight**2 * np.var(g, ddof=1) / len(g)

    tuned = prediction_powered_mean(y, f, g, form="tuned")
    best = minimize_scalar(variance, bounds=(0, 1), method="bounded").x
    assert tuned.weight == pytest.approx(best, abs=0.01) and tuned.kind == "95% PPI++"
    assert tuned.high - tuned.low == pytest.approx(2 * Z * variance(best) ** 0.5, rel=1e-3)
    assert tuned.high - tuned.low < min(2 * Z * variance(weight) ** 0.5 for weight in (0, 1))


def test_a_judge_who_tosses_a_coin_is_left_out_by_tuning():
    rng = np.random.default_rng(3)
    y, f, g = rng.random(200) < 0.5, rng.random(200) < 0.5, rng.random(2000) < 0.5
    plain, tuned = (prediction_powered_mean(y, f, g, form=form) for form in ("plain", "tuned"))
    assert tuned.weight < 0.15 and tuned.high - tuned.low < plain.high - plain.low


@pytest.mark.parametrize("form", ["plain", "tuned"])
def test_without_other_cases_it_is_the_mean_of_the_labels(form):
    y = [1, 1, 0, 1]
    found = prediction_powered_mean(y, [0, 1, 0, 1], [], form=form, bounds=(-9, 9))
    half = Z * np.std(y, ddof=1) / 2
    assert (found.mean, found.low, found.high) == pytest.approx((0.75, 0.75 - half, 0.75 + half))
    assert (found.weight, found.kind) == (0.0, "95% normal")


def test_limits():
    assert prediction_powered_mean([1, 0], [1, 0], [1, 1, 0]).note == NO_DISAGREEMENT
    assert prediction_powered_mean([1, 0], [1, 1], [1, 1, 1], form="tuned").weight == 0  # it always says the same
    cut = prediction_powered_mean([1, 1, 0], [0, 0, 0], [1, 1, 1, 0])
    assert (cut.mean, cut.high) == (1, 1) and cut.low >= 0
    with pytest.raises(ValueError, match="at least 2"):
        prediction_powered_mean([1], [1], [0, 1])
    with pytest.raises(ValueError, match="2 labels and 3 verdicts"):
        prediction_powered_mean([1, 0], [1, 0, 1], [0, 1])
