"""A user's own LightningDataModule in place of lossbench's data."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from lossbench.build import build_data
from lossbench.catalogue import declared_losses
from lossbench.data.module import center_and_scale
from lossbench.errors import ConfigError
from lossbench.run import build_learner, run

SHORT = ["trainer.max_epochs=3"]
LOSSES_OF_COUNTS = [
    name for name, facts in declared_losses().items() if facts.task == "multiclass" and "class_counts" in facts.needs
]


class Own(pl.LightningDataModule):
    """Two classes, five features."""

    def __init__(self, batch_size: int = 16) -> None:
        super().__init__()
        self.batch_size = batch_size

    def loader(self, samples: int, seed: int) -> DataLoader:
        inputs = torch.randn(samples, 5, generator=torch.Generator().manual_seed(seed))
        return DataLoader(TensorDataset(inputs, self.target(inputs)), batch_size=self.batch_size)

    def target(self, inputs):
        return (inputs.sum(1) > 0).long()

    def train_dataloader(self):
        return self.loader(200, 0)

    def val_dataloader(self):
        return self.loader(50, 1)

    def test_dataloader(self):
        return self.loader(60, 2)


class OwnRegression(Own):
    def target(self, inputs):
        return 100 + 10 * inputs.sum(1)


class WithoutTest(pl.LightningDataModule):
    train_dataloader = Own.train_dataloader
    loader, target, batch_size = Own.loader, Own.target, 8


def test_it_trains_is_counted_and_named(cell):
    made = cell("data._target_=tests.test_foreign_data.Own", "loss=balanced_softmax", "data.batch_size=20", *SHORT)
    entry = run(made)
    assert entry["status"] == "finished", entry.get("traceback")
    assert made.data == "Own" and entry["choices"]["data"] == "Own"
    assert sum(entry["data"]["class_counts"]) == 200 and len(entry["data"]["class_counts"]) == 2
    assert entry["metrics"]["best_val"] is not None and entry["metrics"]["last"]["test/accuracy"] > 0.5


def test_regression_keeps_its_units(cell):
    lines = ["data=diabetes", "data._target_=tests.test_foreign_data.OwnRegression", "loss=huber", *SHORT]
    entry = run(cell(*lines))
    assert entry["status"] == "finished", entry.get("traceback")
    assert 1 < entry["metrics"]["last"]["test/mae"] < 60
    target = OwnRegression().target(torch.randn(200, 5, generator=torch.Generator().manual_seed(0)))
    center, scale = center_and_scale(target)  # what converts delta into the units of the target
    assert (entry["data"]["target_center"], entry["data"]["target_scale"]) == (center, scale) and scale > 1


def test_regression_can_be_trained_in_its_units(cell):
    lines = ["data=diabetes", "data._target_=tests.test_foreign_data.OwnRegression", "loss=huber", *SHORT]
    entry = run(cell(*lines, "data.standardize=none"))
    assert entry["status"] == "finished", entry.get("traceback")
    assert (entry["data"]["target_center"], entry["data"]["target_scale"]) == (0, 1)


class OfThreeClasses(Own):
    num_classes = 3  # the third is in no sample


@pytest.mark.parametrize(
    "lines",
    [
        *([f"loss={name}"] for name in LOSSES_OF_COUNTS),
        ["loss=cross_entropy", "weighting=inverse"],
        ["loss=cross_entropy", "posthoc=logit_adjustment"],
    ],
    ids="-".join,
)
def test_a_class_without_a_training_sample_counts_as_one_with_a_single_sample(cell, caplog, lines):
    made = cell("data._target_=tests.test_foreign_data.OfThreeClasses", *SHORT, *lines)
    data = build_data(made.config.data)
    learner = build_learner(made, data)
    assert "no training sample of class 2; in weights, priors and margins" in caplog.text
    context = learner.loss.parameters
    assert data.train_class_counts[2] == 0 and context.get("class_counts", [1])[-1] == 1
    weights = learner.class_weights(0)
    assert weights is None or (weights.isfinite().all() and weights[2] == weights.max())


def test_losses_need_a_test_set(cell):
    with pytest.raises(ConfigError, match="test_dataloader"):
        run(cell("data._target_=tests.test_foreign_data.WithoutTest"))


def test_lines_need_an_alignment(cell):
    with pytest.raises(ConfigError, match="alignment of each line, which data=Own can't give"):
        run(cell("data=digit_lines", "data._target_=tests.test_foreign_data.Own", "loss=ctc"))


def test_other_classes_are_refused(cell):
    with pytest.raises(ConfigError, match="not a LightningDataModule"):
        run(cell("data._target_=torch.nn.Linear"))
