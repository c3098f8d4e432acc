"""Made-up detections, good and bad on every metric."""

import torch

from lossbench.tasks.detection.evaluate import SHOWN, Predictions
from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task

IMAGES = 10
SIDES = torch.tensor([6.0, 16.0, 30.0])
"""Of a small, a medium and a large object, of three classes."""


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Find the three objects of each image, or miss them by a third of their side, and in some images altogether."""
    corners = torch.tensor([[1.0, 1.0], [2.0, 30.0], [17.0, 0.0]])
    true = torch.cat([corners, corners + SIDES.unsqueeze(1)], dim=1).expand(IMAGES, 3, 4).clone()
    classes = torch.arange(3).expand(IMAGES, 3)
    moved = true + (0.01 if good else 0.2) * SIDES.view(1, 3, 1)
    if not good:
        moved[::2] = true[::2].flip(1)
    predictions: Predictions = {
        "boxes": moved,
        "scores": torch.tensor([0.9, 0.8, 0.7]).expand(IMAGES, 3).clone(),
        "labels": classes.short(),
        "target_boxes": true,
        "target": classes.clone(),
        "index": torch.arange(IMAGES),
        "image": torch.randint(256, (SHOWN, 3, 48, 48), generator=torch.Generator().manual_seed(0)).to(torch.uint8),
    }
    return predictions, made_up_problem(task, num_classes=3, class_counts=[IMAGES] * 3, images=True)
