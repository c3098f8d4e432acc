"""What an order of passages is worth, beside BM25 and a random order: the same way for every loss."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lossbench.losses.bound_loss import BoundLoss
from lossbench.tasks.example import Example
from lossbench.tasks.problem import Kept, Problem
from lossbench.tasks.retrieval.by_sample import TYPED
from lossbench.tasks.retrieval.metrics import grades_of, of_order, of_random_order

PASSAGES = 7
"""Of made-up batches."""
Predictions = dict[str, Tensor]
"""What is predicted for N queries.

`ranked` (N, k), the numbers of the first 100 passages, the best first; `found` (N, k), their grades; `found_by_bm25`
(N, k), the same of BM25, where the data have it; `target` (N, G), the passages that answer, then -1; `grades` (N, G),
theirs; `passages` (N,), how many there are; `typed` (N,), which queries people typed, where the data say so; `index`
(N,), the place of each query in its source. And by the name of each metric its values (N,), whose mean it is.
"""


def example(loss: BoundLoss, num_classes: int | None, samples: int, generator: torch.Generator) -> Example:
    """Make up scores of passages of which up to three have grades 1 to 3, and one query that none answers."""
    grades = torch.zeros(samples, PASSAGES, dtype=torch.int64)
    order = torch.arange(samples)
    for place in range(3):
        some = order[order % 3 >= place]
        grades[some, (3 * some + place) % PASSAGES] = 1 + (some + place) % 3
    grades[1:2] = 0
    context = {
        "epoch": 0,
        "index": order,
        "teacher_scores": 5 * torch.rand(samples, PASSAGES, generator=generator),
    }
    return torch.randn(samples, PASSAGES, generator=generator), grades, context


def check_link(linked: Tensor, samples: int, num_classes: int) -> None:
    """Assert that the link gives scores (N, M)."""
    found = tuple(linked.shape) if isinstance(linked, Tensor) else type(linked).__name__
    assert found == (samples, PASSAGES), (
        f"the link returns shape {found}; for scores of passages it must be {(samples, PASSAGES)}."
    )


def predict(loss: BoundLoss, kept: Kept, problem: Problem) -> Predictions:
    """Measure the order of each query; it is there already, since the scores of all passages are not kept."""
    return measured(kept)


def measured(kept: Kept) -> Predictions:
    """Measure `ranked`, and `ranked_by_bm25`, by `target`, `grades` and `passages`."""
    target, grades = kept["target"], kept["grades"]
    found = grades_of(kept["ranked"], target, grades)
    beside = {}
    if "ranked_by_bm25" in kept:
        by_bm25 = grades_of(kept["ranked_by_bm25"], target, grades)
        beside = {"found_by_bm25": by_bm25, **_named("bm25_", of_order(by_bm25, grades))}
    return {
        **{name: each for name, each in kept.items() if name != "ranked_by_bm25"},
        "found": found,
        **of_order(found, grades),
        **beside,
        **_named("random_", of_random_order(grades, int(kept["passages"][0]))),
    }


def measure(part: str, predictions: Predictions, problem: Problem) -> dict[str, float]:
    """Return the mean of each metric over the queries, of some also over those that people typed."""
    found = {name: float(predictions[name].mean()) for name in problem.task.named if name in predictions}
    if "typed" in predictions and predictions["typed"].any():
        of_typed = {typed: name for typed, name in TYPED.items() if name in predictions}
        found |= {typed: float(predictions[name][predictions["typed"]].mean()) for typed, name in of_typed.items()}
    return found


def _named(prefix: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": each for name, each in values.items()}
