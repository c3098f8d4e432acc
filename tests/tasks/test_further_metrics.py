import itertools
import json
import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sklearn
from torchmetrics.functional import classification
from torchmetrics.functional import regression as torchmetrics

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_cells
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.figures.metrics import learning_curves
from lossbench.compare.report.formatting import words
from lossbench.compare.report.metric_groups import group_tables
from lossbench.errors import ConfigError
from lossbench.records.predictions import opened
from lossbench.running.run import run
from lossbench.tasks import task_named
from lossbench.tasks.classification.final_metrics import (
    adaptive_calibration_error,
    confusion_of,
    final_classification_metrics,
)
from lossbench.tasks.classification.ranking import area_under_risk_coverage
from lossbench.tasks.regression.final_metrics import final_regression_metrics


def predicted(classes: int, size: int = 600) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = 2 * torch.randn(size, classes, generator=generator, dtype=torch.float64)
    target = torch.randint(classes, (size,), generator=generator)
    logits[torch.arange(size), target] += 1.5
    return logits.softmax(1), target


def test_many_classes_agree_with_scikit_learn():
    probabilities, target = predicted(7)
    ours = final_classification_metrics(probabilities, target)
    p, y, hard = probabilities.numpy(), target.numpy(), probabilities.argmax(1).numpy()
    one_hot = np.eye(7)[y]
    expected = {
        "macro_precision": sklearn.precision_score(y, hard, average="macro"),
        "macro_f2": sklearn.fbeta_score(y, hard, beta=2, average="macro"),
        "macro_f0.5": sklearn.fbeta_score(y, hard, beta=0.5, average="macro"),
        "macro_specificity": np.mean([sklearn.recall_score(y == k, hard == k, pos_label=False) for k in range(7)]),
        "macro_npv": np.mean([sklearn.precision_score(y == k, hard == k, pos_label=False) for k in range(7)]),
        "macro_fpr": np.mean([(hard[y != k] == k).mean() for k in range(7)]),
        "macro_fdr": np.mean([(y[hard == k] != k).mean() for k in range(7)]),
        "macro_fnr": np.mean([(hard[y == k] != k).mean() for k in range(7)]),
        "mcc": sklearn.matthews_corrcoef(y, hard),
        "cohen_kappa": sklearn.cohen_kappa_score(y, hard),
        "g_mean": stats.gmean(sklearn.recall_score(y, hard, average=None)),
        "worst_class_recall": sklearn.recall_score(y, hard, average=None).min(),
        "top5_accuracy": sklearn.top_k_accuracy_score(y, p, k=5),
        "ovo_auroc": sklearn.roc_auc_score(y, p, multi_class="ovo"),
        "micro_auroc": sklearn.roc_auc_score(one_hot, p, average="micro"),
        "micro_average_precision": sklearn.average_precision_score(one_hot, p, average="micro"),
        **{f"precision/{k}": sklearn.precision_score(y, hard, average=None)[k] for k in range(7)},
        **{f"f1/{k}": sklearn.f1_score(y, hard, average=None)[k] for k in range(7)},
    }
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, rel=1e-6), name


def test_a_binary_task_is_about_class_1():
    probabilities, target = predicted(2)
    ours = final_classification_metrics(probabilities, target, binary=True)
    y, hard = target.numpy(), probabilities.argmax(1).numpy()
    expected = {
        "precision": sklearn.precision_score(y, hard),
        "recall": sklearn.recall_score(y, hard),
        "f1": sklearn.f1_score(y, hard),
        "f2": sklearn.fbeta_score(y, hard, beta=2),
        "f0.5": sklearn.fbeta_score(y, hard, beta=0.5),
        "specificity": sklearn.recall_score(y, hard, pos_label=0),
        "npv": sklearn.precision_score(y, hard, pos_label=0),
        "fpr": (hard[y == 0] == 1).mean(),
        "fdr": (y[hard == 1] == 0).mean(),
        "fnr": (hard[y == 1] == 0).mean(),
        "auprc": sklearn.average_precision_score(y, probabilities[:, 1].numpy()),
        "mcc": sklearn.matthews_corrcoef(y, hard),
    }
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, rel=1e-6), name
    assert not any(name.startswith("macro_") for name in ours)


