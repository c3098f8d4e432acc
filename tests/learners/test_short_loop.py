"""Short steps against Lightning's own: the same calls in the same order, the same progress, the same weights."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from lossbench.compat import short_steps
from lossbench.compat.lightning import NoProfiler

HOOKS = [name for name in dir(pl.Callback) if name.startswith("on_") and "checkpoint" not in name]


def teller(names):
    """Make a callback with some hooks, each of which notes its call, its name, the progress and what it is given."""
    told = []

    def tell(name, _self, trainer, module, *given):
        progress = trainer.fit_loop.epoch_loop.state_dict()
        seen = {key: value for key, value in progress.items() if "val_loop" not in key}
        shown = [each.tolist() if isinstance(each, torch.Tensor) else repr(each) for each in given]
        told.append((name, module._current_fx_name, trainer.global_step, shown, repr(seen)))

    def hook(name):
        return lambda *given: tell(name, *given)

    body = {name: hook(name) for name in names}
    return type("Teller", (pl.Callback,), body)(), told


class Small(pl.LightningModule):
    def __init__(self, returns="loss", optimizer="SGD", **body) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.hooks, self.returns, self.optimizer = nn.Linear(2, 1), [], returns, optimizer
        for name, function in body.items():
            setattr(self, name, function)

    def training_step(self, batch, batch_idx):
        self.hooks.append(("step", self._current_fx_name, batch_idx, torch.is_grad_enabled()))
        loss = (self.layer(batch) - 1).square().mean()
        if self.returns == "logs":
            self.log("train/step", loss, on_step=True, on_epoch=True)
        if self.returns == "nothing" and batch_idx == 1:
            return None
        return {"loss": loss, "more": batch_idx} if self.returns == "dict" else loss

    def on_train_batch_start(self, batch, batch_idx):
        self.hooks.append(("start", self._current_fx_name))
        return -1 if self.returns == "stops" and batch_idx == 1 else None

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.hooks.append(("end", self._current_fx_name, repr(outputs)))

    def on_before_backward(self, loss):
        self.hooks.append(("backward", self._current_fx_name, loss.item()))

    def validation_step(self, batch, batch_idx):
        self.hooks.append(("val", batch_idx))

    def configure_optimizers(self):
        kind = getattr(torch.optim, self.optimizer)
        optimizer = kind(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}


def fitted(tmp_path, short, names=HOOKS, module=None, data=None, resume=None, **options):
    callback, told = teller(names)
    module = Small(**(module or {}))
    batches = DataLoader(torch.arange(12.0).reshape(6, 2) / 12, batch_size=2)
    kept = pl.callbacks.ModelCheckpoint(tmp_path, save_last=True, save_top_k=0, save_on_train_epoch_end=True)
    trainer = pl.Trainer(**{
        "max_epochs": 3, "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
        "accelerator": "cpu", "default_root_dir": tmp_path, "callbacks": [callback, kept], "profiler": NoProfiler(),
        **options,
    })  # fmt: skip
    if short:
        short_steps.shorten_steps(trainer)
        assert type(trainer.fit_loop.epoch_loop) is short_steps.ShortSteps
    trainer.fit(module, *(data or (batches, batches)), ckpt_path=resume, weights_only=False)
    plain = short and trainer.fit_loop.epoch_loop._plain
    saved = repr(torch.load(kept.last_model_path, weights_only=False)) if kept.last_model_path else ""
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
    weights = [each.tolist() for each in module.parameters()]
    return plain, [told, module.hooks, saved.replace("/short", "/long"), metrics, weights], kept.last_model_path


@pytest.mark.parametrize(
    ("module", "options", "names"),
    [
        ({}, {}, HOOKS),
        ({}, {}, []),
        ({}, {}, ["on_train_batch_end"]),
        ({}, {}, ["on_before_zero_grad", "on_after_backward"]),
        ({}, {"gradient_clip_val": 0.1}, []),
        ({}, {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}, HOOKS),
        ({"returns": "dict"}, {"max_steps": 5}, HOOKS),
        ({"returns": "nothing"}, {"limit_train_batches": 2}, HOOKS),
        ({"returns": "stops"}, {}, HOOKS),
        ({"returns": "logs"}, {"check_val_every_n_epoch": 2}, HOOKS),
        ({"optimizer": "LBFGS"}, {"limit_val_batches": 0}, HOOKS),
        ({"optimizer": "Adam"}, {"num_sanity_val_steps": 0, "overfit_batches": 2}, HOOKS),
    ],
)
def test_steps_are_those_of_lightning(tmp_path, module, options, names):
    _, long, _ = fitted(tmp_path / "long", False, names, module, **options)
    plain, short, _ = fitted(tmp_path / "short", True, names, module, **options)
    assert plain and short == long


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ({}, {"accumulate_grad_batches": 2}),
        ({}, {"precision": "64-true"}),
        ({}, {"val_check_interval": 1, "check_val_every_n_epoch": None}),
        ({}, {"val_check_interval": 2}),
        ({}, {"fast_dev_run": True}),
        ({"optimizer_zero_grad": lambda epoch, batch_idx, optimizer: optimizer.zero_grad(set_to_none=False)}, {}),
    ],
)
def test_what_is_not_known_is_left_to_lightning(tmp_path, module, options):
    _, long, _ = fitted(tmp_path / "long", False, HOOKS, module, **options)
    plain, short, _ = fitted(tmp_path / "short", True, HOOKS, module, **options)
    assert not plain and short == long


def test_a_resumed_run_goes_on_as_in_lightning(tmp_path):
    outcomes = []
    for name in ("long", "short"):
        *_, path = fitted(tmp_path / name, name == "short", max_epochs=1)
        outcomes.append(fitted(tmp_path / name, name == "short", resume=path)[1])
    assert outcomes[0] == outcomes[1] and len(outcomes[0][1]) > 6


class Moves(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(torch.arange(12.0).reshape(6, 2) / 12, batch_size=2)

    val_dataloader = train_dataloader

    def on_before_batch_transfer(self, batch, dataloader_idx):
        return batch + 1


def test_batches_are_changed_before_a_step_as_in_lightning(tmp_path):
    long, short = (fitted(tmp_path / name, name == "short", data=[None, None, Moves()]) for name in ("long", "short"))
    unchanged = fitted(tmp_path / "short", True)
    assert short[0] and short[1] == long[1] and short[1][-1] != unchanged[1][-1]


def test_a_callback_that_comes_in_an_epoch_is_called(tmp_path):
    class Adds(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 0 and trainer.current_epoch == 0:
                trainer.callbacks.append(late)

    outcomes = []
    for name in ("long", "short"):
        late, told = teller(HOOKS)
        fitted(tmp_path / name, name == "short", callbacks=[Adds()])
        outcomes.append(told)
    assert outcomes[0][1:] == outcomes[1]  # from the next step on: Lightning calls it in the hook that has added it


@pytest.mark.parametrize("every", [None, 2])
def test_checkpoints_are_written_after_the_same_steps(tmp_path, every):
    outcomes = []
    for name in ("long", "short"):
        saves = pl.callbacks.ModelCheckpoint(tmp_path / name, every_n_train_steps=every, save_top_k=-1)
        fitted(tmp_path / name, name == "short", callbacks=[saves])
        outcomes.append(sorted(path.name for path in (tmp_path / name).glob("*.ckpt")))
    assert outcomes[0] == outcomes[1] and len(outcomes[0]) == (4 if every else 3)


def test_another_version_of_lightning_steps_by_itself(monkeypatch):
    trainer = pl.Trainer(logger=False, accelerator="cpu")
    monkeypatch.setattr(pl, "__version__", "3.0.0")
    short_steps.shorten_steps(trainer)
    assert type(trainer.fit_loop.epoch_loop) is not short_steps.ShortSteps
