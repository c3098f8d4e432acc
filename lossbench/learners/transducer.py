"""The learner for lines that are read by a transducer: by their frames and by what was read before."""

from typing import Any

import torch

from lossbench.errors import ConfigError
from lossbench.learners.ctc import of_frames
from lossbench.learners.learner import Called, Learner, in_full_precision
from lossbench.losses.transducer import rnn_transducer
from lossbench.tasks.problem import Kept
from lossbench.tasks.sequence.decoding import lengths


class Transducer(Learner):
    """Train a network that maps lines and what is written there to logits of steps, and read lines greedily.

    Parameters
    ----------
    **common
        As for every `Learner`; the network maps lines (N, C, H, W) and targets (N, U - 1) to logits (N, T, U, K + 1),
        the blank last, T divides W, and its `read(lines, input_lengths)` gives what is read, (N, T).

    Raises
    ------
    ConfigError
        If the network can't read.

    """

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        if not hasattr(self.network, "read"):
            raise ConfigError(
                f"learner.network={type(self.network).__name__} has no read, which learner=transducer needs. "
                "Use learner/network=transducer."
            )

    def called_with(self, batch: Any) -> Called:
        """Return the outputs for the lines of a batch, their texts and lengths."""
        outputs = in_full_precision(self.network(batch.inputs, batch.target))
        frames = lengths(of_frames(batch.target_clean, outputs.shape[1]))
        known = {"epoch": self.current_epoch, "index": batch.index, "inputs": batch.inputs}
        return outputs, batch.target, {**known, "input_lengths": frames, "target_lengths": lengths(batch.target)}

    def kept(self, batch: Any) -> Kept:
        """Keep readings, likelihoods, targets, images and indices; logits would be large."""
        outputs = self.network(batch.inputs, batch.target)
        frames = lengths(of_frames(batch.target_clean, outputs.shape[1]))
        log_p = self.loss.link(outputs.double()).clamp_min(torch.finfo(torch.float64).tiny).log()
        likelihood = rnn_transducer(log_p, batch.target, input_lengths=frames, target_lengths=lengths(batch.target))
        known = {"target": batch.target, "index": batch.index, "images": batch.inputs}
        return {"decoded": self.network.read(batch.inputs, frames), "nll": likelihood, **known}
