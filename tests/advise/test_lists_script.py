"""The script that judges short lists, by results made up."""

import importlib.util
import sys

import pytest

from tests.support.commands import ROOT


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("advice_lists", ROOT / "scripts" / "advice_lists.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def result(better=1, **changes):
    values = {"a": [0.9, 0.8, 0.85], "b": [0.89, 0.81, 0.84], "c": [0.5, 0.41, 0.45], "d": [0.2, 0.1, float("nan")]}
    return {"name": "made", "task": "multiclass", "metric": "accuracy", "better": better, "values": values,
            "list": ["b", "c"], "baseline": "c", **changes}  # fmt: skip


def test_a_list_hits_with_a_loss_that_a_paired_test_cannot_tell_from_the_best(script):
    said = script.judged(result())
    assert said["best"] == "a" and said["of_list"] == "b" and said["hit"] and said["losses"] == 3
    assert said["gap"] == pytest.approx(0.85 - 0.8467, abs=1e-3)
    assert said["equal"] == 2 and not said["alone"]
    assert said["chance"] == 1  # one of two others is drawn beside the baseline, and both are good
    missed = script.judged(result(list=["c"]))
    assert not missed["hit"] and missed["gap"] == pytest.approx(0.85 - 0.4533, abs=1e-3) and missed["chance"] == 0


def test_lower_may_be_better_and_the_best_of_the_list_hits(script):
    said = script.judged(result(better=-1))
    assert said["best"] == said["of_list"] == "c" and said["hit"] and said["alone"] and said["gap"] == 0


def test_losses_that_differ_by_the_same_under_each_seed_differ(script):
    assert not script.judged(result(values={"a": [0.5, 0.5, 0.5], "c": [0.25, 0.25, 0.25]}, list=["c"]))["hit"]
    assert script.judged(result(values={"a": [0.5, 0.5, 0.5], "c": [0.5, 0.5, 0.5]}, list=["c"]))["hit"]


def test_problems_have_names_of_their_own_and_an_order_that_stays(script, tmp_path):
    first, again = script.cases(tmp_path), script.cases(tmp_path)
    assert [case.name for case in first] == [case.name for case in again]
    assert len({case.name for case in first}) == len(first) == 99
    assert {case.task for case in first[:10]} == {"multiclass", "regression"}


def test_the_table_has_the_rates(script, capsys):
    script.table([result(), result(list=["c"])])
    out = capsys.readouterr().out
    assert "multiclass: the list hits in 1 of 2 problems, 50% (1% to 99%)" in out and "MISS" in out
