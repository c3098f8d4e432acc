"""Made-up predictions of counts, good and bad on every metric."""

import torch

from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.regression.evaluate import Predictions
from lossbench.tasks.regression.sample import of_numbers
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Predict the counts 0 to 4 with small errors, or in the wrong order."""
    return of_numbers(torch.arange(50, dtype=torch.float64) % 5, good), made_up_problem(task)
