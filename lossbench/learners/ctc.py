"""The learner for lines that are read frame by frame: CTC, and the baseline of a known alignment."""

from typing import Any

from torch import Tensor

from lossbench.errors import ConfigError
from lossbench.learners.learner import Called, Learner, in_full_precision
from lossbench.ranges import takes
from lossbench.tasks.problem import Kept
from lossbench.tasks.sequence.decoding import lengths


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

    def called_with(self, batch: Any) -> Called:
        """Return the outputs for the lines of a batch, their texts and lengths."""
        outputs = in_full_precision(self.network(batch.inputs))
        alignment = of_frames(batch.target_clean, outputs.shape[1])
        sizes = {"input_lengths": lengths(alignment), "target_lengths": lengths(batch.target)}
        known = {"alignment": alignment, "epoch": self.current_epoch, "index": batch.index, "inputs": batch.inputs}
        return outputs, batch.target, {**known, **sizes}

    def kept(self, batch: Any) -> Kept:
        """Keep outputs, targets, images and indices."""
        outputs = self.network(batch.inputs)
        alignment = of_frames(batch.target_clean, outputs.shape[1])
        known = {"target": batch.target, "alignment": alignment, "index": batch.index, "images": batch.inputs}
        return {"outputs": outputs, **known}

    def predictions(self, kept: Kept) -> Any:
        """Read the lines."""
        return self.problem.task.evaluate.predict(self.loss, kept, self.problem, beam_width=self.beam_width)


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
