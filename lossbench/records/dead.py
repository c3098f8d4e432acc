"""The runs of a machine of which the user says that it is dead, before its heartbeats have been silent for long."""

import time
from pathlib import Path

from lossbench.errors import ConfigError
from lossbench.records import claims, record
from lossbench.records.record import Record

SURELY_SILENT = 2 * claims.BEAT_SECONDS
"""A process that has shown itself more recently is not dead."""


def end_runs_of(host: str, output_dir: Path) -> int:
    """Record as killed the runs that the processes of a machine were at, and break their claims; return how many.

    Raises
    ------
    ConfigError
        If the machine is this one, or one of its processes has shown itself lately.

    """
    if not claims.is_of_another_machine({"host": host}):
        raise ConfigError(f"dead={host}: this is that machine. Its processes are told by their numbers: leave it out.")
    runs = [(folder, entry) for folder, entry in _running(output_dir) if entry["process"]["host"] == host]
    silent = [claims.silent_seconds(folder) or 0.0 for folder, _ in runs]
    if runs and min(silent) < SURELY_SILENT:
        name = runs[silent.index(min(silent))][1]["name"]
        raise ConfigError(
            f"dead={host}: its run {name} showed itself {min(silent):.0f} s ago. A machine counts as dead when its "
            f"runs have been silent for {SURELY_SILENT:.0f} s: wait, or stop what runs there."
        )
    for folder, entry in runs:
        told = f"the machine of its process is dead (python -m lossbench.repair dead={host})"
        end_run(folder, entry, told)
    return len(runs)


def end_run(folder: Path, entry: Record, told: str) -> None:
    """Record as killed a run whose process is known to be dead, and break its claim."""
    record.write(folder, entry | {"status": "killed", "error": told, "ended": time.time()})
    claims.break_claim(folder)


def machines_at_work(output_dir: Path) -> set[str]:
    """Return the other machines on which runs go on, as their records say."""
    processes = [entry["process"] for _, entry in _running(output_dir)]
    return {process["host"] for process in processes if claims.is_of_another_machine(process)}


def _running(output_dir: Path) -> list[tuple[Path, Record]]:
    found = record.read_all(output_dir)
    return [(folder, entry) for folder, entry in found if entry["status"] == "running" and entry.get("process")]
