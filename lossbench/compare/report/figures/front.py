"""The picture of goals that compete: each loss as a point, those of a swept weight joined, the front as steps."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.front import MOST_GOALS, Front, fronts
from lossbench.compare.report.figures.drawing import (
    OVERLAID,
    WIDTH,
    Array,
    Picture,
    lines_legend,
    over_seeds,
    panels,
)
from lossbench.compare.report.formatting import listed
from lossbench.compare.report.several import front_title, goal_words, reference_words
from lossbench.tasks.loss_lines import line_of

MOST_MARKED = 12
"""A swept method with more points has no weights written beside them."""
MOST_TOLD = 8
STEPS = "#bbbbbb"


def front_pictures(analysis: Analysis) -> list[Picture]:
    """Draw each front of two or three goals: a panel for each pair of them."""
    drawn = []
    for number, front in enumerate(fronts(analysis)):
        if len(front.goals) > MOST_GOALS:
            continue
        name = "front" if number == 0 else f"front_{number + 1}"
        drawn.append(Picture(name, front_title(front), _caption(analysis, front), _drawn(analysis, front), _alt(front)))
    return drawn


def _drawn(analysis: Analysis, front: Front) -> Figure:
    pairs = list(combinations(range(len(front.goals)), 2))
    figure, grid = panels(len(pairs), 4.2 if len(pairs) == 1 else 3.0)
    for axes, (first, second) in zip(grid, pairs, strict=True):
        _draw_panel(axes, analysis, front, first, second)
    names = [*front.methods, *front.alone]
    if len(names) > 2 * OVERLAID:
        figure.set_size_inches(WIDTH, figure.get_figheight() + 0.08 * len(names))
    lines_legend(figure, grid[0], names)
    return figure


def _draw_panel(axes: Axes, analysis: Analysis, front: Front, x: int, y: int) -> None:
    if len(front.goals) == 2:
        axes.plot(*_steps(front), color=STEPS, linewidth=1.2, zorder=1)
    for name, method in front.methods.items():
        look = line_of(name)
        color, marker = look["color"], look["marker"]
        ordered = sorted(method.labels, key=lambda label: float(front.points[label][x]))
        axes.plot(
            [front.points[label][x] for label in ordered], [front.points[label][y] for label in ordered],
            **{**look, "linewidth": 1.1}, label=name,
        )  # fmt: skip
        marks = _weights(analysis, ordered) if 1 < len(ordered) <= MOST_MARKED else {}
        for label in ordered:
            point, best = front.points[label], label in front.best
            _draw_intervals(axes, front, label, x, y, color)
            axes.plot(point[x], point[y], marker, color=color, markersize=6, markerfacecolor=color if best else "white")
            if label in marks:
                axes.annotate(marks[label], (point[x], point[y]), (4, 4), textcoords="offset points", fontsize=7)
    for label, point in front.alone.items():
        style: dict[str, Any] = {**line_of(label, marked=False), "linewidth": 1.0}
        axes.axvline(point[x], label=label, **style)
        axes.axhline(point[y], **style)
    axes.plot(front.reference[x], front.reference[y], "x", color="#888888", markersize=6)
    shown = np.array([front.reference, *front.points.values(), *front.alone.values()])
    axes.set(xlim=_frame(shown[:, x]), ylim=_frame(shown[:, y]))
    axes.xaxis.set_major_locator(MaxNLocator(7 if len(front.goals) == 2 else 3))
    axes.grid(alpha=0.3)
    axes.set_xlabel(_with_way(front, x, "→", "←"))
    axes.set_ylabel(_with_way(front, y, "↑", "↓"))


def _frame(values: Array) -> tuple[float, float]:
    """Return the limits of an axis: those of the points, as intervals of few seeds are far wider."""
    low, high = float(values.min()), float(values.max())
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def _draw_intervals(axes: Axes, front: Front, label: str, x: int, y: int, color: str) -> None:
    horizontal, vertical = front.intervals[label][x], front.intervals[label][y]
    if np.isfinite(horizontal.low):
        axes.plot([horizontal.low, horizontal.high], [vertical.mean] * 2, color=color, linewidth=0.8, alpha=0.4)
    if np.isfinite(vertical.low):
        axes.plot([horizontal.mean] * 2, [vertical.low, vertical.high], color=color, linewidth=0.8, alpha=0.4)


def _steps(front: Front) -> tuple[list[float], list[float]]:
    """Return the corners of the region that the front's points are better than, from the reference to the reference."""
    sign = np.where(front.higher, 1.0, -1.0)
    points = sorted((sign * front.points[label]).tolist() for label in front.best)
    low_x, low_y = sign * front.reference
    corners = [(low_x, points[0][1])]
    for (first_x, first_y), (_, second_y) in zip(points, [*points[1:], (0.0, low_y)], strict=True):
        corners += [(first_x, first_y), (first_x, second_y)]
    xs, ys = zip(*corners, strict=True)
    return [sign[0] * each for each in xs], [sign[1] * each for each in ys]


def _with_way(front: Front, goal: int, up: str, down: str) -> str:
    between = "   " if len(front.goals) == 2 else "\n"
    return f"{goal_words(front.goals[goal])}{between}(better {up if front.higher[goal] else down})"


def _weights(analysis: Analysis, labels: list[str]) -> dict[str, str]:
    """Write the weights of each label: a list whole, of names those that differ, 1 where none is given."""
    firsts = {label: next(iter(analysis.comparison.entries[label].values())) for label in labels}
    found = {label: entry["config"]["loss"].get("weights") or {} for label, entry in firsts.items()}
    if not all(isinstance(weights, Mapping) for weights in found.values()):
        return {label: ":".join(f"{weight:g}" for weight in weights) for label, weights in found.items()}
    names = dict.fromkeys(name for weights in found.values() for name in weights)
    differ = [name for name in names if len({weights.get(name, 1.0) for weights in found.values()}) > 1]
    return {
        label: ", ".join(f"{name} {weights.get(name, 1.0):g}" for name in differ) for label, weights in found.items()
    }


def _caption(analysis: Analysis, front: Front) -> str:
    swept = any(len(method.labels) > 1 for method in front.methods.values())
    text = (
        f"Each loss by {listed(map(goal_words, front.goals))}, mean and {100 * analysis.options.confidence:g} % "
        f"Student-t interval over {over_seeds(analysis)}; filled where no other loss is as good in every goal and "
        "better in one"
    )
    text += "; points of one method that differ in loss.weights are joined, the weights beside them" if swept else ""
    text += f"; lines: {listed(front.alone)}, a network for each part" if front.alone else ""
    text += "; grey: the front" if len(front.goals) == 2 else ""
    text += "; intervals are cut at the frame"
    return f"{text}; cross: the worst of all runs ({reference_words(front)})."


def _alt(front: Front) -> str:
    """Write the points on the front and the volumes in numbers."""
    points = [
        f"{label} ({', '.join(f'{value:.4g}' for value in front.points[label])})" for label in front.best[:MOST_TOLD]
    ]
    more = f" and {len(front.best) - MOST_TOLD} more" if len(front.best) > MOST_TOLD else ""
    goals = listed(map(goal_words, front.goals))
    volumes = [
        f"{name} {method.hypervolume.mean:.3g}"
        for name, method in front.methods.items()
        if method.hypervolume is not None
    ]
    text = f"Points by {goals}: {len(front.best)} of {len(front.points)} on the front: {', '.join(points)}{more}."
    return f"{text} Hypervolumes: {listed(volumes, most=MOST_TOLD)}." if volumes else text
