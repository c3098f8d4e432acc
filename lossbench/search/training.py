"""Train a batch of candidates and say how well each did on the validation part; nothing of them is kept.

Where the model allows it, all candidates of a batch and their seeds are one stack, or one on each core, and share what
can be shared (`exact=False` of `lossbench.learners.stacked.stack`); else they train side by side, or one by one.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

from lossbench.catalogue.examine.example_batch import draws_random_numbers
from lossbench.config.cell import Cell, bring_own_task
from lossbench.config.check_trainer import callbacks_of
from lossbench.config.engines import cores
from lossbench.data.stacked import StackedData
from lossbench.errors import ConfigError, Diverged, first_line
from lossbench.learners import Learner
from lossbench.learners.stacked.stack import Stack
from lossbench.models.stacked import agrees_with_its_form
from lossbench.records.provenance import digest
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data, build_trainer
from lossbench.running.feature_network import features_of
from lossbench.running.loss_scale import calibrate
from lossbench.running.plan import divided, why_alone
from lossbench.running.stacks import stoppers_of, trainer_settings
from lossbench.running.trainer import TORCH_THREADS, quiet, threads_of, train
from lossbench.running.workers import call_each

log = logging.getLogger(__name__)

Score = float | None
"""The validation metric of a run's best epoch; None if it diverged or has none."""


def scores_of(cells: Sequence[Cell]) -> list[Score]:
    """Train cells that differ in loss, learning rate and seed; return the score of each.

    Raises
    ------
    ConfigError
        If parts of a cell do not fit together, or the data have no validation part.

    """
    engine = str(cells[0].config.engine)
    stacked = engine != "packed" and why_alone(cells[0], forced=engine == "stacked") is None
    parts = divided(list(cells), cores()) if stacked else [[cell] for cell in cells]
    workers = min(cores(), len(parts))
    if workers == 1 or engine == "single":
        return [score for part in parts for score in train_together(part, stacked)]
    told = call_each(f"{__name__}:in_worker", [(part, stacked, cores() // workers) for part in parts], workers)
    return [score for scores in told for score in scores]


def in_worker(cells: Sequence[Cell], stacked: bool, threads: int) -> list[Score]:
    """Train cells in a process that was forked for them."""
    for cell in cells:
        bring_own_task(cell.config)
    torch.set_num_threads(max(1, threads))
    return train_together(cells, stacked)


def train_together(cells: Sequence[Cell], stacked: bool) -> list[Score]:
    """Train cells in this process, as one stack if they can be stacked."""
    quiet()
    torch.set_num_threads(threads_of(cells[0], TORCH_THREADS))
    if not stacked or len(cells) == 1:
        return [train_alone(cell) for cell in cells]
    kept: dict[str, Any] = {}
    datas = [_data_of(cell, kept) for cell in cells]
    learners = [_learner(cell, data) for cell, data in zip(cells, datas, strict=True)]
    first, backbone = learners[0], learners[0].network.backbone
    random = draws_random_numbers(first.loss, first.problem.num_classes)
    if random or not agrees_with_its_form(backbone, next(iter(datas[0].train_dataloader())).inputs):
        return [train_alone(cell) for cell in cells]
    try:
        diverged = _fit(cells, learners, datas)
    except Exception as error:
        log.warning("a stack of %d candidates failed (%s): each trains alone", len(cells), first_line(error))
        return [train_alone(cell) for cell in cells]
    return [None if number in diverged else _score(learner) for number, learner in enumerate(learners)]


def train_alone(cell: Cell) -> Score:
    """Train a single cell."""
    data = _data_of(cell, {})
    learner = _learner(cell, data)
    trainer = build_trainer(cell.config.trainer, [ModelCheckpoint(save_top_k=0)], _folder(cell))
    try:
        train(trainer, learner, data)
    except Diverged:
        return None
    return _score(learner)


def _fit(cells: Sequence[Cell], learners: Sequence[Learner], datas: Sequence[Any]) -> set[int]:
    """Train learners as one stack; return the numbers of those that diverged."""
    modules = list({id(data): data for data in datas}.values())
    together, config = StackedData(modules), cells[0].config.trainer
    stack = Stack(
        learners=learners,
        data_of_runs=[next(place for place, module in enumerate(modules) if module is data) for data in datas],
        sizes={name: loader.sizes for name, loader in together.evaluated.items()},
        clip=config.gradient_clip_val,
        clip_algorithm=config.gradient_clip_algorithm or "norm",
        stoppers=[stoppers_of(callbacks_of(config)) for _ in cells],
        exact=False,
    )
    trainer = build_trainer(trainer_settings(cells[0]), [ModelCheckpoint(save_top_k=0)], _folder(cells[0]))
    trainer.fit(stack, datamodule=together)
    failed = {run: ending for run, ending in stack.endings.items() if ending["status"] == "failed"}
    if failed:
        raise RuntimeError(next(iter(failed.values()))["error"])
    return {run for run, ending in stack.endings.items() if ending["status"] == "diverged"}


def _data_of(cell: Cell, kept: dict[str, Any]) -> Any:
    """Load the data of a cell without its test part, or take what another cell has loaded."""
    settings: Any = OmegaConf.to_container(cell.config.data, resolve=True)
    key = digest(settings)
    if key not in kept:
        data = build_data(cell.config.data)
        if "val" not in data.evaluation_loaders:
            raise ConfigError(f"data={cell.data} has no validation part, but the search chooses by it.")
        data.evaluation_loaders = {"val": data.evaluation_loaders["val"]}
        kept[key] = data
    return kept[key]


def _learner(cell: Cell, data: Any) -> Learner:
    learner = build_learner(cell, data, **features_of(cell, data))
    if cell.config.optimizer.get("calibrate") == "gradient":
        calibrate(learner, data)
    return learner


def _score(learner: Learner) -> Score:
    return None if learner.best is None else float(learner.best["metrics"][f"val/{learner.problem.monitor}"])


def _folder(cell: Cell) -> Path:
    return Path(cell.config.output_dir) / "searching"
