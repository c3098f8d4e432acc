"""Several labels to a sample: data, metrics, pictures, and the command from end to end."""

import json

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn import metrics as sklearn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.formatting import words
from lossbench.data import DataModule
from lossbench.data.sources.source import load_source
from lossbench.data.sources.tables import DIGITS_WITH
from lossbench.data.training_set import strata
from lossbench.errors import ConfigError
from lossbench.losses.links import sigmoids
from lossbench.running.run import run
from lossbench.tasks import task_named
from lossbench.tasks.classification.report.by_class import recall_by_class
from lossbench.tasks.multilabel.metrics import multilabel_metrics
from lossbench.tasks.multilabel.report import precision_by_label
from tests.support.compared import made_up


def ready(**settings):
    module = DataModule("digits_multilabel", "multilabel", **settings)
    module.setup()
    return module


def targets_of(loader):
    return torch.cat([batch.target for batch in loader])


# ------------------------------------------------------------------------------------------------------------- data


def test_labels_are_those_of_the_digits(tmp_path):
    source, digits = load_source("digits_multilabel", tmp_path, 0), load_source("digits", tmp_path, 0)
    assert source.class_names == tuple(DIGITS_WITH) and source.num_classes == 6
    assert torch.equal(source.train_inputs, digits.train_inputs) and source.train_target.dtype == torch.int64
    by_digit = {k: source.train_target[digits.train_target == k].unique(dim=0).tolist() for k in range(10)}
    assert by_digit[4] == [[0] * 6] and by_digit[9] == [[1, 1, 1, 0, 1, 0]] and by_digit[7] == [[1, 1, 0, 1, 0, 1]]
    assert source.train_target[:, 0].tolist() == (digits.train_target % 2).tolist()
    assert len(source.train_target) + len(source.test_target) == len(load_digits().target)


def test_counts_are_positives_of_each_label():
    module = ready(max_train=200, val_fraction=0.25)
    train, val = (targets_of(loader) for loader in (module.train_dataloader(), module.evaluation_loaders["val"]))
    assert module.train_class_counts == train.sum(0).tolist() and module.val_class_counts == val.sum(0).tolist()
    assert module.class_counts == (train.sum(0) + val.sum(0)).tolist()
    assert module.train_size == len(train) == 200 - len(val) and module.num_train == 1297
    assert module.facts()["class_names"] == list(DIGITS_WITH)


def test_the_split_keeps_the_share_of_each_combination_of_labels():
    module = ready(val_fraction=0.25)
    parts = [targets_of(loader) for loader in (module.train_dataloader(), module.evaluation_loaders["val"])]
    both = [{tuple(row) for row in part.tolist()} for part in parts]
    assert both[0] == both[1] and len(both[0]) == 10
    for combination in both[0]:
        train, val = (int((part == torch.tensor(combination)).all(1).sum()) for part in parts)
        assert val == (train + val) // 4


def test_strata_number_the_combinations():
    labels = torch.tensor([[0, 1], [1, 1], [0, 1], [0, 0]])
    numbers = strata(labels, "labels")
    assert numbers.shape == (4,) and numbers[0] == numbers[2] and len(set(numbers.tolist())) == 3


def test_paired_runs_share_everything():
    assert ready(seed=1, run_seed=1).hashes == ready(seed=1, run_seed=1).hashes != ready(seed=1, run_seed=2).hashes


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"noise": {"kind": "symmetric", "rate": 0.2, "family": "exact"}}, r"noise\.kind=symmetric does not apply"),
        ({"imbalance": {"kind": "exp", "factor": 2}}, r"imbalance\.kind=exp does not apply to multilabel"),
        ({"contamination": {"kind": "vertical"}}, r"contamination\.kind=vertical does not apply"),
        ({"imbalance": {"kind": "none", "max_count": 5}}, r"Use data\.max_train"),
    ],
)
def test_corruptions_of_classes_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        ready(**settings)


class Own(pl.LightningDataModule):
    """Three labels as floats, five features."""

    class_names = ("first", "second", "both")

    def loader(self, samples: int, seed: int) -> DataLoader:
        inputs = torch.randn(samples, 5, generator=torch.Generator().manual_seed(seed))
        return DataLoader(TensorDataset(inputs, self.target(inputs)), batch_size=16)

    def target(self, inputs):
        first, second = inputs[:, 0] > 0, inputs[:, 1] > 0.5
        return torch.stack([first, second, first & second], 1).float()

    def train_dataloader(self):
        return self.loader(200, 0)

    def val_dataloader(self):
        return self.loader(50, 1)

    def test_dataloader(self):
        return self.loader(60, 2)


