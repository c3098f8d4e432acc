"""Losses for lines whose classes are known in their order: CTC and its variants, and the baseline of a known alignment.

Outputs are logits (N, T, K + 1) of T frames; the last class is the blank (in `F.ctc_loss` it is class 0 by default).
p_t(k) is the softmax of a frame. A path is a class for each frame; it collapses to what is left of it when repeats are
merged and then blanks are dropped. A loss returns one value for each line: the sum over its frames.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (N, T, K + 1)
    Floating point, the blank last.
target : Tensor (N, S)
    Classes 0 to K - 1 in their order, int64; what stands after the end is not read.
input_lengths : Tensor (N,)
    Frames of each line.
target_lengths : Tensor (N,)
    Classes of each line.

Returns
-------
Tensor (N,)
    Values from 0.

"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax

__all__ = ["ctc", "ctc_confidence_penalty", "ctc_entropy", "focal_ctc", "framewise_cross_entropy"]

_NEVER = -1e30
"""The log-probability of what is impossible: finite, so that no gradient becomes infinity minus infinity."""


@loss(
    task="sequence",
    link=softmax,
    source=(
        'Graves et al. 2006, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with '
        'Recurrent Neural Networks", doi:10.1145/1143844.1143891'
    ),
)
def ctc(
    logits: Tensor,
    target: Tensor,
    *,
    input_lengths: Tensor,
    target_lengths: Tensor,
    divide_by_length: bool = False,
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification: the negative log-likelihood of a line, whatever its alignment.

    Formula: -log sum_{paths that collapse to y} prod_t p_t(path_t)

    Computed by `torch.nn.functional.ctc_loss`. Its reduction "mean" divides the value of each line by the length of its
    target before it averages; here a line has its plain value unless `divide_by_length` says so. A line that is
    impossible, as it has fewer frames than classes plus pairs of equal neighbours, is infinite and its gradient is NaN:
    with `zero_infinity` it has neither value nor gradient, which hides it.

    Parameters
    ----------
    divide_by_length : bool
        Divide by the length of the target (by 1 for an empty one).
    zero_infinity : bool
        Count impossible lines as 0.

    Examples
    --------
    Of the 9 paths over 2 frames and 3 classes, 3 collapse to the one class 0:

    >>> lengths = {"input_lengths": torch.tensor([2]), "target_lengths": torch.tensor([1])}
    >>> ctc(torch.zeros(1, 2, 3), torch.tensor([[0]]), **lengths)
    tensor([1.0986])

    """
    value = _negative_log_likelihood(logits, target, input_lengths, target_lengths, zero_infinity)
    return value / target_lengths.clamp_min(1) if divide_by_length else value


@loss(
    task="sequence",
    link=softmax,
    source=(
        'Feng et al. 2019, "Focal CTC Loss for Chinese Optical Character Recognition on Unbalanced Datasets", '
        "doi:10.1155/2019/9345861"
    ),
    problem="imbalance",
    ranges={"alpha": "(0, inf)", "gamma": "[0, inf)"},
)
def focal_ctc(
    logits: Tensor,
    target: Tensor,
    *,
    input_lengths: Tensor,
    target_lengths: Tensor,
    alpha: float = 0.25,
    gamma: float = 0.5,
    zero_infinity: bool = False,
) -> Tensor:
    """CTC with less weight on lines that are read well already.

    Formula: alpha (1 - p)^gamma (-log p), with p = sum_{paths that collapse to y} prod_t p_t(path_t)

    The factor is one of the whole line, and part of the gradient; with gamma = 0 it is alpha times `ctc`. alpha only
    scales the loss. As p of a long line is small until late, most of training is plain CTC.

    Parameters
    ----------
    alpha : float above 0
        Scale.
    gamma : float from 0
        Strength of the down-weighting.
    zero_infinity : bool
        Count impossible lines as 0.

    Examples
    --------
    >>> lengths = {"input_lengths": torch.tensor([2]), "target_lengths": torch.tensor([1])}
    >>> focal_ctc(torch.zeros(1, 2, 3), torch.tensor([[0]]), **lengths)
    tensor([0.2243])

    """
    value = _negative_log_likelihood(logits, target, input_lengths, target_lengths, zero_infinity)
    miss = (-torch.expm1(-value)).clamp(min=torch.finfo(value.dtype).tiny)  # a power below 1 has no slope at 0
    return alpha * miss**gamma * value


