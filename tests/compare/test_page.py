"""What the page of a comparison holds: its order, its data, its pictures; what no browser is needed for."""

import io
import json
import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.embedded import Glyphs, embed
from lossbench.compare.report.figures.drawing import Picture
from lossbench.compare.report.html import SCRIPTS, write_report
from lossbench.compare.report.legible import entries_of
from lossbench.compare.report.page_data import MOST_EPOCHS, page_data
from lossbench.compare.report.script import as_script
from lossbench.compare.report.tables import differences_table, means_table, repeats, without_repeats
from lossbench.tasks.loss_style import style_of
from tests.support.compared import made_up
from tests.support.pages import HOSTILE, compared, report

pytestmark = pytest.mark.xdist_group("report")


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    return report(tmp_path_factory.mktemp("page"), losses=5, names=(HOSTILE,)).read_text()


def data_of(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


def test_verdict_costs_differences_table_and_then_details(html):
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles[:4] == ["What it costs", "Differences to cross_entropy", "Numbers", "Learning curves"]
    assert titles[-1] == "Repeat it" and "Every metric" in titles
    assert html.index('class="verdict"') < html.index("What it costs</h2>") < html.index('class="folded"')
    assert html.index("A run took 2.0") < html.index('id="controls"') < html.index('id="differences"')
    assert html.index('id="differences"') < html.index('<table id="losses"') < html.index('id="curves"')


def test_an_interval_is_written_in_one_size(html):
    table = html[html.index(">interval</th>") :]
    assert re.search(r"<td><span>\[[^ <]+, [^ <]+\]</span></td>", table[: table.index("</table>")])
    assert re.search(r'<span>0\.\d+</span> <span class="interval">± 0\.\d+</span>', html)


@pytest.mark.usefixtures("without_pictures")
def test_details_are_folded_where_there_are_many_losses(html, tmp_path):
    assert '<details class="folded" open>' in html
    assert '<details class="folded" open>' not in report(tmp_path, losses=7, seeds=2).read_text()


def test_the_numbers_of_the_page_are_those_of_the_tables(html):
    data, analysis = data_of(html), compared(names=(HOSTILE,))
    labels = [loss["name"] for loss in data["losses"]]
    assert labels == analysis.order and data["baseline"] == analysis.baseline
    means, differences = means_table(analysis), differences_table(analysis, analysis.metric)
    main = data["numbers"]["last"][analysis.metric]
    column = means.heading.index("balanced accuracy")
    assert [mean[4] for mean in main["means"]] == [row[column] for row in means.rows]
    told = {label: each for label, each in zip(labels, main["differences"], strict=True) if each}
    assert [each[4] for each in told.values()] == [f"{row[2]} {row[3]}" for row in differences.rows]
    assert list(told) == [row[0] for row in differences.rows]
    assert all(each[:4] == pytest.approx(list(_bounds(analysis, label)), rel=1e-4) for label, each in told.items())


def _bounds(analysis, label):
    pair = analysis.main.against[label]
    return pair.difference.mean, pair.difference.low, pair.difference.high, pair.p_t


def test_other_epochs_are_those_of_a_comparison_at_them():
    data, other = page_data(compared()), compared(select="best_val")
    assert list(data["selects"]) == ["last", "best_val", "best_clean_val"]  # the noise is ours, so clean targets exist
    for k, loss in enumerate(data["losses"]):
        interval = other.main.intervals[loss["name"]]
        mean, low, high, n, _ = data["numbers"]["best_val"]["balanced_accuracy"]["means"][k]
        assert (mean, low, high, n) == pytest.approx((interval.mean, interval.low, interval.high, 4), rel=1e-4)
        pair = other.main.against.get(loss["name"])
        told = data["numbers"]["best_val"]["balanced_accuracy"]["differences"][k]
        assert (told is None) == (pair is None)
        if pair is not None:
            assert told[:3] == pytest.approx(
                [pair.difference.mean, pair.difference.low, pair.difference.high], rel=1e-3
            )
    assert page_data(compared())["numbers"]["last"] == data["numbers"]["last"]


def test_a_loss_has_its_style_its_command_and_its_source(html):
    losses = {loss["name"]: loss for loss in data_of(html)["losses"]}
    focal, style = losses["focal"], style_of("focal")
    assert (focal["color"], tuple(focal["dashes"]), focal["marker"]) == (style.color, style.dashes, style.marker)
    assert (
        focal["command"] == "python -m lossbench.losses focal" and focal["link"] == "https://arxiv.org/abs/1708.02002"
    )
    assert html.count('href="https://arxiv.org/abs/1708.02002"') == 1
    assert losses[HOSTILE]["command"] == losses[HOSTILE]["link"] == ""


def test_no_name_is_markup_or_ends_the_data(html):
    assert HOSTILE not in html and "<b onclick" not in html and html.count("&lt;b onclick=x&gt;&amp;") > 3
    assert HOSTILE in [loss["name"] for loss in data_of(html)["losses"]]
    assert html.count("<script") == html.count("</script") == 1 + len(SCRIPTS)
    assert json.loads(as_script({HOSTILE: "<!-- \u2028 &amp;"})) == {HOSTILE: "<!-- \u2028 &amp;"}
    assert not set("<>&\u2028") & set(as_script({HOSTILE: "<!-- \u2028"}))


def test_a_browser_is_told_to_run_our_scripts_alone(html):
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', html)[1]
    assert policy.startswith("default-src &#39;none&#39;") and policy.count("sha256-") == len(SCRIPTS)


def test_a_column_that_repeats_another_is_dropped_and_said(html):
    analysis = compared()
    assert repeats(analysis) == {"accuracy": "balanced_accuracy"}
    table = without_repeats(means_table(analysis), analysis)
    assert "accuracy" not in table.heading and "balanced accuracy" in table.heading
    assert table.caption.endswith("Left out: accuracy is balanced accuracy in every run.")
    whole = means_table(analysis)
    kept = [k for k, name in enumerate(whole.heading) if name != "accuracy"]
    assert table.rows == [[row[k] for k in kept] for row in whole.rows]
    assert {whole.rows[row][kept[column]] for row, column in table.bold} <= {whole.rows[r][c] for r, c in whole.bold}
    data = data_of(html)
    assert "accuracy" not in data["columns"] and "accuracy" in data["metrics"] and "Left out: accuracy is" in html


def test_long_curves_are_thinned_and_bands_stay_within_bounds():
    entries = []
    for loss in ("cross_entropy", "focal"):
        for seed in range(3):
            entry = made_up(loss, seed, 0.9)
            rows = [{**entry["history"][0], "epoch": k, "test/balanced_accuracy": 1 - seed / 9} for k in range(200)]
            entries.append({**entry, "history": rows})
    curve = page_data(analyse(comparisons(entries)[0], Options()))["curves"]["balanced_accuracy"]
    assert [len(epochs) for epochs in curve["epochs"]] == [MOST_EPOCHS] * 2 and curve["epochs"][0][-1] == 200
    assert max(curve["highs"][0]) == 1.0 and curve["means"][0][0] == pytest.approx(1 - 1 / 9, rel=1e-4)


def test_a_comparison_without_numbers_is_a_page_too(tmp_path):
    entries = [made_up(loss, 0, 0.5, status="failed", folder="nowhere") for loss in ("cross_entropy", "focal")]
    html = write_report(analyse(comparisons(entries)[0], Options()), tmp_path, []).read_text()
    assert data_of(html)["numbers"] == {"last": {}} and "There is no verdict" in html


# ---- pictures in the page


def drawn(tmp_path, panels: int = 2, image: bool = False) -> tuple[str, list[str], Glyphs]:
    figure = Figure(figsize=(6, 3), layout="constrained")
    grid = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    for axes in grid:
        axes.plot([0, 1], [0, 1], color="#d55e00")
        if image:
            axes.imshow(np.eye(3))
            axes.text(1, 1, "b", color="black")
            axes.text(1, 2, "w", color="white")
    glyphs = Glyphs()
    found = embed(Picture("a", "A <title>", "", figure, 'shows "1"'), tmp_path, glyphs)
    return str(found.whole), [str(panel) for panel in found.panels], glyphs


def test_a_picture_takes_the_colours_of_the_page(tmp_path):
    whole, panels, glyphs = drawn(tmp_path)
    assert whole.startswith('<svg class="picture" role="img" aria-label="shows &#34;1&#34;"')
    assert "#ffffff" not in whole and "var(--back)" in whole and "#d55e00" in whole
    assert "<style" not in whole and "<!--" not in whole and "<metadata" not in whole
    identities = re.findall(r' id="([^"]+)"', whole)
    assert len(set(identities)) == len(identities) and all(each.startswith("picture-a") for each in identities)
    asked = re.findall(r'href="#([^"]+)"', whole) + re.findall(r"url\(#([^)]+)\)", whole)
    assert asked and set(asked) <= {*identities, *re.findall(r' id="([^"]+)"', str(glyphs.drawn))}
    assert len(panels) == 2 and panels[1].count("<use") == 2  # the second has no numbers of its own beside it
    assert (tmp_path / "a.png").is_file() and "#ffffff" in (tmp_path / "a.svg").read_text()


def test_a_panel_builds_itself_alone_on_a_narrow_screen(tmp_path):
    """Not the whole picture each time: a browser builds it, shown or not, and 40 losses took it half a minute."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    for axes in figure.subplots(3, 4, sharex=True, sharey=True).flat:
        axes.plot([0, 1], [0, 1], marker="o")
        axes.inset_axes((0.6, 0.1, 0.3, 0.3)).plot([0, 1])
    found = embed(Picture("a", "A", "", figure), tmp_path, Glyphs())
    every = list(ElementTree.fromstring(str(found.whole)).iter())
    sizes = {each.get("id"): len(list(each.iter())) for each in every}
    asked = [re.findall(r'href="#([^"]+)"', str(panel)) for panel in found.panels]
    assert len(asked) == 12 and len({names[0] for names in asked}) == 12  # each with a panel of its own
    assert sum(sizes[name] for names in asked for name in names) < 3 * len(every)


def test_a_legend_and_a_note_are_apart_on_a_narrow_screen(tmp_path):
    figure = Figure(figsize=(9, 3), layout="constrained")
    figure.suptitle("a note on a & b", fontsize=8)
    grid = figure.subplots(1, 3)
    for axes in grid:
        for label in ("first", "the_second", "third"):
            axes.plot([0, 1], [0, 1], marker="o", label=label)
        axes.legend()
    handles, labels = grid[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8.5)
    found = embed(Picture("a", "A", "", figure), tmp_path, Glyphs())
    notes, entries = ([str(each) for each in found.panels if word in each] for word in ("caption", "entry"))
    assert notes == ['<p class="caption">a note on a &amp; b</p>'] and len(entries) == 3
    assert len(found.panels) == 1 + 3 + 3
    legends, boxes = zip(*entries_of((tmp_path / "a.svg").read_text(), 3 * 72), strict=True)
    assert len(set(legends)) == 1 and all(f'href="#picture-a-{legends[0]}"' in entry for entry in entries)
    figure.set_dpi(72)
    renderer = RendererSVG(9 * 72, 3 * 72, io.StringIO())
    for box, text, handle in zip(boxes, legend.get_texts(), legend.legend_handles, strict=True):
        for part in (text.get_window_extent(renderer), handle.get_window_extent(renderer)):
            assert box.x0 < part.x0 and part.x1 < box.x1 < part.x1 + 60 and box.y0 < part.y0 and part.y1 < box.y1
    assert all(one.x1 < other.x0 + 5 for one, other in pairwise(boxes))


def test_a_picture_is_as_wide_as_its_smallest_letters_ask_for(tmp_path):
    figure = Figure(figsize=(10, 2))
    figure.subplots().set_title("small", fontsize=6)
    written = str(embed(Picture("one", "One", "", figure), tmp_path, Glyphs()).whole)
    assert "--legible:1080px" in written  # 720 points at 1.5 pixels a point: 6 points are 9 pixels


def test_letters_on_colours_stay_as_they_are(tmp_path):
    whole, *_ = drawn(tmp_path, image=True)
    assert "#010101" in whole and "#fefefe" in whole


def test_a_picture_of_very_many_points_is_pixels(tmp_path):
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot(*np.random.default_rng(0).random((2, 9000)), ".")
    found = embed(Picture("points", "Points", "", figure), tmp_path, Glyphs())
    assert str(found.whole).startswith('<img class="pixels" style="--legible:')


def test_a_sheet_of_images_is_not_cut_up_on_a_narrow_screen(tmp_path):
    figure = Figure(figsize=(6, 2))
    for axes in figure.subplots(1, 6):
        axes.imshow(np.eye(2))
        axes.set(xticks=[], yticks=[])
    assert embed(Picture("sheet", "Sheet", "", figure), tmp_path, Glyphs()).panels == []


def test_one_panel_with_a_colour_bar_is_shown_whole_on_a_narrow_screen(tmp_path):
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(np.eye(2)), ax=axes)
    assert embed(Picture("one", "One", "", figure), tmp_path, Glyphs()).panels == []


def test_a_legend_below_one_panel_is_above_it_on_a_narrow_screen(tmp_path):
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="first")
    figure.legend(loc="outside lower center")
    entry, panel = map(str, embed(Picture("one", "One", "", figure), tmp_path, Glyphs()).panels)
    assert "legend_1" in entry and "panel_0" in panel and "legend" not in panel
