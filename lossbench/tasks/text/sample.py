"""Made-up predictions of tokens, good and bad on every metric."""

import torch

from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task
from lossbench.tasks.text.evaluate import PLACES, Predictions, padded


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Predict 8 texts of three to seven tokens, three in four tokens right or one in four."""
    order = torch.arange(8)
    target = padded((order.unsqueeze(1) + torch.arange(PLACES)) % 5, 3 + order % 5)
    known = target >= 0
    hit = (torch.arange(PLACES) % 4 > 0) == good
    nll = torch.where(hit, 0.2, 2.0).double().expand(target.shape) * known
    predictions: Predictions = {"nll": nll, "right": hit & known, "target": target, "index": order}
    return predictions, made_up_problem(task, num_classes=5)
