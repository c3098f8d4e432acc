"""A comparison in the formats of other programs: terminal, Markdown, CSV."""

import csv
import html
import io
from collections.abc import Sequence

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from lossbench.compare.numbers.analysis import Analysis, seeds_for
from lossbench.compare.numbers.seed_ranks import seed_ranks
from lossbench.compare.report.across import DatasetRanking, ranks_table
from lossbench.compare.report.fairness import names, warm_starts
from lossbench.compare.report.formatting import decimals, p_value, with_interval, words
from lossbench.compare.report.rank_table import seed_ranks_table
from lossbench.compare.report.selection_table import selections_table
from lossbench.compare.report.several import csv_rows, tables_of_fronts, tables_of_tasks, told_of_tasks
from lossbench.compare.report.tables import Table, means_table, notes, tables
from lossbench.compare.report.verdict import verdict

LONGEST_HEADING = 30


def to_rich(analysis: Analysis, width: int) -> RichTable:
    """Make the table for a terminal: mean, difference to the baseline, and as many other metrics as fit its width."""
    means = means_table(analysis)
    column, first = analysis.main, means.heading.index(words(analysis.metric)) + 1
    digits = decimals([each.difference for each in column.against.values()])
    baseline = analysis.baseline if len(analysis.baseline) <= LONGEST_HEADING else "the baseline"
    heading = [*means.heading[:first], f"vs {baseline}", "p"]
    heading += ["outcome"] if analysis.options.margin else []
    fixed, rows = len(heading), []
    for row in means.rows:
        against = column.against.get(row[0])
        told = ["–"] * 3 if against is None else [
            with_interval(against.difference, digits, "+"), p_value(against.p_t), str(against.outcome)
        ]  # fmt: skip
        rows.append([*row[:first], *told][:fixed])
    of_words = ([*name.split(), *texts] for name, *texts in zip(heading, *rows, strict=True))
    if fixed > first + 2 and sum(max(map(len, texts)) + 3 for texts in of_words) > width:  # p gives way
        gone = first + 1
        heading, rows, fixed = (
            heading[:gone] + heading[gone + 1 :],
            [row[:gone] + row[gone + 1 :] for row in rows],
            gone + 1,
        )
    for k in range(first, len(means.heading)):
        wider = [max(len(text) for text in texts) + 3 for texts in zip(heading, *rows, strict=True)]
        if sum(wider) + max(len(row[k]) for row in [means.heading, *means.rows]) + 4 > width:
            break
        heading.append(means.heading[k])
        rows = [[*row, means.rows[i][k]] for i, row in enumerate(rows)]
    shown = RichTable(box=box.SIMPLE_HEAD)
    for k, name in enumerate(heading):
        widest = min(20, max(len(row[0]) for row in rows)) if k == 0 else None
        shown.add_column(
            Text(name),
            justify="left" if name in ("loss", "group", "outcome") else "right",
            overflow="fold",
            min_width=widest,
        )
    for i, row in enumerate(rows):
        best = {k if k < first else k + fixed - first for r, k in means.bold if r == i}
        shown.add_row(*(Text(text, style="bold" if k in best else "") for k, text in enumerate(row)))
    return shown


def beside(analysis: Analysis) -> list[str]:
    """Return what must be said beside the tables: what names stand for, notes, and which runs began warm."""
    return [*names(analysis.comparison), *notes(analysis), *warm_starts(analysis.comparison)]


def all_tables(analysis: Analysis, across: Sequence[DatasetRanking] = ()) -> list[Table]:
    """Return the tables that are written, that of means first; some may have no rows."""
    return [
        *tables(analysis), seed_ranks_table(analysis), *map(ranks_table, across), *tables_of_tasks(analysis),
        *tables_of_fronts(analysis), selections_table(analysis),
    ]  # fmt: skip


def to_markdown(analysis: Analysis, across: Sequence[DatasetRanking] = ()) -> str:
    """Write verdict, tables and notes as Markdown."""
    parts = [markdown(text) for text in (verdict(analysis), " ".join(told_of_tasks(analysis))) if text]
    for table in all_tables(analysis, across):
        if table.rows:
            parts += [markdown_table(table), markdown(table.caption)]
    return "\n\n".join([*parts, *map(markdown, beside(analysis))]) + "\n"


def _marked(table: Table) -> list[list[str]]:
    return [
        [f"**{markdown(text)}**" if (i, k) in table.bold else markdown(text) for k, text in enumerate(row)]
        for i, row in enumerate(table.rows)
    ]


