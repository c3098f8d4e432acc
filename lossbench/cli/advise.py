"""`python -m lossbench.advise`: look at the data, say which losses are worth trying, and race them if that is asked."""

import argparse
import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lossbench.advise.rule import Advice
from lossbench.advise.rules import advise
from lossbench.advise.told import Report, Told, as_data, as_markdown, screen
from lossbench.catalogue.facts import losses_for
from lossbench.cli.arguments import look as show
from lossbench.cli.arguments import read_arguments
from lossbench.cli.race import compose_racing
from lossbench.compare.numbers.comparisons import as_file_name
from lossbench.config.cell import Cell, without
from lossbench.config.checks import check, check_fit
from lossbench.config.compose import compose_cells, only_looks, put_user_code_on_path
from lossbench.config.engines import engine_of
from lossbench.config.values import check_values
from lossbench.config.variants import is_of_variants, key_of
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
        return show("advising")
    cell = compose_advising(arguments)
    check([cell])
    with stop_signals(""), files.telling_a_full_disk(cell.config.output_dir):
        return advise_on(cell, arguments, **cell.config.advise)


def compose_advising(arguments: argparse.Namespace) -> Cell:
    """Compose a run of the baseline on the data, by which these are read.

    Raises
    ------
    ConfigError
        If several values are given, or what is to be advised on.

    """
    if arguments.multirun:
        raise ConfigError("-m (--multirun): advice is on one problem. Leave it out, and give each key one value.")
    for line in arguments.overrides:
        if is_of_variants(line) or key_of(line) in ("loss", "variant") or key_of(line).startswith("loss."):
            raise ConfigError(f"{line}: the advice says which losses to try. To race some: lossbench.race {line}")
    (cell,) = compose_cells(arguments)
    if "advise" not in cell.config:
        raise ConfigError("the config has no node advise. Its defaults list needs `advising` in place of `config`.")
    check_values(cell)
    if cell.loss in losses_for(cell.task.name):
        return cell
    like = copy.copy(arguments)
    like.overrides = [*arguments.overrides, f"loss={cell.task.baseline}"]
    return compose_cells(like)[0]


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
    from lossbench.advise.findings import look, look_by_part
    from lossbench.running.build import build_data

    data = build_data(cell.config.data)
    findings = look(data)
    given = [line for line in arguments.overrides if not key_of(line).startswith("advise")]
    advice, left_out, cells = _that_fits(advise(findings, cell.task.name), arguments, given)
    parts = {part: _of_part(cell, part, found, arguments, given) for part, found in look_by_part(data).items()}
    report = Report(cell.data, findings, advice, given, left_out, parts)
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


def _of_part(
    cell: Cell, part: str, found: Mapping[str, Told], arguments: argparse.Namespace, given: list[str]
) -> Report:
    """Return what is advised on a part of several tasks, without losses that can't be one of several."""
    advice = advise(found, cell.task.parts[part])
    left_out: dict[str, str] = {}
    for loss in advice.losses:
        like = copy.copy(arguments)
        like.overrides = [*given, "loss=several_tasks", f"loss.terms.{part}={loss}"]
        try:
            check_fit(compose_cells(like)[0])
        except ConfigError as error:
            left_out[loss] = str(error)
    fits = replace(
        advice,
        suggestions=tuple(each for each in advice.suggestions if each.loss not in left_out),
        metrics=tuple(name for name in advice.metrics if f"{part}_{name}" in cell.task.named),
    )
    return Report(part, found, fits, left_out=left_out)


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
    kept = tuple(each for each in advice.suggestions if each.loss not in left_out)
    return replace(advice, suggestions=kept), left_out, cells
