"""The critical-difference diagram for papers: a `tikzpicture` as wide as a column, which needs tikz alone."""

from math import ceil

from lossbench.compare.report.across import DatasetRanking
from lossbench.compare.report.formatting import words
from lossbench.compare.report.latex_text import ems, latex, lines_of
from lossbench.tasks.loss_style import style_of
from lossbench.words import counted

COLUMN = 216.0
"""Points: the width that the picture keeps within, that of the narrower of the columns that papers have."""
SIZE, LINE = 8.0, 9.5
"""Points: of the letters, `\\scriptsize` of a text in 11 pt, and between two lines of them."""
NAME = 7.2
"""Ems: longer names are broken into lines."""
BAR, APART = 5.0, 1.5
"""Points: from one bar to the next, and between two names."""


def critical_difference_tikz(across: DatasetRanking) -> str:
    """Draw the mean ranks and the cliques of the picture `critical_difference` as TikZ.

    Each loss has a line from its mean rank on the axis to its name, in its own colour; a bar with dots joins losses of
    which no two differ.

    Parameters
    ----------
    across : DatasetRanking
        Losses ranked over several data sets.

    """
    labels, ranks = across.labels, [float(rank) for rank in across.summary.ranks]
    half = ceil(len(labels) / 2)
    names = [lines_of(label, NAME) for label in labels]
    room = SIZE * ems(f" {len(labels)}.00") + 1  # for a mean rank
    left, right = (SIZE * max(ems(line) for name in part for line in name) for part in (names[:half], names[half:]))
    step = max(40.0, COLUMN - left - right - 2 * room - 4) / (len(labels) - 1)
    cliques = [clique for clique in across.pairwise.cliques if len(clique) > 1]
    below = -BAR * (len(cliques) + 2)
    lines = [
        f"% Mean ranks over {counted(across.summary.n, across.noun)} by {words(across.metric)}, 1 is best. Losses",
        f"% with dots on a common bar can't be told apart: signed-rank tests at {across.pairwise.alpha:g} after Holm.",
        r"% needs \usepackage{tikz}; x is the width of one rank, so that the picture fits a column of 219 pt.",
        rf"\begin{{tikzpicture}}[x={step:.2f}pt, y=1pt, inner sep=1pt, font=\scriptsize]",
        *_axis(len(labels), step),
    ]
    for side, members in (("left", range(half)), ("right", range(len(labels) - 1, half - 1, -1))):
        y, edge = below, 1 if side == "left" else len(labels)
        for k in members:
            high = LINE * len(names[k])
            lines += _loss(labels[k], names[k], ranks[k], f"({edge},{y - high / 2:g})", side, room)
            y -= high + APART
    for k, clique in enumerate(cliques):
        lines += _bar([ranks[position] for position in clique], -BAR * (k + 1))
    return "\n".join([*lines, r"\end{tikzpicture}"]) + "\n"


def _axis(count: int, step: float) -> list[str]:
    """Draw the axis of ranks, and so many numbers that none touches the next."""
    every = ceil(12 / step)
    ticks = [tick for tick in range(1, count + 1) if (tick - 1) % every == 0]
    return [
        rf"\draw (1,0) -- ({count},0);",
        *(rf"\draw ({tick},0) -- ({tick},3) node[above] {{{tick}}};" for tick in ticks),
    ]


def _loss(label: str, name: list[str], rank: float, end: str, side: str, room: float) -> list[str]:
    """Draw the line from a rank to the end of the axis, and there the rank and the name in lines."""
    away, align = (f"-{room:g}", "right") if side == "left" else (f"{room:g}", "left")
    shown = r" \\ ".join(map(latex, name))
    return [
        rf"\definecolor{{cd}}{{HTML}}{{{style_of(label).color.lstrip('#').upper()}}}",
        rf"\draw[cd, semithick] ({rank:.4f},0) |- {end} node[{side}, black] {{{rank:.2f}}};",
        rf"\node[{side}, xshift={away}pt, align={align}] at {end} {{{shown}}};",
    ]


def _bar(ranks: list[float], y: float) -> list[str]:
    dots = " ".join(rf"\fill ({rank:.4f},{y:g}) circle[radius=1.4pt];" for rank in ranks)
    return [rf"\draw[very thick] ({min(ranks):.4f},{y:g}) -- ({max(ranks):.4f},{y:g});", dots]
