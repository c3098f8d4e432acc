import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.figures.drawing import draw_band, one_panel
from lossbench.compare.report.figures.metrics import learning_curves
from lossbench.tasks.classification.ranking import area_under_risk_coverage
from lossbench.tasks.classification.report.curves import GRID, curves, curves_of
from lossbench.tasks.loss_lines import line_of
from lossbench.tasks.task import SHARE
from tests.support.compared import made_up, write


@pytest.fixture
def predicted():
    generator = np.random.default_rng(0)
    target = generator.integers(4, size=2000)
    logits = 2 * generator.normal(size=(2000, 4)) + 1.5 * np.eye(4)[target]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), target


def areas(found):
    return {kind: np.trapezoid(curve, GRID) for kind, curve in found.items()}


def test_the_areas_of_many_classes_are_the_metrics(predicted):
    probabilities, target = predicted
    found = areas(curves_of(probabilities, target, binary=False))
    one_hot = np.eye(4)[target]
    assert found["roc"] == pytest.approx(sklearn.roc_auc_score(target, probabilities, multi_class="ovr"), abs=1e-3)
    expected = sklearn.average_precision_score(one_hot, probabilities, average="macro")
    assert found["precision_recall"] == pytest.approx(expected, abs=3e-3)
    confidence = torch.tensor(probabilities.max(1))
    correct = torch.tensor(probabilities.argmax(1) == target).double()
    assert found["risk_coverage"] == pytest.approx(float(area_under_risk_coverage(confidence, correct)), abs=3e-3)


def test_the_curve_of_a_binary_task_is_that_of_class_1(predicted):
    probabilities, target = predicted
    one = probabilities[:, 1]
    pair = np.stack([1 - one, one], axis=1)
    found = areas(curves_of(pair, (target == 1).astype(int), binary=True))
    assert found["roc"] == pytest.approx(sklearn.roc_auc_score(target == 1, one), abs=1e-3)
    assert found["precision_recall"] == pytest.approx(sklearn.average_precision_score(target == 1, one), abs=3e-3)


def test_absent_classes_and_constant_predictions(predicted):
    probabilities, target = predicted
    wider = np.concatenate([probabilities, np.zeros((2000, 1))], axis=1)
    for kind, curve in curves_of(wider, target, binary=False).items():
        assert np.allclose(curve, curves_of(probabilities, target, binary=False)[kind])
    constant = curves_of(np.full((10, 2), 0.5), np.array([0] * 5 + [1] * 5), binary=True)
    assert np.allclose(constant["roc"], GRID)
    assert np.allclose(constant["precision_recall"], 0.5) and np.allclose(constant["risk_coverage"], 0.5)
    assert np.isnan(curves_of(np.full((10, 2), 0.5), np.zeros(10, int), binary=True)["roc"]).all()


@pytest.mark.parametrize(
    ("count", "names"), [(3, ["curves"]), (8, ["roc_curves", "precision_recall_curves", "risk_coverage_curves"])]
)
def test_many_losses_have_a_panel_each(count, names, tmp_path):
    for number in range(count):
        for seed in range(2):
            write(tmp_path, made_up(f"loss_{number}", seed, 0.5 + 0.01 * number))
    (comparison,) = comparisons(read_outputs(tmp_path))
    drawn = curves(analyse(comparison, Options()))
    assert [picture.name for picture in drawn] == names
    assert all(len(picture.figure.axes) == (3 if count == 3 else count) for picture in drawn)
    assert all("2 seeds" in picture.caption for picture in drawn)


def test_bands_stay_within_the_bounds_of_what_is_drawn():
    near_one = np.array([[0.9, 1.0], [1.0, 1.0], [0.95, 0.8]])
    free, cut, along = (one_panel(2.0)[1] for _ in range(3))
    draw_band(free, np.arange(2.0), near_one, 0.95, line_of("mse"))
    draw_band(cut, np.arange(2.0), near_one, 0.95, line_of("mse"), within=SHARE)
    bounds = (np.array([0.9, 0.7]), np.array([1.0, 0.95]))
    draw_band(along, np.arange(2.0), near_one, 0.95, line_of("mse"), within=bounds)
    heights = [paths_of(axes)[0].vertices[:, 1] for axes in (free, cut, along)]
    tops, bottoms = [each.max() for each in heights], [each.min() for each in heights]
    assert tops[0] > 1.0 == tops[1] == tops[2] and bottoms[0] == bottoms[1] < bottoms[2]


@pytest.mark.parametrize("losses", [2, 8])
def test_no_picture_of_a_bounded_metric_leaves_its_bounds(losses, tmp_path):
    """Balanced accuracies of 0.9 to 1.0 in three epochs, two runs: Student's t alone would reach far above 1."""
    for number in range(losses):
        for seed, value in enumerate((0.9, 0.93)):
            write(tmp_path, made_up(f"loss_{number}", seed, value + 0.001 * number))
    (comparison,) = comparisons(read_outputs(tmp_path))
    analysis = analyse(comparison, Options())
    figures = [picture.figure for picture in (*curves(analysis), *learning_curves(analysis))]
    bands = [path.vertices[:, 1] for figure in figures for axes in figure.axes for path in paths_of(axes)]
    assert len(bands) >= losses and all(band.min() >= 0.0 and band.max() <= 1.0 for band in bands)
    assert max(band.max() for band in bands) == 1.0  # cut, that is


def paths_of(axes):
    return [path for band in axes.collections for path in band.get_paths()]
