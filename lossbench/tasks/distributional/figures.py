"""The figure of a run of distributional regression: prediction intervals, and how well they are calibrated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lossbench.tasks.drawing import COLORS, HEIGHT, WIDTH, save_figure


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw what is predicted on the test set at the last epoch."""
    if last is None or "test" not in last:
        return []
    test = {"class_names": entry["data"].get("class_names"), **last["test"]}
    return [save_figure(folder / "intervals.png", lambda axes: _intervals(axes, test))]


def _intervals(axes: Axes, test: Mapping[str, Any]) -> None:
    """Draw prediction intervals, over the input if it is a single one, and beside them the calibration curve."""
    axes.set_position((0.1, 0.13, 0.52, 0.79))
    target, quantiles = test["target"].numpy(), test["quantiles"].numpy()
    middle, levels = quantiles.shape[1] // 2, np.arange(1, quantiles.shape[1] + 1) / (quantiles.shape[1] + 1)
    low, high = quantiles[:, 1], quantiles[:, -2]
    if "inputs" in test:
        x = test["inputs"].numpy()
        order = np.argsort(x)
        axes.scatter(x, target, s=4, color="#999999")
        axes.fill_between(x[order], low[order], high[order], color=COLORS["test"], alpha=0.25, linewidth=0)
        axes.plot(x[order], quantiles[order, middle], color=COLORS["test"])
        axes.set(xlabel="input, standardised", ylabel="target", title="test set: median, 90 % interval")
    else:
        bars = [quantiles[:, middle] - low, high - quantiles[:, middle]]
        look: Mapping[str, Any] = {"fmt": "o", "markersize": 2.5, "elinewidth": 0.5, "alpha": 0.6}
        axes.errorbar(target, quantiles[:, middle], bars, color=COLORS["test"], **look)
        axes.plot([target.min(), target.max()], [target.min(), target.max()], color="black", linewidth=0.8)
        axes.set(xlabel="target", ylabel="prediction", title="test set: median, 90 % interval")
    axes.grid(alpha=0.3)
    beside = axes.figure.add_axes((0.72, 0.3, 0.24, 0.24 * WIDTH / HEIGHT))
    beside.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    beside.plot(levels, (target[:, None] <= quantiles).mean(0), color=COLORS["test"])
    beside.set(xlabel="level", ylabel="targets below", title="calibration", xlim=(0, 1), ylim=(0, 1))
    beside.grid(alpha=0.3)
