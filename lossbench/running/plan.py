"""How the cells of a sweep are run: what trains together, what side by side. The one place where that is chosen.

- `stacked`: runs of one model, data source and optimizer train together as one stack (`lossbench.running.stacks`).
- `packed`: runs side by side, one on each core, in warm workers (`lossbench.running.workers`).
- `single`: one after the other, by Hydra's own launcher.
- `auto`: stacked where that is known to be faster, else packed.

Nothing here imports torch.
"""

import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from lossbench.catalogue.terms import asks_for
from lossbench.config.axes import AXES
from lossbench.config.cell import Cell
from lossbench.config.check_trainer import callbacks_of, stepping
from lossbench.config.engines import cores
from lossbench.config.source import said_by
from lossbench.records.provenance import digest
from lossbench.words import counted


@dataclass(frozen=True)
class Stacking:
    """What was measured of a model in a stack (`scripts/benchmark.py`, docs/performance.md).

    Parameters
    ----------
    least : int
        With fewer runs a stack is not faster.
    most : int
        With more runs a stack gets no faster for each of them.
    megabytes : float
        What one run needs in a stack, at batches of 128.
    by_data : bool
        Whether runs gain from company that sees the same batches.

    """

    least: int
    most: int
    megabytes: float
    by_data: bool = False


STACKING = {
    "cpu": {"MLP": Stacking(1, 64, 3), "LeNet": Stacking(4, 16, 20, by_data=True)},
    "gpu": {"MLP": Stacking(1, 256, 3), "LeNet": Stacking(1, 64, 20), "ResNet32": Stacking(2, 16, 400)},
}
"""Where stacking pays: on a CPU a ResNet fills a core by itself. The figures for a GPU are not measured."""
FORCED = Stacking(1, 8, 400)
"""For `engine=stacked` with a model that gains nothing from it."""
ELEMENTWISE = ("Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop", "SGD")
"""The optimizers of torch that update each number by itself, so that stacked parameters are updated as alone."""
DEFAULTS = {
    "accumulate_grad_batches": 1, "detect_anomaly": False, "devices": 1, "limit_train_batches": None,
    "max_steps": -1, "max_time": None, "profiler": None,
}  # fmt: skip
"""Trainer options that a stack can't follow unless they have these values."""
PRECISIONS = ("32", "32-true", "64", "64-true", "bf16-mixed")
EARLY_STOPPING = "pytorch_lightning.callbacks.EarlyStopping"
NOT_SHARED = (
    "compare", "data.run_seed", "data.sampler", "data.seed", "loss", "model.head", "model.head_scale", "optimizer",
    "output_dir", "protocol", "rerun", "scheduler", "seed", "teacher", "tracking", "trust", "variant", "warm_start",
    *AXES,
)  # fmt: skip
"""What may differ between the runs of a stack."""


@dataclass(frozen=True)
class WorkItem:
    """Cells that one worker runs: together as a stack, or a single one."""

    cells: Sequence[Cell]
    stacked: bool


@dataclass(frozen=True)
class Plan:
    """The work items of a sweep, how many workers run them, and what there is to say of it."""

    items: list[WorkItem]
    workers: int
    notes: list[str]


def plan(cells: Sequence[Cell], engine: str, places: int | None = None) -> Plan:
    """Divide cells into stacks and single runs, and choose the number of workers: `places` of a cluster, or cores."""
    places = places or cores()
    together: dict[str, list[Cell]] = defaultdict(list)
    reasons: Counter[str] = Counter()
    alone: list[Cell] = []
    for cell in cells:
        reason = "engine=packed" if engine == "packed" else why_alone(cell, forced=engine == "stacked")
        if reason is None:
            together[_group_key(cell)].append(cell)
        else:
            alone.append(cell)
            reasons[reason] += 1
    for key, group in list(together.items()):
        if engine == "auto" and len(group) < _stacking(group[0]).least:
            alone += together.pop(key)
            reasons[f"fewer than {_stacking(group[0]).least} of {_model(group[0])} are faster so"] += len(group)
    items = [WorkItem(part, stacked=True) for group in together.values() for part in divided(group, places)]
    stacks = [counted(len(item.cells), "run") for item in items]
    stacked = counted(sum(len(item.cells) for item in items), "run trains", "runs train")
    notes = [f"{stacked} in {'a stack' if len(items) == 1 else 'stacks'} of {', '.join(stacks)}"] if items else []
    for reason, count in reasons.items():
        notes.append(f"{counted(count, 'run trains', 'runs train')} alone, {places} at a time: {reason}")
    items += [WorkItem([cell], stacked=False) for cell in alone]
    return Plan(items, min(places, len(items)), notes)


