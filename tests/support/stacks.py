"""Runs that train in a stack or alone, without records, and how they are held against each other."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lossbench.config.cell import without
from lossbench.data.stacked import StackedData
from lossbench.learners import Supervised
from lossbench.learners.stacked.stack import Stack
from lossbench.records.provenance import digest
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data, build_trainer

SMALL = ["data.max_train=256", "data.max_test=100", "data.batch_size=32", "model=mlp", "model.hidden=[16,16]"]
EXACT = ["trainer.precision=64-true", "trainer.max_epochs=12", "trainer.check_val_every_n_epoch=12"]


def rounding(steps: int, lr: float = 1e-3) -> float:
    """What rounding in float64 may come to: Adam divides a vanishing gradient by 1e-8, so each step adds lr / 1e-8."""
    return steps * lr / 1e-8 * torch.finfo(torch.float64).eps


class Moment:
    """What a learner had come to at some moment of its training."""

    def __init__(self, learner: Supervised) -> None:
        self._state = copy.deepcopy(learner.state_dict())
        self.history, self.last, self.best = copy.deepcopy(learner.history), learner.last, learner.best

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self._state


class Watch(pl.Callback):
    """Keep the moments of all learners after some epochs; training may end there."""

    def __init__(self, epochs: int, end: bool = False) -> None:
        self.epochs, self.end = epochs, end
        self.moments: list[Moment] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == self.epochs:
            self.moments = [Moment(learner) for learner in getattr(pl_module, "learners", [pl_module])]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop |= self.end and trainer.current_epoch == self.epochs - 1


def trained_alone(cell, *callbacks: pl.Callback) -> Supervised:
    """Train a cell by itself, without a record."""
    data = build_data(cell.config.data)
    learner = build_learner(cell, data)
    trainer = build_trainer(cell.config.trainer, [*callbacks, ModelCheckpoint(save_top_k=0)], cell.path)
    trainer.fit(learner, datamodule=data)
    return learner


def trained_together(cells, *callbacks: pl.Callback) -> Stack:
    """Train cells as one stack, without records; the learners know what has become of them."""
    kinds = [digest(cell.resolved["data"]) for cell in cells]
    modules = {kind: build_data(cell.config.data) for kind, cell in zip(kinds, cells, strict=True)}
    places, data = list(modules), StackedData(list(modules.values()))
    config = cells[0].config.trainer
    made = Stack(
        [build_learner(cell, modules[kind]) for kind, cell in zip(kinds, cells, strict=True)],
        [places.index(kind) for kind in kinds],
        {name: loader.sizes for name, loader in data.evaluated.items()},
        clip=config.gradient_clip_val,
        clip_algorithm=config.gradient_clip_algorithm or "norm",
    )
    settings = without(config, "gradient_clip_val", "gradient_clip_algorithm")
    build_trainer(settings, [*callbacks, ModelCheckpoint(save_top_k=0)], cells[0].path).fit(made, datamodule=data)
    return made


def assert_same(one: "Supervised | Moment", other: "Supervised | Moment", tolerance: float) -> None:
    """Hold two learners of the same cell against each other: weights, buffers, history and metrics."""
    for (name, value), expected in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")
    assert [row.keys() for row in one.history] == [row.keys() for row in other.history]
    for row, expected in zip(one.history, other.history, strict=True):
        assert row == pytest.approx(expected, rel=10 * tolerance, abs=10 * tolerance)
    assert one.last["epoch"] == other.last["epoch"] and one.best["epoch"] == other.best["epoch"]
