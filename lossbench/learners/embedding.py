"""The learner for embeddings: supervised, but the outputs are vectors, as wide as it says."""

import copy
from typing import Any

import torch
from torch import Tensor

from lossbench.learners.learner import in_full_precision
from lossbench.learners.supervised import Supervised
from lossbench.ranges import takes
from lossbench.tasks.problem import Kept


@takes(dim="int [1, inf)", momentum="number [0, 1)")
class Embedding(Supervised):
    """Train a network that maps inputs to vectors, which a loss compares with each other or with directions of its own.

    Parameters
    ----------
    dim : int
        The width of a vector.
    momentum : float
        Of the slow copy of the network, for losses that ask for `momentum_embeddings`: after each step its weights are
        this share of what they were and the rest of the trained ones (BYOL).
    **common
        As for `Supervised`.

    """

    takes_a_model = True

    def __init__(self, dim: int, momentum: float, **common: Any) -> None:
        super().__init__(**common)
        self.momentum = momentum
        self.slow: Any = None
        if "momentum_embeddings" in self.loss.step_context:
            self.slow = copy.deepcopy(self.network).requires_grad_(False)

    def of_other_networks(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return what the slow copy makes of the inputs, where the loss asks for it."""
        if self.slow is None:
            return {}
        with torch.no_grad():
            return {"momentum_embeddings": in_full_precision(self.slow(inputs))}

    def known_of(self, batch: Any) -> Kept:
        """Keep images too, of which a few are shown with their neighbours."""
        kept = super().known_of(batch)
        return {**kept, "image": batch.inputs.half()} if batch.inputs.ndim > batch.index.ndim + 2 else kept

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let the slow copy follow."""
        super().on_train_batch_end(outputs, batch, batch_idx)
        if self.slow is not None:
            slow, fast = list(self.slow.parameters()), list(self.network.parameters())
            with torch.no_grad():
                torch._foreach_lerp_(slow, fast, 1 - self.momentum)
