"""Made-up predictions of distributions, good and bad on every metric."""

import torch

from lossbench.losses.distributions import LEVELS
from lossbench.tasks.distributional.evaluate import Predictions
from lossbench.tasks.distributional.metrics import RECORDED, crps_of_quantiles
from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Predict 400 normal numbers of known means by their own distribution, or by a narrow one far from them."""
    center = torch.linspace(-5, 5, 400, dtype=torch.float64)
    normal = torch.distributions.Normal(0.0, 1.0)
    levels = (torch.arange(400, dtype=torch.float64) * 0.618034 + 0.5) % 1  # spread evenly, unlike draws
    target = center + normal.icdf(levels.clamp(0.001, 0.999))
    mean = center if good else -center
    std = 1.0 if good else 0.1
    quantiles = mean[:, None] + std * normal.icdf(LEVELS.double())
    predictions: Predictions = {
        "mean": mean,
        "quantiles": quantiles[:, RECORDED],
        "log_density": torch.distributions.Normal(mean, std).log_prob(target),
        "crps": crps_of_quantiles(quantiles, target),
        "target": target,
        "target_clean": target,
        "index": torch.arange(400),
    }
    return predictions, made_up_problem(task)
