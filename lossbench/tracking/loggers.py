"""Lightning's own loggers: CSVLogger, TensorBoardLogger, WandbLogger (`tracking=csv|tensorboard|wandb`).

They are written from the record of a run when it has ended, so that a run of a stack, or one that was stopped and went
on, leaves what it would leave alone, and nothing twice. Each has a folder of its name under `output_dir`. The names of
metrics are those of MLflow: curves as in the record, its final values as `final/...` and `best_val/...` at the last
epoch. Numbers are those of the record, not rounded.
"""

import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lossbench.config.axes import AXES
from lossbench.config.check_tracking import OFFLINE
from lossbench.errors import first_line
from lossbench.ranges import takes
from lossbench.records import record
from lossbench.records.files import HALF, write_text
from lossbench.records.provenance import digest
from lossbench.records.schema import Record
from lossbench.tracking.agreement import TOLD_LATER, curves_of, experiment_of, finals_of, flat_of

log = logging.getLogger(__name__)
TOLD = ".logged.json"
"""In the folder of a run: to which loggers it was written, and with which ending."""
NAMES = {"csv": "CSVLogger", "tensorboard": "TensorBoard", "wandb": "Weights & Biases"}


@takes(logger="one of: csv, tensorboard, wandb or null")
def tell(entry: Record, folder: Path, tracking: DictConfig) -> bool:
    """Write a run that is done to the logger of a config, unless it has it; a logger that fails costs a warning.

    Parameters
    ----------
    entry : dict
        The record of the run.
    folder : Path
        Its folder, in `output_dir/DATA`.
    tracking : DictConfig
        The node `tracking` of the config; `logger` names the logger, null for none.

    Returns
    -------
    bool
        Whether it was written just now.

    """
    kind = tracking.get("logger")
    if kind is None or TOLD_LATER in os.environ or not record.is_done(entry) or is_told(entry, folder, tracking):
        return False
    try:
        _WRITERS[kind](entry, place_of(kind, folder), tracking)
        write_text(folder / TOLD, json.dumps({**_told(folder), kind: _stamp(entry, tracking)}))
    except Exception as error:
        log.warning(
            "%s could not be told of %s: %s. Its record is whole; the same command again tries again.",
            NAMES[kind], entry["name"], first_line(error),
        )  # fmt: skip
        return False
    return True


def is_told(entry: Record, folder: Path, tracking: DictConfig) -> bool:
    """Tell whether the logger of a config has a run as it has ended; files that were deleted are missed."""
    kind = tracking.logger
    there = kind == "wandb" or any(place_of(kind, folder).glob("*"))
    return there and bool(_told(folder).get(kind) == _stamp(entry, tracking))


