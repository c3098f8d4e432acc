"""What the figures of runs share: their size, their colours, how they are written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

WIDTH, HEIGHT = 6.4, 4.2
SHOWN = 4
"""First images, and as many worst ones."""
COLORS = {"train": "#7f7f7f", "val": "#4c78a8", "test": "#d1495b"}


def save_figure(path: Path, draw: Callable[[Axes], None], left: float = 0.12) -> Path:
    """Draw into one panel and write it; return its path."""
    # A fixed layout and little compression: a sweep draws hundreds, and a layout that is solved takes half of the time.
    figure = Figure(figsize=(WIDTH, HEIGHT))
    draw(figure.subplots(gridspec_kw={"left": left, "right": 0.96, "bottom": 0.13, "top": 0.92}))
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
    return path


def save_first_and_worst(
    path: Path, errors: NDArray[Any], worst: Callable[[float], str], rows: Mapping[str, Callable[[Axes, int], None]]
) -> Path:
    """Draw the first images and those with the largest errors, a column each, and write it; return its path.

    Parameters
    ----------
    path : Path
        To which it is written.
    errors : array (N,)
        Of each image.
    worst : callable
        What stands above one of the worst, of its error.
    rows : mapping of str to callable
        What each row is called, and what draws it: into which axes, of which image.

    """
    images = [*range(min(SHOWN, len(errors))), *np.argsort(-errors, kind="stable")[:SHOWN].tolist()]
    figure = Figure(figsize=(1.25 * len(images) + 0.6, 1.35 * len(rows)))
    margins = {"left": 0.07, "right": 0.99, "bottom": 0.02, "top": 0.93}
    grid = figure.subplots(len(rows), len(images), squeeze=False, gridspec_kw=margins)
    for column, image in enumerate(images):
        grid[0, column].set_title(f"image {image}" if column < SHOWN else worst(errors[image]), fontsize=8)
        for axes, (name, draw) in zip(grid[:, column], rows.items(), strict=True):
            draw(axes, image)
            axes.set(xticks=[], yticks=[])
            if column == 0:
                axes.set_ylabel(name, fontsize=8)
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
    return path
