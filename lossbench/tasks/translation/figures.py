"""Pictures of translations: the share without a mistake by length, and some of them beside the true ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lossbench.tasks.drawing import COLORS, save_figure
from lossbench.tasks.translation.by_sample import exact_matches
from lossbench.tasks.translation.texts import texts_of

Array = NDArray[Any]
SHOWN, MOST = 4, 62
"""Translations that are shown, and the characters of each."""
WRONG = "#d1495b"


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the share of test translations without a mistake by their length, and the first ones with the worst."""
    if last is None or "test" not in last:
        return []
    arrays = {name: tensor.numpy() for name, tensor in last["test"].items()}

    def draw(axes: Axes) -> None:
        draw_lengths(axes, arrays, {"color": COLORS["test"]}, "test")
        axes.set(xlabel="words of the true translation", ylabel="without a mistake", ylim=(-0.03, 1.03))

    rows = rows_of(arrays, chosen(arrays))
    return [
        save_figure(folder / "lengths.png", draw),
        save_figure(folder / "translations.png", lambda axes: draw_rows(axes, rows), left=0.03),
    ]


def draw_lengths(axes: Axes, arrays: Mapping[str, Array], look: Mapping[str, Any], label: str) -> None:
    """Draw the share of translations without a mistake over the words of the true ones; hollow: long ones.

    `look` is that of the line; its marker is at each length.
    """
    exact = exact_matches(arrays["hypothesis"], arrays["target"])
    lengths = np.array([len(text.split()) for text in texts_of(arrays, ["target"])[0]])
    long = arrays["long"].astype(bool)
    usual = {"linewidth": 1.3, "marker": "o", "markersize": 3.5}
    hollow = {"linestyle": ":", "markerfacecolor": "white", "markeredgecolor": look["color"]}
    for some, more in ((~long, {"label": label}), (long, hollow)):
        each = np.unique(lengths[some])
        share = [exact[some & (lengths == length)].mean() for length in each]
        axes.plot(each, share, **{**usual, **look, **more})


def chosen(arrays: Mapping[str, Array], count: int = SHOWN) -> list[int]:
    """Return the rows of the first translations, and of the first wrong ones beyond these."""
    wrong = np.flatnonzero(~exact_matches(arrays["hypothesis"], arrays["target"]))
    first = list(range(min(count, len(arrays["target"]))))
    return [*first, *[int(row) for row in wrong if row >= count][:count]]


def rows_of(arrays: Mapping[str, Array], chosen: Sequence[int]) -> list[tuple[str, str, bool]]:
    """Return what is written of some rows: of each the text, the true translation and that of the network.

    Each is what it is, the text, and whether it is right.
    """
    some = {name: arrays[name][list(chosen)] for name in ("inputs", "target", "hypothesis")}
    read, true, written = texts_of({**some, "pieces": arrays["pieces"]}, ["inputs", "target", "hypothesis"])
    exact = exact_matches(some["hypothesis"], some["target"])
    return [
        each
        for row in range(len(read))
        for each in (("text", read[row], True), ("true", true[row], True), ("written", written[row], bool(exact[row])))
    ]


def draw_rows(axes: Axes, rows: Sequence[tuple[str, str, bool]]) -> None:
    """Write rows of text into a panel, what is wrong in red."""
    axes.set_axis_off()
    for number, (what, text, right) in enumerate(rows):
        y = 1 - (number + 0.3 * (number // 3)) / max(1, len(rows) + 0.3 * (len(rows) // 3))
        axes.text(0.0, y, what, fontsize=6.5, color="#777777", va="top", transform=axes.transAxes)
        cut = text if len(text) <= MOST else f"{text[: MOST - 1]}…"
        axes.text(
            0.1, y, cut, fontsize=6.5, family="monospace", va="top", color="black" if right else WRONG,
            transform=axes.transAxes,
        )  # fmt: skip
