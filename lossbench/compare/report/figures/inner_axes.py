"""Axes without numbers, between the panels of a picture: drawn as a line and a few grid lines, not tick by tick.

Of the axes of 40 panels that share them two thirds have no numbers. A tick of matplotlib is made of three lines and two
texts, which are made, placed and measured anew in each drawing, also where there is no text.
"""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

_SIDES = {"x": ("bottom", "top"), "y": ("left", "right")}
_GRID = {"gridOn", "grid_alpha"}


def simplify_inner_axes(figure: Figure) -> None:
    """Draw the axes of a figure that have no numbers as few lines, at the places of their ticks; it is laid out."""
    known: dict[Any, NDArray[np.float64]] = {}
    for axes in figure.axes:
        for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
            if _is_simple(axis, name):
                like = (
                    name,
                    *axis.get_view_interval(),
                    axes.bbox.width,
                    axes.bbox.height,
                    id(axis.get_major_locator()),
                )
                if like not in known:
                    known[like] = _places(axis)
                _draw(axes, axis, name, known[like])


def _is_simple(axis: Axis, name: str) -> bool:
    """Tell whether an axis has ticks on its usual side, perhaps grid lines, and nothing else."""
    told, (side, other) = dict(axis.get_tick_params()), _SIDES[name]
    has = {side: True, other: False, f"label{side}": False, f"label{other}": False}
    others = {key: value for key, value in told.items() if key not in has}
    return (
        axis.get_visible()
        and {key: told.get(key) for key in has} == has
        and others.keys() <= _GRID
        and not axis.label.get_text()
        and isinstance(axis.get_minor_locator(), NullLocator)
        and matplotlib.rcParams[f"{name}tick.direction"] == "out"
    )


def _places(axis: Axis) -> NDArray[np.float64]:
    """Return the ticks in view."""
    low, high = sorted(axis.get_view_interval())
    rounding = 1e-10 * (high - low)
    found = np.asarray(axis.get_majorticklocs(), dtype=float)
    return found[(found >= low - rounding) & (found <= high + rounding)]


def _draw(axes: Axes, axis: Axis, name: str, places: NDArray[np.float64]) -> None:
    told, style, upright = axis.get_tick_params(), matplotlib.rcParams, name == "x"
    across = axes.get_xaxis_transform() if upright else axes.get_yaxis_transform()
    axis.set_visible(False)
    ends = np.broadcast_to([0.0, 1.0], (len(places), 2))
    along = np.broadcast_to(places[:, None], (len(places), 2))
    if told.get("gridOn"):
        grid = LineCollection(
            list(np.stack([along, ends] if upright else [ends, along], axis=2)), colors=style["grid.color"],
            linewidths=style["grid.linewidth"], linestyles=style["grid.linestyle"],
            alpha=told.get("grid_alpha", style["grid.alpha"]), transform=across, zorder=axis.get_zorder(),
            capstyle=style["lines.solid_capstyle"],
        )  # fmt: skip
        axes.add_collection(grid, autolim=False)
    marks = Line2D(
        *((along[:, 0], ends[:, 0]) if upright else (ends[:, 0], along[:, 0])),
        linestyle="", marker=TICKDOWN if upright else TICKLEFT, color=style[f"{name}tick.color"],
        markersize=style[f"{name}tick.major.size"], markeredgewidth=style[f"{name}tick.major.width"],
        transform=across, clip_on=False, zorder=axis.get_zorder(),
    )  # fmt: skip
    axes.add_artist(marks)
