"""Metrics of order: by log-odds where probabilities saturate, and the same whatever the order of equal scores."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from lossbench.catalogue.binding import load_loss
from lossbench.catalogue.facts import default_parameters, loss_names
from lossbench.locate import locate
from lossbench.losses import links
from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.declaration import Declaration
from lossbench.losses.links import log_odds_of, one_against_rest
from lossbench.losses.robust_softmax import clipped_softmax, tempered_softmax
from lossbench.methods.posthoc import adjust, temperature
from lossbench.tasks import task_named
from lossbench.tasks.classification.final_metrics import final_classification_metrics
from lossbench.tasks.classification.metrics import classification_metrics
from lossbench.tasks.classification.ranking import areas, label_ranking, top_share
from lossbench.tasks.counts.metrics import count_metrics
from lossbench.tasks.multilabel.metrics import multilabel_metrics
from lossbench.tasks.problem import Problem
from lossbench.tasks.regression.final_metrics import final_regression_metrics
from lossbench.tasks.regression.metrics import regression_metrics


def coarse(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    """Make scores of which many are equal."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 4, (rows, columns), generator=generator).double() / 2


def drawn(rows: int, most: int, *more: int) -> torch.Tensor:
    return torch.randint(most, (rows, *more), generator=torch.Generator().manual_seed(1))


def test_areas_with_ties_agree_with_scikit_learn(monkeypatch):
    scores, positive = coarse(300, 5), drawn(300, 2, 5) > 0
    y, s = positive.numpy(), scores.numpy()
    monkeypatch.setattr("lossbench.tasks.classification.ranking.LARGEST_BLOCK", 700)  # two classes at a time
    auroc, precision = areas(scores, positive)
    assert auroc.tolist() == pytest.approx(sklearn.roc_auc_score(y, s, average=None).tolist())
    assert precision.tolist() == pytest.approx([sklearn.average_precision_score(y[:, k], s[:, k]) for k in range(5)])


def test_what_areas_have_no_value():
    scores = torch.tensor([[1.0, 1.0, math.nan], [2.0, 2.0, 0.0]])
    auroc, precision = areas(scores, torch.tensor([[True, False, True], [True, False, False]]))
    assert auroc.isnan().all() and precision.isnan().tolist() == [False, True, True]
    assert all(found.isnan().all() for found in areas(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.bool)))
    assert areas(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool))[1].item() == 1


def test_label_ranking_with_ties_agrees_with_scikit_learn():
    scores, positive = coarse(200, 6), drawn(200, 2, 6)
    positive[:3], positive[3:6] = 0, 1
    found = label_ranking(scores, positive > 0)
    pair = positive.numpy(), scores.numpy()
    assert found["ranking_loss"].item() == pytest.approx(sklearn.label_ranking_loss(*pair))
    assert found["coverage_error"].item() == pytest.approx(sklearn.coverage_error(*pair))


def test_the_top_few_by_lot():
    assert top_share(torch.zeros(10, 8), torch.arange(10) % 8, most=5).item() == pytest.approx(5 / 8)
    scores, target = torch.rand(100, 9, generator=torch.Generator().manual_seed(0)), torch.arange(100) % 9
    found = (scores.topk(5).indices == target[:, None]).any(1).double().mean()
    assert top_share(scores, target, most=5).item() == pytest.approx(found.item())


def measured(name: str, order: torch.Tensor) -> dict[str, float]:
    """Measure predictions with many equal scores, the samples in an order."""
    rows = len(order)
    if name in ("classes", "two classes"):
        classes, binary = (2, True) if name == "two classes" else (7, False)
        logits, target = coarse(rows, classes)[order], drawn(rows, classes)[order]
        odds, p = one_against_rest(logits), logits.softmax(1)
        return classification_metrics(p, target, None, odds) | final_classification_metrics(p, target, binary, odds)
    if name == "labels":
        odds, target = coarse(rows, 5)[order], drawn(rows, 2, 5)[order]
        return multilabel_metrics(odds.sigmoid(), target, odds)
    prediction, target = coarse(rows, 1)[order, 0], drawn(rows, 4)[order].double()
    if name == "counts":
        return count_metrics(prediction, target, target)
    return regression_metrics(prediction, target, target) | final_regression_metrics(prediction, target, target, 3)


@pytest.mark.parametrize("name", ["classes", "two classes", "labels", "numbers", "counts"])
@pytest.mark.parametrize("rows", [30, 203])
def test_no_metric_depends_on_the_order_of_the_samples(name, rows):
    plain = measured(name, torch.arange(rows))
    for seed in range(4):
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
        assert measured(name, order) == pytest.approx(plain, rel=1e-12, abs=1e-14)


