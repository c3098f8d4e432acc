"""`python -m lossbench.search`: find a loss within a family, then hold it against known losses on fresh seeds."""

import argparse
import copy
import importlib.util
import logging
import sys
from dataclasses import dataclass, replace

from lossbench.cli.arguments import look, read_arguments
from lossbench.config.cell import Cell
from lossbench.config.checks import check, check_fit
from lossbench.config.compose import compose_cells, only_looks, put_user_code_on_path
from lossbench.config.engines import engine_of
from lossbench.config.values import check_values
from lossbench.config.variants import is_of_variants, key_of
from lossbench.errors import ConfigError, Killed
from lossbench.records import files
from lossbench.running import progress
from lossbench.running.job import keep_freed_memory
from lossbench.running.launch import launch
from lossbench.running.stopping import stop_signals
from lossbench.search.settings import Settings, check_search, contestant, require_family, require_formulas, settings_of
from lossbench.tune.space import short_name, study_name

MOST_ADVISED = 4
"""So many losses of the advice a search is held against, the baseline of the task among them."""


@dataclass(frozen=True)
class Asked:
    """What a command asks for: cells of the family and of its rivals, for each seed of the comparison."""

    settings: Settings
    family: list[Cell]
    rivals: list[Cell]


def main() -> int:
    """Search and compare what the command line asks for; return the exit code."""
    arguments = read_arguments("searching")
    put_user_code_on_path(arguments)
    if only_looks(arguments):
        return look(arguments)
    asked = compose_searching(arguments)
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("the search needs Optuna: pip install '.[tune]'")
    with stop_signals(), files.telling_a_full_disk(asked.family[0].config.output_dir):
        return search_and_compare(asked if asked.rivals else with_advised(asked, arguments))


def compose_searching(arguments: argparse.Namespace) -> Asked:
    """Compose and check the cells of the comparison; without `search.against` those of the rivals are still to come.

    Raises
    ------
    ConfigError
        With the key, its value and what is allowed.

    """
    arguments.multirun = True
    arguments.config_name = arguments.config_name or "searching"
    arguments.overrides = [_as_list(line) for line in arguments.overrides]
    for line in arguments.overrides:
        if is_of_variants(line) or key_of(line) in ("loss", "variant"):
            raise ConfigError(f"{line}: what is searched is search.family=NAME, what it is held against search.against")
        if key_of(line).startswith(("tune", "race")):
            raise ConfigError(f"{line}: here it is search.KEY. The family and its rivals get the same search.")
    looked = copy.copy(arguments)
    looked.overrides = [line for line in arguments.overrides if not key_of(line).startswith("loss.")]
    first = compose_cells(looked)[0]
    if "search" in first.config:
        check_values(first)
    settings = settings_of(first)
    family = require_family(settings.family, first.task.name)
    settings = replace(settings, family=family)
    require_formulas(settings)
    for name in settings.against or ():
        if name == family:
            raise ConfigError(f"search.against={name}: that is the family itself. Name other losses, or leave it out.")
    asked = Asked(settings, _composed(arguments, [family], settings), _composed(arguments, settings.against, settings))
    check_search([*asked.family, *asked.rivals], settings)
    return asked


def with_advised(asked: Asked, arguments: argparse.Namespace) -> Asked:
    """Return what is asked for with the losses that are advised on the data as rivals, the baseline among them."""
    from lossbench.advise.findings import look as findings_of
    from lossbench.advise.rules import advise
    from lossbench.running.build import build_data

    cell = asked.family[0]
    baseline = cell.task.baseline
    found = advise(findings_of(build_data(cell.config.data)), cell.task.name).losses
    rivals: list[Cell] = []
    for name in dict.fromkeys((baseline, *found)):
        if name != asked.settings.family and len({each.loss for each in rivals}) < MOST_ADVISED:
            rivals += _that_fit(_composed(arguments, [name], asked.settings, checked=False))
    check_search([*asked.family, *rivals], asked.settings)
    return replace(asked, rivals=rivals)


def _as_list(line: str) -> str:
    """Write what has commas in a key of `search` as a list: it is no sweep."""
    key, _, value = line.partition("=")
    listed = key in ("search.seeds", "search.against") and value not in ("", "null")
    return f"{key}=[{value}]" if listed and value[:1] != "[" and "(" not in value else line


def _composed(
    arguments: argparse.Namespace, losses: list[str] | None, settings: Settings, checked: bool = True
) -> list[Cell]:
    """Compose the cells of some losses; what is given for the loss goes to the family alone."""
    if not losses:
        return []
    like = copy.copy(arguments)
    kept = [line for line in arguments.overrides if losses == [settings.family] or not key_of(line).startswith("loss.")]
    like.overrides = [*kept, f"loss={','.join(losses)}"]
    cells = compose_cells(like)
    if checked:
        check(cells)
    return [contestant(cell, settings) for cell in cells]


def _that_fit(cells: list[Cell]) -> list[Cell]:
    """Return the cells of an advised loss, or none if it does not fit the other settings."""
    try:
        for cell in cells:
            check_fit(cell)
    except ConfigError:
        return []
    return cells


def search_and_compare(asked: Asked) -> int:
    """Run the trials that are missing, then the comparison with what was found; return the exit code."""
    from lossbench.running.run import run
    from lossbench.search.outcome import compared_cells, write_outcome, write_search
    from lossbench.search.study import Found, search
    from lossbench.tracking.store import prepare

    cells, settings = [*asked.family, *asked.rivals], asked.settings
    prepare(cells)
    keep_freed_memory()
    logging.basicConfig(
        level=logging.INFO, format="[%(asctime)s][%(levelname)s] %(message)s", datefmt="%H:%M:%S", stream=sys.stdout
    )
    contestants = {study_name(cell): cell for cell in cells}
    first = cells[0]
    print(
        f"lossbench: {settings.trials} trials for each of {', '.join(map(short_name, contestants))} on seeds "
        f"{', '.join(map(str, settings.seeds))}; the search is in {first.config.output_dir}/searching.db",
        file=sys.stderr,
    )
    found: dict[str, Found] = {}
    try:
        with progress.showing(settings.trials * len(contestants)):
            for name, cell in contestants.items():
                found[name] = search(cell, settings)
    except Killed as killed:
        missing = "The same command again runs only the trials that are missing."
        raise Killed(killed.exit_code - 128, missing) from None
    searched = found[study_name(first)]
    rivals = [each for each in found.values() if each is not searched]
    folder = write_outcome(searched, rivals, settings)
    chosen = compared_cells(cells, found, settings)
    start = (lambda: [run(cell) for cell in chosen]) if engine_of(chosen) == "single" else None
    code = launch(chosen, start=start)
    write_search(folder, searched, rivals, chosen, settings)
    print(f"Search: {folder / 'search.md'}")
    return code
