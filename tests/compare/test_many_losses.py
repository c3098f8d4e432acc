"""More losses than a picture can show, and pictures of many panels: the same pixels in a part of the time."""

import gc

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lossbench.compare.report import html
from lossbench.compare.report.figures.drawing import STYLE, draw_band, label_axes, panels, title_panel
from lossbench.compare.report.figures.inner_axes import simplify_inner_axes
from lossbench.compare.report.html import write_report
from lossbench.compare.report.writers import to_csv
from lossbench.locate import without_collecting
from tests.support.pages import compared


def many_panels(share, grid_lines):
    figure, grid = panels(11, 1.75, share_x=True, share_y=share)
    rng = np.random.default_rng(0)
    for k, axes in enumerate(grid):
        draw_band(axes, np.arange(60.0), rng.normal(k, 1, (5, 60)), 0.95, {"color": "#225588"})
        title_panel(axes, f"loss {k}", 4)
        if grid_lines:
            axes.grid(alpha=0.3, axis=grid_lines)
    label_axes(grid, "epoch", "error")
    return figure, grid


def pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("grid_lines", ["", "both", "x"])
def test_axes_without_numbers_look_as_they_did(share, grid_lines):
    with matplotlib.rc_context(STYLE):
        (figure, grid), (other, _) = many_panels(share, grid_lines), many_panels(share, grid_lines)
        for each in (figure, other):
            each.canvas.draw()
            each.set_layout_engine("none")
        simplify_inner_axes(figure)
        hidden = [(not axes.xaxis.get_visible(), not axes.yaxis.get_visible()) for axes in grid]
        assert hidden == [(k < 7, share and k % 4 > 0) for k in range(11)]
        differences = pixels(figure).astype(int) - pixels(other)
        assert np.abs(differences).max() <= 1  # where grid lines cross, by which is drawn first


def test_panels_that_share_their_axes_have_room_for_all_bands():
    _, grid = many_panels(True, "")
    low, high = grid[0].get_ylim()
    assert low < -1 and high > 11 and {axes.get_ylim() for axes in grid} == {(low, high)}


@pytest.mark.parametrize("baseline", ["cross_entropy", "loss_1"])
def test_of_many_losses_the_best_are_drawn_and_the_baseline(baseline, monkeypatch, tmp_path):
    monkeypatch.setattr(html, "MOST_DRAWN", 3)
    analysis = compared(losses=6, baseline=baseline)
    shown, told = html._drawn(analysis)
    best = analysis.counted[:3]
    assert shown.counted == best + [baseline] * (baseline not in best) and len(analysis.counted) == 6
    beside = "" if baseline in best else f" and of {baseline}"
    assert told == f" The picture is of the best 3 of 6 losses{beside}; the tables have all."
    page = write_report(analysis, tmp_path, []).read_text()
    assert told in page and all(label in page for label in analysis.order)
    monkeypatch.setattr(html, "MOST_DRAWN", 6)
    assert html._drawn(analysis) == (analysis, "")


def test_packed_pairs_leave_the_tables_as_they_are(monkeypatch):
    plain = compared(losses=6)
    monkeypatch.setattr("lossbench.compare.numbers.packed_pairs.FEW", 1)
    packed = compared(losses=6)
    assert type(packed.main.pairs) is not type(plain.main.pairs) and to_csv(packed) == to_csv(plain)
    assert packed.main.letters == plain.main.letters


def test_garbage_is_looked_for_again_after_a_report():
    with pytest.raises(ValueError, match="wrong"), without_collecting():
        assert not gc.isenabled()
        raise ValueError("wrong")
    assert gc.isenabled()
