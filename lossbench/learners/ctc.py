"""The learner for lines that are read frame by frame: CTC, and the baseline of a known alignment."""

from typing import Any

import torch
from torch import Tensor

from lossbench.ctc_decoding import beam_search, greedy
from lossbench.errors import ConfigError
from lossbench.intervals import takes
from lossbench.learners.learner import Learner, Predictions
from lossbench.learners.supervised import in_full_precision
from lossbench.losses.sequence import ctc
from lossbench.metrics_sequence import sequence_metrics

SHOWN = 4
"""Of so many lines the files keep the image and the posteriors."""


@takes(beam_width="int [1, inf)")
class CTC(Learner):
    """Train a network that maps lines to logits of frames, and read them greedily and by beam search.

    Parameters
    ----------
    beam_width : int
        Prefixes that the beam search keeps.
    **common
        As for every `Learner`; the network maps lines (N, C, H, W) to logits (N, T, K + 1), the blank last, and T
        divides W.

    """

    def __init__(self, beam_width: int, **common: Any) -> None:
        super().__init__(**common)
        self.beam_width = beam_width

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the loss (N,) of each line of a batch."""
        outputs = in_full_precision(self.network(batch.inputs))
        alignment = of_frames(batch.target_clean, outputs.shape[1])
        return self.loss(
            outputs,
            batch.target,
            alignment=alignment,
            epoch=self.current_epoch,
            index=batch.index,
            input_lengths=lengths(alignment),
            inputs=batch.inputs,
            target_lengths=lengths(batch.target),
        )

    def kept(self, batch: Any) -> Predictions:
        """Keep outputs, targets, images and indices."""
        outputs = self.network(batch.inputs)
        alignment = of_frames(batch.target_clean, outputs.shape[1])
        known = {"target": batch.target, "alignment": alignment, "index": batch.index, "images": batch.inputs}
        return {"outputs": outputs, **known}

    def predictions(self, together: Predictions) -> Predictions:
        """Read the lines; keep images and posteriors of the first ones."""
        posteriors = self.loss.link(together["outputs"].double())
        log_posteriors = posteriors.clamp_min(torch.finfo(posteriors.dtype).tiny).log()
        target, alignment = together["target"], together["alignment"]
        frames, best = lengths(alignment), posteriors.argmax(-1)
        within, blank = alignment >= 0, posteriors.shape[-1] - 1
        return {
            "decoded": greedy(log_posteriors, frames),
            "decoded_beam": beam_search(log_posteriors, frames, self.beam_width),
            "target": target,
            "nll": ctc(log_posteriors, target, input_lengths=frames, target_lengths=lengths(target)),
            "blank_share": ((best == blank) & within).sum(1) / frames,
            "frame_accuracy": ((best == alignment) & within).sum(1) / frames,
            "index": together["index"],
            "images": together["images"][:SHOWN, 0].float().clone(),  # a view would keep all lines in the checkpoint
            "posteriors": posteriors[:SHOWN].clone(),
            "alignment": alignment[:SHOWN].clone(),
        }

    def metrics(self, part: str, predictions: Predictions) -> dict[str, float]:
        """Compute the metrics of lines."""
        return sequence_metrics(predictions)


def lengths(padded: Tensor) -> Tensor:
    """Return how many entries (N,) of each row come before the first -1."""
    return (padded >= 0).sum(1)


def of_frames(alignment: Tensor, frames: int) -> Tensor:
    """Take from the classes of the columns (N, W) those of the frames (N, T): that of the middle column of each.

    Raises
    ------
    ConfigError
        If the number of frames does not divide that of the columns.

    """
    columns = alignment.shape[1]
    if columns % frames:
        raise ConfigError(
            f"learner.network gives {frames} frames for lines of {columns} columns. Use a network whose number of "
            "frames divides the number of columns."
        )
    stride = columns // frames
    return alignment[:, stride // 2 :: stride]
