"""Checkpoints: files that are whole or not there, that hold data and never code, and that serve their own run alone."""

import io
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from lossbench.errors import first_line
from lossbench.records import files

log = logging.getLogger(__name__)
Checkpoint = dict[str, Any]
"""What Lightning saves of a trainer, and under "lossbench" what the learner adds, the key of its run among it."""


KEPT_WHEN_DONE = ("epoch", "global_step", "pytorch-lightning_version", "state_dict")


class UnusableCheckpoint(Exception):
    """A checkpoint that can't be used; the message says which and why."""


def write_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    content = io.BytesIO()  # torch tells of a full disk in other words than a file does
    torch.save(checkpoint, content)
    files.replace(path, lambda half: half.write_bytes(content.getbuffer()))


def read_checkpoint(path: Path, key: str | None = None) -> Checkpoint:
    """Read a checkpoint onto the CPU: tensors and plain values only, so that no code in it ever runs.

    Parameters
    ----------
    path : Path
        The file.
    key : str, optional
        The key of the run that it must be of.

    Raises
    ------
    UnusableCheckpoint
        If it can't be read, holds anything else, or is of another run.

    """
    try:
        checkpoint: Checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        planted = isinstance(error, pickle.UnpicklingError) and "global" in str(error).lower()
        why = "holds more than tensors and plain values, of which nothing was run" if planted else _unreadable(error)
        raise UnusableCheckpoint(f"{path} {why}") from error
    if not isinstance(checkpoint, dict):
        raise UnusableCheckpoint(f"{path} is no checkpoint")
    if key is not None and _key_of(checkpoint) != key:
        raise UnusableCheckpoint(f"{path} is the checkpoint of another run")
    return checkpoint


def lighten(path: Path) -> None:
    """Keep of the checkpoint of a run that is done what can still be asked for: the weights, and whose they are.

    Its optimizer and what was last predicted are of use only to go on; they are two thirds of a small file.
    """
    try:
        checkpoint = read_checkpoint(path)
    except UnusableCheckpoint:
        return
    kept = {name: checkpoint[name] for name in KEPT_WHEN_DONE if name in checkpoint}
    write_checkpoint(path, {**kept, "lossbench": {"key": _key_of(checkpoint)}})


def _key_of(checkpoint: Checkpoint) -> Any:
    own = checkpoint.get("lossbench")
    return own.get("key") if isinstance(own, dict) else None


def _unreadable(error: Exception) -> str:
    return f"can't be read, as if half-written ({first_line(error)})"


class WholeFiles(TorchCheckpointIO):
    """How Lightning writes and reads checkpoints: as this module does.

    Its own way writes into the folder for temporary files first and moves from there. Between two file systems that is
    a copy, of which a full disk or a kill leaves a part.
    """

    def save_checkpoint(self, checkpoint: Checkpoint, path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint, whole or not at all."""
        write_checkpoint(Path(path), checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Checkpoint:
        """Read a checkpoint without running anything in it, whatever the caller says."""
        return read_checkpoint(Path(path))
