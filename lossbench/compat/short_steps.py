"""Steps of Lightning's training loop without what comes to nothing; seen in pytorch-lightning 2.6.6.

Lightning calls some 40 hooks a step, of every callback and of the module, most of them empty, asks some 20 questions
whose answers stay the same for an epoch, and wraps the batch, the loss and the optimizer for cases that are not there.
For a small network that takes half as long as the bare step. `ShortSteps` sees at each epoch's start what there is to
be called, and calls it, in Lightning's order and with its progress, so that callbacks and checkpoints see the same.
Where anything is not as it knows it (`_is_plain`), each step is Lightning's own.
"""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loops.fetchers import _PrefetchDataFetcher
from pytorch_lightning.loops.optimization.automatic import ClosureResult
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

from lossbench.compat.lightning import FastHooks

SEEN = "2.6."
"""The versions of pytorch-lightning whose steps these are; of another one each step is its own."""
HOOKS = (
    "on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step", "on_train_batch_end",
)  # fmt: skip
"""The hooks of a step, of callbacks and of the module."""
OF_A_BATCH = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
LEFT = ("optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping")
"""Methods of the module that have to be Lightning's own, and then do what is done here."""


def shorten_steps(trainer: pl.Trainer) -> None:
    """Let a trainer take short steps, where they do the same; its profiler must measure nothing."""
    loop = trainer.fit_loop.epoch_loop
    if pl.__version__.startswith(SEEN) and type(loop) is _TrainingEpochLoop:
        loop.__class__ = ShortSteps


