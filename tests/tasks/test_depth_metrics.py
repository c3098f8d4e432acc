"""The metrics of depth against scikit-learn, torchmetrics, numpy and all pairs of pixels, and unknown depth."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_percentage_error, root_mean_squared_error
from torchmetrics.functional.regression import mean_absolute_percentage_error as torchmetrics_mape
from torchmetrics.functional.regression import mean_squared_error, mean_squared_log_error

from lossbench.tasks.depth.metrics import depth_metrics, ordinal_disagreement, relative_errors
from tests.support.depth import depth_maps, valid

LOG_DEPTH, TARGET = depth_maps(samples=4, height=11, width=9)
PREDICTION = (0.4 * LOG_DEPTH).exp() * torch.where(valid(TARGET), TARGET, 1.0)
SCORES = depth_metrics(PREDICTION, TARGET)
IMAGES = [(p[k], d[k]) for p, d, k in zip(PREDICTION.numpy(), TARGET.numpy(), valid(TARGET).numpy(), strict=True)]


def mean_over_images(function, images=IMAGES):
    return np.mean([function(p, d) for p, d in images])


def share(function):
    return lambda p, d: np.mean([function(one, other) for one, other in zip(p.tolist(), d.tolist(), strict=True)])


EXPECTED = {
    "abs_rel": lambda p, d: mean_absolute_percentage_error(d, p),
    "sq_rel": share(lambda p, d: (p - d) ** 2 / d),
    "rmse": lambda p, d: root_mean_squared_error(d, p),
    "rmse_log": lambda p, d: root_mean_squared_error(np.log(d), np.log(p)),
    "log10": share(lambda p, d: abs(math.log10(p / d))),
    "delta_1": share(lambda p, d: d / 1.25 < p < 1.25 * d),
    "delta_2": share(lambda p, d: d / 1.25**2 < p < 1.25**2 * d),
    "delta_3": share(lambda p, d: d / 1.25**3 < p < 1.25**3 * d),
    "high_error": share(lambda p, d: p > 1.2 * d or p < 0.8 * d),
    "scale_invariant": lambda p, d: np.log(p / d).std(),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_errors_are_those_of_scikit_learn_and_numpy_over_images(name):
    assert SCORES[name] == pytest.approx(mean_over_images(EXPECTED[name]), rel=1e-12)


def test_errors_are_those_of_torchmetrics():
    pairs = [(torch.from_numpy(p), torch.from_numpy(d)) for p, d in IMAGES]
    assert SCORES["abs_rel"] == pytest.approx(np.mean([torchmetrics_mape(p, d) for p, d in pairs]))
    assert SCORES["rmse"] == pytest.approx(np.mean([mean_squared_error(p, d, squared=False) for p, d in pairs]))
    # Its logarithm is that of 1 + x.
    logs = [mean_squared_log_error(p - 1, d - 1) for p, d in pairs]
    assert SCORES["rmse_log"] == pytest.approx(np.mean(np.sqrt(logs)))


def scaled(p, d):
    return p * np.median(d) / np.median(p)


def aligned(p, d):
    design = np.stack([1 / p, np.ones_like(p)], 1)
    solution, *_ = np.linalg.lstsq(design, 1 / d)
    return 1 / np.clip(design @ solution, 1 / d.max(), 1000)


@pytest.mark.parametrize("change", [scaled, aligned])
@pytest.mark.parametrize("name", ["abs_rel", "rmse", "delta_1"])
def test_scaled_by_medians_and_aligned_by_least_squares(change, name):
    expected = mean_over_images(lambda p, d: EXPECTED[name](change(p, d), d))
    assert SCORES[f"{name}_{change.__name__}"] == pytest.approx(expected, rel=1e-9)


def test_what_scaling_and_aligning_forgive():
    depth = torch.where(valid(TARGET), TARGET, 1.0)
    factor = depth_metrics(7 * depth, TARGET)
    line = depth_metrics(1 / (3 / depth + 2), TARGET)
    assert factor["abs_rel"] == pytest.approx(6) and factor["rmse_scaled"] < 1e-9 and factor["abs_rel_aligned"] < 1e-9
    assert line["abs_rel_scaled"] > 0.1 and line["abs_rel_aligned"] < 1e-9 and line["delta_1_aligned"] == 1
    assert factor["scale_invariant"] < 1e-9 and factor["whdr"] == 0


def test_a_flat_prediction_is_aligned_to_the_mean_of_inverse_depth():
    flat = depth_metrics(torch.full_like(TARGET, 3.0), TARGET)
    expected = mean_over_images(lambda p, d: EXPECTED["rmse"](np.full_like(d, 1 / (1 / d).mean()), d))
    assert flat["rmse_aligned"] == pytest.approx(expected)


def test_perfect_depth():
    perfect = depth_metrics(torch.where(valid(TARGET), TARGET, 5.0), TARGET)
    best = {"delta_1", "delta_2", "delta_3", "delta_1_scaled", "delta_1_aligned"}
    assert {name for name, value in perfect.items() if value == 1} == best
    assert all(value == pytest.approx(0, abs=1e-9) for name, value in perfect.items() if name not in best)


# --- Order --------------------------------------------------------------------------------------------------------


def order(one, other):
    return 0 if max(one, other) / min(one, other) <= 1.1 else (1 if one > other else -1)


def test_order_is_judged_as_over_all_pairs_of_pixels():
    """500 of the pairs are drawn: the share is within three standard deviations, of at most 0.022 for an image."""
    known = valid(TARGET)
    found = ordinal_disagreement(PREDICTION, torch.where(known, TARGET, 1.0), known)
    for value, (p, d) in zip(found.tolist(), IMAGES, strict=True):
        wrong = [order(p[i], p[j]) != order(d[i], d[j]) for i, j in combinations(range(len(p)), 2)]
        assert value == pytest.approx(np.mean(wrong), abs=0.067)
    assert SCORES["whdr"] == pytest.approx(found.mean().item()) and 0.05 < SCORES["whdr"] < 0.95


def test_equal_depths_are_an_order_that_can_be_missed():
    """All true depths within 10 %, all predicted ones further apart."""
    true, predicted = torch.linspace(1, 1.09, 30).view(1, 1, -1), torch.logspace(0, 3, 30).view(1, 1, -1)
    everywhere = torch.ones(1, 1, 30, dtype=torch.bool)
    assert ordinal_disagreement(predicted, true, everywhere).item() == 1
    assert ordinal_disagreement(true, true.flip(-1), everywhere).item() == 0


def test_the_pairs_of_an_image_are_its_own_and_always_the_same():
    known, depth = valid(TARGET), torch.where(valid(TARGET), TARGET, 1.0)
    together = ordinal_disagreement(PREDICTION, depth, known)
    alone = [ordinal_disagreement(*(maps[[row]] for maps in (PREDICTION, depth, known))) for row in range(4)]
    assert torch.equal(together, torch.cat(alone))


def test_a_pair_has_two_pixels():
    two = torch.tensor([[[1.0, 2.0]]])
    assert ordinal_disagreement(two.flip(-1), two, two > 0).item() == 1


# --- What is not known --------------------------------------------------------------------------------------------


def test_what_is_predicted_where_depth_is_not_known_has_no_influence():
    for unknown in (0.0, math.nan, math.inf):
        other = torch.where(valid(TARGET), PREDICTION, unknown)
        assert depth_metrics(other, TARGET) == SCORES


def test_an_image_without_known_depth_is_left_out_and_not_perfect():
    blank = torch.tensor([0.0, -1.0, math.nan]).repeat(11, 3).unsqueeze(0).double()
    more = depth_metrics(torch.cat([PREDICTION, blank + 1]), torch.cat([TARGET, blank]))
    assert more == pytest.approx(SCORES, rel=1e-12)
    assert depth_metrics(blank, blank) == {}


def test_relative_errors_of_each_image():
    blank = torch.zeros(1, 11, 9, dtype=torch.float64)
    errors = relative_errors(torch.cat([PREDICTION, blank]), torch.cat([TARGET, blank]))
    np.testing.assert_allclose(errors[:4], [EXPECTED["abs_rel"](p, d) for p, d in IMAGES])
    assert errors[4].isnan()


def test_a_single_known_pixel_has_no_order():
    one = depth_metrics(torch.full((1, 1, 2), 2.0), torch.tensor([[[1.0, 0.0]]]))
    assert one["abs_rel"] == 1 and "whdr" not in one


def test_predictions_are_held_above_a_millimetre_and_must_be_finite():
    lowest = depth_metrics(torch.zeros(1, 1, 2), torch.ones(1, 1, 2))
    assert lowest["rmse_log"] == pytest.approx(math.log(1000)) and all(map(math.isfinite, lowest.values()))
    for wrong in (math.nan, math.inf):
        assert depth_metrics(torch.tensor([[[1.0, wrong]]]), torch.ones(1, 1, 2)) == {}
