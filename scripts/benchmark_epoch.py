"""Time epochs of LeNet through lossbench against a bare PyTorch loop on the same batches, side by side in one process.

Prints samples per second of both and their ratio; needs the MNIST files. Example:

    python scripts/benchmark_epoch.py --epochs 3
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir

from lossbench import CONF
from lossbench.build import build_data, build_trainer
from lossbench.callbacks import Cost
from lossbench.cells import Cell, cell_of
from lossbench.run import build_learner, quiet


def one_cell(max_train: int) -> Cell:
    """Compose LeNet on MNIST with cross-entropy, one epoch."""
    overrides = ["data=mnist", "model=lenet", "optimizer=sgd", "trainer.max_epochs=1", "tracking=none"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return cell_of(compose("config", [*overrides, f"data.max_train={max_train}"], return_hydra_config=True))


def bare_epoch(cell: Cell) -> float:
    """Train one epoch with a plain loop; return its samples per second."""
    data = build_data(cell.config.data)
    network = build_learner(cell, data).network
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-4)
    samples, started = 0, time.perf_counter()
    for batch in data.train_dataloader():
        optimizer.zero_grad()
        F.cross_entropy(network(batch.inputs), batch.target).backward()
        optimizer.step()
        samples += len(batch.target)
    return samples / (time.perf_counter() - started)


def lossbench_epoch(cell: Cell) -> float:
    """Train one epoch as a run does; return its samples per second without evaluation."""
    data = build_data(cell.config.data)
    cost = Cost()
    build_trainer(cell.config.trainer, [cost], cell.path).fit(build_learner(cell, data), datamodule=data)
    return cost.samples / cost.training_seconds


def main() -> None:
    """Alternate both, and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="epochs of each kind")
    parser.add_argument("--max-train", type=int, default=60_000, help="training samples")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    arguments = parser.parse_args()
    quiet()
    torch.set_num_threads(arguments.threads)
    cell = one_cell(arguments.max_train)
    pairs = [(bare_epoch(cell), lossbench_epoch(cell)) for _ in range(arguments.epochs)]
    bare, ours = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    print(f"bare loop {bare:.0f} samples/s, lossbench {ours:.0f} samples/s, ratio {ours / bare:.2f}")


if __name__ == "__main__":
    main()
