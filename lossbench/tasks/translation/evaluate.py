"""How translations are made and measured: the same way for every loss.

What is measured leaves out the texts that are longer than all in training (`long`), which have metrics of their own.
"""

from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem
from lossbench.tasks.text import evaluate as text
from lossbench.tasks.text.overlap import corpus_bleu
from lossbench.tasks.translation.texts import scores_of_texts, texts_of

SAMPLES = 3
"""That were drawn for each made-up text."""


class Predictions(TypedDict):
    """What is predicted of N texts, in V tokens; their ends are no tokens but in `nll`, `right` and `tokens`."""

    hypothesis: Tensor
    """(N, T + 1), tokens of the greedy translation, then -1."""
    target: Tensor
    """(N, T), tokens of the true one, then -1."""
    inputs: Tensor
    """(N, L), tokens of the text, then 0."""
    nll: Tensor
    """(N,), -log p of the true translation, its end included, each token given the true ones before it."""
    right: Tensor
    """(N,), how many of these tokens are the likeliest."""
    tokens: Tensor
    """(N,), how many there are."""
    long: Tensor
    """(N,), bool, whether a text is longer than all in training."""
    index: Tensor
    """(N,), the place of each text in its source."""
    pieces: Tensor
    """(V, P), int32, the characters of each token as numbers (code points), then 0."""
    group: NotRequired[Tensor]


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up translations and their costs; for a loss of drawn samples three of each text."""
    logits, target, context = text.example(loss, num_classes, samples, generator)
    context["costs"] = torch.rand(samples, SAMPLES, generator=generator)
    context["baseline_cost"] = torch.rand(samples, generator=generator)
    if len(loss.declaration.sides[0]) == 4:
        drawn = (samples, SAMPLES, *logits.shape[1:])
        logits = torch.randn(drawn, generator=generator)
        tokens = torch.randint(logits.shape[-1], drawn[:-1], generator=generator)
        target = text.padded(tokens, 3 + torch.arange(samples * SAMPLES).view(samples, SAMPLES) % 5)
    return logits, target, context


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives probabilities of the tokens at each place."""
    text.check_link(linked, samples, num_classes)


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Return what was kept, which of the texts are long, and how tokens are written."""
    names = ("hypothesis", "target", "inputs", "nll", "right", "tokens", "index")
    long = kept["long"].bool() if "long" in kept else torch.zeros(len(kept["index"]), dtype=torch.bool)
    pieces = problem.shared.get("pieces") or [f"{token} " for token in range(problem.num_classes or 0)]
    return {**{name: kept[name] for name in names}, "long": long, "pieces": code_points(pieces)}  # type: ignore[typeddict-item]


def code_points(pieces: Sequence[str]) -> Tensor:
    """Return the characters of tokens as numbers (V, P), then 0.

    Examples
    --------
    >>> code_points(["", "ab"])
    tensor([[ 0,  0],
            [97, 98]], dtype=torch.int32)

    """
    longest = max([1, *map(len, pieces)])
    rows = [[*map(ord, piece), *[0] * (longest - len(piece))] for piece in pieces]
    return torch.tensor(rows, dtype=torch.int32).view(-1, longest)


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure what each epoch has: translations without a mistake, and tokens given the true ones before them."""
    some = ~predictions["long"]
    if not some.any():
        return {}
    told = text.of_sums(*(predictions[name][some].sum() for name in ("nll", "right", "tokens")))
    exact = exact_matches(predictions["hypothesis"], predictions["target"])[some]
    return {
        "exact_match": float(exact.double().mean()),
        **{name: told[name] for name in ("token_accuracy", "perplexity")},
    }


def measure_final(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the translations as texts, and the long ones."""
    found: dict[str, float] = {}
    arrays: dict[str, Any] = {name: each.numpy() for name, each in predictions.items()}  # type: ignore[attr-defined]
    long = arrays["long"]
    texts = {part: [list(compress(each, long == part)) for each in texts_of(arrays)] for part in (False, True)}
    if not long.all():
        found |= scores_of_texts(*texts[False])
    if long.any():
        exact = exact_matches(predictions["hypothesis"], predictions["target"]).numpy()
        found["long_exact_match"] = float(np.mean(exact[long]))
        found["long_bleu"] = corpus_bleu(*texts[True])
    return found


def exact_matches(hypothesis: Tensor, target: Tensor) -> Tensor:
    """Tell which translations (N, T + 1) are their targets (N, T), token by token; -1 pads both.

    Examples
    --------
    >>> exact_matches(torch.tensor([[4, 5, -1], [4, 5, 6]]), torch.tensor([[4, 5], [4, 5]]))
    tensor([ True, False])

    """
    longer = torch.nn.functional.pad(target, (0, hypothesis.shape[1] - target.shape[1]), value=-1)
    return (hypothesis == longer).all(1)