def exact(outputs: torch.Tensor) -> np.ndarray:
    """Return log(p / (1 - p)) of a softmax in 3000 bits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workprec(3000):
        rows = [[mpmath.exp(mpmath.mpf(z)) for z in row] for row in outputs.tolist()]
        return np.array(
            [[float(mpmath.log(e / (sum(row[:k] + row[k + 1 :])))) for k, e in enumerate(row)] for row in rows]
        )


def test_log_odds_of_a_softmax_do_not_saturate():
    outputs = torch.tensor([[100.0, 0.0, -3.0], [40.0, 0.0, 39.0], [0.0, 0.0, 0.0], [-800.0, 3.0, 900.0]]).double()
    assert one_against_rest(outputs).numpy() == pytest.approx(exact(outputs), rel=1e-12)


LINKS = {
    links.sigmoid: {}, links.sigmoids: {}, links.softmax: {}, links.scaled_softmax: {"s": 30.0},
    links.normalised_softmax: {"tau": 0.5}, links.normalised_sigmoid: {}, links.dirichlet_mean: {},
    tempered_softmax: {"t2": 1.2}, clipped_softmax: {"tau": 1.5},
}  # fmt: skip


def test_every_link_of_classes_and_labels_gives_the_log_odds_of_its_probabilities():
    declarations = [locate(default_parameters(name)["_target_"]).declaration for name in loss_names()]
    used = {each.link for each in declarations if each.task in ("binary", "multiclass", "multilabel")}
    assert used <= set(LINKS)
    for link, parameters in LINKS.items():
        shape = (50,) if link is links.sigmoid else (50, 3)
        outputs = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 4
        expected = log_odds_of(link(outputs, **parameters))
        torch.testing.assert_close(link.log_odds(outputs, **parameters), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "arcface", "bce"])
def test_saturated_probabilities_are_ranked_as_their_outputs_are(name):
    """Two classes, all probabilities of both at 0 or 1: AUROC and average precision are those of the outputs."""
    loss, generator = load_loss(name), torch.Generator().manual_seed(5)
    lead, target = 200 + 50 * torch.rand(300, generator=generator), drawn(300, 2)
    lead += 20 * target
    scale = loss.settings.get("s", 1.0) if loss.declaration.head == "cosine" else 1.0
    outputs = lead if loss.declaration.task == "binary" else torch.stack([-lead / 2, lead / 2], 1) / scale
    problem = Problem(task_named("binary"), 2, [100, 100], ["test"], "auroc", torch.tensor([]))
    together = {"outputs": outputs.double(), "target": target, "target_clean": target, "index": torch.arange(300)}
    evaluation = task_named("binary").evaluate
    predicted = evaluation.predict(loss, together, problem)
    assert predicted["probabilities"].unique().tolist() in ([0.0, 1.0], [1.0]) or predicted["probabilities"].max() == 1
    found = evaluation.measure("test", predicted, problem) | evaluation.measure_final("test", predicted, problem)
    assert found["auroc"] == pytest.approx(sklearn.roc_auc_score(target, lead))
    assert found["auprc"] == pytest.approx(sklearn.average_precision_score(target, lead))
    order = np.argsort(-lead.numpy())
    risk = np.cumsum(1 - target.numpy()[order]) / np.arange(1, 301)
    assert found["aurc"] == pytest.approx(risk.mean())
    assert found["nll"] == pytest.approx(float((lead.double() * (1 - target)).mean()))


def test_order_after_posthoc_is_that_of_the_adjusted_outputs():
    loss = load_loss("cross_entropy")
    target = drawn(200, 3)
    outputs = 100 * torch.nn.functional.one_hot(target, 3).float() + 30 * coarse(200, 3).float()
    part = {"outputs": outputs, "target": target, "target_clean": target}
    problem = Problem(task_named("multiclass"), 3, [80, 60, 60], ["test"], "accuracy", torch.tensor([]))
    adjusted, fitted = adjust(temperature, {"val": part, "test": part}, loss, problem)
    odds = loss.log_odds(adjusted["test"]["outputs"])
    torch.testing.assert_close(odds, one_against_rest(outputs.double() / fitted["temperature"]))


def test_labels_are_ranked_and_their_likelihood_is_taken_by_logits():
    problem = Problem(task_named("multilabel"), 2, None, ["test"], "map", torch.tensor([]))
    logits = torch.tensor([[37.0, 41.0], [50.0, 900.0], [60.0, -900.0]], dtype=torch.float64)
    target = torch.tensor([[0, 1], [1, 1], [1, 0]])
    together = {"outputs": logits, "target": target, "target_clean": target, "index": torch.arange(3)}
    evaluation = task_named("multilabel").evaluate
    found = evaluation.measure("test", evaluation.predict(load_loss("multilabel_bce"), together, problem), problem)
    assert found["map"] == found["auroc"] == 1
    assert found["nll"] == pytest.approx(37 / 6)


def test_a_link_of_the_users_own_is_ranked_by_its_probabilities():
    def halved(outputs: torch.Tensor) -> torch.Tensor:
        return (outputs / 2).sigmoid()

    loss = BoundLoss(lambda outputs, target: outputs, Declaration("multilabel", halved, source=""), {})
    outputs = torch.tensor([[1.0, -2000.0], [2000.0, 0.0]], dtype=torch.float64)
    odds = loss.log_odds(outputs)
    assert odds.isfinite().all() and odds[0, 0].item() == pytest.approx(0.5)
    assert odds[0, 1].item() == pytest.approx(math.log(torch.finfo(torch.float64).tiny))


CONSTANTS = [0.1, 1 / 3, 1e9 + 0.1, -7.3, 0.0, 1e-300]


@pytest.mark.parametrize("value", CONSTANTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_constant_target_has_no_share_of_its_spread(value, dtype):
    target = torch.full((1001,), value, dtype=dtype)
    prediction = target + torch.linspace(-1, 1, 1001, dtype=dtype)
    found = regression_metrics(prediction, target, target) | final_regression_metrics(prediction, target, target, 4)
    undefined = {"r2", "adjusted_r2", "nrmse", "explained_variance", "spearman", "kendall"}
    assert not undefined & set(found)
    assert all(math.isfinite(each) and abs(each) < 1e3 * max(1, abs(value)) for each in found.values() if value > 1e-9)


def test_a_target_that_is_constant_but_for_rounding_counts_as_constant():
    target = torch.full((50,), 0.3, dtype=torch.float64)
    target[::2] = 0.1 + 0.2
    assert target.unique().numel() == 2
    found = regression_metrics(target, target, target) | final_regression_metrics(torch.rand(50), target, target, 2)
    assert not {"r2", "nrmse", "spearman", "explained_variance", "adjusted_r2"} & set(found)


def test_a_small_true_spread_is_no_constant():
    target = 1e6 + torch.arange(50, dtype=torch.float64) * 1e-3
    assert regression_metrics(target, target, target)["r2"] == 1
    assert final_regression_metrics(target, target, target)["spearman"] == pytest.approx(1)


def test_a_network_that_says_the_same_has_no_rank_correlation():
    target = torch.linspace(0, 1, 40, dtype=torch.float64)
    noise = torch.rand(40, generator=torch.Generator().manual_seed(0)).double()
    found = final_regression_metrics(0.7 + 1e-7 * noise, target, target)
    assert not {"spearman", "kendall"} & set(found) and found["concordance"] == pytest.approx(0, abs=1e-6)


def test_a_fifth_of_equal_targets_has_the_mean_error_of_all_of_them():
    target = torch.tensor([1.0] * 6 + [2.0] * 4)
    found = final_regression_metrics(target + torch.arange(10) * (target < 1.5), target, target)
    assert [found[f"mae_fifth/{k}"] for k in range(1, 6)] == [2.5, 2.5, 2.5, 0, 0]


def test_counts_that_are_all_the_same_explain_nothing():
    ones = torch.ones(20)
    assert "d2" not in count_metrics(ones + 1, ones, ones) and "r2" not in count_metrics(ones + 1, ones, ones)


def test_nothing_to_evaluate_has_no_metrics():
    p, y, x = torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), torch.zeros(0)
    assert classification_metrics(p, y) == final_classification_metrics(p, y) == {}
    assert multilabel_metrics(p, torch.zeros(0, 3, dtype=torch.long)) == {}
    assert regression_metrics(x, x, x) == final_regression_metrics(x, x, x) == count_metrics(x, x, x) == {}


def test_single_precision_loses_no_digits_of_many_samples():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(100_000, 2, generator=generator)
    p = p / p.sum(1, keepdim=True)
    y = torch.randint(2, (100_000,), generator=generator)
    exactly = classification_metrics(p.double(), y)
    assert classification_metrics(p, y) == pytest.approx(exactly, rel=1e-12)
    assert exactly["brier"] == pytest.approx(math.fsum((p.double() - torch.eye(2)[y]).square().sum(1).tolist()) / 1e5)
    x = 1000 + torch.rand(100_000, generator=generator)
    for suffix, value in regression_metrics(x + 0.5, x, x).items():
        assert value == pytest.approx(regression_metrics((x + 0.5).double(), x.double(), x.double())[suffix], rel=1e-12)
