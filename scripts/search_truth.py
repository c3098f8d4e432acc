"""Search for losses on problems whose best loss is known: is it found, and is nothing found where there is nothing?

found: the known loss whose slope is nearest to that of the loss that was found, and the distance (docs/search.md).
difference: test metric of the found loss less that of the best known one, which had as many trials, with its 95 %
interval over fresh seeds. within: whether 0 lies in it, so that the search ends where the best known loss does.

Several searches are not corrected for each other: of six true nulls one interval misses 0 in a quarter of the cases.

  python scripts/search_truth.py            six problems, some minutes on two quiet cores
  python scripts/search_truth.py --quick    fewer trials and seeds, to see that it works
  python scripts/search_truth.py noise      only the problems so named
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TRAIN, TEST, WIDTH = 1000, 1000, 3


@dataclass(frozen=True)
class Known:
    """A problem with the loss that is known to be best on it.

    Parameters
    ----------
    name : str
        How it is called.
    family, best, other : str
        What is searched, the best known loss, and another rival.
    lines : tuple of str
        Settings of the command.
    noise : str
        Of the numbers that are made up for it; "" where data of the catalogue are taken.

    """

    name: str
    family: str
    best: str
    other: str
    lines: tuple[str, ...] = ()
    noise: str = ""


NUMBERS = ("data=arrays", "task=auto", "data.task=regression", "data.batch_size=100", "data.val_fraction=0.5",
           "model.hidden=[32]", "trainer.max_epochs=40")  # fmt: skip
PROBLEMS = (
    Known("gaussian", "robust_family", "mse", "mae", NUMBERS, "gaussian"),
    Known("laplace", "robust_family", "mae", "mse", NUMBERS, "laplace"),
    Known("outliers", "robust_family", "geman_mcclure", "mse", NUMBERS, "outliers"),
    Known("imbalance", "margin_family", "logit_adjustment", "cross_entropy",
          ("data=digits_imb", "data.imbalance.factor=100", "data.val_fraction=0.25", "trainer.max_epochs=20")),
    Known("noise", "taylor", "gce", "cross_entropy",
          ("data=digits_noisy", "data.val_fraction=0.25", "trainer.max_epochs=20")),
    Known("nothing", "robust_family", "mse", "mae", NUMBERS, "nothing"),
)  # fmt: skip


def numbers(noise: str) -> dict[str, np.ndarray]:
    """Make inputs and targets of a smooth function with noise; the test targets have none, but where all is noise."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((TRAIN + TEST, WIDTH)).astype(np.float32)
    truth = np.sin(2 * inputs[:, 0]) + 0.5 * inputs[:, 1]
    drawn = {
        "gaussian": 0.5 * rng.standard_normal(len(inputs)),
        "laplace": 0.5 * rng.laplace(size=len(inputs)),
        "outliers": 0.1 * rng.standard_normal(len(inputs)) + 4 * (rng.random(len(inputs)) < 0.15),
        "nothing": rng.standard_normal(len(inputs)),
    }[noise]
    target = drawn if noise == "nothing" else truth + drawn
    tested = drawn if noise == "nothing" else truth
    of = {"X": inputs[:TRAIN], "y": target[:TRAIN], "X_test": inputs[TRAIN:], "y_test": tested[TRAIN:]}
    return {name: values.astype(np.float32) for name, values in of.items()}


def searched(problem: Known, folder: Path, trials: int, seeds: int) -> dict[str, Any]:
    """Search on a problem; return what the search leaves as data."""
    lines = [*problem.lines, f"search.family={problem.family}", f"search.against={problem.best},{problem.other}",
             f"search.trials={trials}", "search.batch=12", "search.seeds=100,101", "search.name=truth", "tracking=none",
             f"seed={','.join(map(str, range(seeds)))}", f"output_dir={folder}"]  # fmt: skip
    if problem.noise:
        arrays: Any = numbers(problem.noise)
        np.savez(folder / "data.npz", **arrays)
        lines.append(f"data.path={folder / 'data.npz'}")
    words = [sys.executable, "-m", "lossbench.search", *lines]
    ended = subprocess.run(words, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{problem.name}: {ended.stdout}{ended.stderr}")
    found: dict[str, Any] = json.loads((folder / "searched" / "truth" / "search.json").read_text())
    return found


def row(problem: Known, found: dict[str, Any], seconds: float) -> str:
    """Write a line of the table."""
    near = {name: apart for name, apart in found["distances"].items() if not name.endswith(" as found")}
    nearest = min(near, key=lambda name: near[name])
    test = next(each["test"] for each in found["rivals"] if each["rival"] == problem.best)
    within = "yes" if test["low"] <= 0 <= test["high"] or np.isnan(test["low"]) else "no"
    better = (test["mean"] > 0) == found["higher_is_better"]
    within = "better" if within == "no" and better else within
    interval = f"{test['mean']:+.4f} [{test['low']:+.4f}, {test['high']:+.4f}]"
    of_best = f"{near[problem.best]:.2f}" if problem.best in near else "–"
    return (
        f"{problem.name:10} {problem.family:14} {problem.best:17} {nearest:14} {near[nearest]:5.2f} {of_best:>8} "
        f"{interval:28} {within:7} {seconds:5.0f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=", ".join(each.name for each in PROBLEMS))
    parser.add_argument("--quick", action="store_true", help="12 trials and 3 seeds")
    asked = parser.parse_args()
    trials, seeds = (12, 3) if asked.quick else (36, 5)
    print(
        f"{'problem':10} {'family':14} {'best known':17} {'found nearest':14} {'dist':>5} {'to best':>8} "
        f"{'difference on the test part':28} {'within':7} {'s':>5}"
    )
    for problem in PROBLEMS:
        if asked.problems and problem.name not in asked.problems:
            continue
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = searched(problem, Path(folder), trials, seeds)
        print(row(problem, found, time.perf_counter() - began), flush=True)
        if problem.name == "nothing":
            print(f"  {found['conclusion']}")


if __name__ == "__main__":
    main()
