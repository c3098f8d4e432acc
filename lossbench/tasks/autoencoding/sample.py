"""Made-up codes and reconstructions, good and bad on every metric."""

import torch

from lossbench.tasks.autoencoding.evaluate import Predictions
from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Reconstruct 8 images well, or badly."""
    values = torch.full((8,), 1.0 if good else 5.0, dtype=torch.float64)
    images = torch.zeros(8, 1, 8, 8, dtype=torch.uint8)
    predictions: Predictions = {
        "neg_elbo": 2 * values,
        "reconstruction": values,
        "kl": torch.ones(8),
        "mse": values,
        "ssim": 1 / values,
        "mean": torch.linspace(-1, 1, 16).view(8, 2),
        "target": torch.arange(8),
        "index": torch.arange(8),
        "images": images,
        "reconstructions": images,
        "samples": images,
    }
    return predictions, made_up_problem(task, num_classes=10, images=True)
