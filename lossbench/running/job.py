"""What Hydra calls for each cell, in this process or in a worker of its launcher."""

import ctypes
import gc
import importlib
import logging
import sys
from collections.abc import Sequence

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lossbench.config.cell import Cell
from lossbench.config.checks import check_fit, is_left_out
from lossbench.config.engines import cores
from lossbench.config.values import check_values
from lossbench.config.variants import beside
from lossbench.errors import ConfigError, DiskFull
from lossbench.locate import CONF, without_collecting
from lossbench.records import claims, record

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's `mallopt`."""
mistakes: list[str] = []
"""What the user must mend of cells of a sweep that ran in this process."""


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def run_job(config: DictConfig) -> str:
    """Run one cell; Hydra calls this once for each."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    launched = HydraConfig.get()
    choices = {str(group): str(choice) for group, choice in launched.runtime.choices.items()}
    cell = Cell(config, choices, tuple(launched.overrides.task))
    logging.raiseExceptions = False  # a traceback at each line that finds no room in a log hides what is told
    try:
        check_values(cell)
        if is_left_out(cell):
            _leave_nothing(cell)
            return "left out"
        check_fit(cell)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            leave_pictures_to_the_report(config)
        keep_freed_memory()
        _share_cores(launched.launcher.get("n_jobs"))
        _import_once()
        from lossbench.running.run import run

        return str(run(cell)["status"])
    except ConfigError as error:
        _leave_nothing(cell)
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from error
        print(f"{cell.name}: {error}", file=sys.stderr)
        mistakes.append(str(error))  # the other cells run
        return "mistake"
    except DiskFull as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def _import_once() -> None:
    """Import what a run takes, and let Python never look through it for garbage: that took a quarter of a short run."""
    if "lossbench.running.run" not in sys.modules:  # garbage of an earlier run would stay, too
        with without_collecting():
            importlib.import_module("lossbench.running.run")
        gc.freeze()


def leave_pictures_to_the_report(config: DictConfig) -> None:
    """Let a run of a comparison draw nothing, unless it is told to: the report has pictures of all."""
    if config.pictures == "auto":
        config.pictures = "never"


def run_jobs(cells: Sequence[Cell]) -> None:
    """Let Hydra run the cells of a command: those of each variant as a sweep of their own."""
    words = sys.argv
    try:
        for own in dict.fromkeys(cell.of_variant for cell in cells):
            members = [cell for cell in cells if cell.of_variant == own]
            sys.argv = [words[0], *_for_each(beside(own, words[1:], swept=lambda _: False), members), *own]
            run_job()
    finally:
        sys.argv = words


def _for_each(words: Sequence[str], cells: Sequence[Cell]) -> list[str]:
    """Write values below a group whose choice differs as a sweep of one value.

    Hydra composes a config for the whole sweep too, with the default choice, which may lack such a key.
    """
    groups = {group for group in cells[0].choices if len({cell.choices.get(group) for cell in cells}) > 1}
    return [_as_sweep(word) if word.partition(".")[0] in groups else word for word in words]


def _as_sweep(word: str) -> str:
    key, _, value = word.partition("=")
    if OverridesParser.create().parse_override(word).is_sweep_override():
        return word
    return f"{key}=choice({value})"


def _leave_nothing(cell: Cell) -> None:
    """Delete the folder that Hydra made for a cell, unless it has a record."""
    if record.read(cell.path) is None:
        logging.shutdown()
        claims.forget_unless_begun(cell.path)


def keep_freed_memory() -> None:
    """Tell glibc to keep big blocks: giving them back at each step costs convolutions up to half their time."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
                libc.mallopt(option, 2**31 - 1)


def _share_cores(jobs: int | None) -> None:
    """Give each of several jobs at once its part of the cores: more threads than cores are slower than one."""
    if jobs is not None and jobs != 1:
        import torch

        torch.set_num_threads(max(1, cores() // (jobs if jobs > 0 else cores())))
