"""The table of a comparison: loss by metric, each number with its interval, as text, Markdown and CSV."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table as RichTable

from lossbench.compare.records import Comparison
from lossbench.compare.statistics import Interval, mean_interval
from lossbench.metric_names import COLUMNS, higher_is_better


@dataclass(frozen=True)
class Table:
    """The numbers of a comparison.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    metric : str
        What the rows are sorted by, best first.
    select : str
        The epoch whose test metrics count: "last" or "best_val".
    columns : list of str
        All metrics.
    rows : dict
        Intervals by label and metric.

    """

    comparison: Comparison
    metric: str
    select: str
    columns: list[str]
    rows: Mapping[str, Mapping[str, Interval]]

    @property
    def shown(self) -> list[str]:
        """The metrics of the written table."""
        return [name for name in dict.fromkeys([self.metric, *COLUMNS[self.comparison.task]]) if name in self.columns]

    def best(self, metric: str) -> float:
        """Return the best mean of a column."""
        means = [row[metric].mean for row in self.rows.values() if metric in row]
        return max(means) if higher_is_better(metric) else min(means)

    @property
    def caption(self) -> str:
        """What the numbers are."""
        epoch = {"last": "last epoch", "best_val": "best validation epoch"}[self.select]
        seeds = self.comparison.seeds
        return (
            f"{self.comparison.data}: test set, {epoch}; mean ± half-width of the 95 % Student-t interval "
            f"over n seeds (of {len(seeds)}: {_span(seeds)}); sorted by {self.metric}; best mean in bold"
        )

    @property
    def missing(self) -> list[str]:
        """The cells that are not in the numbers, and why."""
        lines = []
        for label, entries in self.comparison.entries.items():
            for seed in self.comparison.seeds:
                status = entries[seed]["status"] if seed in entries else "missing"
                if status != "finished":
                    lines.append(f"{label} seed {seed}: {status}")
        return lines


def tabulate(comparison: Comparison, metric: str | None = None, select: str = "last") -> Table:
    """Compute the table of a comparison.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    metric : str, optional
        What the rows are sorted by; by default the first of the task.
    select : str
        "last" or "best_val".

    """
    metric = metric or COLUMNS[comparison.task][0]
    columns = comparison.metrics(select)
    values = {name: comparison.values(name, select) for name in columns}
    rows = {
        label: {name: mean_interval(list(values[name][label].values())) for name in columns if values[name][label]}
        for label in comparison.entries
    }
    sign = -1 if higher_is_better(metric) else 1

    def rank(label: str) -> float:
        return sign * rows[label][metric].mean if metric in rows[label] else math.inf

    return Table(comparison, metric, select, columns, {label: rows[label] for label in sorted(rows, key=rank)})


def to_rich(table: Table, width: int) -> RichTable:
    """Make the table for a terminal, with as many metrics as fit its width."""
    room = width - max(len(label) for label in table.rows) - 10
    columns = table.shown[: max(1, room // 18)]
    shown = RichTable(box=box.SIMPLE_HEAD)
    for heading in ("loss", "n"):
        shown.add_column(heading, no_wrap=True)
    for name in columns:
        shown.add_column(name.replace("_", " "), justify="right")
    for label, row in table.rows.items():
        cells = [_emphasised(table, row, name, "[bold]{}[/bold]") for name in columns]
        shown.add_row(label.replace("[", "\\["), str(_count(row)), *cells)
    return shown


def to_markdown(table: Table) -> str:
    """Write the table as Markdown."""
    lines = [table.caption + ".", "", "| loss | n | " + " | ".join(table.shown) + " |"]
    lines.append("|---|---|" + "---:|" * len(table.shown))
    for label, row in table.rows.items():
        cells = [_emphasised(table, row, name, "**{}**") for name in table.shown]
        lines.append(f"| {label} | {_count(row)} | " + " | ".join(cells) + " |")
    if table.missing:
        lines += ["", "Not in the numbers: " + "; ".join(table.missing) + "."]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Write every metric as CSV: one line for each loss and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["data", "loss", "metric", "select", "n", "mean", "sd", "low", "high", "interval"])
    for label, row in table.rows.items():
        for name, value in row.items():
            numbers = [value.n, value.mean, value.sd, value.low, value.high, value.kind]
            writer.writerow([table.comparison.data, label, name, table.select, *numbers])
    return text.getvalue()


def _emphasised(table: Table, row: Mapping[str, Interval], name: str, bold: str) -> str:
    if name not in row:
        return "-"
    text = format_interval(row[name])
    return bold.format(text) if row[name].mean == table.best(name) else text


def format_interval(interval: Interval) -> str:
    """Write a mean and the half-width of its interval with digits that fit it.

    Examples
    --------
    >>> format_interval(Interval(3, 0.91234, 0.01, 0.9, 0.925, "95% Student t"))
    '0.912 ± 0.013'

    """
    half = (interval.high - interval.low) / 2
    digits = 3 if abs(interval.mean) < 100 else 1
    mean = f"{interval.mean:.{digits}f}"
    return mean if math.isnan(half) else f"{mean} ± {half:.{digits}f}"


def _count(row: Mapping[str, Interval]) -> int:
    return max((interval.n for interval in row.values()), default=0)


def _span(seeds: list[int]) -> str:
    consecutive = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))
