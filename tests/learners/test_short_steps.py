"""Hooks that are called the short way, and metrics told without a log: Lightning does the same with them."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer import call
from torch import nn
from torch.utils.data import DataLoader

from lossbench.compat import lightning
from lossbench.learners import supervised
from lossbench.methods import mixup


class Told(pl.Callback):
    def __init__(self) -> None:
        self.order: list[object] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.order.append(("start", batch_idx, pl_module._current_fx_name))

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.order.append(("step", pl_module._current_fx_name))

    def on_train_epoch_end(self, trainer, pl_module):
        self.order.append({name: value.item() for name, value in trainer.callback_metrics.items()})


class Small(pl.LightningModule):
    def __init__(self, tells) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.tells, self.hooks = nn.Linear(2, 1), tells, []

    def training_step(self, batch, batch_idx):
        self.hooks.append((self._current_fx_name, batch_idx))
        return self.layer(batch).square().mean()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.hooks.append((self._current_fx_name, outputs["loss"].item()))

    def validation_step(self, batch, batch_idx):
        self.hooks.append((self._current_fx_name, batch_idx))

    def on_validation_epoch_end(self):
        metrics = {"val/a": 0.1 * (self.current_epoch + 1), "val/whole": 3, "val/none": float("nan")}
        lightning.tell_callbacks(self.trainer, metrics) if self.tells else self.log_dict(metrics)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val/a"}}


def fitted(tmp_path, tells, **options):
    told, module = Told(), Small(tells)
    told.on_train_batch_end = lambda trainer, pl_module, outputs, batch, batch_idx: told.order.append("own")
    stop = pl.callbacks.EarlyStopping("val/a", patience=1)
    best = pl.callbacks.ModelCheckpoint(tmp_path, monitor="val/a")
    batches = DataLoader(torch.arange(12.0).reshape(6, 2) / 12, batch_size=2)
    trainer = pl.Trainer(
        max_epochs=4, logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
        callbacks=[told, stop, best], num_sanity_val_steps=0, **options,
    )  # fmt: skip
    trainer.fit(module, batches, batches)
    outcome = [trainer.optimizers[0].param_groups[0]["lr"], best.best_model_score.item(), trainer.current_epoch]
    return repr([told.order, module.hooks, outcome, [each.tolist() for each in module.parameters()]])


def test_short_steps_are_those_of_lightning(tmp_path, monkeypatch):
    short = fitted(tmp_path / "short", tells=True)
    for name, slowly in lightning._slowly.items():
        monkeypatch.setattr(call, name, slowly)
    for module in (lightning.training_epoch_loop, lightning.evaluation_loop, lightning.utilities):
        monkeypatch.setattr(module, "is_param_in_hook_signature", lightning._in_signature)
    assert fitted(tmp_path / "long", tells=False) == short
    assert "'own'" in short and "'val/a': 0.1" in short


def test_a_profiler_sees_all_hooks(tmp_path):
    profiler = pl.profilers.SimpleProfiler()
    fitted(tmp_path, tells=True, profiler=profiler)
    names = set(profiler.recorded_durations)
    assert {"[LightningModule]Small.on_train_batch_end", "[Strategy]SingleDeviceStrategy.training_step"} <= names


def test_whether_a_hook_takes_a_parameter():
    module = Small(tells=True)
    for hook in (module.training_step, module.on_validation_epoch_end, module.forward):
        for rest in (("batch_idx",), ("batch_idx", True), ("batch_idx", False, 2), ("other",)):
            assert lightning._has_parameter(hook, *rest) == lightning._in_signature(hook, *rest)


@pytest.mark.parametrize("ours", [True, False])
def test_only_functions_of_lossbench_are_freed_of_the_policy_of_hydra(ours):
    class Policed(partial):
        pass

    function = Policed(mixup.none if ours else print)
    assert type(supervised._plain(function)) is (partial if ours else Policed)
    assert supervised._plain(print) is print
