"""The pictures of one run: its learning curves, and what it predicts against what is true."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lossbench.pictures_generation import images_over_epochs, loss_terms
from lossbench.pictures_points import points_over_epochs
from lossbench.pictures_sequence import lines_with_posteriors
from lossbench.record import Record

WIDTH, HEIGHT = 6.4, 4.2
COLORS = {"train": "#7f7f7f", "val": "#4c78a8", "test": "#d1495b"}


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
        paths.append(_save(folder / "learning_curves.png", lambda axes: _learning_curves(axes, entry)))
    if last is not None and "test" in last and entry["task"] in OF_PREDICTIONS:
        name, draw = OF_PREDICTIONS[entry["task"]]
        test = {"class_names": entry["data"].get("class_names"), **last["test"]}
        paths.append(_save(folder / f"{name}.png", lambda axes: draw(axes, test)))
    if entry["task"] == "generation" and entry["history"]:
        paths.append(_save(folder / "loss_terms.png", lambda axes: loss_terms(axes, entry)))
        if last is not None and snapshots and snapshots[0]["samples"].ndim == 4:
            paths.append(_save(folder / "generated.png", lambda axes: images_over_epochs(axes, last, snapshots), 0.26))
    if last is not None and "real" in last.get("test", {}) and snapshots and last["test"]["real"].ndim == 2:
        paths.append(folder / "points.png")
        points_over_epochs(last["test"], snapshots).savefig(paths[-1], dpi=100, pil_kwargs={"compress_level": 1})
    return paths


def _learning_curves(axes: Axes, entry: Record) -> None:
    metric, history = entry["monitor"], entry["history"]
    for part in ("val", "test"):
        rows = [row for row in history if f"{part}/{metric}" in row]
        if rows:
            epochs, values = [row["epoch"] for row in rows], [row[f"{part}/{metric}"] for row in rows]
            axes.plot(epochs, values, color=COLORS[part], label=part, marker="." if len(rows) < 30 else None)
    axes.set(xlabel="epoch", ylabel=metric.replace("_", " "), title=f"{entry['name']} ({entry['status']})")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)


def _confusion(axes: Axes, test: dict[str, Any]) -> None:
    target, predicted = test["target"].numpy(), test["probabilities"].argmax(1).numpy()
    classes = test["probabilities"].shape[1]
    counts = np.bincount(target * classes + predicted, minlength=classes**2).reshape(classes, classes)
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
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


def _predictions(axes: Axes, test: dict[str, Any]) -> None:
    target, prediction = test["target"].numpy(), test["prediction"].numpy()
    axes.scatter(target, prediction, s=6, alpha=0.5, color=COLORS["test"])
    ends = [min(target.min(), prediction.min()), max(target.max(), prediction.max())]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set(xlabel="target", ylabel="prediction", title="test set")
    axes.grid(alpha=0.3)


def _labels(axes: Axes, test: dict[str, Any]) -> None:
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


def _intervals(axes: Axes, test: dict[str, Any]) -> None:
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
        look: dict[str, Any] = {"fmt": "o", "markersize": 2.5, "elinewidth": 0.5, "alpha": 0.6}
        axes.errorbar(target, quantiles[:, middle], bars, color=COLORS["test"], **look)
        axes.plot([target.min(), target.max()], [target.min(), target.max()], color="black", linewidth=0.8)
        axes.set(xlabel="target", ylabel="prediction", title="test set: median, 90 % interval")
    axes.grid(alpha=0.3)
    beside = axes.figure.add_axes((0.72, 0.3, 0.24, 0.24 * WIDTH / HEIGHT))
    beside.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    beside.plot(levels, (target[:, None] <= quantiles).mean(0), color=COLORS["test"])
    beside.set(xlabel="level", ylabel="targets below", title="calibration", xlim=(0, 1), ylim=(0, 1))
    beside.grid(alpha=0.3)


OF_PREDICTIONS: dict[str, tuple[str, Callable[[Axes, dict[str, Any]], None]]] = {
    "binary": ("confusion_matrix", _confusion),
    "multiclass": ("confusion_matrix", _confusion),
    "multilabel": ("labels", _labels),
    "count": ("predictions", _predictions),
    "distributional": ("intervals", _intervals),
    "regression": ("predictions", _predictions),
    "sequence": ("posteriors", lines_with_posteriors),
}
"""By task, the name of the picture of what is predicted on the test set, and what draws it."""


def _save(path: Path, draw: Callable[[Axes], None], left: float = 0.12) -> Path:
    # A fixed layout and little compression: a sweep draws hundreds, and a layout that is solved takes half of the time.
    figure = Figure(figsize=(WIDTH, HEIGHT))
    draw(figure.subplots(gridspec_kw={"left": left, "right": 0.96, "bottom": 0.13, "top": 0.92}))
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
    return path