class OneLabel(Own):
    def target(self, inputs):
        return super().target(inputs)[:, :1]


class Counts(Own):
    def target(self, inputs):
        return super().target(inputs) + 1


class PartlyKnown(Own):
    """A third of the labels are not known, some samples have none that is."""

    def target(self, inputs):
        labels = super().target(inputs)
        hidden = torch.rand(labels.shape, generator=torch.Generator().manual_seed(len(inputs))) < 1 / 3
        return labels.masked_fill(hidden, torch.nan)


class PlusMinus(Own):
    def target(self, inputs):
        return 2 * super().target(inputs) - 1


FOREIGN = ["data=digits_multilabel", "trainer.max_epochs=3", "optimizer.lr=0.01"]


@pytest.mark.parametrize("loss", ["multilabel_weighted_bce", "distribution_balanced", "multilabel_two_way"])
def test_own_data_of_several_labels_train(cell, loss):
    entry = run(cell(*FOREIGN, f"data._target_={__name__}.Own", f"loss={loss}"))
    assert entry["status"] == "finished", entry.get("traceback")
    assert entry["data"]["class_counts"] == Own().target(Own().loader(200, 0).dataset.tensors[0]).sum(0).tolist()
    assert entry["data"]["class_names"] == ["first", "second", "both"]
    assert entry["metrics"]["last"]["test/map"] > 0.6 and "test/ap/2" in entry["metrics"]["last"]


@pytest.mark.parametrize("loss", ["multilabel_bce", "distribution_balanced", "multilabel_two_way"])
def test_labels_that_are_not_known_are_left_out(cell, loss):
    made = cell(*FOREIGN, f"data._target_={__name__}.PartlyKnown", f"loss={loss}")
    entry = run(made)
    assert entry["status"] == "finished", entry.get("traceback")
    target = PartlyKnown().loader(200, 0).dataset.tensors[1]
    assert entry["data"]["class_counts"] == (target == 1).sum(0).tolist()
    assert entry["metrics"]["last"]["test/map"] > 0.6
    with np.load(made.path / "predictions.npz") as saved:
        test = PartlyKnown().loader(60, 2).dataset.tensors[1]
        assert np.array_equal(saved["target"], test.nan_to_num(-1).long().numpy())


def test_metrics_of_what_is_known_by_loops():
    generator = torch.Generator().manual_seed(3)
    log_odds = torch.randn(40, 4, dtype=torch.float64, generator=generator)
    target = (torch.rand(40, 4, generator=generator) < 0.4).long()
    target[torch.rand(40, 4, generator=generator) < 0.3] = -1
    target[5] = -1
    p, y, known = log_odds.sigmoid().numpy(), target.numpy(), target.numpy() >= 0
    found = multilabel_metrics(log_odds.sigmoid(), target, log_odds)
    columns = range(4)
    expected = {f"ap/{k}": sklearn.average_precision_score(y[known[:, k], k], p[known[:, k], k]) for k in columns}
    expected |= {f"f1/{k}": sklearn.f1_score(y[known[:, k], k], p[known[:, k], k] > 0.5) for k in columns}
    expected["auroc"] = np.mean([sklearn.roc_auc_score(y[known[:, k], k], p[known[:, k], k]) for k in columns])
    expected["hamming_accuracy"] = np.mean((p > 0.5)[known] == y[known])
    expected["nll"], expected["brier"] = sklearn.log_loss(y[known], p[known]), np.mean((p - y)[known] ** 2)
    expected["micro_f1"] = sklearn.f1_score(y[known], p[known] > 0.5)
    rows = [row for row in range(40) if known[row].any()]
    pairs = [[p[i, a] <= p[i, b] for a in columns for b in columns if y[i, a] == 1 and y[i, b] == 0] for i in rows]
    expected["ranking_loss"] = np.mean([np.mean(each) if each else 0 for each in pairs])
    expected["subset_accuracy"] = np.mean([((p[i] > 0.5) == y[i])[known[i]].all() for i in rows])
    reach = [[(known[i] & (p[i] >= p[i, a])).sum() for a in columns if y[i, a] == 1] for i in rows]
    expected["coverage_error"] = np.mean([max(each, default=0) for each in reach])
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize(
    ("kind", "told"),
    [("OneLabel", r"\(200, 1\)"), ("Counts", "values from 1 to 2"), ("PlusMinus", "-1 is one that is not known")],
)
def test_own_data_without_labels_are_refused(cell, kind, told):
    with pytest.raises(ConfigError, match=f"data.task=multilabel.*{told}"):
        run(cell(*FOREIGN, f"data._target_={__name__}.{kind}"))


