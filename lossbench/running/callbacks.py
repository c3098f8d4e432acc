"""Lightning callbacks of every run: what it costs, and telling the tracker and the terminal of each epoch."""

import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytorch_lightning as pl
import torch

from lossbench.learners import Learner
from lossbench.records import claims
from lossbench.running import progress
from lossbench.tracking.run import RunTracker


class Cost(pl.Callback):
    """Measure training time without evaluation, samples per second, and memory at the end of each epoch."""

    def __init__(self) -> None:
        self.training_seconds = 0.0
        self.samples = 0
        self.peak_memory = 0
        self._started: float | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Count the samples, of a stack those of each run."""
        self.samples += batch.index.shape[-1]  # type: ignore[attr-defined]

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock: what follows is evaluation."""
        self._stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock, if no evaluation did, and look at the memory."""
        self._stop()
        self.peak_memory = max(self.peak_memory, psutil.Process().memory_info().rss)
        if torch.cuda.is_available():
            self.peak_memory = max(self.peak_memory, torch.cuda.max_memory_allocated())

    def _stop(self) -> None:
        if self._started is not None:
            self.training_seconds += time.perf_counter() - self._started
            self._started = None

    def summary(self, runs: int = 1) -> dict[str, float]:
        """Return the figures for the record; of each of several runs that train together an equal part."""
        seconds = self.training_seconds / runs
        return {
            "training_seconds": round(seconds, 3),
            "samples_per_second": round(self.samples / seconds, 1) if seconds else 0.0,
            "peak_memory_mb": round(self.peak_memory / 2**20, 1),
        }


class StillOurs(pl.Callback):
    """Stop at the end of an epoch if another process has taken a run over, before a checkpoint is written."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise `TakenOver` if so."""
        for folder in self._folders:
            claims.require_held(folder)


class EpochReporter(pl.Callback):
    """Send each finished epoch of some learners to their trackers, and of one of them to the terminal."""

    def __init__(self) -> None:
        self.learners: Mapping[RunTracker, Learner] = {}
        self._told: dict[RunTracker, int] = {}

    def follow(self, learners: Mapping[RunTracker, Learner]) -> None:
        """Tell of these learners, whose runs have begun."""
        self.learners, self._told = learners, dict.fromkeys(learners, 0)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell of the epoch before this one, whose history is now complete."""
        self._tell()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell of the last epoch."""
        self._tell()

    def _tell(self) -> None:
        newest: tuple[dict[str, float], Learner] | None = None
        for tracker, learner in self.learners.items():
            for row in learner.history[self._told[tracker] :]:
                tracker.log({name: value for name, value in row.items() if name != "epoch"}, step=int(row["epoch"]))
                newest = row, learner
            self._told[tracker] = len(learner.history)
        if newest is not None:
            row, learner = newest
            monitor = learner.problem.monitor
            name = next(name for name in (f"val/{monitor}", f"test/{monitor}", "train/loss") if name in row)
            progress.epoch_done(int(row["epoch"]) + 1, f"{name} {row[name]:.4f}")
