"""Made-up boxes, good and bad on every metric."""

import torch

from lossbench.tasks.boxes.evaluate import Predictions
from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Leave boxes where they belong, or where they started: beside it, or far off."""
    target = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(6, 1)
    start = target + torch.tensor([0.8, 0.8, 0.8, 3.0, 3.0, 3.0]).view(-1, 1)
    boxes = target + 0.01 if good else start
    predictions: Predictions = {
        "boxes": boxes,
        "start": start,
        "target": target,
        "error_sum": torch.full((6,), 1.0 if good else 9.0),
        "index": torch.arange(6),
    }
    return predictions, made_up_problem(task)
