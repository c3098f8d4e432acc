"""The files of a run that has ended: predictions, pictures, config and record."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf

from lossbench import record
from lossbench.learners import Learner
from lossbench.pictures import draw_run
from lossbench.record import Record


def write_outcome(folder: Path, entry: Record, learner: Learner) -> list[Path]:
    """Complete the record and write all files of a run, the record last; return their paths.

    `predictions.npz` holds the test set at the last epoch, `predictions_best.npz` at the best validation epoch, and
    `validation.npz` the validation part at the last epoch, with a mask of its `contaminated` samples. `snapshots.npz`
    holds what the learner's snapshots show, with the epochs as first axis.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    entry : dict
        Its record; the metrics and the history are added here.
    learner : Learner
        The learner after training, however it ended.

    """
    last, best = learner.last, learner.best
    entry["metrics"] = {"last": last and last["metrics"], "best_val": best and best["metrics"]}
    entry["epochs"] = {"done": len(learner.history), "last": last and last["epoch"], "best_val": best and best["epoch"]}
    entry["history"] = learner.history
    files = [folder / "config.yaml"]
    record.write_text(files[0], OmegaConf.to_yaml(OmegaConf.create(entry["config"])))
    validation = last and last.get("val")
    if validation:
        validation = {**validation, "contaminated": torch.isin(validation["index"], learner.problem.contaminated)}
    parts = {
        "predictions.npz": last and last.get("test"),
        "predictions_best.npz": best and best.get("test"),
        "validation.npz": validation,
    }
    for name, predictions in parts.items():
        if predictions:
            files.append(folder / name)
            _write_arrays(files[-1], predictions)
    if learner.snapshots:
        files.append(folder / "snapshots.npz")
        names = learner.snapshots[0]
        _write_arrays(files[-1], {name: torch.stack([each[name] for each in learner.snapshots]) for name in names})
    files += draw_run(folder, entry, last, learner.snapshots)
    record.write(folder, entry)
    return [*files, folder / record.FILE]


def _write_arrays(path: Path, predictions: dict[str, Any]) -> None:
    half = path.with_name(f".{path.name}")
    arrays: dict[str, Any] = {name: _compact(tensor.numpy()) for name, tensor in predictions.items()}
    np.savez_compressed(half, **arrays)
    half.replace(path)


def _compact(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float64 else array
