r"""The tables of a comparison for LaTeX: with booktabs alone, as wide as a column or a page of two columns.

What does not fit a column becomes a `table*`, what does not fit a page several of them, parted between groups of
metrics. Widths are estimated in points for the narrower of the pages that papers have: two columns of 219 pt on 455 pt,
in `\footnotesize` of a text in 11 pt.
"""

import re
from collections.abc import Iterator, Sequence

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.across import DatasetRanking
from lossbench.compare.report.latex_text import ems, flowing, latex, lines_of, number, wrapped
from lossbench.compare.report.tables import Table
from lossbench.compare.report.writers import all_tables, beside

COLUMN, PAGE = 217.0, 453.0
"""Points: the widths that a `table` and a `table*` keep within."""
SIZE, BETWEEN = 9.0, 6.0
"""Points: of the letters, and between two columns of a table."""
NAMES, CELL = (15.0, 11.0, 8.5), 12.0
"""Ems: longer names of losses and other cells are broken into lines; names as late as the page allows."""
SHORT = 3.0
"""Ems: no shorter heading is broken."""
BOLD = 1.06
"""So much wider than plain letters."""
WORDS = ("group", "outcome", "which")
"""Columns that are not numbers."""
MOST_LINES = 40
"""More lines of a table go to another one: they would not fit on a page with what is said below them."""


def to_latex(analysis: Analysis, across: Sequence[DatasetRanking] = ()) -> str:
    r"""Write the tables as floats for LaTeX, each with a caption, a `\label` and notes below.

    Parameters
    ----------
    analysis : Analysis
        The numbers.
    across : sequence of DatasetRanking
        Rankings over several data sets that this one is part of.

    """
    parts = [r"% needs \usepackage{booktabs}; each table has a \label"]
    for position, table in enumerate(all_tables(analysis, across)):
        if table.rows:
            told = [table.caption, *beside(analysis)] if position == 0 else [table.caption]
            parts += _floats(table, label_of(analysis, table), " ".join(told))
    return "\n\n".join(parts) + "\n"


def label_of(analysis: Analysis, table: Table) -> str:
    """Return the label of a table: the name of the comparison, and behind it that of any but the table of means."""
    name = analysis.comparison.name if table.name == "means" else f"{analysis.comparison.name}-{table.name}"
    return f"tab:{re.sub('[^A-Za-z0-9]+', '-', name).strip('-')}"


def _floats(table: Table, label: str, told: str) -> Iterator[str]:
    """Yield a float for each part of a table."""
    position = 0
    for columns, narrow, longest in _layout(table):
        for rows in _pages(table, longest):
            position += 1
            caption, own, below = f"{flowing(table.title)}.", label, flowing(told)
            if position > 1:
                caption, own, below = rf"Continues Table~\ref{{{label}}}: {caption}", f"{label}-{position}", ""
            kind = "table" if narrow else "table*"
            yield _float(_tabular(table, columns, rows, longest), caption, own, below, kind)


def _layout(table: Table) -> list[tuple[Sequence[int], bool, float]]:
    """Part a table into as few as possible: the columns of each, whether it fits a column, and how long names are."""
    *_, shortest = NAMES
    everything = range(1, len(table.heading))
    if _width(table, everything, shortest) <= COLUMN:
        return [(everything, True, shortest)]
    longest = min(NAMES, key=lambda most: len(_pieces(table, most)))
    layout = [(piece, _width(table, piece, shortest) <= COLUMN) for piece in _pieces(table, longest)]
    return [(piece, narrow, shortest if narrow else longest) for piece, narrow in layout]


def _float(tabular: str, caption: str, label: str, below: str, kind: str) -> str:
    lines = [
        rf"\begin{{{kind}}}[t]",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        r"\footnotesize",
        rf"\setlength{{\tabcolsep}}{{{BETWEEN / 2:g}pt}}",
        r"\smallskip",
        tabular,
        *([r"\par\smallskip", rf"{{\scriptsize\raggedright {below}\par}}"] if below else []),
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines)


