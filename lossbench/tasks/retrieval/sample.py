"""Made-up orders of passages, good and bad on every metric."""

import torch

from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.retrieval.evaluate import Predictions, measured
from lossbench.tasks.retrieval.metrics import ranked
from lossbench.tasks.task import Task

PASSAGES = 400


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Rank two passages that answer each of 8 queries first, or the worse one eleventh, the other last."""
    target = torch.stack([torch.arange(8), torch.arange(8) + 20], 1)
    scores = torch.rand(8, PASSAGES, generator=torch.Generator().manual_seed(0))
    kept = {
        "ranked_by_bm25": ranked(scores),
        "target": target,
        "grades": torch.tensor([2, 1]).expand(8, 2).clone(),
        "typed": torch.arange(8) < 3,
        "passages": torch.full((8,), PASSAGES),
        "index": torch.arange(8),
    }
    order = ranked(scores.scatter(1, target, torch.tensor([3.0, 2.0] if good else [-1.0, -2.0]).expand(8, 2)))
    if not good:
        order[:, 10] = target[:, 1]
    return measured({**kept, "ranked": order}), made_up_problem(task)
