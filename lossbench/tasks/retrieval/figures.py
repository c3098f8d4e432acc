"""Pictures of retrieval: how far down one must read, beside BM25 and a random order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lossbench.tasks.drawing import COLORS, save_figure

Array = NDArray[Any]
BM25, RANDOM = "#3d3d3d", "#9a9a9a"
MARKED = (1, 2, 5, 10, 25, 50, 100)
"""The ranks at which lines have markers, on a scale of logarithms."""


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw at which rank the first relevant passage of the test queries comes, at the last epoch."""
    if last is None or "test" not in last:
        return []
    test = {name: each.numpy() for name, each in last["test"].items()}
    return [save_figure(folder / "first_relevant.png", lambda axes: draw_first_relevant(axes, test))]


def draw_first_relevant(axes: Axes, test: Mapping[str, Array]) -> None:
    """Draw the share of the queries whose first relevant passage is among the first k."""
    draw_orders(axes, {"this run": ({"color": COLORS["test"]}, answered(test["found"]))}, test, answered)
    axes.plot(*_by_chance(test), color=RANDOM, linewidth=1.2, linestyle=":", label="random order")
    axes.set(ylabel="share of the queries", title="first relevant passage among the first k, test set")
    axes.legend(fontsize=8, frameon=False, loc="upper left")


def draw_orders(
    axes: Axes, orders: Mapping[str, tuple[Mapping[str, Any], Array]], test: Mapping[str, Array], of: Any
) -> None:
    """Draw curves over ranks, each with the look of its line, and that of BM25 where there is one."""
    for label, (look, values) in orders.items():
        marked = {"markevery": [k - 1 for k in MARKED if k <= len(values)]} if "marker" in look else {}
        axes.plot(np.arange(1, len(values) + 1), values, label=label, **{"linewidth": 1.6, **look, **marked})
    if "found_by_bm25" in test:
        values = of(test["found_by_bm25"])
        axes.plot(np.arange(1, len(values) + 1), values, color=BM25, linewidth=1.2, linestyle=(0, (4, 2)), label="BM25")
    axes.set(xscale="log", xlabel="k", ylim=(-0.02, 1.02))
    axes.minorticks_off()
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.grid(alpha=0.3)


def answered(found: Array) -> Array:
    """Return the share (k,) of the queries of which a relevant passage is among the first 1, 2 ... k.

    Examples
    --------
    >>> answered(np.array([[0, 1, 0], [0, 0, 2]])).tolist()
    [0.0, 0.5, 1.0]

    """
    return np.asarray(np.maximum.accumulate(found > 0, axis=1).mean(0))


def recalled(found: Array, grades: Array) -> Array:
    """Return the recall (k,) among the first 1, 2 ... k, of grades found (N, k) and all (N, G); the mean over queries.

    Examples
    --------
    >>> recalled(np.array([[0, 1, 0]]), np.array([[1, 1]])).tolist()
    [0.0, 0.5, 0.5]

    """
    relevant = np.maximum((grades > 0).sum(1), 1)
    return np.asarray(((found > 0).cumsum(1) / relevant[:, None]).mean(0))


def _by_chance(test: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return ranks and the share of the queries that a random order is expected to have answered by then."""
    passages, relevant = int(test["passages"][0]), (test["grades"] > 0).sum(1)[:, None]
    ranks = np.arange(1, test["found"].shape[1] + 1)
    none = np.cumprod(np.clip((passages - relevant - ranks + 1) / (passages - ranks + 1), 0, None), axis=1)
    return ranks, 1 - none.mean(0)
