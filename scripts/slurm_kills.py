"""A sweep on SLURM that is disturbed ends as one that was not: run inside scripts/slurm_two_nodes.sh.

  scripts/slurm_two_nodes.sh python scripts/slurm_kills.py

A job is cancelled, the daemon of a node is killed with what it runs and started again, and the submitting command is
killed; the same command then collects. Prints what was done and compares the records with those of a sweep on this
machine; exit code 1 if a number differs, a run is missing, or one was trained twice.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from lossbench.records.record import read_all

SWEEP = [
    sys.executable, "-m", "lossbench", "-m", "data=outliers", "loss=mse,huber,mae", "seed=0,1", "tracking=none",
    "trainer.max_epochs=60", "engine=packed",
]  # fmt: skip
SLURM = ["cluster=slurm", "cluster.max_parallel=2", "cluster.mem_gb=1.5", "cluster.cpus_per_task=1", "cluster.tries=4"]


def main() -> int:
    """Disturb a sweep; return 0 if it ends as an undisturbed one."""
    if "SLURM_TWO_NODES" not in os.environ:
        print(__doc__)
        return 2
    daemons = Path(os.environ["SLURM_TWO_NODES"])
    with tempfile.TemporaryDirectory() as place:
        here, there = Path(place) / "here", Path(place) / "there"
        subprocess.run([*SWEEP, f"output_dir={here}"], check=True, stdout=subprocess.DEVNULL)
        print("undisturbed: done", flush=True)
        command = start(there)
        wait_for("the first checkpoints", lambda: len(list(there.glob("*/*/checkpoints/last.ckpt"))) >= 2)
        jobs = subprocess.run(["squeue", "-h", "-r", "-t", "R", "-o", "%i"], capture_output=True, text=True, check=True)
        subprocess.run(["scancel", jobs.stdout.split()[0]], check=True)
        print(f"cancelled the job {jobs.stdout.split()[0]}", flush=True)
        wait_for("three runs", lambda: sum(1 for _ in read_all(there)) >= 3)
        kill_node(daemons, "n2")
        time.sleep(5)
        command.send_signal(signal.SIGKILL)
        command.wait()
        print("killed the command", flush=True)
        restart_node(daemons, "n2")
        again = start(there)
        if again.wait(timeout=900):
            print(f"the second command ended with exit code {again.returncode}")
            return 1
        return compare(here, there)


def start(folder: Path) -> subprocess.Popen:
    """Start the sweep on the cluster."""
    return subprocess.Popen([*SWEEP, *SLURM, f"output_dir={folder}"], stdout=subprocess.DEVNULL)


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 600
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.2)


def kill_node(daemons: Path, node: str) -> None:
    """Kill the daemon of a node and all that it has started."""
    daemon = psutil.Process(int((daemons / f"slurmd-{node}.pid").read_text()))
    steps = [each for each in psutil.process_iter(["name"]) if each.info["name"] == "slurmstepd"]
    mine = [each for each in steps if f"SLURMD_NODENAME={node}" in str(each.children(recursive=True)[:1] and env(each))]
    for process in [daemon, *(child for step in mine for child in [step, *step.children(recursive=True)])]:
        process.kill()
    print(f"killed the daemon of {node} and {len(mine)} jobs of it", flush=True)


def env(step: psutil.Process) -> str:
    """Return where the processes of a step say that they are."""
    return " ".join(f"{key}={value}" for key, value in step.children(recursive=True)[0].environ().items())


def restart_node(daemons: Path, node: str) -> None:
    """Start the daemon of a node again."""
    with (daemons / f"slurmd-{node}.out").open("a") as out:
        subprocess.Popen(["unshare", "--uts", "bash", "-c", f"hostname {node}; exec slurmd -D -N {node}"], stderr=out)
    print(f"started {node} again", flush=True)


def compare(here: Path, there: Path) -> int:
    """Hold the disturbed records against the others."""
    one, other = (
        {entry["key"]: json.dumps([entry[name] for name in ("status", "metrics", "history")]) for _, entry in found}
        for found in (read_all(here), read_all(there))
    )
    told: list[Any] = [line for log in (there / "jobs").glob("*.log") for line in log.read_text().splitlines()]
    finished = [line for line in told if "finished, test/" in line and "reused" not in line]
    ends = Counter(line.split("] ")[-1].split(":")[0] for line in finished)
    differ = sum(one[key] != other.get(key) for key in one)
    print(f"{len(other)} of {len(one)} runs, {differ} differ; ends: {dict(ends)}")
    return int(one != other or set(ends.values()) != {1})


if __name__ == "__main__":
    sys.exit(main())
