"""The figure of a run of classification: its confusion matrix."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lossbench.tasks.classification.confusion import confusion_matrix, shares
from lossbench.tasks.drawing import save_figure


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw what is predicted on the test set at the last epoch."""
    if last is None or "test" not in last:
        return []
    test = {"class_names": entry["data"].get("class_names"), **last["test"]}
    return [save_figure(folder / "confusion_matrix.png", lambda axes: _confusion(axes, test))]


def _confusion(axes: Axes, test: Mapping[str, Any]) -> None:
    target, predicted = test["target"].numpy(), test["probabilities"].argmax(1).numpy()
    classes = test["probabilities"].shape[1]
    counts = confusion_matrix(predicted, target, classes)
    share = shares(counts)
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    axes.set(xlabel="predicted class", ylabel="true class", title="test set, share of each true class")
    if classes <= 20:
        axes.set_xticks(range(classes))
        axes.set_yticks(range(classes))
    if classes <= 12:
        for row, column in np.ndindex(classes, classes):
            if counts[row, column]:
                shade = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=shade, fontsize=7)
    axes.figure.colorbar(image, ax=axes)
