"""Lightning's own loggers: CSVLogger, TensorBoardLogger, WandbLogger (`tracking=csv|tensorboard|wandb`).

Each has a folder of its name under `output_dir`. The names of metrics are those of MLflow: curves as in the record, its
final values as `final/...` and `best_val/...` at the last epoch. Numbers are those of the record, not rounded. What is
here writes a whole run from its record; `live.py` uses the same functions while a run trains.
"""

import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
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
OPEN = "wandb open"
"""There: the id in W&B of a run that was sent while it trained, and is not known to be whole."""
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
        _WRITERS[kind](entry, folder, tracking)
        note(entry, folder, tracking)
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


def note(entry: Record, folder: Path, tracking: DictConfig) -> None:
    """Note that the logger of a config has a run as it has ended."""
    told = {**_told(folder), tracking.logger: _stamp(entry, tracking)}
    if tracking.logger == "wandb":
        told.pop(OPEN, None)
    write_text(folder / TOLD, json.dumps(told))


def forget_open(folder: Path) -> None:
    """Leave alone what a stopped attempt has sent to W&B: the run begins anew."""
    told = _told(folder)
    if told.pop(OPEN, None) is not None:
        write_text(folder / TOLD, json.dumps(told))


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


def epochs_of(entry: Record) -> dict[int, dict[str, float]]:
    """Return the values of each epoch of a record, what is no finite number as nan; without epochs an empty one."""
    rows: dict[int, dict[str, float]] = {}
    for (name, epoch), value in curves_of(entry).items():
        rows.setdefault(epoch, {"epoch": epoch})[name] = value
    return dict(sorted(rows.items())) or {0: {"epoch": 0}}


def opened(kind: str, place: Path, entry: Record, folder: Path, tracking: DictConfig) -> Any:
    """Return Lightning's logger of a run, which writes in a place and has its parameters.

    In W&B a run that was opened before goes on.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "csv":
            from pytorch_lightning.loggers import CSVLogger

            logger: Any = CSVLogger(place.parent, name=None, version=place.name)
        elif kind == "tensorboard":
            from pytorch_lightning.loggers import TensorBoardLogger

            logger = TensorBoardLogger(place.parent, name=None, version=place.name, default_hp_metric=False)
        else:
            return _opened_wandb(place, entry, folder, tracking)
        logger.log_hyperparams(flat_of(entry["config"], entry["choices"]))
        return logger


def log_rows(logger: Any, rows: Mapping[int, dict[str, float]]) -> None:
    """Send the values of some epochs."""
    for epoch, row in rows.items():
        logger.log_metrics(row, epoch)


def end(kind: str, logger: Any, entry: Record) -> None:
    """Send the final values of a run whose epochs the logger has, and close it."""
    rows, finals = epochs_of(entry), finals_of(entry)
    last = max(rows)
    if kind == "tensorboard":  # its page of hyper-parameters shows the values that come with them
        logger.log_hyperparams(flat_of(entry["config"], entry["choices"]), finals or rows[last], last)
    elif finals:
        logger.log_metrics(finals, last)
    if kind == "wandb" and "running" in logger.experiment.tags:
        logger.experiment.tags = _tags(entry)
    close(kind, logger)


def close(kind: str, logger: Any) -> None:
    """Close a logger, whether or not it has all of a run."""
    logger.finalize("success")
    if kind == "wandb":
        logger.experiment.finish()


def _write_csv(entry: Record, folder: Path, tracking: DictConfig) -> None:
    def write(half: Path) -> None:
        logger = opened("csv", half, entry, folder, tracking)
        rows = epochs_of(entry)
        rows[max(rows)] |= finals_of(entry)
        log_rows(logger, rows)
        close("csv", logger)

    _in_place(place_of("csv", folder), write)


def _write_tensorboard(entry: Record, folder: Path, tracking: DictConfig) -> None:
    def write(half: Path) -> None:
        logger = opened("tensorboard", half, entry, folder, tracking)
        log_rows(logger, epochs_of(entry))
        end("tensorboard", logger, entry)

    _in_place(place_of("tensorboard", folder), write)


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


def _write_wandb(entry: Record, folder: Path, tracking: DictConfig) -> None:
    logger = opened("wandb", place_of("wandb", folder), entry, folder, tracking)
    try:
        there = int(logger.experiment.step)  # rows that had arrived before this process
        rows = epochs_of(entry)
        log_rows(logger, dict(list(rows.items())[there:]))
        if there <= len(rows):
            end("wandb", logger, entry)
    finally:
        logger.experiment.finish()


def _opened_wandb(place: Path, entry: Record, folder: Path, tracking: DictConfig) -> Any:
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    made_from = {"key": entry["key"], "ended": entry.get("ended", entry.get("started"))}
    run_id = _told(folder).get(OPEN) or digest(made_from)[:16]
    if not record.is_done(entry):
        write_text(folder / TOLD, json.dumps({**_told(folder), OPEN: run_id}))
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
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    logger = WandbLogger(experiment=run)
    logger.log_hyperparams({**_chosen(entry), "config": _without_tracking(entry["config"])})
    return logger


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
