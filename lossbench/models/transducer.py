"""A transducer: one network for the frames of a line, one for what was read of it, and a layer that joins both."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lossbench.models.line_reader import LineReader
from lossbench.ranges import takes


@takes(channels="list of 1+ int [1, inf)", hidden="int [1, inf)", joint="int [1, inf)")
class Transducer(nn.Module):
    """An encoder like `LineReader`, a GRU over the classes read before, and tanh of the sum of both before the outputs.

    Parameters
    ----------
    input_shape : sequence of int
        Channels, height and width of a line.
    num_classes : int
        Number of classes K; there are K + 1 outputs, the blank last.
    channels : sequence of int
        Width of each convolution.
    hidden : int
        Width of the recurrent layers, of the encoder in each direction.
    joint : int
        Width of the layer that joins.

    References
    ----------
    Graves 2012, "Sequence Transduction with Recurrent Neural Networks", arXiv:1211.3711; Graves et al. 2013, "Speech
    Recognition with Deep Recurrent Neural Networks", arXiv:1303.5778 (the layer that joins).

    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        channels: Sequence[int] = (16, 32),
        hidden: int = 64,
        joint: int = 64,
    ) -> None:
        super().__init__()
        self.encoder = LineReader(input_shape, joint - 1, channels, hidden)  # which has one output more
        self.embedding = nn.Embedding(num_classes + 1, hidden)  # the blank stands for the start
        self.recurrent = nn.GRU(hidden, hidden, batch_first=True)
        self.of_history = nn.Linear(hidden, joint)
        self.outputs = nn.Linear(joint, num_classes + 1)
        self.blank = num_classes

    def forward(self, lines: Tensor, target: Tensor) -> Tensor:
        """Map lines (N, C, H, W) and what is written there (N, U - 1), -1 after the end, to logits (N, T, U, K + 1)."""
        frames = self.encoder(lines)
        before = torch.cat([target.new_full((len(target), 1), self.blank), target.clamp_min(0)], 1)
        history = self.of_history(self.recurrent(self.embedding(before))[0])
        return self.joined(frames.unsqueeze(2), history.unsqueeze(1))

    def joined(self, frames: Tensor, history: Tensor) -> Tensor:
        """Map what is known of frames and of what was read, (..., joint) both, to logits (..., K + 1)."""
        logits: Tensor = self.outputs(torch.tanh(frames + history))
        return logits

    @torch.no_grad()
    def read(self, lines: Tensor, input_lengths: Tensor) -> Tensor:
        """Read lines greedily, all at once.

        A step takes the likeliest class, or goes on to the next frame if that is the blank. A line ends with its
        frames, or when it has as many classes as it has frames.

        Parameters
        ----------
        lines : Tensor (N, C, H, W)
        input_lengths : Tensor (N,)
            Frames of each line.

        Returns
        -------
        Tensor (N, T)
            Classes, then -1.

        """
        frames = self.encoder(lines)
        rows, longest = torch.arange(len(lines)), frames.shape[1]
        found = torch.full((len(lines), longest), -1)
        frame, length = torch.zeros_like(rows), torch.zeros_like(rows)
        last, state = torch.full_like(rows, self.blank), None
        output, state = self._step(last, state)
        for _ in range(2 * longest):
            running = (frame < input_lengths) & (length < input_lengths)
            if not running.any():
                break
            best = self.joined(frames[rows, frame.clamp_max(longest - 1)], output).argmax(-1)
            reads = running & (best != self.blank)
            found[rows[reads], length[reads]] = best[reads]
            longer, of_longer = self._step(best, state)
            output = torch.where(reads.unsqueeze(1), longer, output)
            state = torch.where(reads.unsqueeze(1), of_longer, state)
            length, frame = length + reads, frame + (running & ~reads)
        return found

    def _step(self, last: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return what is known after one class more (N, joint), and the state (N, hidden)."""
        output, new = self.recurrent(self.embedding(last).unsqueeze(1), None if state is None else state.unsqueeze(0))
        return self.of_history(output.squeeze(1)), new.squeeze(0)
