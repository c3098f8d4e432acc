"""Made-up readings of lines, good and bad on every metric."""

import torch

from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.sequence.evaluate import Predictions
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Read 8 lines of three classes right, or with a wrong class in each."""
    target = (torch.arange(8).unsqueeze(1) + torch.arange(3)) % 5
    wrong = target.clone()
    wrong[:, 1] = (wrong[:, 1] + 1) % 5
    read = target if good else wrong
    share = torch.full((8,), 0.9 if good else 0.2, dtype=torch.float64)
    predictions: Predictions = {
        "decoded": read,
        "decoded_beam": read,
        "target": target,
        "nll": 1 - share,
        "blank_share": torch.full((8,), 0.5, dtype=torch.float64),
        "frame_accuracy": share,
        "index": torch.arange(8),
        "images": torch.rand(4, 8, 24, generator=torch.Generator().manual_seed(0)),
        "posteriors": torch.full((4, 6, 6), 1 / 6),
        "alignment": torch.tensor([0, 5, 1, 5, 2, 5]).expand(4, 6).clone(),
    }
    return predictions, made_up_problem(task, num_classes=5, images=True)