def markdown_table(table: Table) -> str:
    """Write a table as Markdown, without its caption."""
    heading = [markdown(name) for name in table.heading]
    lines = [f"| {' | '.join(heading)} |", "|---|" + "---:|" * (len(heading) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in _marked(table))])


def markdown(text: str) -> str:
    r"""Escape a text for Markdown: no HTML, no link, no line or cell of a table of its own.

    Examples
    --------
    >>> markdown("p < 0.001"), markdown("a|b"), markdown("[x](y)")
    ('p &lt; 0.001', 'a\\|b', '[x]\\(y)')

    """
    return " ".join(html.escape(text, quote=False).split()).replace("|", "\\|").replace("](", "]\\(")


CSV_COLUMNS = [
    "data", "loss", "metric", "select", "n", "mean", "sd", "low", "high", "interval", "letters", "mean_rank",
    "baseline", "pairs", "difference", "difference_low", "difference_high", "difference_interval",
    "this_test_set_low", "this_test_set_high", "p_t", "p_t_adjusted", "p_wilcoxon",
    "p_wilcoxon_adjusted", "effect_size", "improvement", "comparisons", "seeds_needed", "seeds_needed_low",
    "seeds_needed_high", "not_in_the_numbers",
]  # fmt: skip
WITH_MARGIN = ["margin", "p_equivalence_adjusted", "outcome"]
"""Further columns where there is a margin; filled for the metric that it is of."""


def to_csv(analysis: Analysis) -> str:
    """Write every metric as CSV: one line for each loss and metric; a loss without numbers has one without numbers.

    Below them are those of several tasks and of fronts.
    """
    text = io.StringIO()
    columns = CSV_COLUMNS + (WITH_MARGIN if analysis.options.margin else [])
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    ranked = {name: found.ranks for name in analysis.columns if (found := seed_ranks(analysis, name))}
    for label in analysis.order:
        missing = "; ".join(f"seed {seed}: {reason}" for seed, reason in analysis.missing.get(label, {}).items())
        for name in analysis.columns:
            row = _csv_row(analysis, label, name)
            if row:
                row["mean_rank"] = ranked.get(name, {}).get(label, "")
            if row or name == analysis.metric:
                known = {"data": no_formula(analysis.comparison.data), "loss": no_formula(label), "metric": name}
                known |= {"select": analysis.options.select, "not_in_the_numbers": missing}
                writer.writerow({"n": 0, **known, **row})
    for label, row in csv_rows(analysis):
        known = {"data": no_formula(analysis.comparison.data), "loss": no_formula(label)}
        writer.writerow({**known, "select": analysis.options.select, **row})
    return text.getvalue()


def no_formula(name: str) -> str:
    """Return a name such that no spreadsheet computes it."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name


def _csv_row(analysis: Analysis, label: str, metric: str) -> dict[str, object]:
    column = analysis.columns[metric]
    interval, against = column.intervals.get(label), column.against.get(label)
    if interval is None:
        return {}
    row: dict[str, object] = {
        "n": interval.n, "mean": interval.mean, "sd": interval.sd, "low": interval.low, "high": interval.high,
        "interval": interval.note or interval.kind, "letters": column.letters.get(label, ""),
    }  # fmt: skip
    if against is not None:
        difference = against.difference
        row |= {
            "baseline": analysis.baseline, "pairs": difference.n if against.paired else "",
            "difference": difference.mean, "difference_low": difference.low, "difference_high": difference.high,
            "difference_interval": difference.note or difference.kind,
            "p_t": difference.p_t, "p_t_adjusted": against.p_t,
            "p_wilcoxon": difference.p_wilcoxon, "p_wilcoxon_adjusted": against.p_wilcoxon,
            "effect_size": difference.effect_size, "improvement": difference.improvement,
            "comparisons": column.size,
        }  # fmt: skip
        alone = against.this_test_set
        row |= {} if alone is None else {"this_test_set_low": alone.low, "this_test_set_high": alone.high}
        if metric in analysis.shown and (seeds := seeds_for(analysis, label, analysis.baseline, metric)):
            row |= {"seeds_needed": seeds.estimate, "seeds_needed_low": seeds.low, "seeds_needed_high": seeds.high}
        if margin := analysis.margin(metric):
            row |= dict(zip(WITH_MARGIN, (margin, against.p_equivalence, against.outcome), strict=True))
    return row
