"""How often a verdict on a thousand test images of MNIST holds on others: the real case of `verdict_truth`.

Four losses with ten seeds each are trained once. The 10,000 test images make ten disjoint test sets, and each pair of
losses is analysed on each as if it were all there is. The runs are the same on all sets: only the test data differ.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.by_sample import BySample
from lossbench.compare.numbers.comparisons import Comparison, comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.pairs import PairComparison
from lossbench.compare.numbers.two_sources import runs_by_sample
from lossbench.records.record import read_all
from lossbench.tasks.by_sample import Mean, by_sample

SETS = 10
POPULATIONS = ("seeds", "seeds_and_data")
METRIC = "accuracy"
LOSSES = "cross_entropy,focal,brier,label_smoothing"
COMMAND = (
    f"-m data=mnist model=mlp loss={LOSSES} seed=range(0,10) data.max_train=2000 trainer.max_epochs=5 "
    "trainer.check_val_every_n_epoch=5 engine=stacked tracking=none compare.population=seeds"
)
ROWS = {
    "decided, of all": ("decided", "pairs"),
    "of decided: the other sign on another set": ("other sign", "decided elsewhere"),
    "of decided: decided the other way on another set": ("contradicted", "decided elsewhere"),
    "of decided: not decided on another set": ("not again", "decided elsewhere"),
    "of decided: the other sign on the other 9,000 images": ("other sign on the rest", "decided"),
    "of all: interval without the mean difference on another set": ("missed", "elsewhere"),
    "of all: interval without the mean difference on the other 9,000": ("missed the rest", "pairs"),
}
"""What is counted, and of how many."""
Table = dict[tuple[str, int], NDArray[Any]]
"""What each run, of a loss and a seed, has on each image."""


def print_verdicts() -> None:
    """Train, compare and print; without the files of MNIST say so."""
    root = os.environ.get("LOSSBENCH_DATA")
    if root is None or not (Path(root) / "MNIST").is_dir():
        print("mnist: left out, since its files are not here: set LOSSBENCH_DATA to their folder\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "lossbench", *COMMAND.split(), f"output_dir={folder}"],
            check=False,
            stdout=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"the training ended with code {done.returncode}")
        comparison, values = trained(Path(folder))
    sets = np.arange(values[next(iter(values))].shape[-1]) % SETS
    print(f"### MNIST: verdicts on {SETS} disjoint sets of {np.count_nonzero(sets == 0):,} test images\n")
    print(f"    python -m lossbench {COMMAND}\n")
    labels = list(comparison.entries)
    means = [np.mean([row.mean() for run, row in values.items() if run[0] == label]) for label in labels]
    told = ", ".join(f"{label} {100 * mean:.2f} %" for label, mean in zip(labels, means, strict=True))
    print(f"Mean accuracy: {told}\n")
    columns = list(product((5, 10), POPULATIONS))
    counts = [counted(comparison, values, sets, seeds, population) for seeds, population in columns]
    print("| per cent of pairs (of how many) | " + " | ".join(f"{n} seeds, {told}" for n, told in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, row in ROWS.items():
        print(f"| {name} | " + " | ".join(share(each, *row) for each in counts) + " |")
    print()


def share(counts: list[Counter[str]], part: str, whole: str) -> str:
    """Write a share over all sets with its standard error, by the spread between the sets."""
    parts, wholes = (np.array([each[name] for each in counts], dtype=float) for name in (part, whole))
    if not wholes.sum():
        return "-"
    ratio = parts.sum() / wholes.sum()
    error = np.sqrt(((parts - ratio * wholes) ** 2).sum() * SETS / (SETS - 1)) / wholes.sum()
    return f"{100 * ratio:.1f} ±{100 * error:.1f} ({wholes.sum():.0f})"


def trained(folder: Path) -> tuple[Comparison, Table]:
    """Return the comparison of all runs, and its table."""
    records: list[Any] = [{**entry, "folder": str(path)} for path, entry in read_all(folder)]
    (comparison,) = comparisons(records)
    values: Table = {}
    for label in comparison.entries:
        for entry in comparison.finished(label):
            with np.load(Path(entry["folder"]) / "predictions.npz") as arrays:
                found = by_sample(comparison.task, arrays, [METRIC])[METRIC]
                if not isinstance(found, Mean):
                    raise TypeError(f"{METRIC} is no mean over samples")
                values[label, entry["seed"]] = np.asarray(found.values)
    return comparison, values


def on_images(
    comparison: Comparison, values: Table, images: NDArray[np.bool_], seeds: int, population: Any
) -> dict[tuple[str, str], PairComparison]:
    """Compare each pair of losses as if there were these two, these seeds and these test images only."""
    found = {}
    for pair in combinations(comparison.entries, 2):
        table = {run: row[images] for run, row in values.items() if run[0] in pair and run[1] < seeds}
        entries: dict[str, dict[int, Any]] = {label: {} for label in pair}
        for (label, seed), row in table.items():
            last = {f"test/{METRIC}": float(row.mean())}
            entries[label][seed] = {**comparison.entries[label][seed], "metrics": {"last": last}}
        samples = BySample()
        if population == "seeds_and_data":
            places = {run: place for place, run in enumerate(table)}
            samples = BySample({METRIC: (places, runs_by_sample(np.stack(list(table.values()))))})
        options = Options(metric=METRIC, population=population)
        told = analyse(replace(comparison, entries=entries), options, samples).main.pair(*pair)
        if told is not None:
            found[pair] = told
    return found


def counted(
    comparison: Comparison, values: Table, sets: NDArray[Any], seeds: int, population: Any
) -> list[Counter[str]]:
    """Count for each set what is decided on it, and what becomes of it on the others."""
    found = [on_images(comparison, values, sets == k, seeds, population) for k in range(SETS)]
    rest = [on_images(comparison, values, sets != k, seeds, population) for k in range(SETS)]
    counts: list[Counter[str]] = [Counter() for _ in range(SETS)]
    for k, pair in product(range(SETS), found[0]):
        one, beyond, told = found[k][pair], rest[k][pair], counts[k]
        told["pairs"] += 1
        told["decided"] += one.decided(0.05)
        told["missed the rest"] += _misses(one, beyond)
        told["other sign on the rest"] += one.decided(0.05) and _opposed(one, beyond)
        for other in (found[j][pair] for j in range(SETS) if j != k):
            told["elsewhere"] += 1
            told["missed"] += _misses(one, other)
            if one.decided(0.05):
                told["decided elsewhere"] += 1
                told["other sign"] += _opposed(one, other)
                told["contradicted"] += _opposed(one, other) and other.decided(0.05)
                told["not again"] += not other.decided(0.05)
    return counts


def _misses(one: PairComparison, other: PairComparison) -> bool:
    return not one.difference.low <= other.difference.mean <= one.difference.high


def _opposed(one: PairComparison, other: PairComparison) -> bool:
    return one.difference.mean * other.difference.mean < 0