class ShortSteps(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, with short steps."""

    _plain = False
    _called: dict[str, list[Callable[..., Any]]]
    """The functions that each hook of callbacks calls."""
    _of: list[pl.Callback]
    """The callbacks that they are of."""
    _own: dict[str, Callable[..., Any]]
    """The hooks that the module has."""
    _moves = False

    def on_run_start(self, data_fetcher: Any) -> None:
        """See what there is to be called in the steps of an epoch."""
        super().on_run_start(data_fetcher)
        self._look()
        self._plain = _is_plain(self.trainer, data_fetcher)

    def _look(self) -> None:
        trainer, module = self.trainer, self.trainer.lightning_module
        self._of = list(trainer.callbacks)
        self._called = {
            name: [getattr(each, name) for each in self._of if _has(each, name, pl.Callback)] for name in HOOKS
        }
        idle = [each.on_train_batch_end for each in self._of if _saves_in_no_step(each)]
        self._called[HOOKS[-1]] = [function for function in self._called[HOOKS[-1]] if function not in idle]
        self._own = {name: getattr(module, name) for name in HOOKS if _has(module, name, pl.LightningModule)}
        self._moves = _moves_batches(trainer)

    def advance(self, data_fetcher: Any) -> None:
        """Take a step: Lightning's `advance`."""
        if self._plain and not self.restarting:
            self._step(data_fetcher)
        else:
            super().advance(data_fetcher)

    def _step(self, data_fetcher: Any) -> None:
        trainer, progress, results = self.trainer, self.batch_progress, self._results
        if trainer.callbacks != self._of:
            self._look()
        self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        number = progress.current.ready
        progress.is_last_batch = data_fetcher.done
        if self._moves:
            batch = trainer.lightning_module._on_before_batch_transfer(batch, dataloader_idx=0)
            batch = trainer.strategy.batch_to_device(batch, dataloader_idx=0)
        progress.increment_ready()
        connector: Any = trainer._logger_connector
        connector._first_loop_iter = connector._first_loop_iter is None
        results.batch, results.batch_size, results.dataloader_idx = batch, None, None
        outputs: dict[str, Any] = {}
        ends_the_epoch = self._call("on_train_batch_start", batch, number) == -1
        if ends_the_epoch:
            progress.increment_by(0, is_last_batch=True)
        else:
            progress.increment_started()
            outputs = self._optimize(batch, number)
        progress.increment_processed()
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        if ends_the_epoch:
            raise StopIteration
        self._call("on_train_batch_end", outputs, batch, number)
        if results:  # something is logged in steps
            connector.on_batch_end()
        else:
            results.batch = results.batch_size = None
        progress.increment_completed()

    def _call(self, name: str, *given: Any) -> Any:
        """Call a hook of the callbacks, then of the module, under its name, with which they can log."""
        called, own = self._called[name], self._own.get(name)
        if not called and own is None:
            return None
        module = self.trainer.lightning_module
        before, module._current_fx_name = module._current_fx_name, name
        for function in called:
            function(self.trainer, module, *given)
        answer = None if own is None else own(*given)
        module._current_fx_name = before
        return answer

    def _optimize(self, batch: Any, number: int) -> dict[str, Any]:
        """Let the optimizer take its step, in which it asks for the loss and its gradient."""
        trainer, module = self.trainer, self.trainer.lightning_module
        optimizer, progress = trainer.optimizers[0], self.automatic_optimization.optim_progress.optimizer
        outputs: dict[str, Any] = {}

        def closure() -> Tensor | None:
            nonlocal outputs
            with torch.enable_grad():
                loss, outputs = _loss_of(_named(module, "training_step", batch, number))
                progress.zero_grad.increment_ready()
                self._call("on_before_zero_grad", optimizer)
                progress.zero_grad.increment_started()
                optimizer.zero_grad()
                progress.zero_grad.increment_completed()
                if loss is not None:
                    self._call("on_before_backward", loss)
                    _named(module, "backward", loss)
                    self._call("on_after_backward")
            self._call("on_before_optimizer_step", optimizer)
            if trainer.gradient_clip_val:
                module.configure_gradient_clipping(
                    optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
                )
            return outputs.get("loss")

        progress.step.increment_ready()
        optimizer.step(closure=closure)
        progress.step.increment_completed()
        return outputs

    def on_advance_end(self, data_fetcher: Any) -> None:
        """End a step: Lightning's own after the last one of an epoch, or where it is to stop."""
        trainer = self.trainer
        ends = self._num_ready_batches_reached() or trainer.should_stop or trainer.received_sigterm
        if ends or self._skip_next_val or not self._plain:
            super().on_advance_end(data_fetcher)
        else:
            self._batches_that_stepped += 1


def _loss_of(returned: Any) -> tuple[Tensor | None, dict[str, Any]]:
    """Return the loss with its graph, and what hooks after the step are given, of what `training_step` returned."""
    if isinstance(returned, Tensor):
        return returned, {"loss": returned.detach()}
    result = ClosureResult.from_training_step_output(returned)
    return result.closure_loss, {} if result.closure_loss is None else result.asdict()


def _named(module: pl.LightningModule, name: str, *given: Any) -> Any:
    """Call a method of the module under its name, with which it can log."""
    before, module._current_fx_name = module._current_fx_name, name
    returned = getattr(module, name)(*given)
    module._current_fx_name = before
    return returned


def _has(owner: Any, name: str, base: type) -> bool:
    """Tell whether a callback or module has a hook of its own."""
    return getattr(getattr(owner, name), "__func__", None) is not getattr(base, name)


def _saves_in_no_step(callback: pl.Callback) -> bool:
    """Tell whether a callback writes checkpoints, and only after epochs."""
    if type(callback) is not ModelCheckpoint:
        return False
    return callback._every_n_train_steps < 1 and callback._train_time_interval is None


def _moves_batches(trainer: pl.Trainer) -> bool:
    """Tell whether anything is done to a batch before a step."""
    module, data = trainer.lightning_module, trainer.datamodule
    return (
        trainer.strategy.root_device.type != "cpu"
        or any(data is not None and _has(data, name, pl.LightningDataModule) for name in OF_A_BATCH)
        or any(_has(module, name, FastHooks) for name in OF_A_BATCH)
    )


def _is_plain(trainer: pl.Trainer, fetcher: Any) -> bool:
    """Tell whether the steps of an epoch are those that are known here: see Lightning's `advance`."""
    module, strategy = trainer.lightning_module, trainer.strategy
    return (
        module.automatic_optimization
        and type(strategy) is SingleDeviceStrategy
        and strategy.model is module
        and type(strategy.precision_plugin) is Precision
        and len(trainer.optimizers) == 1
        and trainer.accumulate_grad_batches == 1
        and not trainer.loggers
        and not trainer.fast_dev_run
        and type(fetcher) is _PrefetchDataFetcher
        and fetcher.length is not None
        and not fetcher.batches
        and all(config.interval == "epoch" for config in trainer.lr_scheduler_configs)
        and trainer.check_val_every_n_epoch is not None
        and trainer._val_check_time_interval is None
        and trainer.val_check_batch in (trainer.num_training_batches, float("inf"))
        and not any(_has(module, name, pl.LightningModule) for name in LEFT)
        and is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2)
    )
