"""One run, from its config to its record."""

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from lossbench.config.cell import Cell
from lossbench.config.check_teacher import taught_by
from lossbench.errors import ConfigError, DiskFull, Killed, TakenOver
from lossbench.learners import Learner
from lossbench.models import Network
from lossbench.records import claims, files, provenance, record
from lossbench.records.schema import Record
from lossbench.running import progress
from lossbench.running.artifacts import write_outcome
from lossbench.running.assemble import build_learner
from lossbench.running.build import (
    build_data,
    build_trainer,
    hash_of,
    head_of,
)
from lossbench.running.callbacks import Cost, EpochReporter, StillOurs
from lossbench.running.feature_network import features_of
from lossbench.running.loss_scale import calibrate
from lossbench.running.resume import to_go_on_from
from lossbench.running.reuse import reusable
from lossbench.running.stopping import stopped
from lossbench.running.trainer import TORCH_THREADS, quiet, threads_of, train
from lossbench.tasks.problem import Problem
from lossbench.tasks.task import METRICS_VERSION
from lossbench.tracking.run import RunTracker

log = logging.getLogger(__name__)


@dataclass
class Run:
    """A cell that has begun: its parts are built, its record is written, its MLflow run is open."""

    cell: Cell
    data: Any
    learner: Learner
    tracker: RunTracker
    entry: Record

    def finish(self, ending: Record, cost: dict[str, float]) -> Record:
        """Write the outcome and the record, and end the MLflow run; nothing, if another process has taken it over."""
        try:
            claims.require_held(self.cell.path)
        except TakenOver as error:
            log.warning("%s: %s. Nothing more is written here.", self.cell.name, error)
            return self.entry | ending
        self.entry |= ending
        self.entry |= {"ended": time.time(), "cost": cost}
        self.entry["hashes"] |= self.data.hashes  # own data know their order when they have been trained on
        try:
            with files.telling_a_full_disk(self.cell.path):
                config = self.cell.config
                write_outcome(self.cell.path, self.entry, self.learner, config.pictures != "never", list(config.keep))
        except DiskFull as error:
            log.error("%s: %s", self.cell.name, error)
            self.entry |= record.ending_of(error)
            record.write_or_remove(self.cell.path, self.entry)
        self.tracker.finish(self.entry)
        progress.run_done()
        log.info("%s: %s", self.cell.name, record.summary(self.entry))
        return self.entry


def run(cell: Cell, engine: str = "single", threads: int = TORCH_THREADS) -> Record:
    """Train and evaluate one cell, and leave its record; a cell that is done already is reused.

    Parameters
    ----------
    cell : Cell
        A checked cell.
    engine : str
        How the record says it was trained: "single", or "packed" for one of several side by side.
    threads : int
        Threads of torch for a model that can use them, where the config does not say.

    Returns
    -------
    dict
        The record, as in `record.json`; its `status` says how the run ended.

    Raises
    ------
    ConfigError
        If the parts do not fit together; nothing has been trained then.
    DiskFull
        If not even the beginning can be recorded.
    Killed
        After the record of a killed run is written.

    """
    with files.telling_a_full_disk(cell.path), claims.claimed(cell.path) as claimed:
        earlier = reusable(cell) if claimed else record.read(cell.path) or {"status": "running"}
        if not claimed:
            log.info("%s: another process is at it, skipped", cell.name)
        with record.told_if_killed(cell.path) if claimed else nullcontext():
            return earlier or _train(cell, engine, threads)


def _train(cell: Cell, engine: str, threads: int) -> Record:
    """Train and evaluate a claimed cell, from its last checkpoint if there is one."""
    quiet()
    torch.set_num_threads(threads_of(cell, threads))
    data, cost = build_data(cell.config.data), Cost()
    learner = build_learner(cell, data, **features_of(cell, data))
    tell = EpochReporter()
    callbacks = [cost, tell, StillOurs(cell.path), *_checkpoints(cell, learner.problem)]
    trainer = build_trainer(cell.config.trainer, callbacks, cell.path)
    started = begin(cell, data, learner, {"name": engine})
    tell.follow({started.tracker: learner})
    progress.run_started(cell.name, learner.max_epochs)
    clock = time.time()
    try:
        ending = _fit(cell, trainer, learner, data)
    except ConfigError as error:
        started.finish(record.ending_of(error), cost.summary())
        raise
    entry = started.finish(ending, {"seconds": round(time.time() - clock, 3), **cost.summary()})
    if entry["status"] == "killed":
        raise Killed(entry["signal"])
    return entry


