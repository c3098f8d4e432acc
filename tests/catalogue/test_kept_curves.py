"""The curves that are kept against those that the losses compute."""

import numpy as np
import pytest
import torch

from lossbench.catalogue import kept_curves
from lossbench.catalogue.binding import bind
from lossbench.catalogue.curves import curves, sampled
from lossbench.catalogue.facts import default_parameters, hyperparameters, losses_for
from lossbench.catalogue.kept_curves import kept_curve, read_curves, single, write_curves
from lossbench.catalogue.loss_picture import TWO_CLASSES, curved_tasks
from lossbench.compare.report.figures import losses as picture
from lossbench.locate import locate
from lossbench.tasks import task_named

DRAWN = [(name, task) for task in curved_tasks() for name in losses_for(task)]
MAKE_ANEW = "python scripts/keep_curves.py makes the file anew"


def bound(name, task):
    node = default_parameters(name)
    context = TWO_CLASSES if task_named(task).has_classes else {}
    return bind(locate(node["_target_"]), hyperparameters(node), context, task)


@pytest.mark.parametrize("task", curved_tasks())
def test_what_is_kept_is_what_the_losses_compute(task):
    for name in losses_for(task):
        kept, loss = kept_curve({**default_parameters(name), "_partial_": True}, task), bound(name, task)
        assert kept is not None, f"{name}: {MAKE_ANEW}"
        assert kept.over == task_named(task).curves
        some = slice(None, None, 97)
        computed = torch.stack(curves(loss, torch.from_numpy(kept.x[some].copy()))).numpy()
        assert np.allclose(kept.heights[:, some], computed, rtol=1e-6, atol=1e-6), f"{name}: {MAKE_ANEW}"
        at_one = torch.stack(curves(loss, torch.tensor([-1.0, 1.0]))[:2]).numpy()
        assert np.allclose(kept.at_one, at_one, rtol=1e-9, atol=1e-12), f"{name}: {MAKE_ANEW}"


@pytest.mark.parametrize(("name", "task"), [("focal", "multiclass"), ("ldam", "multiclass"), ("huber", "regression")])
def test_all_points_and_words_are_those_that_are_computed(name, task):
    kept, computed = kept_curve(default_parameters(name), task), single(sampled(bound(name, task)))
    assert (kept.x == computed.x).all() and (kept.at_one == computed.at_one).all()
    assert (kept.over, kept.asks) == (computed.over, computed.asks)
    assert np.allclose(kept.heights, computed.heights, rtol=2e-7, atol=1e-9)


def test_other_parameters_losses_and_tasks_are_not_kept():
    node = default_parameters("focal")
    assert kept_curve({"_target_": node["_target_"]}, "multiclass") is not None
    assert kept_curve({**node, "gamma": 3.0}, "multiclass") is None
    assert kept_curve({**node, "more": 1}, "multiclass") is None
    assert kept_curve({**node, "_target_": "my.focal"}, "multiclass") is None
    assert kept_curve({**node, "_target_": "lossbench.losses.of_mine"}, "multiclass") is None
    assert kept_curve(node, "regression") is None


def test_what_is_written_is_read_to_the_bit(tmp_path):
    found = {pair: kept_curves._kept()[pair] for pair in DRAWN[:3]}
    write_curves(found, tmp_path / "curves.xz")
    for pair, curve in read_curves(tmp_path / "curves.xz").items():
        assert (curve.heights == found[pair].heights).all() and (curve.x == found[pair].x).all()
        assert curve.asks == found[pair].asks
    assert kept_curves.FILE.stat().st_size < 200_000


def test_the_picture_is_the_same_with_curves_that_are_computed(tmp_path, monkeypatch):
    drawn = {}
    for kept in (True, False):
        if not kept:
            monkeypatch.setattr(picture, "kept_curve", lambda *_: None)
        curves = {name: picture._curve(default_parameters(name), task_named("multiclass")) for name in ("focal", "gce")}
        (path,) = picture.draw_curves(curves, tmp_path / str(kept), "focal", ("png",))
        drawn[kept] = path.read_bytes()
    assert drawn[True] == drawn[False]
