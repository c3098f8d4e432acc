"""One run, from its config to its record."""

import logging
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

from lossbench import progress, record
from lossbench.build import (
    build,
    build_data,
    build_loss,
    build_network,
    build_trainer,
    hash_of,
    head_of,
    random_state,
    refusals,
)  # fmt: skip
from lossbench.calibration import calibrate
from lossbench.callbacks import Cost, Tell
from lossbench.catalogue import locate
from lossbench.cells import Cell, without
from lossbench.check_trainer import STEPPING, stepping
from lossbench.checkpoints import to_go_on_from
from lossbench.errors import ConfigError, DiskFull, Killed
from lossbench.frechet import frechet_of
from lossbench.learners import Learner, Problem, Supervised
from lossbench.learners.teacher import Teacher, load_teacher
from lossbench.losses.binding import BoundLoss
from lossbench.metric_names import VERSION as METRICS_VERSION
from lossbench.metric_names import higher_is_better
from lossbench.models import Network
from lossbench.outcome import write_outcome
from lossbench.probe import probe
from lossbench.record import Record
from lossbench.streams import derive_seed
from lossbench.teacher import taught_by, without_teacher
from lossbench.tracking.run import RunTracker
from lossbench.weighting import at_least_one

log = logging.getLogger(__name__)
TORCH_THREADS = torch.get_num_threads()
"""What torch, or `job.run_job` for several jobs at once, has chosen."""


@dataclass
class Run:
    """A cell that has begun: its parts are built, its record is written, its MLflow run is open."""

    cell: Cell
    data: Any
    learner: Learner
    tracker: RunTracker
    entry: Record

    def finish(self, ending: Record, cost: Record) -> Record:
        """Write the outcome and the record, and end the MLflow run."""
        self.entry |= ending | {"ended": time.time(), "cost": cost}
        try:
            with record.telling_a_full_disk(self.cell.path):
                write_outcome(self.cell.path, self.entry, self.learner)
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
    with record.telling_a_full_disk(cell.path), record.claimed(cell.path) as claimed:
        earlier = record.reusable(cell) if claimed else record.read(cell.path) or {"status": "running"}
        if not claimed:
            log.info("%s: another process is at it, skipped", cell.name)
        return earlier or _train(cell, engine, threads)


def _train(cell: Cell, engine: str, threads: int) -> Record:
    """Train and evaluate a claimed cell, from its last checkpoint if there is one."""
    quiet()
    torch.set_num_threads(threads_of(cell, threads))
    data, cost = build_data(cell.config.data), Cost()
    learner = build_learner(cell, data)
    tell = Tell()
    callbacks = [cost, tell, *_checkpoints(cell, learner.problem)]
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


def begin(cell: Cell, data: Any, learner: Learner, engine: Record) -> Run:
    """Write the first record of a cell and open its MLflow run."""
    if cell.config.compile:
        for part in learner.network.children():  # learners call the parts, not always the whole
            part.compile()
    calibration = calibrate(learner, data) if cell.config.optimizer.get("calibrate") == "gradient" else None
    if str(cell.config.trainer.precision).startswith("64"):
        learner.double()  # Lightning converts it later, after it has loaded a checkpoint into single precision
    earlier = record.read(cell.path)
    goes_on = earlier is not None and not record.is_done(earlier) and not record.changes(earlier)
    entry = {
        **_describe(cell, data, learner),
        "engine": engine,
        "calibration": calibration,
        "mlflow_run_id": None,
    }
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


def threads_of(cell: Cell, available: int) -> int:
    """Return the number of torch's threads: a small model is slower with several, and far slower on a busy machine."""
    small = str(cell.config.model["_target_"]) in ("lossbench.models.MLP", "lossbench.models.LeNet")
    return int(cell.config.get("threads") or (1 if small else available))


def build_learner(cell: Cell, data: Any) -> Learner:
    """Build network, loss, weighting and optimizer for loaded data, and the learner that the config names.

    Raises
    ------
    ConfigError
        If a part refuses its settings, or parts do not fit together.

    """
    learner = _learner(cell, data)
    learner.key, learner.stepping = cell.key, stepping(cell.config.scheduler)
    with refusals(f"optimizer or scheduler ({_settings(cell, 'optimizer', 'scheduler')})"):
        learner.configure_optimizers()  # Lightning does it when the run has begun
    return learner


def _settings(cell: Cell, *groups: str) -> str:
    """Return the settings of some groups as they are given on a command line."""
    settings = {f"{group}.{name}": value for group in groups for name, value in cell.resolved[group].items()}
    return ", ".join(f"{key}={value}" for key, value in settings.items() if not key.endswith("._partial_"))


def _learner(cell: Cell, data: Any) -> Learner:
    config = cell.config
    loss = _loss(cell, data)
    common = {
        "loss": loss,
        "optimizer": build(without(config.optimizer, "calibrate")),
        "scheduler": _schedule(cell, data),
        "problem": _problem(cell, data),
        "max_epochs": config.trainer.max_epochs,
        "seed": config.seed,
    }
    kind: Any = locate(config.learner._target_)
    if kind is Supervised:
        return Supervised(
            network=build_network(config.model, loss, data.input_shape, data.num_classes, config.seed),
            weighting=build(config.weighting),
            teacher=_teacher(cell, data, loss),
            **{name: cell.resolved[name] for name in ("mixup", "posthoc")},
            **common,
        )
    settings: Any = OmegaConf.to_container(without(config.learner, "_target_", "network", "task"), resolve=True)
    with random_state(derive_seed(config.seed, "network")), refusals(f"learner={cell.choices['learner']}"):
        network = build(config.learner.network)(input_shape=data.input_shape, num_classes=data.num_classes)
    return kind(network=network, **settings, **common)


