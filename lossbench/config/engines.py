"""Which engine runs the cells of a command, and how many cores it may use. Nothing here imports torch."""

import importlib.util
import os
from collections.abc import Sequence

from lossbench.config.cell import Cell
from lossbench.errors import ConfigError

ENGINES = ["auto", "packed", "single", "stacked"]
LOCAL = "local"
"""The choice of the group `cluster` that is this machine."""
NEEDED = {
    "lossbench.running.on_slurm.": ("submitit", "slurm"),
    "lossbench.running.on_dask.": ("distributed", "dask"),
}
"""By what reaches a cluster: the package it needs, and the extra that brings it."""


def engine_of(cells: Sequence[Cell]) -> str:
    """Return the engine of a command's cells; "single" where Hydra's launcher runs them.

    Raises
    ------
    ConfigError
        If the chosen engine and launcher exclude each other.

    """
    engine, launcher = str(cells[0].config.engine), cells[0].choices.get("hydra/launcher", "basic")
    cluster = cells[0].choices.get("cluster", LOCAL)
    if cluster != LOCAL:
        _require_cluster(cells[0], cluster, engine, launcher)
        return engine
    if launcher != "basic" and engine in ("stacked", "packed"):
        raise ConfigError(
            f"engine={engine} runs the cells in workers of its own, hydra/launcher={launcher} starts others. "
            f"Use engine=auto (then {launcher} runs the cells) or leave out the launcher."
        )
    if engine in ("stacked", "packed"):
        return engine
    return "single" if engine == "single" or launcher != "basic" or len(cells) == 1 else "auto"


def _require_cluster(cell: Cell, cluster: str, engine: str, launcher: str) -> None:
    """Check that nothing else is asked to run the cells, and that what reaches the cluster is installed."""
    if engine == "single" or launcher != "basic":
        other = "engine=single" if launcher == "basic" else f"hydra/launcher={launcher}"
        raise ConfigError(f"cluster={cluster} runs the cells as jobs, {other} in another way. Leave one of them out.")
    for place, (package, extra) in NEEDED.items():
        if cell.config.cluster["_target_"].startswith(place) and importlib.util.find_spec(package) is None:
            raise ConfigError(f"cluster={cluster} needs {package}: pip install '.[{extra}]'")


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