def _told(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / TOLD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _stamp(entry: Record, tracking: DictConfig) -> dict[str, Any]:
    project = {"project": project_of(entry, tracking)} if tracking.logger == "wandb" else {}
    return {"key": entry["key"], "ended": entry.get("ended"), **project}


def place_of(kind: str, folder: Path) -> Path:
    """Return where a logger keeps the run of a folder; all runs of W&B share a place.

    Examples
    --------
    >>> place_of("csv", Path("outputs/digits/focal-s0-1234abcd")).as_posix()
    'outputs/csv/digits/focal-s0-1234abcd'

    """
    root = folder.parent.parent
    return root / kind if kind == "wandb" else root / kind / folder.parent.name / folder.name


def project_of(entry: Record, tracking: DictConfig) -> str:
    """Return the project in W&B: the name of the experiment in MLflow."""
    return experiment_of({**entry, "config": {**entry["config"], "tracking": {"experiment": tracking.experiment}}})


def rows_of(entry: Record) -> list[tuple[int, dict[str, float]]]:
    """Return each epoch of a record with its values, the last one with the final values of the run, too.

    What is no finite number is nan. A run that left no epoch has one row.
    """
    rows: dict[int, dict[str, float]] = {}
    for (name, epoch), value in curves_of(entry).items():
        rows.setdefault(epoch, {"epoch": epoch})[name] = value
    last = max(rows, default=0)
    rows[last] = rows.get(last, {"epoch": last}) | finals_of(entry)
    return sorted(rows.items())


def _write_csv(entry: Record, place: Path, tracking: DictConfig) -> None:
    from pytorch_lightning.loggers import CSVLogger

    def write(folder: Path) -> None:
        logger = CSVLogger(folder.parent, name=None, version=folder.name)
        logger.log_hyperparams(flat_of(entry["config"], entry["choices"]))
        for epoch, row in rows_of(entry):
            logger.log_metrics(row, epoch)
        logger.finalize("success")

    _in_place(place, write)


def _write_tensorboard(entry: Record, place: Path, tracking: DictConfig) -> None:
    from pytorch_lightning.loggers import TensorBoardLogger

    def write(folder: Path) -> None:
        logger = TensorBoardLogger(folder.parent, name=None, version=folder.name, default_hp_metric=False)
        *before, (last, row) = rows_of(entry)
        for epoch, values in before:
            logger.log_metrics(values, epoch)
        # with the last row, for the page of hyper-parameters shows the values that come with them
        logger.log_hyperparams(flat_of(entry["config"], entry["choices"]), row, last)
        logger.finalize("success")

    _in_place(place, write)


def _in_place(place: Path, write: Callable[[Path], None]) -> None:
    """Let a logger write a folder beside its place and move it there when it is whole, instead of what was there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for half in place.parent.glob(f"{HALF}*-{place.name}"):
        shutil.rmtree(half)  # whoever wrote it was killed: this process holds the run now
    half = place.with_name(f"{HALF}{os.getpid()}-{place.name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(half)
    shutil.rmtree(place, ignore_errors=True)
    half.replace(place)


def _write_wandb(entry: Record, place: Path, tracking: DictConfig) -> None:
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    run_id = digest({"key": entry["key"], "ended": entry.get("ended")})[:16]
    for part in place.glob(f"offline-run-*-{run_id}"):
        shutil.rmtree(part)  # of a process that was killed while it wrote
    place.mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        id=run_id,
        name=entry["name"],
        dir=place.parent,
        project=project_of(entry, tracking),
        group=f"{entry['choices']['data']}-{entry['problem'][:8]}",  # as the folder of its comparison is called
        job_type=entry["loss"],
        tags=_tags(entry),
        resume="allow",
        reinit="create_new",  # a notebook may have one of its own open
        settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, save_code=False),
    )
    try:
        there = int(run.step)  # rows that had arrived before this process
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        logger = WandbLogger(experiment=run)
        logger.log_hyperparams({**_chosen(entry), "config": _without_tracking(entry["config"])})
        for epoch, row in rows_of(entry)[there:]:
            logger.log_metrics(row, epoch)
    finally:
        run.finish()


def _tags(entry: Record) -> list[str]:
    axes = [str(entry.get(axis)) for axis, plain in AXES.items() if entry.get(axis) not in (None, plain)]
    words = [entry["choices"]["data"], entry["loss"], *axes, entry["status"], str(entry.get("variant") or "")]
    return [word[:64] for word in dict.fromkeys(words) if word]


def _chosen(entry: Record) -> dict[str, Any]:
    """Return what runs are sorted and grouped by: the choice in each group, and the seed."""
    choices = {group.replace("/", "_"): choice for group, choice in entry["choices"].items()}
    left_out = ("compare", "tracking", "config")
    return {**{name: choice for name, choice in choices.items() if name not in left_out}, "seed": entry["seed"]}


def _without_tracking(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("compare", "rerun", "tracking")}


_WRITERS: dict[str, Callable[[Record, Path, DictConfig], None]] = {
    "csv": _write_csv,
    "tensorboard": _write_tensorboard,
    "wandb": _write_wandb,
}


def where_to_look(tracking: DictConfig, output_dir: Path) -> str:
    """Say how to look at what the logger of a config has; "" if there is none."""
    if (kind := tracking.get("logger")) is None:
        return ""
    place = output_dir / kind
    if kind == "csv":
        return f"Metrics of every run: {place}/"
    if kind == "tensorboard":
        return f"Look at the runs: tensorboard --logdir {place}"
    online = os.environ.get("WANDB_MODE") not in OFFLINE
    return "Look at the runs: https://wandb.ai" if online else f"Send the runs: wandb sync {place}/offline-run-*"
