"""The metrics of lines: what is wrong in what is read, and what the posteriors look like."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torchmetrics.functional.text import char_error_rate, word_error_rate


def sequence_metrics(predictions: Mapping[str, Any]) -> dict[str, float]:
    """Measure what a learner of lines predicts.

    Parameters
    ----------
    predictions : dict
        `target`, `decoded` and `decoded_beam` (N, ...): classes, then -1; `nll`, `blank_share` and `frame_accuracy`
        (N,) of each line.

    Returns
    -------
    dict of str to float
        cer: substitutions, deletions and insertions of the greedy reading over the classes of the targets; cer_beam:
        the same of the beam search. wer: the same with a whole line as one word, so that exact_line = 1 - wer is the
        share of the lines without a mistake. nll: -log of the probability of the target over all alignments.
        blank_share: part of the frames whose most probable class is the blank. frame_accuracy: part of the frames whose
        most probable class is the one of the known alignment.

    """
    if not len(predictions["target"]):
        return {}
    target, decoded, by_beam = (texts(predictions[name]) for name in ("target", "decoded", "decoded_beam"))
    wrong = float(word_error_rate(decoded, target))
    return {
        "cer": float(char_error_rate(decoded, target)),
        "cer_beam": float(char_error_rate(by_beam, target)),
        "wer": wrong,
        "exact_line": 1 - wrong,
        **{name: float(predictions[name].double().mean()) for name in ("nll", "blank_share", "frame_accuracy")},
    }


def texts(labels: Tensor) -> list[str]:
    """Write classes (N, S) as strings, one character each, until the first -1.

    Examples
    --------
    >>> import torch
    >>> texts(torch.tensor([[4, 2, -1], [-1, -1, -1]]))
    ['42', '']

    """
    return ["".join(chr(ord("0") + label) for label in row if label >= 0) for row in labels.tolist()]
