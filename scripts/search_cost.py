"""What a search costs: candidates as one stack, against `engine=packed`, against a process for each.

All train the same candidates of the family taylor on digits_noisy, one seed each, by the MLP. packed and the processes
are measured on a few and multiplied, since all of their runs cost the same: packed is the same search with
engine=packed, its records left out as well; a process is `python -m lossbench` without tracking, which is also what
starts, records and draws a run. The time of the processors is that of all processes of a search, the server that forks
its workers included; it bears a loaded machine, which the time of the clock does not.

  python scripts/search_cost.py                          64 candidates, 8 packed ones, 3 processes
  python scripts/search_cost.py --candidates 16 --epochs 5
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from lossbench.cli.search import compose_searching
from lossbench.compat.hydra import parse_arguments
from lossbench.running.workers import start_forkserver
from lossbench.search.study import Found, search


def searched(engine: str, candidates: int, epochs: int, folder: Path) -> Found:
    """Return what a search by an engine found."""
    lines = ["data=digits_noisy", "search.family=taylor", "search.against=gce", f"search.trials={candidates}",
             f"search.batch={candidates}", "tracking=none", f"trainer.max_epochs={epochs}", f"engine={engine}",
             f"output_dir={folder / engine}"]  # fmt: skip
    asked = compose_searching(parse_arguments(lines))
    start_forkserver()
    found = search(asked.family[0], asked.settings)
    server: Any = forkserver
    server._forkserver._stop()  # it is waited for: what a process has used is known from then on
    return found


def run_process(number: int, epochs: int, folder: Path) -> None:
    """Train one candidate in a process of its own."""
    words = [sys.executable, "-m", "lossbench", "data=digits_noisy", "loss=taylor", f"loss.a1={0.1 * number}",
             "tracking=none", f"trainer.max_epochs={epochs}", f"output_dir={folder / 'alone'}"]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)


def spent(action: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what an action gives, and the seconds of the clock and of the processors that it takes."""
    began, used = time.perf_counter(), _used()
    return action(), time.perf_counter() - began, _used() - used


def _used() -> float:
    each = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in each)


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=60, help="that of digits_noisy")
    parser.add_argument("--packed", type=int, default=8, help="candidates that packed is measured on")
    parser.add_argument("--processes", type=int, default=3)
    asked = parser.parse_args()
    wanted, epochs = asked.candidates, asked.epochs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        searched("auto", 2, 1, folder / "warm")  # what is imported once
        print(f"{wanted} candidates, 1 seed, {epochs} epochs: seconds of the clock, of the processors", flush=True)
        found, clock, stacked = spent(lambda: searched("auto", wanted, epochs, folder))
        beside = found.beside / (found.beside + found.seconds)
        print(f"stacked     {clock:7.1f} {stacked:7.1f}   beside training {beside:.0%}", flush=True)
        alone = [spent(partial(run_process, number, epochs, folder)) for number in range(asked.processes)]
        _tell("processes", wanted, [each[1:] for each in alone], asked.processes, stacked)
        packed = spent(lambda: searched("packed", asked.packed, epochs, folder))
        _tell("packed", wanted, [packed[1:]], asked.packed, stacked)


def _tell(name: str, wanted: int, measured: list[tuple[float, float]], runs: int, stacked: float) -> None:
    """Print what all candidates take, by what a few runs took, and the share of it that the stack takes."""
    clock, used = (sum(column) / runs for column in zip(*measured, strict=True))
    told = f"{wanted} times {clock:.1f} and {used:.1f}, the mean of {runs}; stacked takes {stacked / used / wanted:.3f}"
    print(f"{name:11} {clock * wanted:7.1f} {used * wanted:7.1f}   {told} of the processors' time", flush=True)


if __name__ == "__main__":
    main()
