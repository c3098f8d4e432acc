"""The picture of losses side by side: value, slope and curvature. Nothing here imports torch."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lossbench.errors import ConfigError
from lossbench.tasks import tasks
from lossbench.tasks.loss_lines import alike, line_of, marked_sparsely, name_ends
from lossbench.tasks.loss_style import style_of

TWO_CLASSES: dict[str, Any] = {
    "class_counts": [10, 1000],
    "num_classes": 2,
    "max_epochs": 1,
    "num_samples": 1010,
    "train_size": 1010,
    "num_features": 4,
}
"""The run context of the curves: class 0, the true one, is rare."""
MAX_LOSSES = 20
WIDTH = 9.5
"""Inches: a page that is narrower than this makes the letters smaller."""
MARKED = 10
"""The lines of so many losses have markers; of more only those that share colour and dashes."""
REACH = {"residual": 5.0, "linear": 6.0, "cosine": 2.0}
"""How far the curves go to both sides; two cosines differ by at most 2."""

_PANELS = ("value", "slope (first derivative)", "curvature (second derivative)")
POINTS = 600  # even: the kinks at 0 fall between two points
_WITHIN = 3.0  # the axes show this many times the reach of the median loss

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """What is drawn of a loss, and said of it.

    Parameters
    ----------
    x : array (N,)
        Margins or residuals.
    heights : array (3, N)
        Value, slope and curvature there.
    at_one : array (2, 2)
        Value and slope, each where x is -1 and 1.
    over : str
        "margin" or "residual".
    asks : tuple of str
        What it depends on, of "class_counts", "cosine" and "teacher_logits".

    """

    x: Array
    heights: Array
    at_one: Array
    over: str
    asks: tuple[str, ...]


@matplotlib.rc_context({"text.parse_math": False, "lines.scale_dashes": False})  # a name is no formula
def draw_curves(
    drawn: Mapping[str, Curve], path_stem: Path, baseline: str = "", endings: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Draw value, slope and curvature of losses in three panels; return the paths of the files.

    Parameters
    ----------
    drawn : dict
        Up to 20 losses by their label: all of regression, or all of classification.
    path_stem : Path
        Where to write, without the ending.
    baseline : str
        The label of one whose line is thicker.
    endings : sequence of str, optional
        The files that are written: "png", "svg", "pdf".

    Raises
    ------
    ConfigError
        If there are too many losses to tell apart, they can't share an axis, or the files can't be written.

    """
    check_drawable({label: curve.over for label, curve in drawn.items()})
    labels, twins, marked = _labels_with_twins(drawn), alike(drawn), len(drawn) <= MARKED
    figure = Figure(figsize=(WIDTH, 4.2 + 0.1 * len(drawn)), layout="constrained")
    for axes, title, order in zip(figure.subplots(1, 3), _PANELS, range(3), strict=True):
        for label, (name, entry) in zip(labels, drawn.items(), strict=True):
            look = marked_sparsely(line_of(name, baseline, marked=marked or name in twins), len(entry.x))
            depth = 0.1 * bool(style_of(name).dashes)  # solid lines lie at the bottom, broken ones let them through
            shown = f"{label} (baseline)" if name == baseline else label
            axes.plot(entry.x, entry.heights[order], label=shown, **{**look, "zorder": 2 + depth})
        name_ends(axes, [label for label, name in zip(labels, drawn, strict=True) if name in alike(drawn, marked=True)])
        beyond = _limit(axes, {label: entry.heights[order] for label, entry in drawn.items()})
        axes.set_title("\n".join([title, *textwrap.wrap(beyond, int(4 * WIDTH))]), fontsize=10)
        axes.set_xlabel(_x_label(drawn))
        axes.axvline(0, color="black", linewidth=0.6, alpha=0.5)
        axes.grid(alpha=0.25)
    columns = min(len(labels), 5, max(1, int(14 * WIDTH) // (6 + max(map(len, labels)))))  # 14 small letters an inch
    lines = axes.get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, handlelength=3.4)
    figure.suptitle(_caption(drawn), fontsize=9, color="#444444")
    return [_save(figure, path_stem, ending) for ending in endings]


def curved_tasks() -> list[str]:
    """Return the tasks whose losses can be drawn."""
    return sorted(name for name, task in tasks().items() if task.curves)


def check_drawable(losses: Mapping[str, str]) -> None:
    """Refuse losses, each with what it is drawn over, that can't share a figure."""
    if len(losses) > MAX_LOSSES:
        raise ConfigError(f"{len(losses)} losses in one figure: at most {MAX_LOSSES} can be told apart. Draw fewer.")
    without = [label for label, over in losses.items() if not over]
    if without:
        raise ConfigError(
            f"{', '.join(without)}: a loss is drawn over one number, the margin or the residual; there are curves for "
            f"the tasks {', '.join(curved_tasks())}."
        )
    regression = [label for label, over in losses.items() if over == "residual"]
    others = [label for label in losses if label not in regression]
    if regression and others:
        raise ConfigError(
            f"losses of regression ({', '.join(regression)}) are drawn over the residual, losses of classification "
            f"({', '.join(others)}) over the margin: they can't share a figure. Draw them in two."
        )


def _limit(axes: Axes, heights: dict[str, Array]) -> str:
    """Keep a steep loss from flattening all others; return what leaves the panel, in words."""
    peaks = {label: float(np.abs(height).max()) for label, height in heights.items()}
    limit = _WITHIN * sorted(peaks.values())[(len(peaks) - 1) // 2]
    beyond = [f"{_name(label)} to {peak:.3g}" for label, peak in peaks.items() if peak > limit > 0]
    if not beyond:
        return ""
    within = np.concatenate(list(heights.values())).clip(-limit, limit)
    low, high = float(within.min()), float(within.max())
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    return f"beyond the panel, in size: {', '.join(beyond)}"


def _labels_with_twins(drawn: Mapping[str, Curve]) -> list[str]:
    """Name beside each loss the first one whose curves it covers: = if they are the same, ≈ if they look the same."""
    labels = []
    known = list(drawn)
    for index, label in enumerate(known):
        twins = ((other, _sign(drawn[other], drawn[label])) for other in known[:index])
        labels.append(next((f"{label} {sign} {_name(other)}" for other, sign in twins if sign), label))
    return labels


def _sign(one: Curve, other: Curve) -> str:
    if not np.array_equal(one.x, other.x):
        return ""
    pairs = zip(one.heights, other.heights, strict=True)
    apart = max(np.abs(a - b).max() / max(np.abs(a).max(), 1e-12) for a, b in pairs)
    return "=" if apart < 1e-6 else "≈" if apart < 0.02 else ""


def _name(label: str) -> str:
    return label.partition(" (")[0]


def _x_label(drawn: Mapping[str, Curve]) -> str:
    if next(iter(drawn.values())).over == "residual":
        return "residual: target − prediction"
    return "margin: the true class − the other"


def _caption(drawn: Mapping[str, Curve]) -> str:
    counted, cosine, taught = (
        [_name(label) for label, curve in drawn.items() if asked in curve.asks]
        for asked in ("class_counts", "cosine", "teacher_logits")
    )
    rare, common = TWO_CLASSES["class_counts"]
    lines = []
    if counted:
        lines.append(f"True class with {rare} training samples, the other with {common}: {', '.join(counted)}.")
    if cosine:
        lines.append(f"Outputs are cosines, so that the margin ends at ±2: {', '.join(cosine)}.")
    if taught:
        lines.append(f"The teacher has a margin of 2: {', '.join(taught)}.")
    return "\n".join(lines)


def _save(figure: Figure, path_stem: Path, ending: str) -> Path:
    path = path_stem.with_name(f"{path_stem.name}.{ending}")
    undated = {"metadata": {"CreationDate" if ending == "pdf" else "Date": None}}
    settings: dict[str, Any] = {"dpi": 130} if ending == "png" else undated
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({"pdf.fonttype": 42}):  # TrueType, as journals ask for
            figure.savefig(path, **settings)
    except OSError as error:
        raise ConfigError(
            f"output={path}: can't write there ({error.strerror}). Choose another: output=PATH."
        ) from error
    return path