def begin(cell: Cell, data: Any, learner: Learner, engine: dict[str, Any]) -> Run:
    """Write the first record of a cell and open its MLflow run."""
    if cell.config.compile:
        for part in learner.network.children():  # learners call the parts, not always the whole
            part.compile()
    calibration = calibrate(learner, data) if cell.config.optimizer.get("calibrate") == "gradient" else None
    if str(cell.config.trainer.precision).startswith("64"):
        learner.double()  # Lightning converts it later, after it has loaded a checkpoint into single precision
    earlier = record.read(cell.path)
    goes_on = earlier is not None and not record.is_done(earlier) and not provenance.changes(earlier)
    entry = _describe(cell, data, learner)
    entry |= {"engine": engine, "calibration": calibration, "mlflow_run_id": None}
    if goes_on and earlier is not None:  # the order of the first epoch, which is over
        entry["test_every"] = max(entry["test_every"], earlier.get("test_every", 1))
        entry["hashes"] = {**earlier.get("hashes", {}), **entry["hashes"]}
    for name, node in (("config", cell.config), ("overrides", list(cell.overrides))):  # where Hydra has them
        files.write_text(cell.path / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(OmegaConf.create(node)))
    record.write(cell.path, entry)  # before MLflow knows the run: whoever finds no run id then looks for one
    tracker = RunTracker(entry, cell.path, cell.config.tracking, goes_on=goes_on)
    entry["mlflow_run_id"] = tracker.run_id
    try:
        record.write(cell.path, entry)
    except DiskFull as error:
        tracker.finish(entry | record.ending_of(error))
        (cell.path / record.FILE).unlink()  # it says that the run goes on
        raise
    return Run(cell, data, learner, tracker, entry)


def _checkpoints(cell: Cell, problem: Problem) -> list[ModelCheckpoint]:
    """Keep the last epoch, to go on from, and the best validation epoch where there is one."""
    folder = cell.path / "checkpoints"
    common = {"dirpath": folder, "save_on_train_epoch_end": True, "enable_version_counter": False}
    last = ModelCheckpoint(filename="last", **common)
    if "val" not in problem.evaluated:
        return [last]
    mode = "max" if problem.task.higher_is_better(problem.monitor) else "min"
    return [ModelCheckpoint(filename="best", monitor=f"val/{problem.monitor}", mode=mode, **common), last]


def _describe(cell: Cell, data: Any, learner: Learner) -> Record:
    """Return the part of the record that is known before training."""
    network = learner.network
    parts = {"weights": network}
    if isinstance(network, Network):
        # where each task has a backbone of its own, all start as one
        parts = {"weights": getattr(network.backbone, "start", network.backbone), "head": network.head}
    return {
        **cell.record("running"),
        "teacher": taught_by(cell),
        **_config_dir(),
        "head": head_of(cell.config.model, learner.loss),
        **_chosen(cell, learner),
        "protocol": cell.resolved.get("protocol", {"name": "default"}),
        "data": data.facts(),
        "hashes": {
            **{name: hash_of(module.state_dict().values()) for name, module in parts.items()},
            **data.hashes,
        },
        "test_every": learner.test_every,
        "parameters": sum(parameter.numel() for parameter in learner.parameters()),
        "process": claims.this_process(),
        "threads": torch.get_num_threads(),
        "versions": provenance.versions(),
        "metrics_version": METRICS_VERSION,
        "git": provenance.git_state(),
        "started": time.time(),
    }


def _config_dir() -> Record:
    """Return the user's `--config-dir`, if Hydra runs here and was given one."""
    sources = HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else ()
    own = [str(source.path) for source in sources if source.provider == "command-line"]
    return {"config_dir": own[0]} if own else {}


def _chosen(cell: Cell, learner: Learner) -> Record:
    """Return what the config has left to be found from the data."""
    if not isinstance(learner.network, Network) or cell.config.model.get("hidden") != "auto":
        return {}
    layers = [layer for layer in learner.network.backbone.modules() if isinstance(layer, nn.Linear)]
    return {"hidden": [layer.out_features for layer in layers]}


def _fit(cell: Cell, trainer: pl.Trainer, learner: Learner, data: Any) -> Record:
    """Train, or go on from the last checkpoint; say how it ended."""
    kept = to_go_on_from(cell, learner)
    try:
        if train(trainer, learner, data, kept and kept[0]):
            for name in ["last", "best"] if learner.best is learner.last else ["last"]:
                trainer.save_checkpoint(cell.path / "checkpoints" / f"{name}.ckpt")
    except ConfigError:
        raise
    except (Exception, Killed) as error:
        ending = record.ending_of(stopped() or error)
        if ending["status"] != "killed":
            log.warning("%s: %s: %s", cell.name, ending["status"], ending.get("traceback", ending["error"]))
        return ending
    return {"status": "finished"}
