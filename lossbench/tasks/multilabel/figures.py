"""The figure of a run with several labels: precision, recall and F1 of each."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lossbench.tasks.drawing import save_figure


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw what is predicted on the test set at the last epoch."""
    if last is None or "test" not in last:
        return []
    test = {"class_names": entry["data"].get("class_names"), **last["test"]}
    return [save_figure(folder / "labels.png", lambda axes: _labels(axes, test))]


def _labels(axes: Axes, test: Mapping[str, Any]) -> None:
    target = test["target"].numpy() > 0
    predicted = (test["probabilities"].numpy() > 0.5) & (test["target"].numpy() >= 0)  # -1: not known
    hit, labels = (target & predicted).sum(0), np.arange(target.shape[1])
    right = {"precision": predicted.sum(0), "recall": target.sum(0)}
    scores = {name: hit / np.maximum(1, whole) for name, whole in right.items()}
    scores["F1"] = 2 * hit / np.maximum(1, predicted.sum(0) + target.sum(0))
    for place, (name, values) in enumerate(scores.items()):
        axes.bar(labels + 0.27 * (place - 1), values, 0.25, label=name, color=["#9ecae1", "#4c78a8", "#d1495b"][place])
    axes.set(ylim=(0, 1.18), ylabel="score", title="test set: labels (samples that have them)")
    if len(labels) <= 8:
        names = test["class_names"] or [f"label {k}" for k in labels]
        told = [f"{name.replace('_', ' ')} ({count})" for name, count in zip(names, target.sum(0), strict=True)]
        axes.set_xticks(labels, [textwrap.fill(each, 10) for each in told], fontsize=7)
    else:
        axes.set_xlabel("label")
    axes.legend(frameon=False, ncols=3, loc="upper center")
    axes.grid(axis="y", alpha=0.3)
