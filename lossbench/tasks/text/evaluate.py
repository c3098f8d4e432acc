"""How texts are predicted token by token, and measured: the same way for every loss."""

import math

import torch
from torch import Tensor
from typing_extensions import TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem

PLACES = 7
"""Of a made-up text; its target is 3 to 7 tokens long."""


class Predictions(TypedDict):
    """What is predicted of N texts of T places."""

    nll: Tensor
    """(N, T), -log p of each token, 0 at padding."""
    right: Tensor
    """(N, T), whether it was the likeliest."""
    target: Tensor
    """(N, T), then -1."""
    index: Tensor
    """(N,), the place of each text in its source."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up texts of 3 to 7 tokens in 7 places, of 5 tokens at least."""
    vocabulary, order = max(5, num_classes or 0), torch.arange(samples)
    context = {
        "epoch": 0,
        "index": order,
        "inputs": torch.randint(1, vocabulary, (samples, PLACES), generator=generator),
    }
    target = padded(torch.randint(vocabulary, (samples, PLACES), generator=generator), 3 + order % 5)
    return torch.randn(samples, PLACES, vocabulary, generator=generator), target, context


def padded(tokens: Tensor, lengths: Tensor) -> Tensor:
    """Put -1 in the places (..., T) of tokens that come after their lengths (...)."""
    return tokens.masked_fill(torch.arange(tokens.shape[-1]) >= lengths.unsqueeze(-1), -1)


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives probabilities (N, ..., V) of the tokens at each place."""
    assert len(linked) == samples and linked.ndim in (3, 4), (
        f"the link returns shape {tuple(linked.shape)}; for tokens it must be (N, T, V) or (N, S, T, V), N={samples}."
    )
    sums = linked.sum(-1)
    assert (linked >= 0).all() and torch.allclose(sums, torch.ones_like(sums)), (
        "the probabilities of a place do not sum to 1. Declare the link that fits the outputs (lossbench.losses.links)."
    )


def of_tokens(loss: BoundLoss, outputs: Tensor, target: Tensor) -> Kept:
    """Take from outputs (N, T, V), by the link of a loss, what the tokens (N, T) had: `nll`, `right`, and `target`."""
    probabilities = loss.link(outputs.double())
    of_token = probabilities.gather(-1, target.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    return {
        "nll": -of_token.clamp_min(torch.finfo(of_token.dtype).tiny).log() * (target >= 0),
        "right": probabilities.argmax(-1) == target,
        "target": target,
    }


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Return what was kept: the learner has taken it from its outputs, which are too large to be kept themselves."""
    return {name: kept[name] for name in ("nll", "right", "target", "index")}  # type: ignore[return-value]


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the tokens."""
    known = (predictions["target"] >= 0).sum()
    return of_sums(predictions["nll"].sum(), predictions["right"].sum(), known)


def of_sums(nll: Tensor, right: Tensor, tokens: Tensor) -> dict[str, float]:
    """Return what sums over all tokens of a part say: all but of no token.

    Examples
    --------
    >>> half = torch.tensor(2.0).log()
    >>> found = of_sums(3 * half, torch.tensor(1), torch.tensor(3))
    >>> {name: round(value, 4) for name, value in found.items()}
    {'perplexity': 2.0, 'bits_per_character': 1.0, 'nll': 0.6931, 'token_accuracy': 0.3333}

    """
    if not tokens:
        return {}
    mean = float(nll) / float(tokens)
    return {
        "perplexity": math.exp(min(mean, 700.0)),  # above it is no number of double precision
        "bits_per_character": mean / math.log(2),
        "nll": mean,
        "token_accuracy": float(right) / float(tokens),
    }