def why_alone(cell: Cell, forced: bool = False) -> str | None:
    """Say why a cell can't be stacked, or would gain nothing from it; None if it should be stacked."""
    trainer, model = cell.config.trainer, _model(cell)
    optimizer = str(cell.config.optimizer["_target_"])
    callbacks = {str(callback["_target_"]) for callback in callbacks_of(trainer)}
    changed = [name for name, default in DEFAULTS.items() if trainer.get(name, default) != default]
    reasons = {
        f"learner={cell.choices['learner']} has no stacked form": not cell.is_supervised,
        f"{model} has no stacked form": not _stacks_as(cell),
        f"mixup={cell.axes['mixup']} has no stacked form": cell.axes["mixup"] != AXES["mixup"],
        f"combine={cell.axes['combine']} has no stacked form": cell.axes["combine"] != AXES["combine"],
        f"weighting={cell.weighting} has no stacked form for numbers": (
            not cell.task.has_classes and cell.weighting != AXES["weighting"]
        ),
        f"task={cell.task.name} has no stacked form": not cell.task.stacked,
        f"the slow copy of a network, which loss={cell.loss} asks for, has no stacked form": (
            asks_for("momentum_embeddings", cell.resolved["loss"], unknown=False)
        ),
        f"data={cell.data} brings its own batches": not cell.is_in_memory,
        f"{optimizer} may mix what is stacked": optimizer.removeprefix("torch.optim.") not in ELEMENTWISE,
        "compile=true": cell.config.compile,
        f"scheduler={cell.choices['scheduler']} is not stepped after each epoch": (
            stepping(cell.config.scheduler) != {"interval": "epoch", "frequency": 1}
        ),
        f"trainer.precision={trainer.precision}": str(trainer.precision) not in PRECISIONS,
        "trainer.callbacks other than EarlyStopping": callbacks - {EARLY_STOPPING},
        " ".join(f"trainer.{name}={trainer.get(name)}" for name in changed): changed,
        f"{model} gains nothing from stacking here": not forced and _stacks_as(cell) not in STACKING[_device(cell)],
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _group_key(cell: Cell) -> str:
    """Return what the runs of a stack have in common."""
    shared = {**cell.resolved, "optimizer_type": cell.config.optimizer["_target_"]}
    return digest(shared, leaving_out=NOT_SHARED)


def divided(cells: list[Cell], places: int) -> list[list[Cell]]:
    """Divide the cells of a company into stacks of about one size that fit, one for each place if they are many."""
    known = _stacking(cells[0])
    batch = max(cells[0].config.data.batch_size, cells[0].config.data.eval_batch_size / 2)
    free = psutil.virtual_memory().available / 2**20 / 2 / cores()
    most = max(1, min(known.most, int(free / (known.megabytes * batch / 128))))
    parts = max(-(-len(cells) // most), min(places, len(cells) // 8), 1)
    if known.by_data:
        same_data: dict[str, list[Cell]] = defaultdict(list)
        for cell in cells:
            same_data[digest(cell.resolved["data"])].append(cell)
        cells = [cell for group in same_data.values() for cell in group]
    ends = [round(len(cells) * part / parts) for part in range(parts + 1)]
    return [cells[start:stop] for start, stop in pairwise(ends)]


def _stacking(cell: Cell) -> Stacking:
    return STACKING[_device(cell)].get(_stacks_as(cell), FORCED)


def _stacks_as(cell: Cell) -> str:
    """Return the model whose measured figures hold for that of a cell; "" if it has no stacked form."""
    return str(said_by(str(cell.config.model["_target_"]), "stacks_as", ""))


def _model(cell: Cell) -> str:
    return str(cell.config.model["_target_"]).removeprefix("lossbench.models.")


def _device(cell: Cell) -> str:
    wanted = str(cell.config.trainer.accelerator)
    there = Path("/dev/nvidia0").exists() or (sys.platform == "win32" and shutil.which("nvidia-smi") is not None)
    return "gpu" if wanted in ("gpu", "cuda") or (wanted == "auto" and there) else "cpu"
