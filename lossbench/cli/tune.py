"""`python -m lossbench.tune`: search for each loss with the same budget, then compare the losses on fresh seeds."""

import argparse
import importlib.util
import logging
import sys
from typing import Any

from lossbench.cli.arguments import look, read_arguments
from lossbench.config.cell import Cell
from lossbench.config.checks import check, leave_out_impossible
from lossbench.config.compose import compose_cells, only_looks, put_user_code_on_path
from lossbench.config.repeats import once_each
from lossbench.errors import ConfigError, Killed
from lossbench.race.contestants import check_race, rules_of
from lossbench.records import files
from lossbench.running import progress
from lossbench.running.job import keep_freed_memory
from lossbench.running.launch import launch
from lossbench.running.stopping import stop_signals
from lossbench.tune.space import check_tuning, short_name, study_name, tuned_cell


def main() -> int:
    """Tune and compare what the command line asks for; return the exit code."""
    arguments = read_arguments("tuning")
    put_user_code_on_path(arguments)
    if only_looks(arguments):
        return look(arguments)
    cells = leave_out_impossible(compose_tuning(arguments))
    check(cells)
    check_tuning(cells)
    if cells[0].config.tune.race:
        check_race(cells)
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("tuning needs Optuna: pip install '.[tune]'")
    with stop_signals(), files.telling_a_full_disk(cells[0].config.output_dir):
        return tune_and_compare(cells)


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
    from lossbench.running.run import run
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
        with progress.showing(first.tune.trials * len(contestants)):
            for name, cell in contestants.items():
                found[name] = tune(cell)
    except Killed as killed:
        missing = "The same command again runs only the trials that are missing."
        raise Killed(killed.exit_code - 128, missing) from None
    failed = ", ".join(short_name(name) for name, values in found.items() if values is None)
    if failed:
        print(
            f"failed: a trial of {failed}. Without the same search for every loss there is no comparison. "
            "The same command again begins with that trial.",
            file=sys.stderr,
        )
        return 1
    chosen = once_each([tuned_cell(cell, values) for cell in cells if (values := found[study_name(cell)]) is not None])
    if first.tune.race:
        from lossbench.race.rounds import run_races

        return run_races(chosen, "single", rules_of(cells[0]), avoided=first.tune.seeds)
    return launch(chosen, start=lambda: [run(cell) for cell in chosen])
