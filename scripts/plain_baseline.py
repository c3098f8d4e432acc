"""What lossbench is measured against: one run as it is written without lossbench, Hydra and one Lightning Trainer.

It trains one loss with one seed and ends; a comparison is this command once for each cell, one after the other. Model,
loss, optimizer, schedule, batch sizes, epochs and evaluation (validation and test part after each epoch) are those of
`python -m lossbench data=outliers|mnist|cifar_imb`. The rest is what a tutorial shows: samples come from two
loader processes, images as PIL pictures through torchvision's transforms, torchmetrics counts, MLFlowLogger writes the
loss of each step to a database in the current folder, ModelCheckpoint keeps the best and the last epoch, the rest
is as Lightning has it. Example:

    LOSSBENCH_DATA=DIR python scripts/plain_baseline.py data=mnist loss=focal seed=3 epochs=2
"""

import copy
from dataclasses import dataclass
from typing import Any

import hydra
import numpy as np
import pytorch_lightning as pl
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import MLFlowLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassCalibrationError,
    MulticlassF1Score,
)
from torchvision import datasets, transforms

from lossbench import load_loss
from lossbench.data.corruptions import choose_per_class, imbalanced_counts
from lossbench.losses.bound_loss import BoundLoss
from lossbench.methods.schedules import warmup_step
from lossbench.models import MLP, LeNet, Network, ResNet32

MODELS: dict[str, Any] = {"outliers": MLP, "mnist": LeNet, "cifar_imb": ResNet32}
VALIDATION = 0.1
"""Part of the training samples that is held out."""


@dataclass
class Config:
    """What can be set from the command line."""

    data: str = "mnist"
    loss: str = "cross_entropy"
    seed: int = 0
    epochs: int = 1
    precision: str = "32-true"
    batch_size: int = 128
    eval_batch_size: int = 250
    max_train: int | None = None
    max_test: int | None = None
    workers: int = 2
    log_every_n_steps: int = 1
    root: str = "${oc.env:LOSSBENCH_DATA,data}"


ConfigStore.instance().store("plain_baseline", node=Config)


@dataclass
class Parts:
    """The three parts of a data set; no class counts for regression."""

    train: Dataset[Any]
    val: Dataset[Any]
    test: Dataset[Any]
    input_shape: list[int]
    class_counts: list[int] | None = None


class Learner(pl.LightningModule):
    """Train a network with one loss; evaluate the validation and the test part after each epoch."""

    def __init__(self, config: Config, network: nn.Module, loss: BoundLoss, metrics: MetricCollection) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.loss = loss
        self.metrics = nn.ModuleList([metrics.clone(prefix="val/"), metrics.clone(prefix="test/")])

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the mean loss of a batch, or its sum for the losses that are defined as sums."""
        inputs, target = batch
        per_sample = self.loss(self.network(inputs).float(), target)
        loss = per_sample.sum() if self.loss.declaration.reduction == "sum" else per_sample.mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Update the metrics of a part."""
        inputs, target = batch
        metrics = self.metrics[dataloader_idx]
        metrics.update(self.loss.link(self.network(inputs).float()), target)  # type: ignore[operator]
        self.log_dict(metrics, on_step=False, on_epoch=True, add_dataloader_idx=False)

    def configure_optimizers(self) -> Any:
        """Make the optimizer, and the schedule if there is one, that lossbench has for the data."""
        if self.config.data != "cifar_imb":
            return torch.optim.Adam(self.parameters(), lr=0.001, fused=True)
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-4, fused=True)
        return [optimizer], [warmup_step(optimizer, warmup_epochs=5, milestones=[160, 180], gamma=0.01)]


def outliers(config: Config) -> Parts:
    """Make sin(2x) + x/2 with noise, and a tenth of the training targets far too high."""
    rng = np.random.default_rng(config.seed)
    x = rng.uniform(-3, 3, (2000, 1))
    y = np.sin(2 * x[:, 0]) + 0.5 * x[:, 0] + rng.normal(0, 0.1, len(x))
    y[:100] += 5 * y[:1000].std()
    known = rng.permutation(1000)[: config.max_train]
    held_out = int(len(known) * VALIDATION)
    x, y = ((values - values[known].mean(0)) / values[known].std(0) for values in (x, y))
    rows = [known[held_out:], known[:held_out], np.arange(1000, 2000)[: config.max_test]]
    train, val, test = (TensorDataset(*(torch.tensor(values[chosen]).float() for values in (x, y))) for chosen in rows)
    return Parts(train, val, test, input_shape=[1])


