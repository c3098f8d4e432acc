"""Present comparisons: on the terminal, and as a folder of report, tables and pictures for each problem."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lossbench import __version__
from lossbench.compare.numbers.analysis import Analysis, analyse
from lossbench.compare.numbers.comparisons import Comparison, comparisons, read_cells
from lossbench.compare.numbers.options import Options
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
from lossbench.locate import targets_in
from lossbench.records import files
from lossbench.records.provenance import digest


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
    analyses, errors = [], []
    for comparison in found:
        try:
            analyses.append(analyse(comparison, options))
        except ConfigError as error:
            errors.append(error)
    ranked = rank_across(analyses)
    console = Console()
    for analysis in analyses:
        tell(analysis, console)
    for each in ranked:
        console.print(f"\n{told(each)}", highlight=False, markup=False)
    sys.stdout.flush()  # the verdict is there before the pictures are drawn
    folders: dict[str, list[Path]] = {}
    for analysis in analyses:
        folder = output_dir / "comparisons" / analysis.comparison.name
        write_comparison(analysis, folder, [each for each in ranked if analysis in each.analyses])
        console.print(f"Report: {folder / 'report.html'}", highlight=False, markup=False, soft_wrap=True)
        folders.setdefault(analysis.comparison.data, []).append(folder)
    return folders, errors


def write_comparison(analysis: Analysis, folder: Path, across: list[DatasetRanking]) -> None:
    """Write tables, pictures and report of a comparison, unless they are there for the same runs and options."""
    runs = [[entry["key"], entry["status"], entry.get("ended")] for entry in analysis.comparison.all_entries]
    told_across = [told(each) for each in across]
    made_from = digest(
        {
            "title": analysis.comparison.title,
            "labels": list(analysis.comparison.entries),
            "runs": runs,
            "options": asdict(analysis.options),
            "across": told_across,
            "by": __version__,
        }
    )
    stamp = folder / ".made-from"
    there = all((folder / name).is_file() for name in ("report.html", "runs.csv"))
    if there and stamp.is_file() and stamp.read_text() == made_from:
        return
    with _writing(analysis.comparison.name) as at:
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
        files.write_text(stamp, made_from)


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
