"""What the figures of runs share: their size, their colours, how they are written."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH, HEIGHT = 6.4, 4.2
COLORS = {"train": "#7f7f7f", "val": "#4c78a8", "test": "#d1495b"}


def save_figure(path: Path, draw: Callable[[Axes], None], left: float = 0.12) -> Path:
    """Draw into one panel and write it; return its path."""
    # A fixed layout and little compression: a sweep draws hundreds, and a layout that is solved takes half of the time.
    figure = Figure(figsize=(WIDTH, HEIGHT))
    draw(figure.subplots(gridspec_kw={"left": left, "right": 0.96, "bottom": 0.13, "top": 0.92}))
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
    return path
