"""Panels that share their axes are laid out by those at the edges, and nothing of a picture lies outside of it."""

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lossbench.compare.report.figures.drawing import (
    STYLE,
    Picture,
    label_axes,
    log_beyond,
    name_rows,
    one_panel,
    panels,
    save,
    title_panel,
)
from tests.support.drawn import outside


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


def test_a_scale_by_logarithm_has_numbers_that_are_no_formulas(tmp_path):
    with matplotlib.rc_context(STYLE):
        figure, axes = one_panel(2)
        axes.plot([1, 2, 3], [0.4, 1.5, 30])
        log_beyond(axes, 2.0)
        figure.savefig(tmp_path / "a.svg", format="svg")
    shown = [text.get_text() for text in axes.get_yticklabels()]
    assert shown[:5] == ["0", "1", "2", "5", "10"] and "math" not in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 12])
def test_panels_of_fixed_proportions_leave_their_names_room(count, tmp_path):
    with matplotlib.rc_context(STYLE):
        figure, grid = panels(count, 2.6)
        for axes in grid:
            image = axes.imshow(np.eye(10))
            title_panel(axes, "focal", 3)
        label_axes(grid, "predicted class", "true class")
        figure.colorbar(image, ax=grid, label="share of the true class", pad=0.01, shrink=0.6)
        save(Picture("confusion", "Confusion", "", figure), tmp_path)
        assert outside(figure) <= 0 and {axes.get_aspect() for axes in grid} == {1.0}


@pytest.mark.parametrize("name", ["cross_entropy", "focal(gamma=0.5)", "a_loss_with_a_name_that_is_long"])
def test_names_beside_a_panel_are_not_cut_off(name, tmp_path):
    with matplotlib.rc_context(STYLE):
        figure, axes = one_panel(2.4)
        axes.imshow(np.eye(2), aspect="auto")
        name_rows(axes, ["mse", name], name)
        save(Picture("rows", "Rows", "", figure), tmp_path)
        assert outside(figure) <= 0


def test_epochs_are_whole_numbers(tmp_path):
    figure, grid = panels(4, 1.8, share_x=True)
    for axes in grid:
        axes.plot([1, 2, 3], [0, 1, 0])
    label_axes(grid, "epoch", "loss")
    save(Picture("epochs", "Epochs", "", figure), tmp_path)
    for axes in grid:
        assert all(tick == round(tick) for tick in axes.get_xticks()) and len(axes.get_xticks()) >= 3
