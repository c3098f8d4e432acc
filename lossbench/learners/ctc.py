"""The learner for lines that are read frame by frame: CTC, and the baseline of a known alignment."""

from typing import Any

from torch import Tensor

from lossbench.errors import ConfigError
from lossbench.learners.learner import Learner, in_full_precision
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
