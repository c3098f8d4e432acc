"""Which engine runs the cells of a command, and how many cores it may use. Nothing here imports torch."""

import os
from collections.abc import Sequence

from lossbench.config.cell import Cell
from lossbench.errors import ConfigError

ENGINES = ["auto", "packed", "single", "stacked"]


def engine_of(cells: Sequence[Cell]) -> str:
    """Return the engine of a command's cells; "single" where Hydra's launcher runs them.

    Raises
    ------
    ConfigError
        If the chosen engine and launcher exclude each other.

    """
    engine, launcher = str(cells[0].config.engine), cells[0].choices.get("hydra/launcher", "basic")
    if launcher != "basic" and engine in ("stacked", "packed"):
        raise ConfigError(
            f"engine={engine} runs the cells in workers of its own, hydra/launcher={launcher} starts others. "
            f"Use engine=auto (then {launcher} runs the cells) or leave out the launcher."
        )
    if engine in ("stacked", "packed"):
        return engine
    return "single" if engine == "single" or launcher != "basic" or len(cells) == 1 else "auto"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
