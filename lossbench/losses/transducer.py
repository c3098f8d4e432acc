"""The loss of recurrent transducers: lines that are read by frames and by what was read of them before."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax

__all__ = ["rnn_transducer"]

_NEVER = -1e30
"""The log-probability of what is impossible: finite, so that no gradient becomes infinity minus infinity."""


@loss(
    task="transduction",
    link=softmax,
    source='Graves 2012, "Sequence Transduction with Recurrent Neural Networks", arXiv:1211.3711',
    shapes="N T U V , N S -> N",
)
def rnn_transducer(logits: Tensor, target: Tensor, *, input_lengths: Tensor, target_lengths: Tensor) -> Tensor:
    """Transducer: the negative log-likelihood of a line, whatever its alignment.

    Formula: -log sum_{paths of y} prod p(step), a step being a class or a blank at (t, u)

    A path begins at the first frame with nothing read. At frame t with u classes read it either reads the next class,
    by p_{t,u}(y_{u+1}), or a blank, which goes on to the next frame; the blank of the last frame ends it. Unlike CTC,
    several classes may be read in a frame, and what comes next may depend on what was read: no line is impossible. The
    value is that of the whole line, not divided by its length. With uniform p it is
    (T + U) log V - log C(T + U - 1, U), of T frames, U classes and V outputs.

    The sums run along the anti-diagonals t + u, for all lines at once. In torchaudio, whose function of it is gone
    since 2.9, targets are padded with 0 and the reduction is a mean over lines.

    Parameters
    ----------
    logits : Tensor (N, T, U, V)
        At each frame, with 0 to U - 1 classes read; floating point, the blank last; half precision is computed in
        float32.
    target : Tensor (N, U - 1)
        Classes 0 to V - 2 in their order, int64; what stands after the end is not read.
    input_lengths : Tensor (N,)
        Frames of each line, from 1.
    target_lengths : Tensor (N,)
        Classes of each line.

    Returns
    -------
    Tensor (N,)
        Values from 0.

    Raises
    ------
    ValueError
        If there are not one more places U than the target is wide.

    Examples
    --------
    Two frames, one class: it is read in the first or in the second, each a path of three steps of 1/3:

    >>> lengths = {"input_lengths": torch.tensor([2]), "target_lengths": torch.tensor([1])}
    >>> rnn_transducer(torch.zeros(1, 2, 2, 3), torch.tensor([[0]]), **lengths)
    tensor([2.6027])

    """
    frames, places = logits.shape[1:3]
    if places != target.shape[1] + 1:
        raise ValueError(
            f"rnn_transducer: the target has shape {tuple(target.shape)}, the logits {tuple(logits.shape)}. Give "
            f"logits (N, T, {target.shape[1] + 1}, V): one place before each class and one after the last."
        )
    log_p = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    next_class = F.pad(target.clamp_min(0), (0, 1))[:, None, :, None].expand(-1, frames, -1, -1)
    reads = _by_diagonals(log_p.gather(3, next_class).squeeze(3)).unbind(1)
    waits = _by_diagonals(log_p[..., -1]).unbind(1)
    mass = F.pad(log_p.new_zeros(len(log_p), 1), (0, places - 1), value=_NEVER)
    last = target_lengths.unsqueeze(1)
    ends = input_lengths - 1 + target_lengths
    found = torch.zeros_like(mass[:, 0])
    for diagonal in range(frames + places - 1):
        if diagonal:
            came = F.pad(mass[:, :-1] + reads[diagonal - 1][:, :-1], (1, 0), value=_NEVER)
            mass = torch.logaddexp(mass + waits[diagonal - 1], came)
        at_end = (mass + waits[diagonal]).gather(1, last).squeeze(1)
        found = torch.where(ends == diagonal, at_end, found)
    return -found


def _by_diagonals(values: Tensor) -> Tensor:
    """Put values (N, T, U) at (t, u) to (t + u, u), (N, T + U - 1, U); other places have whatever.

    What stands there never comes back to a frame that there is: t only grows.
    """
    frames, places = values.shape[1:]
    diagonals = torch.arange(frames + places - 1, device=values.device).unsqueeze(1)
    frame = (diagonals - torch.arange(places, device=values.device)).clamp(0, frames - 1)
    return values.gather(1, frame.expand(len(values), -1, -1))
