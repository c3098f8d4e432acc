"""From the posteriors of frames to what is read: the best path, and the best line by prefix beam search.

Written for many lines at once, in torch alone: the packages with a beam search read one line at a time, and those
that are kept would be one more dependency.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

PADDING = -1
"""What fills targets, alignments and what is read after the end of a line."""
_NEVER = -math.inf
_BASE = 1_000_003
"""Of the codes by which prefixes are compared, modulo 2^64."""


def greedy(log_posteriors: Tensor, input_lengths: Tensor) -> Tensor:
    """Return what the most probable class of each frame collapses to; see `collapse`.

    Parameters
    ----------
    log_posteriors : Tensor (N, T, K + 1)
        The blank last.
    input_lengths : Tensor (N,)
        Frames of each line.

    """
    frames, classes = log_posteriors.shape[1:]
    within = torch.arange(frames) < input_lengths.unsqueeze(1)
    return collapse(torch.where(within, log_posteriors.argmax(-1), PADDING), blank=classes - 1)


def collapse(path: Tensor, blank: int) -> Tensor:
    """Merge repeats, then drop blanks.

    Parameters
    ----------
    path : Tensor (N, T)
        The class of each frame, and -1 after the end.
    blank : int
        The class that is dropped.

    Returns
    -------
    Tensor (N, L)
        The classes that are left, then -1; L is the length of the longest line, and at least 1.

    Examples
    --------
    >>> collapse(torch.tensor([[0, 0, 2, 0, 1], [2, 2, 1, -1, -1]]), blank=2)
    tensor([[ 0,  0,  1],
            [ 1, -1, -1]])

    """
    changed = torch.ones_like(path, dtype=torch.bool)
    changed[:, 1:] = path[:, 1:] != path[:, :-1]
    kept = changed & (path != blank) & (path != PADDING)
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)
    labels = torch.where(kept.gather(1, order), path.gather(1, order), PADDING)
    return labels[:, : max(1, int(kept.sum(1).max()))].clone()


def beam_search(log_posteriors: Tensor, input_lengths: Tensor, width: int) -> Tensor:
    """Return the most probable line that a prefix beam search finds: the sum over its paths, not its best path.

    Parameters
    ----------
    log_posteriors : Tensor (N, T, K + 1)
        The blank last.
    input_lengths : Tensor (N,)
        Frames of each line.
    width : int
        Prefixes that are kept from frame to frame. With as many as there are, the search is exact.

    Returns
    -------
    Tensor (N, L)
        Classes, then -1.

    References
    ----------
    Graves and Jaitly 2014, "Towards End-To-End Speech Recognition with Recurrent Neural Networks"; Hannun et al. 2014,
    arXiv:1408.2873.

    """
    lines, frames, classes = log_posteriors.shape
    nothing = torch.full((lines, width), _NEVER, dtype=log_posteriors.dtype)
    zero = torch.zeros((lines, width), dtype=torch.int64)
    ends_in_blank = nothing.clone()
    ends_in_blank[:, 0] = 0.0
    prefix = torch.full((lines, width, frames), PADDING)
    beams = _Beams(ends_in_blank, nothing, zero + classes - 1, zero, zero, prefix)
    for frame in range(frames):
        longer = _step(beams, log_posteriors[:, frame])
        within = frame < input_lengths
        beams = _Beams(
            *(
                torch.where(within.view(-1, *[1] * (old.ndim - 1)), new, old)
                for new, old in zip(longer, beams, strict=True)
            )
        )
    return beams.prefix[:, 0, : max(1, int(beams.length[:, 0].max()))].clone()  # not a view, which keeps all beams


class _Beams(NamedTuple):
    """The prefixes (N, W) of a beam search, the best first.

    Log-probabilities of the paths that end in a blank and of those that end in the last class; that class (the blank
    for an empty prefix); a code that tells prefixes apart; their length; the prefixes themselves (N, W, T).
    """

    ends_in_blank: Tensor
    ends_in_label: Tensor
    last: Tensor
    code: Tensor
    length: Tensor
    prefix: Tensor


def _step(beams: _Beams, now: Tensor) -> _Beams:
    """Go on by one frame with log-posteriors (N, K + 1): each prefix stays or grows by a class, the best are kept."""
    width, blank = beams.last.shape[1], now.shape[1] - 1
    total = torch.logaddexp(beams.ends_in_blank, beams.ends_in_label)
    equal = beams.last.unsqueeze(2) == torch.arange(blank)  # an equal class needs a blank between
    longer = torch.where(equal, beams.ends_in_blank.unsqueeze(2), total.unsqueeze(2)) + now[:, None, :-1]
    longer_code = beams.code.unsqueeze(2) * _BASE + torch.arange(1, blank + 1)
    longer, longer_code = longer.flatten(1), longer_code.flatten(1)
    same = (longer_code.unsqueeze(2) == beams.code.unsqueeze(1)) & (total > _NEVER).unsqueeze(1)
    merged = torch.where(same, longer.unsqueeze(2), _NEVER).logsumexp(1)  # what grows into a prefix that is there
    stays_in_blank = total + now[:, -1:]
    stays_in_label = torch.logaddexp(beams.ends_in_label + now.gather(1, beams.last), merged)
    stays = torch.logaddexp(stays_in_blank, stays_in_label)
    score, chosen = torch.cat([stays, longer.masked_fill(same.any(2), _NEVER)], 1).topk(width, dim=1)
    grows, place = chosen >= width, (chosen - width).clamp_min(0)
    parent = torch.where(grows, place // blank, chosen)
    label = torch.where(grows, place % blank, PADDING)
    length = beams.length.gather(1, parent)
    prefix = beams.prefix.gather(1, parent.unsqueeze(2).expand_as(beams.prefix))
    return _Beams(
        ends_in_blank=torch.where(grows, _NEVER, stays_in_blank.gather(1, parent)),
        ends_in_label=torch.where(grows, score, stays_in_label.gather(1, parent)),
        last=torch.where(grows, label, beams.last.gather(1, parent)),
        code=torch.where(grows, longer_code.gather(1, place), beams.code.gather(1, parent)),
        length=length + grows,
        prefix=prefix.scatter(2, length.unsqueeze(2), label.unsqueeze(2)),
    )


def lengths(padded: Tensor) -> Tensor:
    """Return how many entries (N,) of each row come before the first -1."""
    return (padded >= 0).sum(1)
