"""Measures a drawing of matplotlib."""

import io

from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure


def outside(figure: Figure) -> float:
    """Return by how many points something of a picture lies outside of it, with letters as wide as those of an SVG."""
    figure.set_dpi(72)
    width, height = 72 * figure.get_size_inches()
    box = figure.get_tightbbox(RendererSVG(width, height, io.StringIO()))
    return max(-72 * box.x0, -72 * box.y0, 72 * box.x1 - width, 72 * box.y1 - height)
