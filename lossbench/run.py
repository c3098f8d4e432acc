"""One run, from its config to its record."""

import logging
import shutil
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lossbench import progress, record
from lossbench.build import build, build_data, build_loss, build_network, build_trainer, hash_of, head_of
from lossbench.calibration import calibrate
from lossbench.callbacks import Cost, Tell
from lossbench.cells import Cell, without
from lossbench.errors import ConfigError, Killed
from lossbench.learners import Diverged, Supervised
from lossbench.learners.supervised import Problem
from lossbench.metric_names import higher_is_better
from lossbench.outcome import write_outcome
from lossbench.probe import probe
from lossbench.record import Record
from lossbench.tracking.run import RunTracker

log = logging.getLogger(__name__)
TORCH_THREADS = torch.get_num_threads()
"""What torch, or `job.run_job` for several jobs at once, has chosen."""


def run(cell: Cell) -> Record:
    """Train and evaluate one cell, and leave its record; a cell that is done already is reused.

    Parameters
    ----------
    cell : Cell
        A checked cell.

    Returns
    -------
    dict
        The record, as in `record.json`; its `status` says how the run ended.

    Raises
    ------
    ConfigError
        If the parts do not fit together; nothing has been trained then.
    Killed
        After the record of a killed run is written.

    """
    with record.claimed(cell.path) as claimed:
        if not claimed:
            log.info("%s: another process is at it, skipped", cell.name)
            return record.read(cell.path) or {"status": "running"}
        earlier = record.read(cell.path)
        if earlier is not None and not cell.config.rerun:
            changes = record.changes(earlier)
            if earlier["status"] in record.DONE:
                log.info("%s: %s; reused (rerun=true trains it again)", cell.name, record.summary(earlier))
                if changes:
                    log.warning("%s was made with another version: %s", cell.name, "; ".join(changes))
                progress.run_done()
                return earlier
            if changes:
                log.warning("%s starts again, since versions have changed: %s", cell.name, "; ".join(changes))
                _forget_checkpoints(cell)
        return _train(cell)


def _train(cell: Cell) -> Record:
    """Train and evaluate a claimed cell, from its last checkpoint if there is one."""
    quiet()
    torch.set_num_threads(threads_of(cell))
    if cell.config.rerun:
        _forget_checkpoints(cell)
    data = build_data(cell.config.data)
    learner = build_learner(cell, data)
    calibration = calibrate(learner, data) if cell.config.optimizer.get("calibrate") == "gradient" else None
    cost, tracker = Cost(), RunTracker(cell)
    callbacks = [cost, Tell(tracker, learner.problem.monitor), *_checkpoints(cell, learner.problem)]
    trainer = build_trainer(cell.config.trainer, callbacks, cell.path)
    entry = {**_describe(cell, data, learner), "calibration": calibration, "mlflow_run_id": tracker.run_id}
    record.write(cell.path, entry)
    tracker.describe_data(cell.data, data.hashes.get("targets", "unknown")[:16], entry["data"])
    progress.run_started(cell.name, learner.max_epochs)
    started = time.time()
    ending = _fit(cell, trainer, learner, data)
    entry |= ending | {"ended": time.time(), "cost": {"seconds": round(time.time() - started, 3), **cost.summary()}}
    files = write_outcome(cell.path, entry, learner)
    tracker.log(_final_metrics(entry), step=0)
    tracker.finish(entry, files)
    progress.run_done()
    log.info("%s: %s", cell.name, record.summary(entry))
    if entry["status"] == "killed":
        raise Killed(entry["signal"])
    return entry


def threads_of(cell: Cell) -> int:
    """Return the number of torch's threads: a small model is slower with several, and far slower on a busy machine."""
    small = str(cell.config.model["_target_"]) in ("lossbench.models.MLP", "lossbench.models.LeNet")
    return int(cell.config.get("threads") or (1 if small else TORCH_THREADS))


def build_learner(cell: Cell, data: Any) -> Supervised:
    """Build network, loss, weighting and optimizer for loaded data."""
    config = cell.config
    context = {
        "class_counts": data.train_class_counts,
        "num_classes": data.num_classes,
        "max_epochs": config.trainer.max_epochs,
        "num_samples": data.num_train,
    }
    loss = build_loss(config.loss, data.task, {name: value for name, value in context.items() if value is not None})
    probe(loss, data.num_classes, cell.loss)
    problem = Problem(
        task=data.task,
        num_classes=data.num_classes,
        class_counts=data.train_class_counts,
        evaluated=list(data.evaluation_loaders),
        monitor=cell.monitor,
        contaminated=data.contaminated,
        center=data.target_center,
        scale=data.target_scale,
    )
    return Supervised(
        network=build_network(config.model, loss, data.input_shape, data.num_classes, config.seed),
        loss=loss,
        weighting=build(config.weighting),
        optimizer=build(without(config.optimizer, "calibrate")),
        scheduler=build(config.scheduler),
        problem=problem,
        max_epochs=config.trainer.max_epochs,
        seed=config.seed,
    )


