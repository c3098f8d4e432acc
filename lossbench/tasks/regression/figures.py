"""The figure of a run of regression: predictions over targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from lossbench.tasks.drawing import COLORS, save_figure


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw what is predicted on the test set at the last epoch."""
    if last is None or "test" not in last:
        return []
    test = {"class_names": entry["data"].get("class_names"), **last["test"]}
    return [save_figure(folder / "predictions.png", lambda axes: _predictions(axes, test))]


def _predictions(axes: Axes, test: Mapping[str, Any]) -> None:
    target, prediction = test["target"].numpy(), test["prediction"].numpy()
    axes.scatter(target, prediction, s=6, alpha=0.5, color=COLORS["test"])
    ends = [min(target.min(), prediction.min()), max(target.max(), prediction.max())]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set(xlabel="target", ylabel="prediction", title="test set")
    axes.grid(alpha=0.3)