def test_calibration_errors_agree_with_their_definitions():
    probabilities, target = predicted(4)
    ours = final_classification_metrics(probabilities, target)
    confidence, hard = (each.numpy() for each in probabilities.max(1))
    correct = hard == target.numpy()
    bins = np.floor(confidence * 15).astype(int)
    largest = max(abs(confidence[bins == b].mean() - correct[bins == b].mean()) for b in np.unique(bins))
    assert ours["mce"] == pytest.approx(largest, abs=1e-6)
    each = [
        classification.binary_calibration_error(probabilities[:, k].contiguous(), (target == k).long(), n_bins=15)
        for k in range(4)
    ]
    assert ours["classwise_ece"] == pytest.approx(float(torch.stack(each).mean()), abs=1e-6)
    order = np.argsort(confidence)
    parts = np.array_split(order, 15)  # 600 samples: 40 in each
    gaps = [abs(confidence[part].mean() - correct[part].mean()) for part in parts]
    assert ours["adaptive_ece"] == pytest.approx(np.mean(gaps))


@pytest.mark.parametrize("size", range(1, 15))
def test_fewer_samples_than_bins_have_a_bin_each(size):
    confidence = torch.linspace(0.5, 0.9, size, dtype=torch.float64).flip(0)
    correct = (torch.arange(size) % 2).double()
    expected = (confidence - correct).abs().mean()
    assert float(adaptive_calibration_error(confidence, correct)) == pytest.approx(float(expected))


def test_risk_coverage_by_brute_force():
    generator = np.random.default_rng(0)
    confidence, correct = generator.random(50), generator.random(50) < 0.7
    order = np.argsort(-confidence)
    expected = np.mean([1 - correct[order[: n + 1]].mean() for n in range(50)])
    found = area_under_risk_coverage(torch.tensor(confidence), torch.tensor(correct).double())
    assert float(found) == pytest.approx(expected)


def test_equal_confidences_count_as_the_mean_over_their_orders():
    confidence, correct = [0.9, 0.7, 0.7, 0.7, 0.2], [1.0, 0.0, 1.0, 0.0, 1.0]
    areas = []
    for tied in itertools.permutations(correct[1:4]):
        wrong = 1 - np.array([correct[0], *tied, correct[4]])
        areas.append(np.mean(np.cumsum(wrong) / np.arange(1, 6)))
    found = area_under_risk_coverage(torch.tensor(confidence), torch.tensor(correct))
    assert float(found) == pytest.approx(np.mean(areas))


def test_an_absent_class_changes_no_mean():
    probabilities, target = predicted(4)
    wider = torch.cat([probabilities[:, :2], torch.zeros(600, 1, dtype=torch.float64), probabilities[:, 2:]], 1)
    moved = torch.where(target >= 2, target + 1, target)
    one, other = final_classification_metrics(probabilities, target), final_classification_metrics(wider, moved)
    for name in set(task_named("multiclass").names("end")) - {
        "micro_auroc",
        "micro_average_precision",
        "top5_accuracy",
    }:
        assert other[name] == pytest.approx(one[name]), name
    assert "precision/2" not in other and other["precision/3"] == one["precision/2"]


def test_the_order_of_classes_and_of_samples_does_not_matter():
    probabilities, target = predicted(6)
    probabilities = (probabilities * 20).round() + 0.01 * torch.arange(6)  # many equal ones, none at the top of a row
    probabilities /= probabilities.sum(1, keepdim=True)
    plain = final_classification_metrics(probabilities, target)
    classes, samples = torch.randperm(6), torch.randperm(600)
    permuted = final_classification_metrics(probabilities[samples][:, classes], classes.argsort()[target[samples]])
    for name in task_named("multiclass").names("end"):
        assert permuted[name] == pytest.approx(plain[name]), name
    assert permuted["f1/0"] == pytest.approx(plain[f"f1/{classes[0]}"])


@pytest.mark.parametrize("binary", [False, True])
def test_a_constant_prediction_has_values(binary):
    probabilities = torch.tensor([[0.3, 0.7]], dtype=torch.float64).expand(10, 2)
    target = torch.tensor([0] * 4 + [1] * 6)
    ours = final_classification_metrics(probabilities, target, binary)
    assert (ours["mcc"], ours["cohen_kappa"], ours["g_mean"], ours["worst_class_recall"]) == (0, 0, 0, 0)
    assert ours["precision/0"] == 0 and ours["precision/1"] == pytest.approx(0.6)
    assert binary or ours["ovo_auroc"] == 0.5
    assert ours["aurc"] == pytest.approx(0.4) and ours["adaptive_ece"] == pytest.approx(0.1)
    assert set(ours) >= set(task_named("binary" if binary else "multiclass").names("end")) - {"top5_accuracy"}
    if binary:
        assert (ours["npv"], ours["specificity"], ours["recall"]) == (0, 0, 1)


