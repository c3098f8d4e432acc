"""Made-up translations, good and bad on every metric."""

import torch

from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task
from lossbench.tasks.translation.evaluate import Predictions, code_points

WORDS = ("", "", "", "one ", "two ", "three ", "four ", "five ", "six ", "seven ")


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Translate 8 texts of six words, the last two being long, right or with the third and the last word wrong."""
    order = torch.arange(8)
    target = 3 + (order.unsqueeze(1) + torch.arange(6)) % 7
    wrong = target.clone()
    wrong[:, 2::3] = 3 + (wrong[:, 2::3] - 1) % 7
    hypothesis = torch.nn.functional.pad(target if good else wrong, (0, 1), value=-1)
    tokens = torch.full((8,), 7)
    predictions: Predictions = {
        "hypothesis": hypothesis,
        "target": target,
        "inputs": target.flip(1),
        "nll": tokens * (0.1 if good else 1.5) + 0.0 * tokens.double(),
        "right": tokens - (0 if good else 2),
        "tokens": tokens,
        "long": order >= 6,
        "index": order,
        "pieces": code_points(WORDS),
    }
    return predictions, made_up_problem(task, num_classes=len(WORDS), shared={"pieces": WORDS})