def broken(logits, target):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def fair(logits, target):
    return broken(logits, target).sum(1)


def test_an_own_loss_gets_logits_and_targets_of_all_labels(cell):
    entry = run(cell(*FOREIGN, f"loss._target_={__name__}.fair", "data.max_train=100"))
    assert entry["status"] == "finished" and entry["loss"] == "fair", entry.get("traceback")
    with pytest.raises(ConfigError, match=r"returned shape \(6, 5\) for outputs of shape \(6, 5\)"):
        cell(*FOREIGN, f"loss._target_={__name__}.broken")


# ---------------------------------------------------------------------------------------------------------- metrics


@pytest.fixture
def predicted():
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand(300, 5, generator=generator) < torch.tensor([0.5, 0.5, 0.3, 0.1, 0.05])).long()
    logits = torch.randn(300, 5, generator=generator, dtype=torch.float64) + 2 * target - 1
    return logits.sigmoid(), target


def test_metrics_agree_with_scikit_learn(predicted):
    probabilities, target = predicted
    ours, p, y = multilabel_metrics(probabilities, target), probabilities.numpy(), target.numpy()
    hard = (p > 0.5).astype(int)
    for average in ("micro", "macro"):
        assert ours[f"{average}_f1"] == pytest.approx(sklearn.f1_score(y, hard, average=average))
        assert ours[f"{average}_precision"] == pytest.approx(sklearn.precision_score(y, hard, average=average))
        assert ours[f"{average}_recall"] == pytest.approx(sklearn.recall_score(y, hard, average=average))
    assert ours["map"] == pytest.approx(sklearn.average_precision_score(y, p, average="macro"))
    assert ours["auroc"] == pytest.approx(sklearn.roc_auc_score(y, p, average="macro"))
    assert ours["hamming_accuracy"] == pytest.approx(1 - sklearn.hamming_loss(y, hard))
    assert ours["subset_accuracy"] == pytest.approx(sklearn.accuracy_score(y, hard))
    assert ours["ranking_loss"] == pytest.approx(sklearn.label_ranking_loss(y, p))
    assert ours["coverage_error"] == pytest.approx(sklearn.coverage_error(y, p))
    each = [sklearn.log_loss(y[:, k], p[:, k]) for k in range(5)]
    assert ours["nll"] == pytest.approx(np.mean(each))
    assert ours["brier"] == pytest.approx(np.mean([sklearn.brier_score_loss(y[:, k], p[:, k]) for k in range(5)]))
    assert [ours[f"f1/{k}"] for k in range(5)] == pytest.approx(sklearn.f1_score(y, hard, average=None))
    assert [ours[f"ap/{k}"] for k in range(5)] == pytest.approx(sklearn.average_precision_score(y, p, average=None))


