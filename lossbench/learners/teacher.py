"""The network of a finished run, which a loss may learn from."""

import torch
from torch import Tensor

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
