"""The network of a finished run, which a loss may learn from."""

from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor

from lossbench import record
from lossbench.build import build_network
from lossbench.checkpoints import UnusableCheckpoint, read_checkpoint, state_of
from lossbench.errors import ConfigError, first_line
from lossbench.losses import load_loss
from lossbench.models import Network


class Teacher:
    """What a trained network predicts for inputs. It is no module, so that no learner trains or saves it.

    Parameters
    ----------
    network : Network
        The network; it is put into evaluation mode.

    """

    def __init__(self, network: Network) -> None:
        self.network = network.eval().requires_grad_(False)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the logits (N, K) of inputs, computed where and as precisely as these are."""
        self.network.to(inputs if inputs.is_floating_point() else inputs.device)
        with torch.no_grad():
            logits: Tensor = self.network(inputs)
        return logits


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
    model = OmegaConf.create(entry["config"]["model"])
    network = build_network(model, load_loss("cross_entropy"), list(input_shape), num_classes, seed=0)
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
