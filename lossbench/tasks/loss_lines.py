"""The styles of losses as keywords of matplotlib, for whoever draws losses: lines, bars, markers."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lossbench.tasks.loss_style import DASHES, MARKERS, LossStyle, style_of

MARKS = 6
"""About so many markers a line has: enough to be told apart in grey, and few enough to see the line."""
HATCHES = ("", "//", "..", "xx", "--")
"""Of bars, in the order of the dashes of lines."""


def line_of(label: str, baseline: str = "", marked: bool = True) -> dict[str, Any]:
    """Return how the line of a loss is drawn, as keywords of `Axes.plot`: in its own style, the baseline's thicker.

    Parameters
    ----------
    label : str
        The loss.
    baseline : str
        The label of the baseline, if it is to stand out.
    marked : bool
        Whether with its marker, by which lines of one panel are told apart in grey.

    """
    return styled_line(style_of(label), thick=label == baseline, marked=marked)


def styled_line(style: LossStyle, thick: bool = False, marked: bool = True) -> dict[str, Any]:
    """Return a style as keywords of `Axes.plot`."""
    look: dict[str, Any] = {"color": style.color, "linestyle": (0, style.dashes) if style.dashes else "-"}
    look |= {"linewidth": 2.6, "zorder": 1.9} if thick else {"linewidth": 1.6}
    if marked:
        size = 6.5 if style.marker in "PX" else 5.0  # with thin arms
        look |= {"marker": style.marker, "markersize": size, "markeredgecolor": "white", "markeredgewidth": 0.5}
    return look


def thin_line_of(baseline: str) -> dict[str, Any]:
    """Return how the baseline is drawn in the panels of other losses, to which they are compared."""
    return {**line_of(baseline, marked=False), "linewidth": 1.0, "alpha": 0.75}


def marked_sparsely(look: Mapping[str, Any], points: int) -> dict[str, Any]:
    """Add at which of its points a line has its marker, each marker from a place of its own on."""
    if look.get("marker") not in MARKERS:
        return {**look, "marker": "."} if points < 3 else dict(look)
    step = max(1, round(points / MARKS))
    return {**look, "markevery": (MARKERS.index(look["marker"]) * step // len(MARKERS), step)}


def hatch_of(label: str) -> str:
    """Return the hatching of the bars of a loss, as its dashes are those of its lines."""
    dashes = style_of(label).dashes
    return HATCHES[DASHES.index(dashes)]


def alike(labels: Iterable[str], marked: bool = False) -> list[str]:
    """Return the labels that share colour and dashes with another one, and the marker if `marked`.

    Examples
    --------
    >>> from lossbench.tasks.loss_style import PLACES
    >>> alike(["cross_entropy", "focal", PLACES["classification"].split()[40]])[0]
    'cross_entropy'

    """
    labels = list(labels)
    styles = [style_of(label) for label in labels]
    looks = [(style.color, style.dashes, style.marker if marked else "") for style in styles]
    return [label for label, look in zip(labels, looks, strict=True) if looks.count(look) > 1]


def name_ends(axes: Any, labels: Iterable[str]) -> None:
    """Write the names of some lines of a panel at their ends, where nothing else tells them apart."""
    for line in axes.lines:
        x, y = (np.asarray(values, dtype=float) for values in line.get_data())
        known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if line.get_label() in labels and known.size:
            end = (x[known[-1]], y[known[-1]])
            axes.annotate(line.get_label(), end, (3, 3), textcoords="offset points", fontsize=7, ha="right")
