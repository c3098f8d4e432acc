"""Kill a sweep at random moments, start it again until it is done, and hold what is left against an undisturbed one.

For each engine a small sweep runs undisturbed. Then the same command is killed with SIGKILL after a random time and
started again, in a folder of its own for each kill. Records, histories and predictions must have the same bits, and
MLflow the same runs, parameters, values, sums over seeds and status, each once. What SIGTERM ends must besides leave
nothing that says that it is running. Prints a line for each kill, and exits with 1 if anything differs.

  python scripts/kill_test.py                               10 kills of each engine
  python scripts/kill_test.py --signal TERM                 as who asks it to end
  python scripts/kill_test.py --kills 3 --engines stacked   three of one
  python scripts/kill_test.py --folder DIR                  keep what is left in a new folder, to look at a difference
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
ENGINES = ("single", "packed", "stacked")
SWEEP = ["-m", "loss=cross_entropy,focal,ldam", "seed=0,1", "data=digits", "trainer.max_epochs=8"]
PARTS = ("status", "metrics", "history", "epochs", "hashes")
"""What is taken of a record."""
TRIES = 4
"""How often the command is started again before it counts as broken."""

Found = dict[str, Any]


def main() -> None:
    """Run the sweeps, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="of each engine")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--signal", default="KILL", choices=("KILL", "TERM", "INT"))
    parser.add_argument("--folder", type=Path, help="where the sweeps run, and stay; default: one that is removed")
    options = parser.parse_args()
    moments, broken = random.Random(options.seed), 0
    if options.folder:
        options.folder.mkdir(parents=True)
    with nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory() as folder:
        for engine in options.engines:
            clock = time.monotonic()
            undisturbed = Path(folder) / f"{engine}-undisturbed"
            code = _start(undisturbed, engine).wait()
            seconds = time.monotonic() - clock
            print(f"{engine}: undisturbed, {seconds:.1f} s, exit code {code}", flush=True)
            expected = _left(undisturbed)
            for number in range(options.kills):
                after = moments.uniform(0.3, seconds)
                how = signal.Signals[f"SIG{options.signal}"]
                told = _killed(Path(folder) / f"{engine}-{number}", engine, how, after, expected)
                broken += bool(told)
                print(f"{engine}: killed after {after:.1f} s: {'; '.join(told) or 'all the same'}", flush=True)
    print(f"{broken} of {options.kills * len(options.engines)} kills left a difference.")
    sys.exit(1 if broken else 0)


def _start(folder: Path, engine: str) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "output.txt").open("ab") as output:
        command = [sys.executable, "-m", "lossbench", *SWEEP, f"engine={engine}"]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)


def _killed(folder: Path, engine: str, how: signal.Signals, after: float, expected: Found) -> list[str]:
    """Kill a sweep and start it again; return what differs from the undisturbed one."""
    process = _start(folder, engine)
    time.sleep(after)
    process.send_signal(how)
    process.wait()
    running = [] if how == signal.SIGKILL else list(_running(folder / "outputs"))
    for _ in range(TRIES):
        if (code := _start(folder, engine).wait()) == 0:
            found = _left(folder)
            names = sorted(expected.keys() | found.keys())
            differing = [name for name in names if repr(found.get(name)) != repr(expected.get(name))]
            return [*running, *(f"{name} differs" for name in differing)]
    return [f"exit code {code} after {TRIES} more tries: {(folder / 'output.txt').read_text()[-300:]}"]


def _running(outputs: Path) -> Iterator[str]:
    """Say what a command that was asked to end has left running, as its records and MLflow have it."""
    found = _left(outputs.parent) if (outputs / "mlflow.db").exists() else {}
    for name, kept in found.items():
        if not name.startswith("predictions") and "running" in str(kept[0]).lower():
            yield f"{name} says that it is running"


def _left(folder: Path) -> Found:
    """Return what must be the same, by a name for each part."""
    return {**dict(_records(folder / "outputs")), **dict(_store(folder / "outputs" / "mlflow.db"))}


def _records(outputs: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(outputs.glob("*/*/record.json")):
        entry = json.loads(path.read_text())
        yield f"record of {entry['name']}", [entry.get(part) for part in PARTS]
        if (file := path.parent / "predictions.npz").exists():
            with np.load(file) as arrays:
                yield f"{file.name} of {entry['name']}", {key: arrays[key].tobytes() for key in sorted(arrays)}


def _store(database: Path) -> Iterator[tuple[str, Any]]:
    """Read every run of a store: the same name twice is a run too many."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client, seen = MlflowClient(f"sqlite:///{database}"), dict[str, int]()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    for run in client.search_runs(experiments, max_results=1000, order_by=["attributes.start_time ASC"]):
        name = run.info.run_name
        seen[name] = seen.get(name, 0) + 1
        values = sorted(
            (metric, each.step, each.value)
            for metric in run.data.metrics
            for each in client.get_metric_history(run.info.run_id, metric)
            if not metric.startswith(("cost", "seconds"))
        )
        status = run.info.status, run.data.tags.get("lossbench.status")
        files = sorted(file.path for file in client.list_artifacts(run.info.run_id))
        yield f"MLflow's {name} ({seen[name]})", (status, sorted(run.data.params.items()), values, files)


if __name__ == "__main__":
    main()
