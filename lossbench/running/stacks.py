"""Run many cells as stacks: each leaves the record, files and MLflow run that it would leave alone."""

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning import callbacks
from pytorch_lightning.callbacks import EarlyStopping

from lossbench.catalogue.examine.example_batch import draws_random_numbers
from lossbench.compat.lightning import restore_progress
from lossbench.config.cell import Cell, without
from lossbench.config.check_trainer import callbacks_of
from lossbench.data.stacked import StackedData
from lossbench.errors import ConfigError, DiskFull, Killed, first_line
from lossbench.learners.stacked.stack import Stack
from lossbench.models.stacked import agrees_with_its_form
from lossbench.models.stacked_module import SLOTS
from lossbench.records import claims, record
from lossbench.records.checkpoints import Checkpoint, write_checkpoint
from lossbench.records.provenance import digest
from lossbench.records.schema import Record
from lossbench.running import progress
from lossbench.running.assemble import build_learner
from lossbench.running.build import build, build_data, build_trainer
from lossbench.running.callbacks import Cost, EpochReporter, StillOurs
from lossbench.running.resume import to_go_on_from
from lossbench.running.reuse import reusable
from lossbench.running.run import Run, begin, run
from lossbench.running.stopping import stopped
from lossbench.running.trainer import TORCH_THREADS, quiet, threads_of

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 10.0
"""How often the runs of a stack write checkpoints: as much work can be lost to a kill, and is then done again."""
SHRINK = 0.75
"""A stack is made anew without the runs that have left when it would need so much less of its slots."""


def run_stack(cells: Sequence[Cell], threads: int = TORCH_THREADS) -> None:
    """Train the cells of one architecture, data source and optimizer that are not done, together.

    Runs whose data differ in size, or that go on from different epochs, are stacks of their own. A loss that draws
    random numbers would draw others in company, so its runs train alone.

    Parameters
    ----------
    cells : sequence of Cell
        Checked cells, as `lossbench.running.plan.plan` puts them together.
    threads : int
        Threads of torch for a model that can use them, where the config does not say.

    Raises
    ------
    ConfigError
        If the trainer refuses its options; if parts of a cell do not fit together, after the other cells have run.
    DiskFull, Killed
        After the records of the killed runs are written.

    """
    quiet()
    torch.set_num_threads(threads_of(cells[0], threads))
    build_trainer(cells[0].config.trainer, [], cells[0].path)  # refuses what it can't do before any run begins
    runs: list[Started] = []
    with ExitStack() as held:
        mine = [cell for cell in cells if held.enter_context(claims.claimed(cell.path))]
        for cell in mine:
            held.enter_context(record.told_if_killed(cell.path))
        try:
            alone, mistakes = _begin([cell for cell in mine if reusable(cell) is None], runs)
            for _, members in groupby(sorted(runs, key=_group_key), _group_key):
                alone += _train(*zip(*members, strict=True))
        except (DiskFull, Killed) as error:
            for member, _ in runs:
                if member.entry["status"] == "running":
                    member.finish(record.ending_of(error), {})
            raise
    for cell in alone:
        run(cell, "packed", threads)
    if mistakes:
        raise mistakes[0]


Started = tuple[Run, Checkpoint | None]
"""A run and the checkpoint that it goes on from."""


def _begin(cells: Sequence[Cell], runs: list[Started]) -> tuple[list[Cell], list[ConfigError]]:
    """Begin the cells that can be stacked, adding them to `runs`; return those that can't, and the user's mistakes."""
    data: dict[str, Any] = {}
    alone: list[Cell] = []
    mistakes: list[ConfigError] = []
    for cell in cells:
        try:
            key = digest(cell.resolved["data"])
            if key not in data:
                data[key] = build_data(cell.config.data)
            learner = build_learner(cell, data[key])
        except ConfigError as error:
            log.error("%s: %s", cell.name, error)
            mistakes.append(error)
            continue
        if draws_random_numbers(learner.loss, learner.problem.num_classes):
            log.info("%s trains alone: its loss draws random numbers", cell.name)
            alone.append(cell)
            continue
        if not agrees_with_its_form(learner.network.backbone, next(iter(data[key].train_dataloader())).inputs):
            log.info("%s trains alone: its model computes something else than the one it is derived from", cell.name)
            alone.append(cell)
            continue
        kept = to_go_on_from(cell, learner)
        runs.append((begin(cell, data[key], learner, {"name": "stacked"}), kept and kept[1]))
    return alone, mistakes


def _group_key(started: Started) -> tuple[Any, ...]:
    """Return what the runs of one stack share; within it, those with the same optimizer settings stand together."""
    member, checkpoint = started
    return len(member.data.train_dataloader().samples.index), -1 if checkpoint is None else checkpoint["epoch"]


def _train(runs: Sequence[Run], checkpoints: Sequence[Checkpoint | None]) -> list[Cell]:
    """Train runs as one stack, and anew as a smaller one when enough have left; return the cells to try alone."""
    cost, tell = Cost(), EpochReporter()
    tell.follow({member.tracker: member.learner for member in runs})
    order = sorted(range(len(runs)), key=lambda number: repr(_settings(runs[number])))
    runs = [runs[number] for number in order]
    kept: Sequence[Checkpoint | None] = [checkpoints[number] for number in order]
    together = StackCheckpoint(runs, cost)
    for member in runs:
        member.entry["engine"] = {"name": "stacked", "runs": len(runs)}
    while runs:
        stack, data = _stack(runs, [each for each in kept if each is not None])
        together.enter(stack, runs)
        ours = StillOurs(*(member.cell.path for member in runs))
        trainer = build_trainer(trainer_settings(runs[0].cell), [cost, tell, ours, together], runs[0].cell.path)
        if kept[0] is not None:
            restore_progress(trainer, kept[0]["loops"])
        shown = f"{len(runs)} runs of {runs[0].cell.data}"
        progress.run_started(shown, runs[0].learner.max_epochs, len(runs))
        try:
            trainer.fit(stack, datamodule=data)
            if not together.shrinks and any(not _is_evaluated(runs[number]) for number in stack.alive):
                trainer.validate(stack, datamodule=data, verbose=False)
        except (Exception, Killed) as raised:
            error = stopped() or raised
            together.end(record.ending_of(error))
            if isinstance(error, DiskFull | Killed):
                raise error from None
            log.warning("the stack of %s failed (%s): each trains alone", shown, first_line(error))
            return [runs[number].cell for number in stack.alive]
        runs, kept = together.survivors()
    return []


