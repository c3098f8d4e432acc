"""How lines that were read by a transducer are measured: the same way for every loss."""

import numpy as np
import torch
from torch import Tensor
from typing_extensions import TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem
from lossbench.tasks.sequence.by_sample import compact, edits

SHOWN = 6
"""Of so many lines the files keep the image."""


class Predictions(TypedDict):
    """What is read of N lines."""

    decoded: Tensor
    """(N, S), classes by the greedy reading, then -1."""
    target: Tensor
    """(N, S), true classes, then -1."""
    nll: Tensor
    """(N,), -log of the probability of the target over all alignments."""
    index: Tensor
    """(N,), the place of each line in its source."""
    images: Tensor
    """(6, H, W), the first lines."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up lines of 0 to 3 classes in 3 to 5 frames."""
    classes, order = num_classes or 10, torch.arange(samples)
    lengths = (1 + order) % 4
    target = torch.randint(classes, (samples, 3), generator=generator)
    target[torch.arange(3) >= lengths.unsqueeze(1)] = -1
    context = {
        "epoch": 0,
        "index": order,
        "input_lengths": 3 + order % 3,
        "inputs": torch.randn(samples, 1, 4, 10, generator=generator),
        "target_lengths": lengths,
    }
    return torch.randn(samples, 5, 4, classes + 1, generator=generator), target, context


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives probabilities (N, T, U, K + 1) of the classes and the blank."""
    found = tuple(linked.shape)
    assert found == (samples, *found[1:3], num_classes + 1), (
        f"the link returns shape {found}; for transduction it must be ({samples}, T, U, {num_classes + 1})."
    )
    sums = linked.sum(-1)
    assert (linked >= 0).all() and torch.allclose(sums, torch.ones_like(sums)), (
        "the probabilities of a step do not sum to 1. Declare the link that fits the outputs (lossbench.losses.links)."
    )


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Keep what was read, up to the end of the longest line."""
    decoded = kept["decoded"]
    longest = max(1, int((decoded >= 0).sum(1).max()))
    return {
        "decoded": decoded[:, :longest].clone(),
        "target": kept["target"],
        "nll": kept["nll"].double(),
        "index": kept["index"],
        "images": kept["images"][:SHOWN, 0].float().clone(),  # a view would keep all lines in the checkpoint
    }


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the readings; the rates are those of all lines together."""
    target, decoded = compact(predictions["target"].numpy()), compact(predictions["decoded"].numpy())
    lengths = (target >= 0).sum(1)
    if not lengths.any():
        return {}
    wrong = edits(decoded, target)
    of_lines = float(np.sum(wrong > 0) / np.sum(lengths > 0))  # a line is a word; an empty one has none
    return {
        "cer": float(wrong.sum() / lengths.sum()),
        "wer": of_lines,
        "exact_line": 1 - of_lines,
        "nll": float(predictions["nll"].mean()),
    }
