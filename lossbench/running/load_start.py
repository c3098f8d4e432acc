"""Let a run begin from the last weights of another one."""

from pathlib import Path

from torch import nn

from lossbench.config.cell import Cell
from lossbench.config.check_warm_start import command_of
from lossbench.errors import ConfigError, first_line
from lossbench.records import record
from lossbench.records.checkpoints import UnusableCheckpoint, read_checkpoint
from lossbench.running.resume import state_of


def start_warm(cell: Cell, network: nn.Module) -> None:
    """Give a network the weights of the last epoch of the run that `warm_start` of its cell names, if it names one.

    Only the network's: parameters of the loss, the optimizer and the schedule begin as in any other run.

    Raises
    ------
    ConfigError
        If that run has not finished, or its weights do not fit.

    """
    start = cell.warm_start
    if start is None:
        return
    said, folder = f"warm_start={cell.config.warm_start}", Path(start["folder"])
    entry = record.read(folder)
    if entry is None or entry["status"] != "finished":
        how = "" if cell.source is None else f" Run it: {command_of(cell.source)}"
        status = "missing" if entry is None else entry["status"]
        raise ConfigError(f"{said}: the run {folder} is {status}, and a start must have finished.{how}")
    path = folder / "checkpoints" / "last.ckpt"
    try:
        saved = state_of(path, read_checkpoint(path, start["key"]))
    except UnusableCheckpoint as error:
        raise ConfigError(f"{said}: {error}. rerun=true trains that run again.") from error
    own = {name.removeprefix("network."): tensor for name, tensor in saved.items() if name.startswith("network.")}
    if misfit := _misfit(own, network):
        raise ConfigError(f"{said}: the network of {folder} does not fit loss={cell.loss}: {misfit}.")
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise ConfigError(f"{said}: the weights of {folder} do not fit: {first_line(error)}") from error


def _misfit(own: dict[str, object], network: nn.Module) -> str:
    """Say which tensor a network has of another shape, or not at all; "" if all fit."""
    shapes = {name: tuple(getattr(tensor, "shape", ())) for name, tensor in own.items()}
    for name, tensor in network.state_dict().items():
        if shapes.get(name) != tuple(tensor.shape):
            there = f"there of shape {shapes[name]}" if name in shapes else "not there"
            return f"{name}, here of shape {tuple(tensor.shape)}, is {there}"
    return ""