def _checkpoints(cell: Cell, problem: Problem) -> list[ModelCheckpoint]:
    """Keep the last epoch, to go on from, and the best validation epoch where there is one."""
    folder = cell.path / "checkpoints"
    common = {"dirpath": folder, "save_on_train_epoch_end": True, "enable_version_counter": False}
    last = ModelCheckpoint(filename="last", **common)
    if "val" not in problem.evaluated:
        return [last]
    mode = "max" if higher_is_better(problem.monitor) else "min"
    return [ModelCheckpoint(filename="best", monitor=f"val/{problem.monitor}", mode=mode, **common), last]


def _forget_checkpoints(cell: Cell) -> None:
    shutil.rmtree(cell.path / "checkpoints", ignore_errors=True)


def _describe(cell: Cell, data: Any, learner: Supervised) -> Record:
    """Return the part of the record that is known before training."""
    network = learner.network
    return {
        "key": cell.key,
        "problem": cell.problem,
        "name": cell.name,
        "status": "running",
        "loss": cell.loss,
        "weighting": cell.weighting,
        "head": head_of(cell.config.model, learner.loss),
        "seed": cell.config.seed,
        "task": data.task,
        "monitor": learner.problem.monitor,
        "choices": cell.named_choices,
        "config": cell.resolved,
        "protocol": cell.resolved.get("protocol", {"name": "default"}),
        "data": data.facts(),
        "hashes": {
            "weights": hash_of(network.backbone.state_dict().values()),
            "head": hash_of(network.head.state_dict().values()),
            **data.hashes,
        },
        "parameters": sum(parameter.numel() for parameter in learner.parameters()),
        "metrics": {"last": None, "best_val": None},
        "process": record.this_process(),
        "threads": torch.get_num_threads(),
        "versions": record.versions(),
        "git": record.git_state(),
        "started": time.time(),
    }


def _fit(cell: Cell, trainer: pl.Trainer, learner: Supervised, data: Any) -> Record:
    """Train, or go on from the last checkpoint; say how it ended."""
    last = cell.path / "checkpoints" / "last.ckpt"
    if last.exists():
        log.info("%s: goes on from its last checkpoint", cell.name)
    try:
        train(trainer, learner, data, last if last.exists() else None)
    except Diverged as diverged:
        log.warning("%s: diverged: %s", cell.name, diverged)
        return {
            "status": "diverged",
            "error": str(diverged),
            "diverged": {"epoch": diverged.epoch, "step": diverged.step},
        }
    except Killed as killed:
        return {"status": "killed", "error": str(killed), "signal": killed.exit_code - 128}
    except ConfigError:
        raise
    except Exception as error:
        log.exception("%s: failed", cell.name)
        return {"status": "failed", "error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    return {"status": "finished"}


def train(trainer: pl.Trainer, learner: Supervised, data: Any, checkpoint: Path | None = None) -> None:
    """Train, from a checkpoint if there is one, and see to it that the last epoch is evaluated."""
    trainer.fit(learner, datamodule=data, ckpt_path=checkpoint and str(checkpoint))
    if learner.last is None or learner.last["epoch"] != learner.history[-1]["epoch"]:
        trainer.validate(learner, datamodule=data, verbose=False)


def _final_metrics(entry: Record) -> dict[str, float]:
    """Name the test metrics of both selections for MLflow: single values, apart from the curves."""
    names = {"last": "final", "best_val": "best_val"}
    return {
        f"{prefix}/{name.removeprefix('test/')}": value
        for selection, prefix in names.items()
        for name, value in (entry["metrics"][selection] or {}).items()
        if name.startswith("test/")
    }


def quiet() -> None:
    """Leave out what Lightning says of loaders and devices: batches come from memory."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    patterns = (
        ".*does not have many workers.*",
        ".*logging interval.*",
        ".*could not find the monitored key.*",
        ".*exists and is not empty.*",
        ".*lr_scheduler.step.*",
        ".*isinstance.treespec.*",
        "No (positive|negative) samples.*",
    )
    for pattern in patterns:
        warnings.filterwarnings("ignore", pattern)
