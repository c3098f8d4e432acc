"""What we take from Lightning that it keeps to itself; seen in pytorch-lightning 2.6.6."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache, lru_cache, wraps
from importlib import import_module
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.profilers import PassThroughProfiler

LOOPS = ("fit_loop", "validate_loop", "test_loop", "predict_loop")
"""The loops of a trainer whose progress a checkpoint holds."""


class FastHooks(pl.LightningModule):
    """A module whose current hook Lightning notes in the short way, and whose batches it leaves on the CPU as they are.

    Lightning sets `_current_fx_name` at each hook, some 40 times a step, and `nn.Module` looks through parameters,
    buffers and modules each time: 4.1 us where this takes 0.13 us (torch 2.14, one core), or 0.16 ms of a step.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the name of the current hook without a look at what else a module may hold."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave batches on the CPU as they are: to walk through them takes a tenth of a small step."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)


def tell_callbacks(trainer: pl.Trainer, metrics: Mapping[str, float]) -> None:
    """Show metrics of an epoch to callbacks and schedulers, as `log_dict` does, which takes a millisecond for each."""
    connector = getattr(trainer, "_logger_connector", None)
    seen: list[Any] = [getattr(connector, name, None) for name in ("_callback_metrics", "_logged_metrics")]
    if not all(isinstance(each, dict) for each in seen):  # another version of Lightning keeps them elsewhere
        trainer.lightning_module.log_dict(dict(metrics))
        return
    told = {name: torch.tensor(value, dtype=torch.get_default_dtype()) for name, value in metrics.items()}
    for each in seen:
        each.update(told)


class NoProfiler(PassThroughProfiler):
    """Lightning's profiler that measures nothing, without the generator that it opens and closes around each hook.

    With `ask_signatures_once` that saves 0.07 ms of the 0.57 ms of a step of a small MLP (docs/performance.md).
    """

    def profile(self, action_name: str) -> AbstractContextManager[None]:
        """Return what does nothing."""
        return _NOTHING


_NOTHING = nullcontext()
ASKED = "is_param_in_hook_signature"
"""What the loops of Lightning ask of each hook at each step, and find out by a look at the source of a method."""


@cache
def ask_signatures_once() -> None:
    """Let Lightning's loops remember which parameters a hook takes; where they don't ask so, nothing is changed."""
    for name in ("training_epoch_loop", "evaluation_loop", "utilities"):
        with suppress(ImportError):
            module = import_module(f"pytorch_lightning.loops.{name}")
            if callable(asked := getattr(module, ASKED, None)):
                setattr(module, ASKED, remembering(asked))


def remembering(asked: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a method that keeps its answers, whatever else it is asked with."""
    once = lru_cache(maxsize=256)(asked)

    @wraps(asked)
    def answer(hook: Callable[..., Any], *rest: Any, **named: Any) -> Any:
        try:
            return once(getattr(hook, "__func__", hook), *rest, **named)
        except TypeError:  # not hashable
            return asked(hook, *rest, **named)

    return answer


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
