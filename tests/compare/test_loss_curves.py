"""The picture of the losses is drawn once for the same losses, and again where it would come out otherwise."""

from dataclasses import replace

import pytest

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.figures import losses
from tests.support.compared import made_up


@pytest.fixture
def analysis():
    records = [made_up(loss, seed, 0.5 + seed / 10) for loss in ("cross_entropy", "focal") for seed in range(3)]
    return analyse(comparisons(records)[0], Options(population="seeds"))


def test_the_picture_is_kept_until_it_would_be_another_one(analysis, tmp_path, monkeypatch):
    picture, told = losses.loss_curves(analysis, tmp_path)
    assert picture is not None and not told
    drawn = (tmp_path / "loss_curves.png").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(losses, "_draw", lambda *given: pytest.fail("drawn again"))
        again, told = losses.loss_curves(analysis, tmp_path)
    assert again == picture and not told and (tmp_path / "loss_curves.png").read_bytes() == drawn
    (tmp_path / "loss_curves.svg").unlink()
    losses.loss_curves(analysis, tmp_path)
    assert (tmp_path / "loss_curves.svg").is_file()
    (tmp_path / losses.KEPT).write_text("{")
    losses.loss_curves(replace(analysis, baseline="focal"), tmp_path)
    assert (tmp_path / "loss_curves.png").read_bytes() != drawn
    losses.loss_curves(analysis, tmp_path)
    assert (tmp_path / "loss_curves.png").read_bytes() == drawn


def test_losses_that_are_not_lossbench_s_are_drawn_each_time(analysis):
    nodes = losses._distinct(analysis)
    assert losses._made_from(analysis, nodes) is not None
    assert losses._made_from(analysis, {**nodes, "mine": {"_target_": "my.loss"}}) is None
