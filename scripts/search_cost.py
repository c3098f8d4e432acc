"""What a search costs: candidates as one stack, against `engine=packed`, against a process for each.

All train the same candidates of the family taylor on digits_noisy, one seed each, by the MLP. The processes are
estimated from a few, one after the other: `python -m lossbench` without tracking, which is also what starts, records
and draws a run. packed is the same search with engine=packed, its records left out as well.

  python scripts/search_cost.py                          64 candidates, 3 processes
  python scripts/search_cost.py --candidates 16 --epochs 5
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lossbench.cli.search import compose_searching
from lossbench.compat.hydra import parse_arguments
from lossbench.running.workers import start_forkserver, stop_forkserver
from lossbench.search.study import Found, search


def timed(engine: str, candidates: int, epochs: int, folder: Path) -> tuple[float, Found]:
    """Return the seconds of a search by an engine, and what it found."""
    lines = ["data=digits_noisy", "search.family=taylor", "search.against=gce", f"search.trials={candidates}",
             f"search.batch={candidates}", "tracking=none", f"trainer.max_epochs={epochs}", f"engine={engine}",
             f"output_dir={folder / engine}"]  # fmt: skip
    asked = compose_searching(parse_arguments(lines))
    began = time.perf_counter()
    found = search(asked.family[0], asked.settings)
    return time.perf_counter() - began, found


def of_process(number: int, epochs: int, folder: Path) -> float:
    """Return the seconds of one run in a process of its own."""
    words = [sys.executable, "-m", "lossbench", "data=digits_noisy", "loss=taylor", f"loss.a1={0.1 * number}",
             "tracking=none", f"trainer.max_epochs={epochs}", f"output_dir={folder / 'alone'}"]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=60, help="that of digits_noisy")
    parser.add_argument("--processes", type=int, default=3)
    asked = parser.parse_args()
    start_forkserver()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timed("auto", 2, 1, folder / "warm")  # what is imported once
        print(f"{asked.candidates} candidates, 1 seed, {asked.epochs} epochs", flush=True)
        stacked, found = timed("auto", asked.candidates, asked.epochs, folder)
        beside = found.beside / (found.beside + found.seconds)
        print(f"search, stacked    {stacked:7.1f} s, beside training {beside:.0%}", flush=True)
        alone = [of_process(number, asked.epochs, folder) for number in range(asked.processes)]
        each = sum(alone) / len(alone)
        estimate = each * asked.candidates
        print(f"processes          {estimate:7.1f} s   stacked takes {stacked / estimate:.3f} of it")
        print(f"                   estimated from {asked.processes} of {each:.1f} s each", flush=True)
        packed, _ = timed("packed", asked.candidates, asked.epochs, folder)
        print(f"search, packed     {packed:7.1f} s   stacked takes {stacked / packed:.2f} of it")
    stop_forkserver()


if __name__ == "__main__":
    main()
