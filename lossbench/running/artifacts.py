"""The files of a run that has ended: predictions, pictures and record, and which checkpoints stay."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossbench.learners import Learner
from lossbench.records import record
from lossbench.records.checkpoints import lighten
from lossbench.records.files import replace
from lossbench.records.predictions import write_predictions
from lossbench.records.schema import Record
from lossbench.running.figures import draw_run
from lossbench.tasks.classification.final_metrics import confusion_of

MOST_CLASSES = 100
"""The confusion matrix of more classes is not in the record; it follows from the predictions."""
KEPT = ("last", "best", "predictions")
"""What a run that is done keeps unless `keep` says less: checkpoints of two epochs, and what it has predicted."""


def write_outcome(
    folder: Path, entry: Record, learner: Learner, draw: bool = True, keep: Collection[str] = KEPT
) -> None:
    """Complete the record and write all files of a run, the record last; a run that is done keeps what `keep` says.

    The metrics in the record are those of the evaluation, and of a run that has ended, the further ones too.
    `confusion_matrix` counts the test samples at the last epoch, a row for each true class.

    `predictions.npz` holds the test set at the last and at the best validation epoch, and the validation part at the
    last epoch, with a mask of its `contaminated` samples; see `lossbench.records.predictions`. `snapshots.npz` holds
    what the learner's snapshots show, with the epochs as first axis.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    entry : dict
        Its record; the metrics and the history are added here.
    learner : Learner
        The learner after training, however it ended.
    draw : bool
        Whether to draw pictures.
    keep : collection of str
        Some of `KEPT`.

    """
    last, best = learner.last, learner.best
    entry["metrics"] = _metrics(entry, learner)
    test = (last or {}).get("test", {})
    probabilities = test.get("probabilities") if learner.problem.task.has_classes else None
    if probabilities is not None and probabilities.shape[1] <= MOST_CLASSES:
        entry["confusion_matrix"] = confusion_of(probabilities, test["target"]).tolist()
    epochs = {name: each["epoch"] if each else None for name, each in (("last", last), ("best_val", best))}
    entry["epochs"] = {"done": len(learner.history), **epochs}
    entry["history"] = learner.history
    if "predictions" in keep:
        _write_predictions(folder, learner)
    if draw:
        draw_run(folder, entry, last if last and "test" in last else None, learner.snapshots)
    record.write(folder, entry)
    if record.is_done(entry):
        for name in ("last", "best"):
            path = folder / "checkpoints" / f"{name}.ckpt"
            lighten(path) if name in keep else path.unlink(missing_ok=True)
        with suppress(OSError):
            (folder / "checkpoints").rmdir()  # unless something is in it


def _write_predictions(folder: Path, learner: Learner) -> None:
    last, best = learner.last, learner.best
    validation = last and last.get("val")
    if validation:
        validation = {**validation, "contaminated": torch.isin(validation["index"], learner.problem.contaminated)}
    parts = {"last": last and last.get("test"), "best": best and best.get("test"), "validation": validation}
    write_predictions(folder, {name: found and _arrays(found) for name, found in parts.items()})
    if learner.snapshots:
        names = learner.snapshots[0]
        shown = _arrays({name: torch.stack([each[name] for each in learner.snapshots]) for name in names})
        replace(folder / "snapshots.npz", lambda half: np.savez_compressed(half, **shown))


def _metrics(entry: Record, learner: Learner) -> dict[str, dict[str, float] | None]:
    """Return the metrics of both selections; the further ones are computed once if both are of one epoch."""
    found: dict[str, dict[str, float] | None] = {}
    known: dict[int, dict[str, float]] = {}
    for selection, evaluation in {"last": learner.last, "best_val": learner.best}.items():
        if evaluation is None:
            found[selection] = None
            continue
        epoch = evaluation["epoch"]
        if epoch not in known:
            known[epoch] = _further(learner, evaluation) if record.is_done(entry) else {}
        found[selection] = evaluation["metrics"] | known[epoch]
    return found


def _further(learner: Learner, evaluation: dict[str, Any]) -> dict[str, float]:
    return {
        f"{part}/{name}": value
        for part in ("val", "test")
        if part in evaluation
        for name, value in learner.final_metrics(part, evaluation[part]).items()
    }


def _arrays(predictions: dict[str, Any]) -> dict[str, Any]:
    return {name: _compact(tensor.numpy()) for name, tensor in predictions.items()}


def _compact(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float64 else array
