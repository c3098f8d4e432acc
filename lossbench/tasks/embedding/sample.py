"""Made-up embeddings, good and bad on every metric."""

import torch

from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.declaration import Declaration
from lossbench.losses.links import on_unit_sphere
from lossbench.tasks.embedding.evaluate import Predictions, predict
from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Put eight classes of six samples around as many corners, or all samples into one direction, classes mixed."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(48) % 8
    noise = torch.randn(48, 8, generator=generator)
    outputs = torch.eye(8)[target] + 0.1 * noise if good else torch.ones(48, 8) + 0.5 * noise
    problem = made_up_problem(task, num_classes=8, images=True)
    kept = {"outputs": outputs, "target": target, "index": torch.arange(48)}
    kept["image"] = torch.rand(48, 1, 8, 8, generator=generator)
    loss = BoundLoss(lambda *_: None, Declaration(task.name, on_unit_sphere, ""), {})
    return predict(loss, kept, problem), problem