def test_calibration_error_is_that_of_all_label_probabilities(predicted):
    probabilities, target = predicted
    p, y = probabilities.numpy().ravel(), target.numpy().ravel()
    bins = np.clip(np.ceil(p * 15).astype(int) - 1, 0, 14)
    expected = sum(abs(p[bins == b].mean() - y[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
    assert multilabel_metrics(probabilities, target)["ece"] == pytest.approx(expected, abs=1e-6)


def test_absent_labels_are_left_out(predicted):
    probabilities, target = predicted
    without = target.clone()
    without[:, 3] = 0
    ours, kept = multilabel_metrics(probabilities, without), [0, 1, 2, 4]
    others = multilabel_metrics(probabilities[:, kept], target[:, kept])
    for name in ("map", "auroc", "macro_f1", "macro_precision", "macro_recall"):
        assert ours[name] == pytest.approx(others[name])
    assert "ap/3" not in ours and "f1/3" not in ours and ours["ap/4"] == others["ap/3"]
    none = multilabel_metrics(probabilities, torch.zeros_like(target))
    assert not {"map", "auroc", "macro_f1"} & none.keys() and none["micro_recall"] == 0
    everywhere = without.clone()
    everywhere[:, 3] = 1
    assert multilabel_metrics(probabilities, everywhere)["auroc"] == pytest.approx(ours["auroc"])


def test_a_certain_mistake_has_a_finite_nll():
    ours = multilabel_metrics(torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([[0, 1]]))
    assert 100 < ours["nll"] < 1000 and ours["brier"] == 1 and ours["map"] <= 1


def test_the_link_is_a_sigmoid_for_each_label():
    assert sigmoids(torch.tensor([[0.0, 100.0]])).tolist() == [[0.5, 1.0]]


def test_single_labels_can_pick_the_epoch_and_sort(cell):
    made = cell("data=digits_multilabel", "monitor=f1/5", "compare.metric=ap/5", "compare.select=oracle")
    assert made.monitor == "f1/5"
    with pytest.raises(ConfigError, match=r"compare\.metric=f1/5 is computed only at the last"):
        cell("data=digits", "compare.metric=f1/5", "compare.select=oracle")
    with pytest.raises(ConfigError, match=r"monitor=recall/5 is not known\. Nearest"):
        cell("data=digits_multilabel", "monitor=recall/5")
    assert words("ap/5") == "AP, label 5" and words("map") == "mAP"
    task = task_named("multilabel")
    assert not task.higher_is_better("test/ranking_loss") and task.higher_is_better("test/ap/5")


# --------------------------------------------------------------------------------------------------------- pictures


def labelled(loss: str, seed: int, labels: int, names: list[str]) -> dict:
    metrics = {f"test/ap/{k}": 0.5 + 0.01 * k + 0.02 * seed for k in range(labels)} | {"test/map": 0.5 + 0.1 * seed}
    data = {"train_class_counts": list(range(labels, 0, -1)), "class_names": names}
    last = {"last": metrics, "best_val": metrics}
    return made_up(loss, seed, 0.5, task="multilabel", data=data, metrics=last, monitor="map")


@pytest.mark.parametrize(("labels", "shown"), [(5, 5), (40, 12)])
def test_a_panel_for_each_label_rare_ones_first(labels, shown):
    names = [f"name of {k}" for k in range(labels)] if labels == 5 else []
    entries = [labelled(loss, seed, labels, names) for loss in ("multilabel_bce", "mine") for seed in range(3)]
    analysis = analyse(comparisons(entries)[0], Options())
    assert analysis.baseline == "multilabel_bce" and analysis.metric == "map" and not recall_by_class(analysis)
    (picture,) = precision_by_label(analysis)
    titles = [axes.get_title() for axes in picture.figure.axes]
    rarest = "name of 4" if names else "label 39"
    assert len(titles) == shown and titles[0] == f"{rarest}\n1 training samples"
    assert ("rarest of 40 labels" in picture.caption) == (labels == 40) and "3 seeds" in picture.caption


def test_other_tasks_have_no_such_picture():
    entries = [made_up(loss, seed, 0.5) for loss in ("cross_entropy", "focal") for seed in range(2)]
    assert precision_by_label(analyse(comparisons(entries)[0], Options())) == []


# ---------------------------------------------------------------------------------------------------------- command


def test_the_command_from_end_to_end(lossbench, tmp_path):
    lines = ["data=digits_multilabel", "trainer.max_epochs=2", "data.max_train=200", "tracking=none", "pictures=always"]
    result = lossbench("-m", "loss=multilabel_bce,multilabel_asymmetric", "seed=0,1", *lines)
    assert result.returncode == 0, result.stderr
    assert "multilabel_asymmetric has the best mean mAP" in result.stdout or "multilabel_bce has" in result.stdout
    (report,) = tmp_path.glob("outputs/comparisons/*/report.html")
    html = report.read_text()
    assert "Not drawn" not in html and "Average precision by label" in html
    assert (report.parent / "precision_by_label.svg").read_text().count("is_seven") >= 1
    for path in tmp_path.glob("outputs/digits_multilabel/*/record.json"):
        entry = json.loads(path.read_text())
        assert entry["status"] == "finished" and entry["task"] == "multilabel" and entry["monitor"] == "map"
        assert (path.parent / "labels.png").stat().st_size > 5000
        with np.load(path.parent / "predictions.npz") as arrays:
            assert arrays["probabilities"].shape == arrays["target"].shape == (500, 6)
