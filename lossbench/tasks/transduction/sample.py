"""Made-up readings of lines, good and bad on every metric."""

import torch

from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task
from lossbench.tasks.transduction.evaluate import SHOWN, Predictions


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Read 8 lines of three classes right, or with a wrong class in each."""
    target = (torch.arange(8).unsqueeze(1) + torch.arange(3)) % 5
    wrong = target.clone()
    wrong[:, 1] = (wrong[:, 1] + 1) % 5
    predictions: Predictions = {
        "decoded": target if good else wrong,
        "target": target,
        "nll": torch.full((8,), 0.1 if good else 2.0, dtype=torch.float64),
        "index": torch.arange(8),
        "images": torch.rand(SHOWN, 8, 24, generator=torch.Generator().manual_seed(0)),
    }
    return predictions, made_up_problem(task, num_classes=5, images=True)