@loss(
    task="sequence",
    link=softmax,
    source='Liu et al. 2018, "Connectionist Temporal Classification with Maximum Entropy Regularization", NeurIPS 31',
    problem="calibration",
    ranges={"beta": "[0, inf)"},
)
def ctc_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    input_lengths: Tensor,
    target_lengths: Tensor,
    beta: float = 0.2,
    zero_infinity: bool = False,
) -> Tensor:
    """CTC that rewards the entropy of the paths that collapse to the target, against its peaky posteriors.

    Formula: -log p(y) - beta H(path | y), H(path | y) = -sum_{paths that collapse to y} q log q, q = p(path) / p(y)

    The maximum conditional entropy regularisation (EnCTC). H is computed along with the forward recursion. With
    beta = 0 it is `ctc`. The authors' code weighs (1 - h) and h, which is 1 - h times this with beta = h / (1 - h): h
    is 0.1 unless told otherwise, a beta of 0.11, and 0.2 in their scripts for a variant with evenly spaced classes, a
    beta of 0.25. Rewarded is only how the likelihood is shared among the right paths; `ctc_confidence_penalty` rewards
    wrong ones too. The value can be negative.

    Parameters
    ----------
    beta : float from 0
        Weight of the entropy.
    zero_infinity : bool
        Count impossible lines as 0.

    Returns
    -------
    Tensor (N,)

    Examples
    --------
    Three paths of the same probability have an entropy of log 3:

    >>> lengths = {"input_lengths": torch.tensor([2]), "target_lengths": torch.tensor([1])}
    >>> ctc_entropy(torch.zeros(1, 2, 3), torch.tensor([[0]]), **lengths, beta=0.5)
    tensor([0.5493])

    """
    log_likelihood, entropy = _likelihood_and_entropy(_log_softmax(logits), target, input_lengths, target_lengths)
    impossible = log_likelihood < _NEVER / 2
    value = -log_likelihood - beta * entropy
    return torch.where(impossible, 0.0 if zero_infinity else math.inf, value)


@loss(
    task="sequence",
    link=softmax,
    source=(
        'Pereyra et al. 2017, "Regularizing Neural Networks by Penalizing Confident Output Distributions", '
        "arXiv:1701.06548"
    ),
    problem="calibration",
    ranges={"beta": "[0, inf)"},
)
def ctc_confidence_penalty(
    logits: Tensor,
    target: Tensor,
    *,
    input_lengths: Tensor,
    target_lengths: Tensor,
    beta: float = 0.1,
    zero_infinity: bool = False,
) -> Tensor:
    """CTC that rewards the entropy of each frame.

    Formula: -log p(y) - beta sum_t H(p_t), H(p) = -sum_k p(k) log p(k)

    The sum over the frames of a line is the entropy of all paths, right and wrong. With beta = 0 it is `ctc`. The
    penalty was made for classification; other users divide the sum by the number of frames. The value can be negative.

    Parameters
    ----------
    beta : float from 0
        Weight of the entropy.
    zero_infinity : bool
        Count the likelihood of impossible lines as 1; their entropy stays.

    Returns
    -------
    Tensor (N,)

    Examples
    --------
    >>> lengths = {"input_lengths": torch.tensor([2]), "target_lengths": torch.tensor([1])}
    >>> ctc_confidence_penalty(torch.zeros(1, 2, 3), torch.tensor([[0]]), **lengths, beta=0.2)
    tensor([0.6592])

    """
    value = _negative_log_likelihood(logits, target, input_lengths, target_lengths, zero_infinity)
    log_probabilities = _log_softmax(logits)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(-1)
    within = torch.arange(entropy.shape[1], device=entropy.device) < input_lengths.unsqueeze(1)
    return value - beta * (entropy * within).sum(1)


