"""Made-up segmentations, good and bad on every metric."""

import torch

from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.segmentation.evaluate import Predictions
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Predict squares of two classes on a background: where they are, or far off and sure of it."""
    target = torch.zeros(6, 24, 24, dtype=torch.int64)
    target[:, 2:10, 2:10], target[:, 14:22, 12:20] = 1, 2
    shift = 1 if good else 5
    predicted = target.roll((shift, shift), (1, 2))
    predicted[: 0 if good else 2] = 0  # nothing is found in some
    generator = torch.Generator().manual_seed(0)
    log_odds = 4.0 * (2 * torch.nn.functional.one_hot(predicted, 3) - 1) + torch.rand(6, 24, 24, 3, generator=generator)
    instances = (target > 0).long() + (target > 1)
    predictions: Predictions = {
        "log_odds": log_odds.half(),
        "target": target.to(torch.uint8),
        "instances": instances.to(torch.uint8),
        "image": (80 * target).to(torch.uint8).unsqueeze(1),
        "index": torch.arange(6),
    }
    return predictions, made_up_problem(task, num_classes=3, class_counts=[2000, 400, 400], images=True)
