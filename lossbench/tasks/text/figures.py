"""Pictures of a language model: how hard the tokens are by their place in a text, and what it writes itself."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from lossbench.tasks.drawing import COLORS, save_figure
from lossbench.tasks.loss_lines import marked_sparsely

Array = NDArray[Any]
COLUMNS, LINES = 88, 3
"""Of what is written, as far as it is shown."""


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw the perplexity by place in a text, on each part, and the text that the network has written at the end."""
    if last is None or "test" not in last:
        return []
    names = (entry.get("data") or {}).get("class_names") or []
    written = snapshots[-1]["written"].tolist() if snapshots and "written" in snapshots[-1] else []

    def draw(axes: Axes) -> None:
        for part in ("val", "test"):
            if part in last:
                nll, target = (last[part][name].numpy() for name in ("nll", "target"))
                draw_places(axes, nll, target, {"color": COLORS[part]}, part)
        label_places(axes)
        axes.legend(frameon=False, fontsize=8)
        if written and names:
            axes.set_title(shown(written, names, 80, lines=2), fontsize=6.3, family="monospace", loc="left")

    return [save_figure(folder / "places.png", draw)]


def draw_places(axes: Axes, nll: Array, target: Array, look: Mapping[str, Any], label: str) -> None:
    """Draw the perplexities of the places of a text; `look` is that of the line."""
    places, perplexity = perplexities(nll, target)
    axes.plot(places, perplexity, label=label, **{"linewidth": 1.2, **marked_sparsely(look, len(places))})


def perplexities(nll: Array, target: Array) -> tuple[Array, Array]:
    """Return the places of a text from 1, and e to the mean of -log p (N, T) over the texts that have a token there.

    Examples
    --------
    >>> places, perplexity = perplexities(np.log([[2.0, 4.0], [8.0, 9.0]]), np.array([[1, 1], [1, -1]]))
    >>> places.tolist(), perplexity.round(6).tolist()
    ([1, 2], [4.0, 4.0])

    """
    known = (target >= 0).sum(0)
    places = np.flatnonzero(known)
    mean = np.where(target >= 0, nll, 0.0).sum(0)[places] / known[places]
    return places + 1, np.exp(mean)


def label_places(axes: Axes) -> None:
    """Name the axes; perplexities are on a scale of logarithms, written as plain numbers."""
    axes.set(xlabel="place in a text", ylabel="perplexity", yscale="log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(ScalarFormatter())


def shown(tokens: Sequence[int], names: Sequence[str], columns: int = COLUMNS, lines: int = LINES) -> str:
    """Write tokens in a few lines of fixed width, line breaks as a sign.

    Examples
    --------
    >>> shown([1, 2, 1, -1], ["", "ab", " "])
    'ab ab'

    """
    text = "".join(names[token] for token in tokens if token >= 0).replace("\n", "¶")
    return "\n".join(textwrap.wrap(text, columns, drop_whitespace=False)[:lines]).rstrip()