def test_what_has_no_value_is_left_out():
    probabilities = torch.tensor([[0.8, 0.2], [0.4, 0.6]], dtype=torch.float64)
    ours = final_classification_metrics(probabilities, torch.tensor([0, 0]), binary=True)
    assert not {"mcc", "precision", "recall", "precision/1"} & set(ours) and ours["precision/0"] == 1
    one_class = final_classification_metrics(probabilities, torch.tensor([0, 0]))
    assert not {"macro_specificity", "macro_fpr", "ovo_auroc"} & set(one_class)
    assert all(math.isfinite(value) for value in (ours | one_class).values())
    assert final_classification_metrics(probabilities * math.nan, torch.tensor([0, 1])) == {}


def test_the_confusion_matrix_has_a_row_for_each_true_class():
    counts = confusion_of(torch.eye(3)[torch.tensor([0, 2, 2])], torch.tensor([0, 0, 1]))
    assert counts.tolist() == [[1, 0, 1], [0, 0, 1], [0, 0, 0]]


@pytest.fixture
def numbers() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    clean = 3 + torch.randn(103, generator=generator, dtype=torch.float64)
    prediction = clean + 0.5 * torch.randn(103, generator=generator, dtype=torch.float64)
    prediction[:20] = prediction[:20].round()  # ties
    return prediction, clean + torch.randn(103, generator=generator, dtype=torch.float64), clean


def test_regression_agrees_with_libraries(numbers):
    prediction, observed, clean = numbers
    ours = final_regression_metrics(*numbers, num_features=4)
    for suffix, target in (("", clean), ("_observed", observed)):
        y, p = target.numpy(), prediction.numpy()
        expected = {
            "mse": sklearn.mean_squared_error(y, p),
            "max_error": sklearn.max_error(y, p),
            "mape": sklearn.mean_absolute_percentage_error(y, p),
            "explained_variance": sklearn.explained_variance_score(y, p),
            "spearman": stats.spearmanr(y, p).statistic,
            "kendall": stats.kendalltau(y, p).statistic,
            "smape": torchmetrics.symmetric_mean_absolute_percentage_error(prediction, target),
            "wmape": torchmetrics.weighted_mean_absolute_percentage_error(prediction, target),
            "adjusted_r2": torchmetrics.r2_score(prediction, target, adjusted=4),
            "log_cosh": np.log(np.cosh(y - p)).mean(),
            "nrmse": sklearn.root_mean_squared_error(y, p) / y.std(),
            "trimmed_rmse": np.sqrt(np.sort((y - p) ** 2)[:93].mean()),  # of 103, 10 are dropped
        }
        for name, value in expected.items():
            assert ours[f"{name}{suffix}"] == pytest.approx(float(value), rel=1e-6), name


def test_concordance_against_its_other_form(numbers):
    """1 - E (y - p)^2 over what it would be if they were independent (Lin 1989)."""
    prediction, _, clean = (each.numpy() for each in numbers)
    independent = ((clean[:, None] - prediction) ** 2).mean()
    expected = 1 - ((clean - prediction) ** 2).mean() / independent
    assert final_regression_metrics(*numbers)["concordance"] == pytest.approx(expected)


def test_fifths_by_hand():
    target = torch.arange(10.0)[torch.randperm(10)]
    ours = final_regression_metrics(target + (target >= 8) * 3 + (target < 2), target, target)
    assert [ours[f"mae_fifth/{k}"] for k in range(1, 6)] == [1, 0, 0, 0, 3]
    assert ours["mae_fifth_observed/5"] == 3


def test_numbers_that_have_no_value_are_left_out():
    zero, one = torch.zeros(6), torch.arange(6.0)
    constant = final_regression_metrics(zero, one, one, num_features=6)
    assert not {"spearman", "kendall", "mape", "adjusted_r2"} & set(constant)
    assert constant["concordance"] == 0 and constant["smape"] == pytest.approx(2 * 5 / 6) and constant["wmape"] == 1
    same_target = final_regression_metrics(one, zero, zero)
    assert not {"nrmse", "explained_variance", "spearman", "wmape"} & set(same_target)
    assert all(math.isfinite(value) for value in (constant | same_target).values())
    assert final_regression_metrics(one * math.inf, one, one) == {}


