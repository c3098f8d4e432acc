"""Made-up samples, good and bad on every metric."""

import torch

from lossbench.tasks.generation.evaluate import Predictions
from lossbench.tasks.problem import Modes, Problem, made_up_problem
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Draw 400 points at four modes, or all between two of them; on "val" nobody knows the modes."""
    modes = Modes(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), std=0.1)
    generator = torch.Generator().manual_seed(0)
    real, drawn = (0.1 * torch.randn(400, 2, generator=generator) for _ in range(2))
    places = modes.centers[torch.arange(400) % 4]
    samples = places + drawn if good else torch.tensor([[0.7, 0.3]]) + 0.1 * drawn
    problem = made_up_problem(task, modes=modes if part == "test" else None)
    predictions: Predictions = {"samples": samples, "real": places + real, "index": torch.arange(400)}
    if "log_likelihood" in task.named:
        predictions["log_likelihood"] = torch.full((400,), 1.0 if good else -2.0)
    return predictions, problem
