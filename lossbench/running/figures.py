"""The figures of one run: its learning curves, and those of its task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from lossbench.records.schema import Record, task_of
from lossbench.tasks.drawing import COLORS, save_figure


@matplotlib.rc_context({"text.parse_math": False})  # a name is no formula
def draw_run(
    folder: Path, entry: Record, last: dict[str, Any] | None, snapshots: Sequence[dict[str, Any]] = ()
) -> list[Path]:
    """Draw the pictures of a run into its folder; return their paths.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    entry : dict
        Its record, with `history`.
    last : dict or None
        The evaluation of the last epoch, with the predictions on the test set.
    snapshots : sequence of dict
        What the learner showed of each evaluation.

    """
    paths = []
    if entry["history"]:
        paths.append(save_figure(folder / "learning_curves.png", lambda axes: _learning_curves(axes, entry)))
    return paths + task_of(entry).figures.of_run(folder, entry, last, snapshots)


def _learning_curves(axes: Axes, entry: Record) -> None:
    metric, history = entry["monitor"], entry["history"]
    for part in ("val", "test"):
        rows = [row for row in history if f"{part}/{metric}" in row]
        if rows:
            epochs, values = [row["epoch"] for row in rows], [row[f"{part}/{metric}"] for row in rows]
            axes.plot(epochs, values, color=COLORS[part], label=part, marker="." if len(rows) < 30 else None)
    axes.set(xlabel="epoch", ylabel=metric.replace("_", " "), title=f"{entry['name']} ({entry['status']})")
    axes.locator_params(axis="x", integer=True)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