def trainer_settings(cell: Cell) -> DictConfig:
    """Return what the trainer of a stack is built from: a stack clips and stops each run by itself."""
    return without(cell.config.trainer, "callbacks", "gradient_clip_val", "gradient_clip_algorithm")


def _settings(member: Run) -> Any:
    return member.learner.optimizer_factory, member.learner.scheduler_factory


def _is_evaluated(member: Run) -> bool:
    last = member.learner.last
    return last is not None and member.learner.is_tested and last["epoch"] == member.learner.history[-1]["epoch"]


def _stack(runs: Sequence[Run], checkpoints: Sequence[Checkpoint]) -> tuple[Stack, StackedData]:
    modules = list({id(member.data): member.data for member in runs}.values())
    data = StackedData(modules)
    config = runs[0].cell.config.trainer
    stack = Stack(
        learners=[member.learner for member in runs],
        data_of_runs=[next(i for i, module in enumerate(modules) if module is member.data) for member in runs],
        sizes={name: loader.sizes for name, loader in data.evaluated.items()},
        clip=config.gradient_clip_val,
        clip_algorithm=config.gradient_clip_algorithm or "norm",
        stoppers=[stoppers_of(callbacks_of(config)) for _ in runs],
        checkpoints=checkpoints,
    )
    return stack, data


def stoppers_of(callbacks: Iterable[Any]) -> list[EarlyStopping]:
    """Build the early stopping of a run."""
    return [build(callback) for callback in callbacks]


class StackCheckpoint(callbacks.Checkpoint):
    """Write the checkpoints of a stack, end the runs that leave it, and see when it should shrink.

    It is a `Checkpoint` so that Lightning calls it last in an epoch and adds none of its own.
    """

    def __init__(self, runs: Sequence[Run], cost: Cost) -> None:
        self._cost, self._size, self._started = cost, len(runs), time.time()
        self._written = time.monotonic()

    def enter(self, stack: Stack, runs: Sequence[Run]) -> None:
        """Look after a stack, the first or a smaller one."""
        self._stack, self._runs = stack, runs
        self._best: dict[int, Checkpoint] = {}
        self._ended: set[int] = set()
        self._survivors: tuple[list[Run], list[Checkpoint]] = ([], [])

    @property
    def shrinks(self) -> bool:
        """Whether the stack has stopped in order to go on with fewer runs."""
        return bool(self._survivors[0])

    def survivors(self) -> tuple[list[Run], list[Checkpoint]]:
        """End the runs that are through; return those that go on in a smaller stack, with their checkpoints."""
        if not self.shrinks:
            self.end({"status": "finished"})
        return self._survivors

    def end(self, ending: Record) -> None:
        """End all runs that have not ended yet, each as it left, the others as `ending` says."""
        for number in range(len(self._runs)):
            self._end(number, self._stack.endings.get(number, ending))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep what is worth keeping of the epoch."""
        stack, last_epoch = self._stack, self._stack.current_epoch + 1 == self._runs[0].learner.max_epochs
        progressed = [number for number in stack.began if _finishes(stack.endings.get(number))]
        for number in progressed:
            best = self._runs[number].learner.best
            if best is not None and best["epoch"] == stack.current_epoch:
                self._best[number] = stack.checkpoint_of(number)
        if last_epoch or time.monotonic() - self._written > CHECKPOINT_SECONDS:
            for number in progressed:
                self._write(number)
            self._written = time.monotonic()
        for number in set(stack.endings) - self._ended:
            if number in progressed and not last_epoch:
                self._write(number)
            self._end(number, stack.endings[number])
        alive = stack.alive
        if not alive:
            trainer.should_stop = True
        elif not last_epoch and max(SLOTS, len(alive)) <= SHRINK * max(SLOTS, len(self._runs)):
            self._survivors = [self._runs[number] for number in alive], [stack.checkpoint_of(n) for n in alive]
            for number in alive:
                self._write_best(number)
            trainer.should_stop = True

    def _write(self, number: int) -> None:
        _save(self._stack.checkpoint_of(number), self._runs[number], "last")
        self._write_best(number)

    def _write_best(self, number: int) -> None:
        if number in self._best:
            _save(self._best.pop(number), self._runs[number], "best")

    def _end(self, number: int, ending: Record) -> None:
        if number not in self._ended:
            self._ended.add(number)
            self._write_best(number)
            seconds = round((time.time() - self._started) / self._size, 3)
            self._runs[number].finish(ending, {"seconds": seconds, **self._cost.summary(self._size)})


def _finishes(ending: Record | None) -> bool:
    return ending is None or ending["status"] == "finished"


def _save(checkpoint: Checkpoint, member: Run, name: str) -> None:
    write_checkpoint(member.cell.path / "checkpoints" / f"{name}.ckpt", checkpoint)
