"""Comparisons: from the records of runs to tables. Nothing here imports the training side."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from lossbench import record
from lossbench.cells import Cell
from lossbench.compare.records import Comparison, comparisons
from lossbench.compare.table import tabulate, to_csv, to_markdown, to_rich


def compare_cells(cells: list[Cell]) -> dict[str, Path]:
    """Print and write the tables of the cells of a sweep; return the folder of each problem's table."""
    records = [entry for cell in cells if (entry := record.read(cell.path)) is not None]
    config = cells[0].config
    return write_tables(comparisons(records), Path(config.output_dir), config.compare.metric, config.compare.select)


def write_tables(found: Iterable[Comparison], output_dir: Path, metric: str | None, select: str) -> dict[str, Path]:
    """Print each comparison and write it as Markdown and CSV; return the folders by the name of the data."""
    folders = {}
    console = Console()
    for comparison in found:
        table = tabulate(comparison, metric, select)
        folder = output_dir / "comparisons" / comparison.name
        record.write_text(folder / "table.md", to_markdown(table))
        record.write_text(folder / "table.csv", to_csv(table))
        console.print(to_rich(table, console.width))
        console.print(f"{table.caption}.", highlight=False)
        for line in table.missing:
            console.print(f"  not in the numbers: {line}", highlight=False)
        console.print(f"All metrics: {folder}/table.md and table.csv", highlight=False, soft_wrap=True)
        folders[comparison.data] = folder
    return folders
