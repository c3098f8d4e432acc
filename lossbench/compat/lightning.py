"""What we take from Lightning that it keeps to itself; seen in pytorch-lightning 2.6.6."""

import logging
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loops import evaluation_loop, training_epoch_loop, utilities
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.trainer import call
from pytorch_lightning.utilities import signature_utils

LOOPS = ("fit_loop", "validate_loop", "test_loop", "predict_loop")
"""The loops of a trainer whose progress a checkpoint holds."""


class FastHooks(pl.LightningModule):
    """A module whose current hook Lightning notes in the short way.

    Lightning sets `_current_fx_name` at each hook, some 40 times a step, and `nn.Module` looks through parameters,
    buffers and modules each time: 4.1 us where this takes 0.13 us (torch 2.14, one core), or 0.16 ms of a step.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the name of the current hook without a look at what else a module may hold."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)


def tell_callbacks(trainer: pl.Trainer, metrics: Mapping[str, float]) -> None:
    """Show metrics of an epoch to callbacks and schedulers, as `log_dict` does, which takes a millisecond for each."""
    told = {name: torch.tensor(value, dtype=torch.get_default_dtype()) for name, value in metrics.items()}
    connector = trainer._logger_connector
    connector._callback_metrics.update(told)
    connector._logged_metrics.update(told)


_slowly: dict[str, Callable[..., Any]] = {
    name: getattr(call, name) for name in ("_call_callback_hooks", "_call_lightning_module_hook", "_call_strategy_hook")
}
"""Lightning's own calls of hooks: each opens a profile and writes a line for the log, be there none of both."""


def _is_quiet(trainer: pl.Trainer) -> bool:
    return type(trainer.profiler) is PassThroughProfiler and not call.log.isEnabledFor(logging.DEBUG)


def _call_callbacks(trainer: pl.Trainer, hook_name: str, *args: Any, **kwargs: Any) -> None:
    """Call a hook of those callbacks that have one of their own."""
    module = trainer.lightning_module
    if kwargs or module is None or not _is_quiet(trainer):
        _slowly["_call_callback_hooks"](trainer, hook_name, *args, **kwargs)
        return
    before, module._current_fx_name = module._current_fx_name, hook_name
    for callback in trainer.callbacks:
        if _is_own(type(callback), hook_name) or hook_name in vars(callback):
            getattr(callback, hook_name)(trainer, module, *args)
    module._current_fx_name = before


@lru_cache(maxsize=1024)
def _is_own(kind: Hashable, hook_name: str) -> bool:
    return getattr(kind, hook_name) is not getattr(pl.Callback, hook_name, None)


def _call_module(trainer: pl.Trainer, hook_name: str, *args: Any, **kwargs: Any) -> Any:
    module = trainer.lightning_module
    hook = getattr(module, hook_name, None)
    if "pl_module" in kwargs or not callable(hook) or not _is_quiet(trainer):
        return _slowly["_call_lightning_module_hook"](trainer, hook_name, *args, **kwargs)
    before, module._current_fx_name = module._current_fx_name, hook_name
    output = hook(*args, **kwargs)
    module._current_fx_name = before
    return output


def _call_strategy(trainer: pl.Trainer, hook_name: str, *args: Any, **kwargs: Any) -> Any:
    module, hook = trainer.lightning_module, getattr(trainer.strategy, hook_name)
    if not callable(hook) or not _is_quiet(trainer):
        return _slowly["_call_strategy_hook"](trainer, hook_name, *args, **kwargs)
    before, module._current_fx_name = module._current_fx_name, hook_name
    output = hook(*args, **kwargs)
    module._current_fx_name = before
    return output


def _has_parameter(hook: Callable[..., Any], param: str, explicit: bool = False, min_args: int | None = None) -> bool:
    """Tell what Lightning finds out anew at each step, by a look at the source of a method."""
    function = getattr(hook, "__func__", hook)
    try:
        return _of_function(function, param, explicit, min_args)
    except TypeError:  # not hashable
        return bool(_in_signature(hook, param, explicit, min_args))


_in_signature = signature_utils.is_param_in_hook_signature


@lru_cache(maxsize=256)
def _of_function(function: Callable[..., Any], param: str, explicit: bool, min_args: int | None) -> bool:
    return bool(_in_signature(function, param, explicit, min_args))


def _shorten_steps() -> None:
    """Let Lightning call hooks the short way: the same calls in the same order, in half of the time around a step."""
    call._call_callback_hooks = _call_callbacks
    call._call_lightning_module_hook = _call_module
    call._call_strategy_hook = _call_strategy
    for module in (training_epoch_loop, evaluation_loop, utilities):
        module.is_param_in_hook_signature = _has_parameter


_shorten_steps()


def wants_to_stop(stopper: EarlyStopping, value: float) -> bool:
    """Ask an early stopping about the value of its metric after an epoch, by the rule that a trainer asks it with."""
    stops, _ = stopper._evaluate_stopping_criteria(torch.tensor(value))
    return bool(stops)


def progress_of(trainer: pl.Trainer, steps: int, total: int) -> dict[str, Any]:
    """Return the progress of the trainer's loops for a checkpoint, with other counts of optimizer steps in it.

    Parameters
    ----------
    trainer : Trainer
        The trainer.
    steps, total : int
        Optimizer steps in this epoch and since the beginning.

    """
    loops = {name: getattr(trainer, name).state_dict() for name in LOOPS}
    progress = loops["fit_loop"]["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    for counts in progress.values():
        counts["total"] = dict.fromkeys(counts["total"], total)
        counts["current"] = dict.fromkeys(counts["current"], steps)
    return loops


def restore_progress(trainer: pl.Trainer, loops: dict[str, Any]) -> None:
    """Let a trainer go on from the progress of a checkpoint, as it would with `ckpt_path`."""
    trainer.fit_loop.load_state_dict(loops["fit_loop"])
