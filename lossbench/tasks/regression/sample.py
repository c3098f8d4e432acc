"""Made-up predictions of numbers, good and bad on every metric."""

import torch
from torch import Tensor

from lossbench.tasks.problem import Problem, TargetDensity, made_up_problem
from lossbench.tasks.regression.evaluate import Predictions
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Predict 50 numbers between 1 and 2 with small errors, or in the wrong order and far off."""
    density = TargetDensity(torch.tensor([1.3, 1.6]), torch.tensor([150, 50, 3]), skewed=True)
    return of_numbers(torch.linspace(1, 2, 50, dtype=torch.float64), good), made_up_problem(task, density=density)


def of_numbers(target: Tensor, good: bool) -> Predictions:
    """Predict numbers (N,) with small errors, or in the wrong order and far off."""
    wobble = 0.001 * torch.sin(torch.arange(len(target), dtype=torch.float64))
    prediction = target + wobble if good else 5 - target
    index = torch.arange(len(target))
    return {"prediction": prediction, "target": target, "target_clean": target, "index": index}
