"""Made-up depths, good and bad on every metric."""

import torch

from lossbench.tasks.depth.evaluate import Predictions
from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Predict sloping planes nearly right, or as sloping the other way."""
    across = torch.linspace(1, 5, 24).expand(8, 16, 24) * torch.linspace(1, 2, 8).view(8, 1, 1)
    noise = 0.01 * torch.randn(8, 16, 24, generator=torch.Generator().manual_seed(0))
    predictions: Predictions = {
        "depth": (across if good else across.flip(2)) * noise.exp(),
        "target": across.clone(),
        "image": (20 * across).to(torch.uint8).unsqueeze(1).repeat(1, 3, 1, 1),
        "index": torch.arange(8),
    }
    return predictions, made_up_problem(task, images=True)
