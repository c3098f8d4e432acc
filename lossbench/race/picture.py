"""The picture of a race: the interval of each loss to the best at each look, and where it left."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lossbench.compare.report.figures.drawing import REFERENCE, STYLE, WIDTH, Picture, save
from lossbench.compare.report.formatting import words
from lossbench.race.contestants import Contest
from lossbench.race.decide import Race
from lossbench.tasks.loss_lines import line_of


def draw_race(found: Race, contest: Contest, folder: Path) -> None:
    """Write `race.png` and `race.svg` into a folder; one that is there is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        save(Picture("race", "The race", "", race_figure(found, contest)), folder)


def race_figure(found: Race, contest: Contest) -> Figure:
    """Draw a panel for each loss but the best: by how much it is better than whoever led, look by look."""
    labels = [label for label in contest.contestants if label != found.best]
    columns = min(3, max(1, len(labels)))
    rows = -(-max(1, len(labels)) // columns)
    figure = Figure(figsize=(WIDTH, 0.7 + 1.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for i, label in enumerate(labels):
        _draw_loss(panels[i], label, found, contest.rules.margin)
    for panel in panels[len(labels) :]:
        panel.set_visible(False)
    better = "higher" if contest.rules.higher_is_better else "lower"
    figure.supxlabel("seeds", fontsize=9.5)
    figure.suptitle(
        f"Better than the leader by how much {words(contest.metric)} ({better} is better)"
        + (f"; the best: {found.best}" if found.is_known else ""),
        fontsize=10,
    )
    return figure


def _draw_loss(axes: Axes, label: str, found: Race, margin: float | None) -> None:
    look = line_of(label)
    color = look["color"]
    looks = [look for look in found.looks if label in look.against_best]
    ends = [(look.n, *look.against_best[label]) for look in looks]
    known = np.array([end for end in ends if np.isfinite(end[1:]).all()]).reshape(-1, 3)
    n, low, high = known.T
    axes.axhline(0, color=REFERENCE, linewidth=0.8)
    if margin is not None:
        axes.axhspan(-margin, margin, color="#888888", alpha=0.18, linewidth=0)
    axes.fill_between(n, low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(n, (low + high) / 2, **look)
    title = f"{label}: open"
    if label in found.out:
        decision = found.out[label]
        title = f"{label}: {decision.fate}, {decision.n} seeds"
        if decision.fate != "diverged":
            bounds = np.array([[decision.low], [decision.high]])
            axes.errorbar(
                [decision.n], bounds.mean(0), yerr=np.abs(bounds - bounds.mean(0)), color=color, capsize=4, linewidth=2
            )
    elif label not in found.undecided:
        title = f"{label}: worse"
    axes.set_title(title)
    axes.set_xlim(0, found.looks[-1].n + 1)
    shown = np.concatenate([low[-4:], high[-4:]])
    if shown.size:  # the first intervals are so wide that they would hide the last ones
        reach = max(np.abs(shown).max(), 2 * (margin or 0)) * 1.3
        axes.set_ylim(-reach or None, reach or None)
