"""`python -m lossbench.advise`: look at the data, say which losses are worth trying, and race them if that is asked."""

import argparse
import copy
import json
from pathlib import Path

from rich.console import Console

from lossbench.advise.of_data import by_part, compose_advising
from lossbench.advise.rule import Advice
from lossbench.advise.rules import advise
from lossbench.advise.told import Report, as_data, as_markdown, screen
from lossbench.cli.arguments import look as show
from lossbench.cli.arguments import read_arguments
from lossbench.cli.race import compose_racing
from lossbench.compare.numbers.comparisons import as_file_name
from lossbench.config.cell import Cell, without
from lossbench.config.checks import check, check_fit
from lossbench.config.compose import only_looks, put_user_code_on_path
from lossbench.config.engines import engine_of
from lossbench.config.variants import key_of
from lossbench.errors import ConfigError
from lossbench.race.contestants import NOT_OF_A_RUN, check_race, rules_of
from lossbench.ranges import takes
from lossbench.records import files
from lossbench.running.stopping import stop_signals


def main() -> int:
    """Advise on the data that the command line names; return the exit code, of the race if there is one."""
    arguments = read_arguments("advising")
    put_user_code_on_path(arguments)
    if only_looks(arguments):
        return show(arguments)
    cell = compose_advising(arguments)
    check([cell])
    with stop_signals(""), files.telling_a_full_disk(cell.config.output_dir):
        return advise_on(cell, arguments, **cell.config.advise)


@takes(run="bool", name="text or null")
def advise_on(cell: Cell, arguments: argparse.Namespace, run: bool, name: str | None) -> int:
    """Look at the data of a cell, print and write the advice, and race the losses if `run` says so.

    Parameters
    ----------
    cell : Cell
        Checked.
    arguments : argparse.Namespace
        The command line, whose overrides a race has, too.
    run : bool
        Whether to run the race.
    name : str, optional
        Of the folder in `output_dir/advice`.

    """
    of_a_run = Cell(without(cell.config, *NOT_OF_A_RUN, "advise"), cell.choices)
    name = name or as_file_name(f"{cell.data}-{of_a_run.problem[:8]}")  # as its race is called
    if Path(name).name != name or name in (".", ".."):
        raise ConfigError(f"advise.name={name}: allowed is the name of a folder, without / in it.")
    from lossbench.advise.findings import look
    from lossbench.running.build import build_data

    data = build_data(cell.config.data)
    findings = look(data)
    given = [line for line in arguments.overrides if not key_of(line).startswith("advise")]
    advice, left_out, cells = _that_fits(advise(findings, cell.task.name), arguments, given)
    report = Report(cell.data, findings, advice, given, left_out, by_part(cell, data, arguments, given))
    screen(report, Console())
    folder = Path(cell.config.output_dir) / "advice" / name
    files.write_text(folder / "advice.md", as_markdown(report))
    files.write_text(folder / "advice.json", json.dumps(as_data(report), indent=2, ensure_ascii=False) + "\n")
    print(f"Advice: {folder / 'advice.md'}")
    if not run:
        return 0
    if not report.command:
        raise ConfigError(f"advise.run=true: of task {cell.task.name} there is one loss, and nothing to race.")
    check(cells)
    check_race(cells)
    from lossbench.race.rounds import run_races

    return run_races(cells, engine_of(cells), rules_of(cells[0]))


def _that_fits(
    advice: Advice, arguments: argparse.Namespace, given: list[str]
) -> tuple[Advice, dict[str, str], list[Cell]]:
    """Return the advice without losses that don't fit what was given, why they don't, and the cells of its race."""
    racing = copy.copy(arguments)
    if racing.config_name == "advising":
        racing.config_name = "racing"
    racing.overrides = [*given, *advice.overrides]
    left_out: dict[str, str] = {}
    cells = []
    for cell in compose_racing(racing):
        try:
            check_fit(cell)
            cells.append(cell)
        except ConfigError as error:
            left_out[cell.loss] = str(error)
    return advice.without(left_out), left_out, cells
