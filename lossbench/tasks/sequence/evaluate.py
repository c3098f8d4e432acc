"""How a line is read from the outputs of its frames, and measured: the same way for every loss."""

import torch
from torch import Tensor
from typing_extensions import TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.sequence import ctc
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem
from lossbench.tasks.sequence.decoding import beam_search, greedy, lengths
from lossbench.tasks.sequence.metrics import sequence_metrics

SHOWN = 4
"""Of so many lines the files keep the image and the posteriors."""
BEAM_WIDTH = 8
"""Prefixes that the beam search keeps where the learner does not say."""


class Predictions(TypedDict):
    """What is read of N lines with T frames, and K classes beside the blank, which is the last."""

    decoded: Tensor
    """(N, S), classes by the greedy reading, then -1."""
    decoded_beam: Tensor
    """(N, S), classes by the beam search, then -1."""
    target: Tensor
    """(N, S), true classes, then -1."""
    nll: Tensor
    """(N,), -log of the probability of the target over all alignments."""
    blank_share: Tensor
    """(N,), share of the frames whose most probable class is the blank."""
    frame_accuracy: Tensor
    """(N,), share of the frames whose most probable class is that of the known alignment."""
    index: Tensor
    """(N,), the place of each line in its source."""
    images: Tensor
    """(4, H, W), the first lines."""
    posteriors: Tensor
    """(4, T, K + 1), of the first lines."""
    alignment: Tensor
    """(4, T), the classes of the frames of the first lines, K for a blank, then -1."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up lines of 1 to 3 classes in 7 to 9 frames."""
    classes, frames = num_classes or 10, 9
    order = torch.arange(samples)
    lengths, input_lengths = 1 + order % 3, 7 + order % 3
    target = torch.randint(classes, (samples, 3), generator=generator)
    target[torch.arange(3) >= lengths.unsqueeze(1)] = -1
    place = torch.arange(frames).expand(samples, -1)  # each class in the middle one of three frames
    alignment = torch.where(place % 3 == 1, target.repeat_interleave(3, dim=1), -1)
    alignment = torch.where(alignment >= 0, alignment, classes)
    context = {
        "alignment": torch.where(place < input_lengths.unsqueeze(1), alignment, -1),
        "epoch": 0,
        "index": order,
        "input_lengths": input_lengths,
        "inputs": torch.randn(samples, 1, 4, 2 * frames, generator=generator),
        "target_lengths": lengths,
    }
    return torch.randn(samples, frames, classes + 1, generator=generator), target, context


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives probabilities (N, T, K + 1) of the classes of each frame."""
    found = tuple(linked.shape)
    assert found == (samples, linked.shape[1], num_classes + 1), (
        f"the link returns shape {found}; for lines it must be ({samples}, T, {num_classes + 1})."
    )
    sums = linked.sum(-1)
    assert (linked >= 0).all() and torch.allclose(sums, torch.ones_like(sums)), (
        "the probabilities of a frame do not sum to 1. Declare the link that fits the outputs (lossbench.losses.links)."
    )


def predict(loss: BoundLoss, kept: Kept, problem: Problem, beam_width: int = BEAM_WIDTH) -> Predictions:
    """Read the lines of a part, greedily and by beam search."""
    posteriors = loss.link(kept["outputs"].double())
    log_posteriors = posteriors.clamp_min(torch.finfo(posteriors.dtype).tiny).log()
    target, alignment = kept["target"], kept["alignment"]
    frames, best = lengths(alignment), posteriors.argmax(-1)
    within, blank = alignment >= 0, posteriors.shape[-1] - 1
    return {
        "decoded": greedy(log_posteriors, frames),
        "decoded_beam": beam_search(log_posteriors, frames, beam_width),
        "target": target,
        "nll": ctc(log_posteriors, target, input_lengths=frames, target_lengths=lengths(target)),
        "blank_share": ((best == blank) & within).sum(1) / frames,
        "frame_accuracy": ((best == alignment) & within).sum(1) / frames,
        "index": kept["index"],
        "images": kept["images"][:SHOWN, 0].float().clone(),  # a view would keep all lines in the checkpoint
        "posteriors": posteriors[:SHOWN].clone(),
        "alignment": alignment[:SHOWN].clone(),
    }


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the readings."""
    return sequence_metrics(predictions)
