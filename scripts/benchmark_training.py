"""What training costs: beside a bare loop over the same batches, and what part of a step each loss is.

Prints two tables in Markdown. "training": seconds of the processor in some epochs of a run as the command trains it,
without evaluation, and in a bare loop of the same network, loss, optimizer and batches, in turn in one process, by one
thread; the medians are compared. Where a learner does more than to compare outputs with targets, the loop calls its
loss of a batch.

"losses": forward and backward of each loss beside those of the network, on one batch, in seconds of the processor,
which other work on the machine changes less. Ratios are of one run.

  python scripts/benchmark_training.py
  python scripts/benchmark_training.py --data outliers --repeats 15
  python scripts/benchmark_training.py --data lesions --repeats 7
  python scripts/benchmark_training.py --data glyphs,help_topics,help_chars,number_words
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning.callbacks import ModelCheckpoint

from lossbench.catalogue.facts import losses_for
from lossbench.config.cell import Cell, cell_of
from lossbench.learners import Supervised
from lossbench.locate import CONF
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data, build_trainer
from lossbench.running.callbacks import Cost, EpochReporter
from lossbench.running.trainer import quiet

BASELINES = {
    "lesions": "pixel_cross_entropy", "digit_scenes": "pixel_cross_entropy", "depth_scenes": "depth_mae",
    "outliers": "mse", "glyphs": "embedding_softmax", "help_topics": "info_nce", "help_chars": "token_cross_entropy",
    "number_words": "token_cross_entropy",
}  # fmt: skip
EPOCHS = {"outliers": 200, "glyphs": 8, "help_topics": 4}
"""Where one is so short that the start of a trainer would count."""


def composed(*overrides: str) -> Cell:
    """Compose a run that evaluates nothing."""
    alone = ["tracking=none", "trainer.limit_val_batches=0", "data.val_fraction=0"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return cell_of(compose("config", [*alone, *overrides], return_hydra_config=True))


def of_data(name: str) -> Cell:
    """Compose the run of a data set that is measured."""
    return composed(f"data={name}", f"loss={BASELINES[name]}", f"trainer.max_epochs={EPOCHS.get(name, 1)}")


def seconds_of_training(cell: Cell, data: Any, bare: bool) -> float:
    """Train, by the trainer or by a bare loop; return the seconds."""
    learner = build_learner(cell, data)
    if not bare:
        with tempfile.TemporaryDirectory() as folder:
            callbacks = [Cost(), EpochReporter(), ModelCheckpoint(save_top_k=0)]
            trainer = build_trainer(cell.config.trainer, callbacks, Path(folder))
            start = time.process_time()
            trainer.fit(learner, datamodule=data)
            return time.process_time() - start
    optimizer, network, loss = learner.configure_optimizers()["optimizer"], learner.network, learner.loss
    start = time.process_time()
    network.train()
    loader = data.train_dataloader()
    for epoch in range(cell.config.trainer.max_epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            optimizer.zero_grad()
            if isinstance(learner, Supervised):
                known = {name: batch.extras[name] for name in loss.step_context if name in batch.extras}
                loss(network(batch.inputs), batch.target, **known).mean().backward()
            else:
                learner.per_sample_loss(batch).mean().backward()
            optimizer.step()
    return time.process_time() - start


def shares_of_step(name: str, data: Any, repeats: int) -> dict[str, tuple[float, float]]:
    """Return for each loss of a task its milliseconds, and its share of a step of network and loss."""
    batch = next(iter(data.train_dataloader()))
    found = {}
    for each in losses_for(data.task.name):
        learner = build_learner(composed(f"data={name}", f"loss={each}"), data)
        of_network, of_loss = [], []
        for _ in range(repeats):
            start = time.thread_time()
            outputs = learner.network(batch.inputs)
            free = outputs.detach().requires_grad_()
            middle = time.thread_time()
            known = {"epoch": 0, "index": batch.index, "inputs": batch.inputs, **batch.extras}
            learner.loss(free, batch.target, **known).mean().backward()
            after = time.thread_time()
            outputs.backward(free.grad)
            of_network.append(middle - start + time.thread_time() - after)
            of_loss.append(after - middle)
        cost = median(of_loss)
        found[each] = (1000 * cost, cost / (cost + median(of_network)))
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="outliers,lesions,digit_scenes,depth_scenes", help="data sets, by commas")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    names = arguments.data.split(",")
    loaded = {name: build_data(of_data(name).config.data) for name in names}
    print("| data | bare loop, s | lossbench, s | bare / lossbench |\n|---|---|---|---|")
    for name, data in loaded.items():
        cell = of_data(name)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for repeat in range(arguments.repeats):
            for bare in (True, False)[:: 1 if repeat % 2 else -1]:
                seconds[bare].append(seconds_of_training(cell, data, bare))
        alone, ours = median(seconds[True]), median(seconds[False])
        print(f"| {name} | {alone:.2f} | {ours:.2f} | {alone / ours:.2f} |", flush=True)
    print("\n| data | loss | ms | share of a step |\n|---|---|---|---|")
    for name, data in loaded.items():
        if not of_data(name).is_supervised:
            continue
        for loss, (cost, share) in shares_of_step(name, data, arguments.repeats).items():
            print(f"| {name} | {loss} | {cost:.1f} | {share:.2f} |", flush=True)


if __name__ == "__main__":
    main()