def _pieces(table: Table, longest: float) -> list[list[int]]:
    """Part the columns behind the first such that each part fits a page: between groups where that is possible."""
    pieces: list[list[int]] = [[]]
    for k in range(1, len(table.heading)):
        piece = pieces[-1]
        if not piece or _width(table, [*piece, k], longest) <= PAGE:
            piece.append(k)
            continue
        together = [i for i in piece if _group(table, i) and _group(table, i) == _group(table, k)]
        if together and together[0] != piece[0] and _group(table, piece[0]):
            pieces[-1] = [i for i in piece if i not in together]
            pieces.append([*together, k])
        else:
            pieces.append([k])
    return pieces


def _group(table: Table, column: int) -> str:
    return table.groups[column] if column < len(table.groups) else ""


def _pages(table: Table, longest: float) -> list[range]:
    """Part the rows such that no part is too high."""
    ends, lines = [0], 0
    for row, cells in enumerate(table.rows):
        high = max(len(wrapped(text, CELL) if k else lines_of(text, longest)) for k, text in enumerate(cells))
        if lines and lines + high > MOST_LINES:
            ends, lines = [*ends, row], 0
        lines += high
    return [range(start, end) for start, end in zip(ends, [*ends[1:], len(table.rows)], strict=True)]


def _width(table: Table, columns: Sequence[int], longest: float) -> float:
    """Estimate the width in points of the first column and some others."""
    widths = [_ems_of_column(table, 0, longest), *(_ems_of_column(table, k, CELL) for k in columns)]
    return SIZE * sum(widths) + BETWEEN * len(columns)


def _ems_of_column(table: Table, column: int, most: float) -> float:
    cells = _ems_of_cells(table, column, most)
    return max(cells, *map(ems, _heading(table, column, most)))


def _ems_of_cells(table: Table, column: int, most: float) -> float:
    cells = (
        (ems(line) * (BOLD if (row, column) in table.bold else 1.0))
        for row, texts in enumerate(table.rows)
        for line in (wrapped(texts[column], most) if column else lines_of(texts[0], most))
    )
    return max(cells, default=0.0)


def _heading(table: Table, column: int, most: float) -> list[str]:
    """Break a heading into lines as wide as what stands below, or as its longest word."""
    words = [each for word in table.heading[column].split() for each in lines_of(word, CELL)]
    return wrapped(table.heading[column], max(SHORT, _ems_of_cells(table, column, most), *map(ems, words)))


def _tabular(table: Table, columns: Sequence[int], rows: range, longest: float) -> str:
    shown = (0, *columns)
    heading = [_stacked(_heading(table, k, CELL if k else longest), _align(table, k), "b") for k in shown]
    lines = [
        rf"\begin{{tabular}}{{@{{}}{''.join(_align(table, k) for k in shown)}@{{}}}}",
        r"\toprule", _row(heading), r"\midrule",
        *(_row([_cell(table, row, k, longest) for k in shown]) for row in rows),
        r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    return "\n".join(lines)


def _align(table: Table, column: int) -> str:
    return "l" if column == 0 or table.heading[column] in WORDS else "r"


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(table: Table, row: int, column: int, longest: float) -> str:
    bold = r"\textbf{{{}}}" if (row, column) in table.bold else "{}"
    if column == 0:
        return _stacked(lines_of(table.rows[row][0], longest), "l", "t", bold)
    return _stacked(wrapped(table.rows[row][column], CELL), _align(table, column), "t", bold, numbers=True)


def _stacked(lines: list[str], align: str, place: str, bold: str = "{}", numbers: bool = False) -> str:
    """Write lines as one cell, further ones of a name a little to the right."""
    escaped = [bold.format(number(line) if numbers else latex(line)) for line in lines]
    if len(escaped) == 1:
        return escaped[0]
    inner = (r" \\ \quad " if (align, place) == ("l", "t") else r" \\ ").join(escaped)
    return rf"\begin{{tabular}}[{place}]{{@{{}}{align}@{{}}}}{inner}\end{{tabular}}"
