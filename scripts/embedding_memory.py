"""What memory the losses need that compare the embeddings of a batch with each other.

Prints for each of them the most bytes that a process held that computed it once, forward and backward, on a made-up
batch, and of these the bytes that it held before. Each has a process of its own. Every loss of the task embedding that
is coupled is measured, with each word of its first parameter that is one; images have two views.

  python scripts/embedding_memory.py
  python scripts/embedding_memory.py --samples 4096 --classes 8 --losses smooth_ap,circle
"""

import argparse
import multiprocessing
import resource
import time

import torch

from lossbench.catalogue.binding import bind
from lossbench.catalogue.facts import default_parameters, hyperparameters
from lossbench.locate import locate
from lossbench.losses.facts import declared_losses

UNIT = 1024
"""Bytes in a unit of `ru_maxrss` on Linux."""


def held() -> int:
    """Return the most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def settings_of(name: str) -> list[dict[str, str]]:
    """Return one setting for each word that the first parameter that takes words may be; an empty one without such."""
    for key, values in declared_losses()[name].ranges.items():
        if values.startswith("one of: "):
            return [{key: word} for word in values.removeprefix("one of: ").split(", ")]
    return [{}]


def measure(name: str, setting: dict[str, str], samples: int, width: int, classes: int) -> tuple[int, int, float]:
    """Return the most bytes held before and after a call of a loss with its gradient, and the seconds it took."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    known = {"num_features": width, "num_classes": classes, "num_samples": samples, "train_size": samples}
    parameters = {**hyperparameters(default_parameters(name)), **setting}
    loss = bind(locate(f"lossbench.losses.{name}"), parameters, known)
    embeddings = torch.randn(samples, width, generator=generator).requires_grad_()
    context = {"index": torch.arange(samples) // 2, "momentum_embeddings": torch.randn(samples, width)}
    before, start = held(), time.perf_counter()
    loss(embeddings, torch.arange(samples) % classes, **context).mean().backward()
    return before, held(), time.perf_counter() - start


def main() -> None:
    """Measure each loss in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--classes", type=int, default=512)
    parser.add_argument("--losses", default="", help="names, by commas; all where nothing is said")
    asked = parser.parse_args()
    compared = [name for name, facts in declared_losses().items() if facts.task == "embedding" and facts.coupled]
    print("| loss | bytes at most | before | seconds |\n|---|---|---|---|")
    for name in asked.losses.split(",") if asked.losses else compared:
        for setting in settings_of(name):
            with multiprocessing.get_context("fork").Pool(1) as pool:
                given = (name, setting, asked.samples, asked.width, asked.classes)
                before, after, seconds = pool.apply(measure, given)
            said = " ".join([name, *(f"{key}={word}" for key, word in setting.items())])
            print(f"| {said} | {after:,} | {before:,} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