def _schedule(cell: Cell, data: Any) -> Any:
    """Build the schedule; one that counts steps, and does not know how many, is told."""
    node = cell.config.scheduler
    total = node.get("total_steps", 0) is None
    steps = math.ceil(len(data.train_dataloader()) / cell.config.trainer.get("accumulate_grad_batches", 1))
    length = {"total_steps": steps * cell.config.trainer.max_epochs} if total else {}
    return build(without(node, *STEPPING), **length)


def _loss(cell: Cell, data: Any) -> BoundLoss:
    """Bind the loss to what the run knows, and call it once on made-up outputs."""
    context = {
        "class_counts": None if data.train_class_counts is None else at_least_one(data.train_class_counts),
        "num_classes": data.num_classes,
        "max_epochs": cell.config.trainer.max_epochs,
        "num_samples": data.num_train,
        "train_size": data.train_size,
    }
    context = {name: value for name, value in context.items() if value is not None}
    empty = [str(number) for number, count in enumerate(data.train_class_counts or ()) if not count]
    if empty:
        told = (
            "%s: no training sample of class %s; in weights, priors and margins it counts as one with a single sample"
        )
        log.warning(told, cell.name, ", ".join(empty))
    with random_state(derive_seed(cell.config.seed, "loss")):
        loss = build_loss(cell.config.loss, data.task, context, cell.choices["learner"])
    probe(loss, data.num_classes, cell.loss)
    return loss


def _problem(cell: Cell, data: Any) -> Problem:
    return Problem(
        task=data.task,
        num_classes=data.num_classes,
        class_counts=data.train_class_counts,
        evaluated=list(data.evaluation_loaders),
        monitor=cell.monitor,
        contaminated=data.contaminated,
        center=data.target_center,
        scale=data.target_scale,
        density=getattr(data, "target_density", None),
        num_features=math.prod(data.input_shape),
        frechet=frechet_of(data) if data.task == "generation" else None,
        modes=data.modes,
    )


def _teacher(cell: Cell, data: Any, loss: BoundLoss) -> Teacher | None:
    """Load the network that teaches, if the loss asks for one."""
    if "teacher_logits" not in loss.step_context:
        return None
    if cell.config.get("teacher") is None:
        raise without_teacher(cell.loss, cell.data)
    return load_teacher(Path(cell.config.teacher), data.input_shape, data.num_classes)


def _checkpoints(cell: Cell, problem: Problem) -> list[ModelCheckpoint]:
    """Keep the last epoch, to go on from, and the best validation epoch where there is one."""
    folder = cell.path / "checkpoints"
    common = {"dirpath": folder, "save_on_train_epoch_end": True, "enable_version_counter": False}
    last = ModelCheckpoint(filename="last", **common)
    if "val" not in problem.evaluated:
        return [last]
    mode = "max" if higher_is_better(problem.monitor) else "min"
    return [ModelCheckpoint(filename="best", monitor=f"val/{problem.monitor}", mode=mode, **common), last]


def _describe(cell: Cell, data: Any, learner: Learner) -> Record:
    """Return the part of the record that is known before training."""
    network = learner.network
    parts = {"weights": network}
    if isinstance(network, Network):
        parts = {"weights": network.backbone, "head": network.head}
    return {
        "key": cell.key,
        "problem": cell.problem,
        "name": cell.name,
        "status": "running",
        "loss": cell.loss,
        **cell.axes,
        "learner": cell.choices["learner"],
        "teacher": taught_by(cell),
        "head": head_of(cell.config.model, learner.loss),
        "seed": cell.config.seed,
        "task": data.task,
        "monitor": learner.problem.monitor,
        "choices": cell.named_choices,
        "config": cell.resolved,
        "protocol": cell.resolved.get("protocol", {"name": "default"}),
        "data": data.facts(),
        "hashes": {
            **{name: hash_of(module.state_dict().values()) for name, module in parts.items()},
            **data.hashes,
        },
        "parameters": sum(parameter.numel() for parameter in learner.parameters()),
        "metrics": {"last": None, "best_val": None},
        "process": record.this_process(),
        "threads": torch.get_num_threads(),
        "versions": record.versions(),
        "metrics_version": METRICS_VERSION,
        "git": record.git_state(),
        "started": time.time(),
    }


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
        ending = record.ending_of(error)
        if ending["status"] != "killed":
            log.warning("%s: %s: %s", cell.name, ending["status"], ending.get("traceback", ending["error"]))
        return ending
    return {"status": "finished"}


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
    """Leave out what Lightning says of loaders and devices: batches come from memory."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    patterns = (
        ".*does not have many workers.*",
        ".*logging interval.*",
        ".*could not find the monitored key.*",
        ".*exists and is not empty.*",
        ".*lr_scheduler.step.*",
        ".*overridden .transfer_batch_to_device.*",
        ".*isinstance.treespec.*",
        "No (positive|negative) samples.*",
    )
    for pattern in patterns:
        warnings.filterwarnings("ignore", pattern)
