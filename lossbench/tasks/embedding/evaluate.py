"""How embeddings are compared and measured: by their cosines, the same way for every loss."""

import torch
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.embedding.neighbours import neighbours
from lossbench.tasks.embedding.pairs import spread
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem, with_a_value

WIDTH = 4
"""Of made-up embeddings, where the loss does not know a width."""
SHOWN, BESIDE = 6, 5
"""Samples whose neighbours are kept for a picture, and how many of these."""


class Predictions(TypedDict):
    """What is predicted of N samples."""

    embedding: Tensor
    """(N, D), float32, of length 1."""
    target: Tensor
    """(N,), classes; those of the validation and the test part may be others than those of training."""
    group: Tensor
    """(N,), the classes again: samples of one class belong together, and chance draws them together."""
    index: Tensor
    """(N,), the place of each sample in its source."""
    first: Tensor
    """(N,), the rank of the nearest one of the same class; see `neighbours`."""
    average_precision: Tensor
    """(N,), of the R nearest."""
    r_precision: Tensor
    """(N,), share of the class among the R nearest."""
    shown: NotRequired[Tensor]
    """(Q, 6, C, H, W), half precision: a few samples, each with its five nearest neighbours."""
    shown_same: NotRequired[Tensor]
    """(Q, 6), whether they have the class of the first."""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up embeddings of classes that come twice at least: neighbours by `index` are two views of one image."""
    pairs, width = torch.arange(samples) // 2, loss.known("num_features") or WIDTH
    context = {
        "epoch": 0,
        "features": torch.randn(samples, 4, generator=generator),
        "index": pairs,
        "inputs": torch.randn(samples, 4, generator=generator),
        "momentum_embeddings": torch.randn(samples, width, generator=generator),
    }
    return torch.randn(samples, width, generator=generator), pairs % (num_classes or 2), context


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives vectors (N, D) of length 1."""
    found = tuple(linked.shape)
    assert found == (samples, *found[1:2]), f"the link returns shape {found}; for embeddings it must be ({samples}, D)."
    lengths = linked.norm(dim=-1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-4), "the link returns vectors of other lengths."


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Put the embeddings of a part on the unit sphere, and find the neighbours of each."""
    embedding, target = loss.link(kept["outputs"]).float(), kept["target"]
    found = neighbours(embedding, target)
    predictions: Predictions = {
        "embedding": embedding,
        "target": target,
        "group": target,
        "index": kept["index"],
        "first": found.first,
        "average_precision": found.average_precision,
        "r_precision": found.r_precision,
    }
    if "image" in kept and found.nearest.shape[1] >= BESIDE:
        queries = torch.linspace(0, len(target) - 1, SHOWN).long()
        rows = torch.cat([queries.unsqueeze(1), found.nearest[queries, :BESIDE]], dim=1)
        predictions["shown"] = kept["image"][rows].half()
        predictions["shown_same"] = target[rows] == target[queries].unsqueeze(1)
    return predictions


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure the nearest neighbours, over the samples that have another of their class."""
    first = predictions["first"]
    counted = first > 0
    if not counted.any():
        return {}
    found = {f"recall_at_{rank}": (first[counted] <= rank).double().mean() for rank in (1, 5, 10)}
    found["map_at_r"] = predictions["average_precision"][counted].mean()
    found["r_precision"] = predictions["r_precision"][counted].mean()
    return with_a_value(found)


def measure_final(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Measure pairs, clusters and how the embeddings are spread."""
    return with_a_value(spread(predictions["embedding"], predictions["target"]))
