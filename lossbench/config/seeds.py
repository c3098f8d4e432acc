"""Cells of a sweep that differ in their seed alone: what holds for one holds for all."""

import re
from collections.abc import Iterator

from omegaconf.errors import OmegaConfBaseException

from lossbench.config.cell import Cell
from lossbench.errors import ConfigError

OF_SEED = ("seed", "run_seed")
"""The keys of `data` that are the seed of the run, unless they are given."""


def without_other_seeds(cells: list[Cell]) -> Iterator[Cell]:
    """Leave out cells that differ from an earlier one in their seed alone: they pass a check exactly if it does."""
    seen = set()
    for cell in cells:
        mark = _but_for_seed(cell)
        if mark is None or mark not in seen:
            seen.add(mark)
            yield cell


def _but_for_seed(cell: Cell) -> str | None:
    """Return all that a cell is but for its seed; None where that is not allowed, or leads to files of another run."""
    try:
        config = dict(cell.resolved)
        config["data"] = {name: value for name, value in config["data"].items() if name not in OF_SEED}
        seeds = [config.pop("seed"), *(cell.resolved["data"].get(name, 0) for name in OF_SEED)]
        alone = cell.config.teacher is None and cell.config.warm_start is None
    except (OmegaConfBaseException, ConfigError, LookupError, AttributeError, TypeError):
        return None  # the check tells what is wrong
    lines = [line for line in cell.overrides if not re.fullmatch(r"seed=\d+", line)]
    allowed = all(type(seed) is int and seed >= 0 for seed in seeds)
    return repr([config, lines, cell.choices]) if alone and allowed else None
