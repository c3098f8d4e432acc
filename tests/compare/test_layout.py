"""Panels that share their axes are laid out by those at the edges."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lossbench.compare.report.figures.drawing import Picture, label_axes, panels, save, title_panel


def drawn(long: int | None = None):
    figure, grid = panels(11, 1.75, share_x=True, share_y=True)
    for k, axes in enumerate(grid):
        axes.plot([0, 1], [0, 1000 * k])
        title_panel(axes, "a_name_that_is_too_long_for_one_line" if k == long else f"loss {k}", 4)
    label_axes(grid, "epoch", "error")
    return figure, grid


@pytest.mark.parametrize("long", [None, 5])
def test_a_panel_is_where_it_would_be_if_all_were_measured(long, tmp_path):
    (figure, grid), (other, whole) = drawn(long), drawn(long)
    save(Picture("curves", "Curves", "", figure), tmp_path)
    other.set_dpi(140)
    FigureCanvasAgg(other).get_renderer()
    for axes in whole:
        axes.set_in_layout(True)
    other.get_layout_engine().execute(other)
    places, expected = ([axes.get_position().bounds for axes in each] for each in (grid, whole))
    np.testing.assert_allclose(places, expected, atol=2e-3)
    assert (tmp_path / "curves.png").is_file() and (tmp_path / "curves.svg").is_file()
