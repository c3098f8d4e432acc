"""Made-up predictions of labels, good and bad on every metric."""

import torch

from lossbench.tasks.multilabel.evaluate import Predictions
from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Predict three labels of each of 70 samples sure and right, or sure and wrong."""
    target = torch.arange(1, 71).unsqueeze(1) >> torch.arange(3) & 1
    log_odds = (5.0 if good else -5.0) * (2 * target - 1).double()
    log_odds = log_odds + 0.01 * torch.arange(3)  # no ties
    predictions: Predictions = {
        "probabilities": log_odds.sigmoid(),
        "log_odds": log_odds,
        "logits": log_odds,
        "target": target,
        "target_clean": target,
        "index": torch.arange(70),
    }
    return predictions, made_up_problem(task, num_classes=3, class_counts=[40, 40, 40])