def test_log_cosh_of_an_outlier_does_not_overflow():
    far = torch.tensor([1e4, 0.0])
    ours = final_regression_metrics(torch.zeros(2), far, far)
    assert ours["log_cosh"] == pytest.approx((1e4 - math.log(2)) / 2)


def test_words():
    assert words("macro_f0.5") == "macro F0.5" and words("top5_accuracy") == "top-5 accuracy"
    assert words("ovo_auroc") == "one-vs-one AUROC" and words("mae_fifth/5") == "MAE fifth 5"


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    from hydra import compose, initialize_config_dir

    from lossbench.config.cell import cell_of
    from lossbench.locate import CONF

    folder = tmp_path_factory.mktemp("runs")
    cells = []
    for loss in ("cross_entropy", "focal"):
        for seed in (0, 1):
            lines = ["tracking=none", f"output_dir={folder}", f"loss={loss}", f"seed={seed}", "trainer.max_epochs=3"]
            with initialize_config_dir(str(CONF), version_base="1.3"):
                cells.append(cell_of(compose("config", lines, return_hydra_config=True)))
            run(cells[-1])
    return cells


def test_the_record_has_the_whole_set_of_both_epochs(two_runs):
    record = json.loads((two_runs[0].path / "record.json").read_text())
    for selection in ("last", "best_val"):
        for part in ("val", "test"):
            assert {f"{part}/{name}" for name in task_named("multiclass").names("end")} <= set(
                record["metrics"][selection]
            )
    assert not any("mcc" in name for row in record["history"] for name in row)
    counts = np.array(record["confusion_matrix"])
    last = record["metrics"]["last"]
    assert counts.trace() / counts.sum() == pytest.approx(last["test/accuracy"])
    assert counts[3, 3] / counts[3].sum() == pytest.approx(last["test/recall/3"])
    with opened(two_runs[0].path, "best") as kept:
        expected = sklearn.matthews_corrcoef(kept["target"], kept["probabilities"].argmax(1))
    assert record["metrics"]["best_val"]["test/mcc"] == pytest.approx(expected)


def test_losses_are_compared_by_a_metric_of_the_end(two_runs):
    (comparison,) = comparisons(read_cells(two_runs))
    analysis = analyse(comparison, Options(metric="mcc"))
    assert analysis.shown[0] == "mcc" and analysis.main.against["focal"].difference.n == 2
    tables = group_tables(analysis)
    (picture,) = learning_curves(analysis)
    assert "Test and validation balanced accuracy" in picture.caption
    assert "MCC" in tables["Predicted classes"].heading and "Recall of each class" in tables
    assert "; lower is better; " in tables["Probabilities and confidence"].caption
    assert "; higher is better; " in tables["Predicted classes"].caption and "Others" not in tables
    with pytest.raises(ConfigError, match="Nearest: mcc"):
        analyse(comparison, Options(metric="mc"))
    with pytest.raises(ConfigError, match="the accuracy"):
        analyse(comparison, Options(metric="micro_f1"))
    with pytest.raises(ConfigError, match="select=last or best_val"):
        analyse(comparison, Options(metric="mcc", select="oracle"))


@pytest.mark.parametrize("metric", ["mcc", "macro_f0.5", "precision/3"])
def test_what_is_only_at_the_end_can_sort_but_not_pick_an_epoch(cell, metric):
    cell(f"compare.metric={metric}")
    with pytest.raises(ConfigError, match=r"only at the end|not known"):
        cell(f"monitor={metric}")


def test_a_regression_run_has_them_too(cell):
    entry = run(cell("data=diabetes_outliers", "trainer.max_epochs=2", "data.val_fraction=0.2"))
    last = entry["metrics"]["last"]
    assert {f"test/{name}" for name in task_named("regression").names("end")} <= set(last)
    assert last["test/mse"] == pytest.approx(last["test/rmse"] ** 2)
    n, k = entry["data"]["sizes"]["test"], 10
    assert 1 - last["test/adjusted_r2"] == pytest.approx((1 - last["test/r2"]) * (n - 1) / (n - k - 1))
    assert last["val/mae_fifth/1"] != last["val/mae_fifth_observed/1"] and "confusion_matrix" not in entry
