"""Lightning's trainer as a run uses it."""

import logging
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lossbench.config.cell import Cell
from lossbench.config.source import said_by
from lossbench.learners import Learner

TORCH_THREADS = torch.get_num_threads()
"""What torch, or `job.run_job` for several jobs at once, has chosen."""


def threads_of(cell: Cell, available: int) -> int:
    """Return the number of torch's threads: a small model is slower with several, and far slower on a busy machine."""
    small = bool(said_by(str(cell.config.model["_target_"]), "one_thread"))
    return int(cell.config.get("threads") or (1 if small else available))


def train(trainer: pl.Trainer, learner: Learner, data: Any, checkpoint: Path | None = None) -> bool:
    """Train, from a checkpoint if there is one; see to it that the network is evaluated as training has left it.

    Returns
    -------
    bool
        Whether that came after training, as where a callback averages the weights at its end.

    """
    trainer.fit(learner, datamodule=data, ckpt_path=checkpoint and str(checkpoint), weights_only=True)
    if learner.is_evaluated:
        return False
    trainer.validate(learner, datamodule=data, verbose=False)
    return True


def quiet() -> None:
    """Leave out what Lightning says of loaders and devices: batches come from memory. What a profiler says is shown."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)
    patterns = (
        ".*does not have many workers.*",
        ".*logging interval.*",
        ".*could not find the monitored key.*",
        ".*exists and is not empty.*",
        ".*lr_scheduler.step.*",
        ".*overridden .transfer_batch_to_device.*",
        ".*isinstance.treespec.*",
        "No (positive|negative) samples.*",
        "The `srun` command is available.*",
    )
    for pattern in patterns:
        warnings.filterwarnings("ignore", pattern)
