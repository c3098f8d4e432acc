"""Present comparisons: on the terminal, and as a folder of report, tables and pictures for each problem."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich.console import Console
from rich.text import Text

from lossbench import __version__
from lossbench.compare.numbers.analysis import Analysis, analyse
from lossbench.compare.numbers.comparisons import Comparison, comparisons, read_cells
from lossbench.compare.numbers.options import Options
from lossbench.compare.races import with_races
from lossbench.compare.report.across import DatasetRanking, rank_across, told
from lossbench.compare.report.fairness import cautions, names
from lossbench.compare.report.formatting import missing_lines
from lossbench.compare.report.latex_tables import to_latex
from lossbench.compare.report.run_files import runs_frame, write_runs
from lossbench.compare.report.selection_table import gap_lines
from lossbench.compare.report.several import told_of_tasks
from lossbench.compare.report.tikz import critical_difference_tikz
from lossbench.compare.report.verdict import verdict
from lossbench.compare.report.writers import to_csv, to_markdown, to_rich
from lossbench.config.cell import Cell, bring_own_task
from lossbench.errors import ConfigError
from lossbench.locate import targets_in, without_collecting
from lossbench.records import files
from lossbench.records.provenance import digest

COMPARISONS = "comparisons"
"""The folder of the reports, in the output folder."""
LOCK = ".lock"
"""In it: whoever writes a report holds it."""
TOLD = ".told.json"
"""In it: what the last command told of which runs, to be told again where nothing has changed."""


def compare_cells(cells: list[Cell]) -> dict[str, list[Path]]:
    """Print and write the comparisons of the cells of a sweep; return their folders by the name of the data."""
    config = cells[0].config
    for cell in cells:
        bring_own_task(cell.config)
    found = comparisons(read_cells(cells))
    trust = set(config.trust).union(*(targets_in(cell.resolved["loss"]) for cell in cells))
    options = Options(**config.compare, trust=tuple(sorted(trust)))
    folders, errors = compare_records(found, Path(config.output_dir), options)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return folders


def compare_records(
    found: Iterable[Comparison], output_dir: Path, options: Options
) -> tuple[dict[str, list[Path]], list[ConfigError]]:
    """Print the verdict on each comparison, then write their folders.

    Parameters
    ----------
    found : iterable of Comparison
        The runs of each problem.
    output_dir : Path
        The folders are `comparisons/<data>-<problem>` in it.
    options : Options
        How to compare.

    Returns
    -------
    dict of str to list of Path, list of ConfigError
        The folders by the name of the data, and what could not be compared.

    """
    found, console = [with_races(each, output_dir) for each in found], Console()
    asked = _asked(found, options, console)
    if (folders := _tell_again(output_dir, asked)) is not None:
        return folders, []
    analyses, errors = [], []
    for comparison in found:
        try:
            with without_collecting():
                analyses.append(_small(analyse(comparison, options)))
        except ConfigError as error:
            errors.append(error)
    ranked = rank_across(analyses)
    with console.capture() as captured:
        for analysis in analyses:
            tell(analysis, console)
        for each in ranked:
            console.print(f"\n{told(each)}", highlight=False, markup=False)
    print(captured.get(), end="", flush=True)  # the verdict is there before the pictures are drawn
    folders, stamps = dict[str, list[Path]](), dict[str, str]()
    for analysis in analyses:
        folder = output_dir / COMPARISONS / analysis.comparison.name
        stamps[folder.name] = write_comparison(analysis, folder, [each for each in ranked if analysis in each.analyses])
        console.print(f"Report: {folder / 'report.html'}", highlight=False, markup=False, soft_wrap=True)
        folders.setdefault(analysis.comparison.data, []).append(folder)
    if not errors and not console.legacy_windows:
        names = {data: [folder.name for folder in each] for data, each in folders.items()}
        kept = {"asked": asked, "told": captured.get(), "folders": names, "stamps": stamps}
        files.write_text(output_dir / COMPARISONS / TOLD, json.dumps(kept))
    return folders, errors


def _asked(found: list[Comparison], options: Options, console: Console) -> str:
    """Return a hash of all that is told depends on: the runs, how they are compared, and what it is printed on."""
    shown_on = [console.width, console.is_terminal, console.color_system, console.encoding]
    return digest({"comparisons": [_content(each, options) for each in found], "console": shown_on, "by": __version__})


def _content(comparison: Comparison, options: Options) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "labels": list(comparison.entries),
        "dropped": comparison.dropped,
        "runs": [[entry["key"], entry["status"], entry.get("ended")] for entry in comparison.all_entries],
        "options": asdict(options),
    }


def _tell_again(output_dir: Path, asked: str) -> dict[str, list[Path]] | None:
    """Print what the last comparison of this folder told, where it was of the same and its reports are there."""
    place = output_dir / COMPARISONS
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        kept = json.loads((place / TOLD).read_text(encoding="utf-8"))
        if kept["asked"] != asked or any(not _is_there(place / name, made) for name, made in kept["stamps"].items()):
            return None
        folders = {data: [place / str(name) for name in names] for data, names in kept["folders"].items()}
        lines = [f"Report: {folder / 'report.html'}\n" for each in folders.values() for folder in each]
        print("".join([kept["told"], *lines]), end="", flush=True)
        return folders
    return None


def _is_there(folder: Path, made_from: str) -> bool:
    """Tell whether a report is there that was made from this."""
    stamp = folder / ".made-from"
    there = all((folder / name).is_file() for name in ("report.html", "runs.csv"))
    return there and stamp.is_file() and stamp.read_text() == made_from


def write_comparison(analysis: Analysis, folder: Path, across: list[DatasetRanking]) -> str:
    """Write tables, pictures and report of a comparison, unless they are there for the same runs and options.

    Returns
    -------
    str
        The hash of what it is made from.

    """
    told_across = [told(each) for each in across]
    content = _content(analysis.comparison, analysis.options)
    made_from = digest({**content, "across": told_across, "by": __version__})
    if _is_there(folder, made_from):
        return made_from
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / LOCK), _writing(analysis.comparison.name) as at, without_collecting():
        if _is_there(folder, made_from):  # another command of the same sweep has written it meanwhile
            return made_from
        from lossbench.compare.report.html import write_report

        files.sweep_up(folder)
        files.write_text(folder / "table.md", to_markdown(analysis, across))
        files.write_text(folder / "table.tex", to_latex(analysis, across))
        (folder / "critical_difference.tex").unlink(missing_ok=True)
        for ranking in across:
            files.write_text(folder / "critical_difference.tex", critical_difference_tikz(ranking))
        files.write_text(folder / "table.csv", to_csv(analysis))
        write_runs(runs_frame(analysis), folder)
        write_report(analysis, folder, across, at)
        files.write_text(folder / ".made-from", made_from)
    return made_from


def _small(analysis: Analysis) -> Analysis:
    """Return the same numbers without the tables of all runs by all samples, which they are made from."""
    return replace(analysis, samples=replace(analysis.samples, tables={}))


@contextmanager
def _writing(name: str) -> Iterator[Callable[[str], None]]:
    """Say on stderr that a report is being written, and on a terminal what of it; yield what takes that."""
    console, told = Console(stderr=True), f"writing the report of {name} ..."
    if not console.is_terminal:
        print(told, file=sys.stderr, flush=True)
        yield lambda at: None
        return
    with console.status(Text(told)) as status:
        yield lambda at: status.update(Text(f"{told} {at}"))


def tell(analysis: Analysis, console: Console) -> None:
    """Print verdict, table and missing cells."""
    console.print(Text(f"\n{analysis.comparison.heading}", style="bold"))
    for text in (verdict(analysis), " ".join(told_of_tasks(analysis))):
        if text:
            console.print(text, highlight=False, markup=False)
    console.print(to_rich(analysis, console.width))
    for line in (*names(analysis.comparison), *gap_lines(analysis)):
        console.print(f"  {line}", highlight=False, markup=False)
    for line in cautions(analysis.comparison):
        console.print(f"  {line}", highlight=False, markup=False)
    for line in missing_lines(analysis):
        console.print(f"  not in the numbers: {line}", highlight=False, markup=False)
