"""`python -m lossbench.tune`: search for each loss with the same budget, then compare the losses on fresh seeds.

Exit codes are those of `python -m lossbench`.
"""

import argparse
import importlib.util
import logging
import sys
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from lossbench import CONF, progress, record
from lossbench.cells import Cell, compose_cells, only_looks, put_user_code_on_path
from lossbench.checks import check, leave_out_impossible
from lossbench.errors import ConfigError, DiskFull, Killed
from lossbench.job import keep_freed_memory
from lossbench.launch import launch
from lossbench.stopping import stop_signals
from lossbench.tracking.store import hide_credentials
from lossbench.tune.space import check_tuning, short_name, study_name, tuned_cell


def main() -> None:
    """Do what the command line asks for, and exit."""
    sys.argv[1:] = hide_credentials(sys.argv[1:])
    arguments = get_args_parser().parse_args()
    put_user_code_on_path(arguments)
    if only_looks(arguments):
        _look()
        return
    try:
        cells = leave_out_impossible(compose_tuning(arguments))
        check(cells)
        check_tuning(cells)
        if importlib.util.find_spec("optuna") is None:
            raise ConfigError("tuning needs Optuna: pip install '.[tune]'")
        with record.telling_a_full_disk(cells[0].config.output_dir):
            sys.exit(tune_and_compare(cells))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except DiskFull as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Killed as killed:
        sys.exit(killed.exit_code)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="tuning")
def _look(config: DictConfig) -> None:
    """Let Hydra answer --help and --cfg."""


def compose_tuning(arguments: argparse.Namespace) -> list[Cell]:
    """Compose the cells of the comparison, as a sweep; in `tune.seeds=100,101` the commas make a list."""
    arguments.multirun = True
    arguments.config_name = arguments.config_name or "tuning"
    arguments.overrides = [
        f"tune.seeds=[{value}]" if key == "tune.seeds" and value[:1] != "[" and "(" not in value else line
        for line in arguments.overrides
        for key, _, value in [line.partition("=")]
    ]
    return compose_cells(arguments)


def tune_and_compare(cells: list[Cell]) -> int:
    """Run the trials that are missing, then the comparison with the values found; return the exit code."""
    from lossbench.run import run
    from lossbench.tracking.store import prepare
    from lossbench.tune.study import tune

    prepare(cells)
    keep_freed_memory()
    logging.basicConfig(
        level=logging.INFO, format="[%(asctime)s][%(levelname)s] %(message)s", datefmt="%H:%M:%S", stream=sys.stdout
    )
    contestants = {study_name(cell): cell for cell in cells}
    first = cells[0].config
    print(
        f"lossbench: {first.tune.trials} trials for each of {', '.join(map(short_name, contestants))} on seeds "
        f"{', '.join(map(str, first.tune.seeds))}; the studies are in {first.output_dir}/tuning.db",
        file=sys.stderr,
    )
    found: dict[str, dict[str, Any] | None] = {}
    try:
        with stop_signals(), progress.showing(first.tune.trials * len(contestants)):
            for name, cell in contestants.items():
                found[name] = tune(cell)
    except Killed:
        print("Tuning was stopped. The same command again runs only the trials that are missing.", file=sys.stderr)
        raise
    failed = ", ".join(short_name(name) for name, values in found.items() if values is None)
    if failed:
        print(
            f"failed: a trial of {failed}. Without the same search for every loss there is no comparison. "
            "The same command again begins with that trial.",
            file=sys.stderr,
        )
        return 1
    chosen = [tuned_cell(cell, values) for cell in cells if (values := found[study_name(cell)]) is not None]
    return launch(chosen, start=lambda: [run(cell) for cell in chosen])


if __name__ == "__main__":
    main()
