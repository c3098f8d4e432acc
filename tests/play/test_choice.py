"""Which losses can be dragged, and what the page holds of them."""

import numpy as np
import pytest
import torch

from lossbench.catalogue.curves import curves
from lossbench.errors import ConfigError
from lossbench.play.choice import FAMILIES, SETTINGS, bound, chosen, default_stop, defaults_of, playable, why_not
from lossbench.play.lessons import LESSONS
from lossbench.play.measure import curves_at, loss_at, sample
from lossbench.play.tables import RESIDUALS, page_data
from lossbench.tasks.loss_style import style_of
from tests.support.commands import ROOT
from tests.support.play import data_in

pytestmark = pytest.mark.xdist_group("play")
MANY = 30


def read(written: str) -> np.ndarray:
    runs = [(*run.split("*"), "1")[:2] for run in written.split(" ")]
    return np.concatenate([np.full(int(count), float(number)) for number, count in runs])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("dice", "no curve"),
        ("berhu", "rest of the batch"),
        ("truncated_gce", "step to step"),
        ("adaptive_robust", "learns or remembers"),
        ("msle", "more than the residual"),
        ("ovr_bce", "difference of two logits"),
        ("dual_focal", "it jumps"),
        ("focal", ""),
    ],
)
def test_a_loss_that_cannot_be_dragged_says_why(name, reason):
    assert reason in why_not(name) and bool(reason) == bool(why_not(name))


def test_many_losses_can_be_dragged():
    assert len(chosen()) >= MANY and set(chosen()) <= set(playable())
    assert chosen(["mse", "focal", "mse"]) == ["mse", "focal"]


def test_the_page_of_docs_counts_them():
    told = " ".join((ROOT / "docs" / "teaching.md").read_text(encoding="utf-8").split())
    assert f"{len(chosen())} of those with [curves]" in told and "six families" in told
    assert len(FAMILIES) == len(playable()) - len(chosen()) == 6


def test_an_unknown_loss_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"loss=focl: no such loss\. Nearest: focal"):
        chosen(["mse", "focl"])
    with pytest.raises(ConfigError, match=r"loss=dice can't be dragged: it has no curve.*These can: .*focal"):
        chosen(["dice"])


@pytest.mark.parametrize("name", SETTINGS)
def test_a_slider_has_few_stops_and_one_is_the_default(name):
    key, values = SETTINGS[name]
    assert values == tuple(sorted(set(values))) and len(values) <= 5
    assert values[default_stop(name)] == defaults_of(name)[key]
    for value in values:
        assert bound(name, **{key: value}).settings[key] == value  # within its range


def test_curves_are_those_of_the_catalogue():
    """Which has class 0 as the right, rare one."""
    x = torch.linspace(-3, 3, 24, dtype=torch.float64)
    for name in ("mse", "tukey", "cross_entropy", "focal", "bce", "hinge", "js"):
        for ours, theirs in zip(curves_at(bound(name), x), curves(bound(name), x), strict=True):
            assert torch.allclose(ours, theirs), name


def test_the_rare_class_is_class_1():
    value = [curves_at(bound("balanced_softmax", 100), torch.zeros(1), right)[0].item() for right in (0, 1)]
    assert value == pytest.approx([np.log(1010 / 1000), np.log(1010 / 10)])
    weights = [curves_at(bound("weighted_bce", 10), torch.zeros(1), right)[0].item() for right in (0, 1)]
    assert weights[1] == pytest.approx(10 * weights[0])


def test_tables_are_the_losses(whole_page):
    data = data_in(whole_page)
    for loss in data["losses"]:
        for stop, by_ratio in zip(loss["stops"], loss["tables"], strict=True):
            settings = {loss["name"]: stop} if loss["setting"] else {}
            for ratio, by_class in zip(data["ratios"], by_ratio, strict=False):
                for right, table in zip((1, 0), by_class, strict=False):
                    columns = [read(data["columns"][number]) for number in table]
                    x = torch.linspace(-loss["reach"], loss["reach"], len(columns[0]), dtype=torch.float64)
                    x[len(x) // 2] = 0
                    found = curves_at(loss_at(loss["name"], settings, ratio), x.round(decimals=9), right)
                    for column, curve, near in zip(columns, found, (6e-5, 6e-4, 6e-3), strict=True):
                        assert column == pytest.approx(curve.numpy(), rel=near, abs=1e-4), (loss["name"], stop, ratio)


def test_colours_and_dashes_are_those_of_every_picture():
    for loss in page_data(["mse", "focal", "gce"])["losses"]:
        style = style_of(loss["name"])
        assert (loss["color"], tuple(loss["dashes"])) == (style.color, style.dashes)


def test_columns_that_losses_share_stand_once():
    data = page_data(["mse", "l2", "cross_entropy", "balanced_softmax"])
    mse, l2, cross_entropy, balanced = (loss["tables"][0][0] for loss in data["losses"])
    assert mse == l2 and cross_entropy == balanced
    assert len(data["columns"]) == len(set(data["columns"]))


def test_no_residual_lies_beyond_the_tables():
    widest = [sample(0.45, 6.0, two_sided, skew) for two_sided in (False, True) for skew in (0.0, 0.5)]
    assert max(max(points) - min(points) for points in widest) <= RESIDUALS


def test_lessons_set_sliders_where_they_can_stand():
    for lesson in LESSONS:
        for each in lesson.tries:
            for state in (each.state, *(state for state, _ in each.also)):
                assert set(state.losses) <= set(playable()), state
                assert all(value in SETTINGS[name][1] for name, value in state.settings.items()), state
                assert round(10 * state.x) == pytest.approx(10 * state.x) and state.ratio in (1, 10, 100)
        lines = [lesson.about, lesson.home, *(text for each in lesson.tries for text in (each.do, each.see))]
        assert 12 <= sum(1 + len(line) // 110 for line in lines) <= 25, lesson.title
