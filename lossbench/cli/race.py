"""`python -m lossbench.race`: give seeds to losses until the best is known; what is decided gets no more."""

import argparse

from lossbench.cli.arguments import look, read_arguments
from lossbench.config.cell import Cell
from lossbench.config.checks import check, leave_out_impossible
from lossbench.config.compose import compose_cells, only_looks, put_user_code_on_path
from lossbench.config.engines import engine_of
from lossbench.config.repeats import once_each
from lossbench.race.contestants import check_race, rules_of
from lossbench.records import files
from lossbench.running.stopping import stop_signals


def main() -> int:
    """Race what the command line asks for; return the exit code."""
    arguments = read_arguments("racing")
    put_user_code_on_path(arguments)
    if only_looks(arguments):
        return look(arguments)
    cells = leave_out_impossible(compose_racing(arguments))
    check(cells)
    cells = once_each(cells)
    check_race(cells)
    from lossbench.race.rounds import run_races

    with stop_signals(), files.telling_a_full_disk(cells[0].config.output_dir):
        return run_races(cells, engine_of(cells), rules_of(cells[0]))


def compose_racing(arguments: argparse.Namespace) -> list[Cell]:
    """Compose the cells of the seeds that a race begins with, as a sweep."""
    arguments.multirun = True
    arguments.config_name = arguments.config_name or "racing"
    return compose_cells(arguments)
