"""What torch does in each step or epoch for the sake of a GPU, left out where nothing is on one; seen in torch 2.14."""

import torch
from torch.optim import Optimizer

LOOK = "_accelerator_graph_capture_health_check"
"""What Adam and some others ask at each step: whether a GPU is recording. Without one it loads a library for that."""


def without_gpu_checks(optimizer: Optimizer) -> Optimizer:
    """Return an optimizer, which does not look for a GPU at each step if its parameters are all on the CPU."""
    parameters = (each for group in optimizer.param_groups for each in group["params"])
    if callable(getattr(optimizer, LOOK, None)) and all(each.device.type == "cpu" for each in parameters):
        setattr(optimizer, LOOK, _nothing)
    return optimizer


def _nothing() -> None:
    pass


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the global generators; of a run on the CPU its generator alone.

    Where there is no GPU, `torch.manual_seed` notes each time from where it is called, for when there will be one.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
