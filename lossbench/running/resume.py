"""Where a run goes on from."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lossbench.config.cell import Cell
from lossbench.records.checkpoints import Checkpoint, UnusableCheckpoint, read_checkpoint

log = logging.getLogger(__name__)


def to_go_on_from(cell: Cell, learner: pl.LightningModule) -> tuple[Path, Checkpoint] | None:
    """Find where a run goes on from: its last checkpoint, else that of its best epoch; None if it begins at the start.

    Parameters
    ----------
    cell : Cell
        The run.
    learner : Learner
        Its learner as it was built.

    """
    reasons = []
    for name, meaning in {"last": "last checkpoint", "best": "best epoch"}.items():
        path = cell.path / "checkpoints" / f"{name}.ckpt"
        if not path.exists():
            continue
        try:
            checkpoint = read_checkpoint(path, cell.key)
            _require_fit(path, checkpoint, learner)
        except UnusableCheckpoint as error:
            reasons.append(str(error))
            continue
        log.log(_level(reasons), "%s: %s", cell.name, "; ".join([*reasons, f"goes on from its {meaning}"]))
        return path, checkpoint
    if reasons:
        log.warning("%s: %s; starts over", cell.name, "; ".join(reasons))
    return None


def _level(reasons: list[str]) -> int:
    return logging.WARNING if reasons else logging.INFO


def state_of(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the weights of a checkpoint; raise `UnusableCheckpoint` if there are none."""
    state = checkpoint.get("state_dict")
    if not isinstance(state, dict):
        raise UnusableCheckpoint(f"{path} lacks state_dict")
    return state


def _require_fit(path: Path, checkpoint: Checkpoint, learner: pl.LightningModule) -> None:
    """Raise `UnusableCheckpoint` unless a checkpoint has all its parts, and the tensors of the learner."""
    parts = {"epoch", "global_step", "loops", "callbacks", "optimizer_states", "lr_schedulers", "state_dict"}
    kept: Checkpoint = {}
    learner.on_save_checkpoint(kept)  # what this version reads beside them: an earlier one may have kept less
    own = checkpoint.get("lossbench", {})
    if missing := sorted({*parts, *kept} - checkpoint.keys()) + sorted(kept["lossbench"].keys() - own.keys()):
        raise UnusableCheckpoint(f"{path} lacks {', '.join(missing)}")
    shapes, expected = (
        {name: getattr(tensor, "shape", None) for name, tensor in state.items()}
        for state in (state_of(path, checkpoint), learner.state_dict())
    )
    if shapes != expected:
        raise UnusableCheckpoint(f"{path} is of another network")
