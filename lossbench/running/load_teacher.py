"""Load the network of a finished run, to teach another one."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from lossbench.catalogue.binding import load_loss
from lossbench.errors import ConfigError, first_line
from lossbench.learners.teacher import Teacher
from lossbench.records import record
from lossbench.records.checkpoints import UnusableCheckpoint, read_checkpoint
from lossbench.running.build import build_network
from lossbench.running.resume import state_of


def load_teacher(folder: Path, input_shape: Sequence[int], num_classes: int | None) -> Teacher:
    """Load the network of the last epoch of a finished run whose outputs are logits.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    input_shape : sequence of int
        Shape of one input.
    num_classes : int
        Number of classes.

    Raises
    ------
    ConfigError
        If its network does not take these inputs, or has other outputs.

    """
    entry = record.read(folder)
    assert entry is not None  # `check_teacher` has seen it
    chosen = {"hidden": entry["hidden"]} if "hidden" in entry else {}
    model = OmegaConf.create({**entry["config"]["model"], **chosen})
    loss = load_loss("cross_entropy")
    network = build_network(model, loss, list(input_shape), loss.num_outputs(num_classes), seed=0)
    try:
        path = folder / "checkpoints" / "last.ckpt"
        saved = state_of(path, read_checkpoint(path, entry["key"]))
    except UnusableCheckpoint as error:
        raise ConfigError(f"teacher={folder}: {error}. rerun=true trains that run again.") from error
    own = {name.removeprefix("network."): tensor for name, tensor in saved.items() if name.startswith("network.")}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise ConfigError(
            f"teacher={folder}: its network does not fit inputs of shape {tuple(input_shape)} and {num_classes} "
            f"classes: {first_line(error)}"
        ) from error
    return Teacher(network)
