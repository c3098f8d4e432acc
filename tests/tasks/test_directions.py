"""Which way metrics are better, and what "neither" means for tables, checks and views."""

import json

import pytest

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.formatting import better_is
from lossbench.compare.report.metric_groups import group_tables
from lossbench.compare.report.tables import means_table
from lossbench.errors import ConfigError
from lossbench.tasks import own_tasks, task_named
from lossbench.tracking.views import view_tags
from tests.support.compared import made_up


@pytest.mark.parametrize(
    ("task", "metric", "way"),
    [
        ("distributional", "coverage_90", "neither"),
        ("distributional", "coverage_error_90", "lower"),
        ("distributional", "width_50", "neither"),
        ("sequence", "blank_share", "neither"),
        ("vae", "active_units", "neither"),
        ("gan", "diversity", "neither"),
        ("binary", "val/clean/nll", "lower"),
        ("multiclass", "test/recall/3", "higher"),
        ("binary", "recall", "higher"),
        ("regression", "mae_fifth_observed/2", "lower"),
        ("multiclass", "train/memorised", "lower"),
        ("gan", "train/critic_estimate", "neither"),
        ("regression", "r2_observed", "higher"),
    ],
)
def test_directions(task, metric, way):
    assert task_named(task).direction(metric) == way


@pytest.mark.parametrize("name", ["", "nllx", "maes", "accurracy", "loss_of_mine", "test/3", "recall"])
def test_an_unknown_name_is_an_error_and_no_guess(name):
    with pytest.raises(ConfigError, match="not known"):
        task_named("multiclass").direction(name)
    with pytest.raises(ConfigError):
        task_named("multiclass").higher_is_better(name)


def test_what_is_neither_can_sort_nothing():
    with pytest.raises(ConfigError, match="coverage_90 is neither better"):
        task_named("distributional").higher_is_better("coverage_90")
    for task in own_tasks().values():
        assert isinstance(json.loads(view_tags(task)["mlflow.sharedViewState.lossbench-runs"])["orderByAsc"], bool)


@pytest.mark.parametrize(
    ("line", "nearest"),
    [("compare.metric=coverage_90", "coverage_error_90"), ("monitor=width_90", "coverage_error_90")],
)
def test_checks_say_that_it_is_neither(cell, line, nearest):
    with pytest.raises(ConfigError, match=f"neither better where it is higher.*{nearest}"):
        cell("data=heteroscedastic", line)


def test_no_table_sets_off_a_best_value_of_what_is_neither():
    entries = []
    for loss, values in {"gaussian_nll": (0.9, 3.0), "laplace_nll": (0.8, 2.0)}.items():
        for seed in (0, 1):
            entry = made_up(loss, seed, 0.5)
            entry["task"] = "distributional"
            found = {
                "test/coverage_90": values[0],
                "test/coverage_error_90": abs(values[0] - 0.9),
                "test/crps": values[1],
            }
            entry["metrics"]["last"] = found
            entries.append(entry)
    (comparison,) = comparisons(entries)
    analysis = analyse(comparison, Options())
    assert analysis.best_mean("coverage_90") is None and analysis.best_mean("coverage_error_90") == 0
    table = group_tables(analysis)["Predicted distributions"]
    columns = {place for _, place in table.bold}
    assert len(table.heading) == 4 and len(columns) == 2
    assert {table.heading[column] for column in columns} == {"CRPS", "coverage error 90"}
    assert "neither" in table.caption and "lower is better" in table.caption
    assert means_table(analysis).bold
    against = analysis.columns["coverage_90"].against
    assert all(each.difference.improvement != each.difference.improvement for each in against.values())
    assert better_is("coverage_90", comparison.task) == "neither way is better"
    with pytest.raises(ConfigError, match=r"compare.metric=coverage_90 is neither"):
        analyse(comparison, Options(metric="coverage_90"))