@loss(
    task="sequence",
    link=softmax,
    source=(
        'Graves and Schmidhuber 2005, "Framewise Phoneme Classification with Bidirectional LSTM and Other Neural '
        'Network Architectures", doi:10.1016/j.neunet.2005.06.042'
    ),
)
def framewise_cross_entropy(logits: Tensor, target: Tensor, *, alignment: Tensor) -> Tensor:
    """Cross-entropy of each frame against a known alignment: the baseline that CTC does without.

    Formula: -sum_t log p_t(a_t), over the frames of the line
    It is the negative log-likelihood of one path that collapses to the target, so it is never below `ctc`.

    Parameters
    ----------
    target : Tensor (N, S)
        Not read.
    alignment : Tensor (N, T)
        The class of each frame, int64: 0 to K - 1, K for a blank, -1 after the end.

    Examples
    --------
    >>> framewise_cross_entropy(torch.zeros(1, 3, 3), torch.tensor([[0]]), alignment=torch.tensor([[2, 0, -1]]))
    tensor([2.1972])

    """
    log_probabilities = _log_softmax(logits).transpose(1, 2)
    return F.nll_loss(log_probabilities, alignment, ignore_index=-1, reduction="none").sum(1)


def _log_softmax(logits: Tensor) -> Tensor:
    """Return the log-probabilities, in float32 at least: a sum over frames is too long for half precision."""
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _negative_log_likelihood(
    logits: Tensor, target: Tensor, input_lengths: Tensor, target_lengths: Tensor, zero_infinity: bool
) -> Tensor:
    return F.ctc_loss(
        _log_softmax(logits).transpose(0, 1),
        target.clamp_min(0),
        input_lengths,
        target_lengths,
        blank=logits.shape[-1] - 1,
        reduction="none",
        zero_infinity=zero_infinity,
    )


def _likelihood_and_entropy(
    log_probabilities: Tensor, target: Tensor, input_lengths: Tensor, target_lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """Return log p(y), or less than `_NEVER` / 2 where it is impossible, and the entropy of the paths of y, both (N,).

    The states are the classes of the target with blanks around them. `mass` is the log-probability of all beginnings of
    paths that end in a state, `entropy` that of the choice among them.
    """
    blank = log_probabilities.shape[-1] - 1
    states = target.new_full((len(target), 2 * target.shape[1] + 1), blank)
    states[:, 1::2] = target.clamp_min(0)
    skips = F.pad((states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2]), (2, 0))
    emitted = log_probabilities.gather(2, states.unsqueeze(1).expand(-1, log_probabilities.shape[1], -1))
    mass = torch.cat([emitted[:, 0, :2], torch.full_like(emitted[:, 0, 2:], _NEVER)], 1)
    entropy = torch.zeros_like(mass)
    for frame in range(1, emitted.shape[1]):
        masses = [mass, _shifted(mass, 1, _NEVER), torch.where(skips, _shifted(mass, 2, _NEVER), _NEVER)]
        total, came_by = _joined(masses, [_shifted(entropy, by, 0.0) for by in range(3)])
        within = (frame < input_lengths).unsqueeze(1)
        mass = torch.where(within, total + emitted[:, frame], mass)
        entropy = torch.where(within, came_by, entropy)
    last = 2 * target_lengths.unsqueeze(1)
    one_before = (last - 1).clamp_min(0)
    masses = [mass.gather(1, last), torch.where(last > 0, mass.gather(1, one_before), _NEVER)]
    total, of_the_paths = _joined(masses, [entropy.gather(1, last), entropy.gather(1, one_before)])
    return total.squeeze(1), of_the_paths.squeeze(1)


def _joined(masses: list[Tensor], entropies: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Join alternatives: the log of the sum of their masses, and the entropy of the choice and of what is chosen."""
    mass = torch.stack(masses)
    total = mass.logsumexp(0)
    log_share = mass - total
    return total, (log_share.exp() * (torch.stack(entropies) - log_share)).sum(0)


def _shifted(values: Tensor, by: int, fill: float) -> Tensor:
    return F.pad(values, (by, 0), value=fill)[:, : values.shape[1]]
