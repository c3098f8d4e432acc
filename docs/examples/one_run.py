"""A fair comparison of two losses by hand: what a lossbench run does, from its public pieces alone.

Under one seed both losses get the same data, initial weights and batch order, so that their difference is paired. Each
is measured on probabilities, which its own link makes of its outputs.

python docs/examples/one_run.py
"""

from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import lossbench
from lossbench.losses import BoundLoss
from lossbench.tasks.classification.metrics import classification_metrics

LOSSES, SEEDS, EPOCHS = ("cross_entropy", "balanced_softmax"), (0, 1), 10
METRICS = ("balanced_accuracy", "nll", "ece")
Data = tuple[Tensor, Tensor]


def long_tailed_digits(seed: int) -> tuple[Data, Data]:
    """Return a test set with 50 images of each class, and a training set with 120 images of digit 0 down to 8 of 9."""
    images, target = (torch.tensor(part) for part in load_digits(return_X_y=True))
    generator = torch.Generator().manual_seed(seed)
    train, test = [], []
    for digit in range(10):
        rows = (target == digit).nonzero().flatten()
        test.append(rows[:50])  # the same for every seed
        rest = rows[50:]
        rest = rest[torch.randperm(len(rest), generator=generator)]
        train.append(rest[: round(120 * (8 / 120) ** (digit / 9))])
    inputs = images.float() / 16
    chosen, held_out = torch.cat(train), torch.cat(test)
    return (inputs[chosen], target[chosen]), (inputs[held_out], target[held_out])


def trained(loss: BoundLoss, data: Data, seed: int) -> nn.Module:
    """Train a small network; initial weights and batch order depend on the seed alone, never on the loss."""
    inputs, target = data
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    order = torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(target), generator=order).split(32):
            optimizer.zero_grad()
            loss(model(inputs[rows]), target[rows]).mean().backward()  # a loss gives one number per sample
            optimizer.step()
    return model


def run(name: str, seed: int) -> dict[str, float]:
    """Train with one loss, and measure the test set at the last epoch."""
    train, (inputs, target) = long_tailed_digits(seed)
    counts = torch.bincount(train[1])
    needs: dict[str, Any] = {"class_counts": counts} if name == "balanced_softmax" else {}
    loss = lossbench.load_loss(name, **needs)
    model = trained(loss, train, seed)
    with torch.no_grad():
        outputs = model(inputs)
    return classification_metrics(loss.link(outputs), target, counts.tolist(), loss.log_odds(outputs))


def main() -> None:
    """Print the mean over the seeds for each loss, and the mean of the paired differences."""
    found = {name: [run(name, seed) for seed in SEEDS] for name in LOSSES}
    print(f"{'mean of ' + str(len(SEEDS)) + ' seeds':20}", *(f"{metric:>18}" for metric in METRICS))
    for name, rows in found.items():
        print(f"{name:20}", *(f"{sum(row[metric] for row in rows) / len(rows):18.4f}" for metric in METRICS))
    pairs = list(zip(found[LOSSES[1]], found[LOSSES[0]], strict=True))
    differences = {metric: sum(one[metric] - other[metric] for one, other in pairs) / len(pairs) for metric in METRICS}
    print(f"{'paired difference':20}", *(f"{differences[metric]:+18.4f}" for metric in METRICS))


if __name__ == "__main__":
    main()