def mnist(config: Config) -> Parts:
    """Load MNIST."""
    normalise = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    return _images(config, datasets.MNIST, normalise, augmentation=[], imbalance=None, input_shape=[1, 28, 28])


def cifar_imb(config: Config) -> Parts:
    """Load the long-tailed CIFAR-10, with random crops and flips."""
    normalise = [
        transforms.ToTensor(),
        transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    ]
    augmentation = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    return _images(config, datasets.CIFAR10, normalise, augmentation, imbalance=100, input_shape=[3, 32, 32])


DATA = {"outliers": outliers, "mnist": mnist, "cifar_imb": cifar_imb}


def _images(
    config: Config,
    dataset: Any,
    normalise: list[Any],
    augmentation: list[Any],
    imbalance: float | None,
    input_shape: list[int],
) -> Parts:
    train = dataset(config.root, train=True, transform=transforms.Compose(augmentation + normalise))
    test = dataset(config.root, train=False, transform=transforms.Compose(normalise))
    unchanged = copy.copy(train)
    unchanged.transform = test.transform
    labels, rng = np.asarray(train.targets), np.random.default_rng(config.seed)
    known = np.arange(len(labels))
    if imbalance is not None:
        known = choose_per_class(labels, imbalanced_counts("exp", imbalance, 5000, 10), rng)
    known = rng.permutation(known)[: config.max_train]
    held_out = int(len(known) * VALIDATION)
    return Parts(
        train=Subset(train, known[held_out:].tolist()),
        val=Subset(unchanged, known[:held_out].tolist()),
        test=Subset(test, range(len(test))[: config.max_test]),
        input_shape=input_shape,
        class_counts=np.bincount(labels[known[held_out:]], minlength=10).clip(1).tolist(),
    )


def metrics_for(num_classes: int | None) -> MetricCollection:
    """Return the metrics that decide in lossbench; it has some more."""
    if num_classes is None:
        return MetricCollection({"mae": MeanAbsoluteError(), "rmse": MeanSquaredError(squared=False), "r2": R2Score()})
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(num_classes, average="micro"),
            "balanced_accuracy": MulticlassAccuracy(num_classes, average="macro"),
            "macro_f1": MulticlassF1Score(num_classes, average="macro"),
            "ece": MulticlassCalibrationError(num_classes, n_bins=15),
            "auroc": MulticlassAUROC(num_classes),
        }
    )


def make_learner(config: Config, parts: Parts) -> Learner:
    """Build model and loss for loaded data."""
    counts = parts.class_counts
    num_classes = None if counts is None else len(counts)
    context: dict[str, Any] = {} if counts is None else {"class_counts": counts, "num_classes": num_classes}
    backbone = MODELS[config.data](input_shape=parts.input_shape)
    network = Network(backbone, nn.Linear(backbone.num_features, num_classes or 1))
    return Learner(config, network, load_loss(config.loss, **context), metrics_for(num_classes))


def make_trainer(config: Config, num_classes: int | None) -> pl.Trainer:
    """Build the trainer with its logger and checkpoints."""
    name = f"{config.loss}-s{config.seed}"
    logger = MLFlowLogger(experiment_name=config.data, run_name=name, tracking_uri="sqlite:///mlflow.db")
    logger.log_hyperparams(OmegaConf.to_container(config, resolve=True))
    metric, mode = ("val/mae", "min") if num_classes is None else ("val/balanced_accuracy", "max")
    best = ModelCheckpoint(f"checkpoints/{config.data}-{name}", monitor=metric, mode=mode, save_last=True)
    return pl.Trainer(
        max_epochs=config.epochs,
        precision=config.precision,
        logger=logger,
        log_every_n_steps=config.log_every_n_steps,
        callbacks=[best],
    )


@hydra.main(version_base="1.3", config_path=None, config_name="plain_baseline")
def main(config: Config) -> None:
    """Train and evaluate one loss with one seed."""
    pl.seed_everything(config.seed, workers=True)
    parts = DATA[config.data](config)
    common: dict[str, Any] = {"num_workers": config.workers, "persistent_workers": config.workers > 0}
    train = DataLoader(parts.train, config.batch_size, shuffle=True, **common)
    evaluated = [DataLoader(part, config.eval_batch_size, **common) for part in (parts.val, parts.test)]
    learner = make_learner(config, parts)
    make_trainer(config, None if parts.class_counts is None else len(parts.class_counts)).fit(learner, train, evaluated)


if __name__ == "__main__":
    main()
