"""Steps without profiles, signatures looked up once, metrics told without a log: Lightning does the same with them."""

import sys
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.utilities import signature_utils
from torch import nn
from torch.utils.data import DataLoader

from lossbench.compat import lightning
from lossbench.learners import supervised
from lossbench.methods import mixup
from lossbench.running.build import build_trainer


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


LOOPS = tuple(
    import_module(f"pytorch_lightning.loops.{name}") for name in ("training_epoch_loop", "evaluation_loop", "utilities")
)
ASKED = signature_utils.is_param_in_hook_signature


def asks_as_lightning(monkeypatch):
    for module in LOOPS:
        monkeypatch.setattr(module, lightning.ASKED, ASKED)


def test_short_steps_are_those_of_lightning(tmp_path, monkeypatch):
    asks_as_lightning(monkeypatch)
    long = fitted(tmp_path / "long", tells=False)
    lightning.ask_signatures_once.__wrapped__()
    assert all(getattr(module, lightning.ASKED) is not ASKED for module in LOOPS)
    assert fitted(tmp_path / "short", tells=True, profiler=lightning.NoProfiler()) == long
    assert "'own'" in long and "'val/a': 0.1" in long


def test_a_trainer_measures_nothing_unless_it_is_asked_to(tmp_path):
    for profiler, kind in ((None, lightning.NoProfiler), ("simple", pl.profilers.SimpleProfiler)):
        node = OmegaConf.create({"_target_": "pytorch_lightning.Trainer", "profiler": profiler, "accelerator": "cpu"})
        assert type(build_trainer(node, [], tmp_path).profiler) is kind


def test_loops_that_ask_otherwise_are_left_as_they_are(monkeypatch):
    asks_as_lightning(monkeypatch)
    gone, without, other = LOOPS
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, gone.__name__, None)  # as where it is not there
        patched.delattr(without, lightning.ASKED)
        patched.setattr(other, lightning.ASKED, lambda hook, /, wanted, *, strictly=True: (hook, wanted, strictly))
        lightning.ask_signatures_once.__wrapped__()
        assert not hasattr(without, lightning.ASKED)
        asked = getattr(other, lightning.ASKED)
        assert asked(print, "x", strictly=False) == asked(print, "x", strictly=False) == (print, "x", False)
    assert getattr(gone, lightning.ASKED) is ASKED


@pytest.mark.parametrize("connector", [{}, {"_logger_connector": SimpleNamespace(_callback_metrics={})}])
def test_metrics_are_logged_where_lightning_keeps_them_elsewhere(connector):
    logged = {}
    trainer = SimpleNamespace(lightning_module=SimpleNamespace(log_dict=logged.update), **connector)
    lightning.tell_callbacks(trainer, {"val/a": 0.1})
    assert logged == {"val/a": 0.1}


def test_whether_a_hook_takes_a_parameter():
    module, answer = Small(tells=True), lightning.remembering(ASKED)
    for hook in (module.training_step, module.on_validation_epoch_end, module.forward):
        for rest in (("batch_idx",), ("batch_idx", True), ("batch_idx", False, 2), ("other",)):
            for _ in range(2):
                assert answer(hook, *rest) == ASKED(hook, *rest)


@pytest.mark.parametrize("ours", [True, False])
def test_only_functions_of_lossbench_are_freed_of_the_policy_of_hydra(ours):
    class Policed(partial):
        pass

    function = Policed(mixup.none if ours else print)
    assert type(supervised._plain(function)) is (partial if ours else Policed)
    assert supervised._plain(print) is print
