"""The picture of a run that generates points: what it draws from epoch to epoch, over its critic's score or density."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

PANELS = 6
"""So many epochs are shown, evenly spaced, the first and the last among them."""
REAL, FAKE = "#555555", "#d1495b"
SCORES = "BrBG"
"""Colours of scores: green is taken for real, brown for fake."""
DENSITIES, DEPTH = "YlGnBu", 8.0
"""Colours of densities, down to so many nats below the largest."""

Array = NDArray[Any]


def points_over_epochs(last: Mapping[str, Any], snapshots: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the points of a few epochs over held-out ones, and below them a critic's score or a density that was kept.

    Parameters
    ----------
    last : mapping
        What was predicted on the test set in the last epoch.
    snapshots : sequence of mapping
        What the learner showed of each evaluation.

    """
    places = sorted({*np.linspace(0, len(snapshots) - 1, PANELS).round().astype(int)})
    figure = Figure(figsize=(2.3 * len(places), 2.6), layout="constrained")
    for axes, place in zip(figure.subplots(1, len(places), squeeze=False).flat, places, strict=True):
        arrays = {name: tensor.numpy() for name, tensor in snapshots[place].items()}
        if "log_density" in arrays:
            show_density(axes, arrays["side"], arrays["log_density"])
        show_points(axes, arrays["samples"], last["real"].numpy(), arrays.get("side"), arrays.get("critic"))
        axes.set_title(f"epoch {int(arrays['epoch']) + 1}", fontsize=9)
    return figure


def show_density(axes: Axes, side: Array, log_density: Array) -> None:
    """Draw a density on a logarithmic scale; `log_density` (S, S) is that at (side[i], side[j]), in nats."""
    top = log_density.max()
    levels = np.linspace(top - DEPTH, top, 17)
    axes.contourf(side, side, log_density.T, levels=levels, cmap=DENSITIES)


def show_points(
    axes: Axes, samples: Array, real: Array, side: Array | None = None, scores: Array | None = None
) -> None:
    """Draw generated points over real ones, and below them the critic's score on a grid.

    Parameters
    ----------
    axes : Axes
        Where.
    samples : array, shape (N, 2)
        Generated; the first 500 are drawn.
    real : array, shape (M, 2)
        Held-out; the first 1000 are drawn, and all decide what is in view.
    side, scores : arrays, shapes (S,) and (S, S), or None
        Coordinates of the grid, and the score at (side[i], side[j]).

    """
    if side is not None and scores is not None:
        low, middle, high = np.quantile(scores, [0.02, 0.5, 0.98])
        reach = max(high - middle, middle - low, 1e-9)
        levels = np.linspace(middle - reach, middle + reach, 17)
        axes.contourf(side, side, scores.T, levels=levels, cmap=SCORES, extend="both", alpha=0.8)
    axes.scatter(real[:1000, 0], real[:1000, 1], s=3, color=REAL, alpha=0.5, linewidths=0)
    axes.scatter(samples[:500, 0], samples[:500, 1], s=3, color=FAKE, alpha=0.7, linewidths=0)
    center, reach = (real.max(0) + real.min(0)) / 2, 0.65 * np.ptp(real, axis=0).max()
    axes.set(xlim=(center[0] - reach, center[0] + reach), ylim=(center[1] - reach, center[1] + reach))
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
