"""How embeddings are compared and measured: by their cosines, the same way for every loss."""

import torch
from torch import Tensor
from typing_extensions import TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem

WIDTH = 4
"""Of made-up embeddings."""


class Predictions(TypedDict):
    """What is predicted of N samples."""

    embedding: Tensor
    """(N, D), float32, of length 1."""
    target: Tensor
    """(N,), classes; those of the validation and the test part may be others than those of training."""
    index: Tensor
    """(N,), the place of each sample in its source."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up embeddings of classes that come twice at least: neighbours by `index` are two views of one image."""
    pairs = torch.arange(samples) // 2
    context = {
        "epoch": 0,
        "features": torch.randn(samples, 4, generator=generator),
        "index": pairs,
        "inputs": torch.randn(samples, 4, generator=generator),
        "momentum_embeddings": torch.randn(samples, WIDTH, generator=generator),
    }
    return torch.randn(samples, WIDTH, generator=generator), pairs % (num_classes or 2), context


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives vectors (N, D) of length 1."""
    shape = (samples, WIDTH)
    assert linked.shape == shape, f"the link returns shape {tuple(linked.shape)}; for embeddings it must be {shape}."
    lengths = linked.norm(dim=-1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-4), "the link returns vectors of other lengths."


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Put the embeddings of a part on the unit sphere."""
    return {"embedding": loss.link(kept["outputs"]).float(), "target": kept["target"], "index": kept["index"]}


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the nearest neighbours."""
    embedding, target = predictions["embedding"], predictions["target"]
    nearest = (embedding @ embedding.T).fill_diagonal_(-2).argmax(1)
    return {"recall_at_1": float((target[nearest] == target).double().mean())}
