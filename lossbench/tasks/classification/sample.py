"""Made-up predictions of classes, good and bad on every metric."""

import torch

from lossbench.tasks.classification.evaluate import Predictions
from lossbench.tasks.problem import Problem, made_up_problem
from lossbench.tasks.task import Task


def sample(task: Task, good: bool, part: str = "test") -> tuple[Predictions, Problem]:
    """Predict each of 70 samples sure and right, or sure and wrong with the true class last.

    On "train" a tenth of the labels is flipped: the good network predicts the true ones, the bad one the flipped ones.
    """
    classes = task.classes or 7
    clean = torch.arange(70) % classes
    observed = torch.where(torch.arange(70) < 7, (clean + 1) % classes, clean) if part == "train" else clean
    said = clean if good else (observed if part == "train" else (clean + 1) % classes)
    if part == "train" and not good:
        said = torch.where(torch.arange(70) % 4 == 0, (observed + 1) % classes, observed)
        said[:7] = observed[:7]
    spread = 0.01 * torch.arange(classes, dtype=torch.float64)
    probabilities = (10 * torch.eye(classes, dtype=torch.float64)[said] - spread).softmax(1)
    if not good and part != "train":  # the true class is last
        probabilities = probabilities - 0.9 * probabilities * torch.eye(classes)[clean]
        probabilities = probabilities / probabilities.sum(1, keepdim=True)
    counts = [200 if part == "test" else 3, 50, 3, 9, 9, 9, 9][:classes]  # two classes are of two of three sizes
    predictions: Predictions = {
        "probabilities": probabilities,
        "log_odds": probabilities.logit(),
        "logits": probabilities.log(),
        "target": observed,
        "target_clean": clean,
        "index": torch.arange(70),
    }
    return predictions, made_up_problem(task, num_classes=classes, class_counts=counts)
