"""Several tasks against networks of their own: the numbers by hand, and what the report says of them."""

import csv
import io

import numpy as np
import pytest

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.several import relative_change, several_tasks
from lossbench.compare.numbers.statistics import mean_interval, paired_difference
from lossbench.compare.report.latex_tables import to_latex
from lossbench.compare.report.several import tables_of_tasks, told_of_tasks
from lossbench.compare.report.writers import to_csv, to_markdown
from tests.support.several import TASK, of_parts, two_goals  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("two_goals")

ALONE = {"left": [0.80, 0.84, 0.82], "right": [2.0, 2.2, 2.1]}
RUNS = {
    "alone": ALONE,
    "sum": {"left": [0.72, 0.77, 0.73], "right": [1.8, 1.9, 1.9]},
    "famo": {"left": [0.84, 0.88, 0.86], "right": [1.9, 2.09, 2.0]},
}


def entries(runs=RUNS, **changes):
    made = [
        of_parts(combine, seed, left, right, **changes)
        for combine, values in runs.items()
        for seed, (left, right) in enumerate(zip(values["left"], values["right"], strict=True))
    ]
    return [{**entry, "started": float(number)} for number, entry in enumerate(made)]


def analysed(records, **options):
    (comparison,) = comparisons(records)
    return analyse(comparison, Options(population="seeds", **options))


def test_the_change_by_hand():
    """Left rises from 0.8 to 0.88, 10 % better; right falls from 2.0 to 1.5, where lower is better: 25 % better."""
    assert relative_change([[0.88, 1.5]], [[0.8, 2.0]], [True, False]) == pytest.approx([17.5])
    assert relative_change([[0.88, 1.5]], [[0.8, 2.0]], [True, True]) == pytest.approx([-7.5])
    assert relative_change([[0.88, 1.5], [0.8, 2.0]], [[0.8, 2.0]] * 2, [False, False]) == pytest.approx([7.5, 0.0])


def test_a_baseline_below_zero_keeps_the_sign():
    """A log-likelihood that rises from -2 to -1 is better by 50 %; dividing by -2 would call it worse."""
    assert relative_change([[-1.0]], [[-2.0]], [True]) == pytest.approx([50.0])
    assert relative_change([[-3.0]], [[-2.0]], [False]) == pytest.approx([50.0])


@pytest.mark.parametrize(
    ("values", "baseline", "higher", "told"),
    [
        ([[0.5, 1.0]], [[0.5, 0.0]], [True, True], "a baseline is 0"),
        ([[0.5, np.nan]], [[0.5, 1.0]], [True, True], "isn't finite"),
        ([[0.5]], [[0.5, 1.0]], [True, True], "give \\(runs, tasks\\) twice"),
        ([0.5], [0.5], [True], "give \\(runs, tasks\\) twice"),
    ],
)
def test_what_has_no_change_is_refused(values, baseline, higher, told):
    with pytest.raises(ValueError, match=told):
        relative_change(values, baseline, higher)


def test_parts_are_judged_by_the_monitors_of_their_tasks_against_the_truth():
    found = several_tasks(analysed(entries()))
    assert [(part.name, part.metric, part.higher) for part in found.parts] == [
        ("left", "left_balanced_accuracy", True),
        ("right", "right_mae", False),
    ]


def test_changes_of_pairs_with_an_interval_over_all_methods():
    found = several_tasks(analysed(entries()))
    assert found.alone == "alone" and list(found.changes) == ["famo", "sum"] and not found.zero
    for label in ("famo", "sum"):
        left, right = (np.array(RUNS[label][part]) for part in ("left", "right"))
        single, other = np.array(ALONE["left"]), np.array(ALONE["right"])
        by_seed = 50 * ((left - single) / single + (other - right) / other)
        expected = mean_interval(by_seed, 0.95, among=2)
        got = found.changes[label].mean
        assert (got.n, got.mean, got.low, got.high) == pytest.approx((3, expected.mean, expected.low, expected.high))
        assert got.kind == "simultaneous 95% Student t"


def test_parts_that_got_worse_and_how_sure_that_is():
    found = several_tasks(analysed(entries()))
    famo, plain = found.changes["famo"], found.changes["sum"]
    assert famo.worse == famo.shown_worse == []
    assert plain.worse == plain.shown_worse == ["left"]
    expected = paired_difference(RUNS["sum"]["left"], ALONE["left"], higher_is_better=True, among=4)
    assert plain.parts["left"] == expected and expected.high < 0
    runs = {**RUNS, "sum": {"left": [0.72, 0.86, 0.73], "right": [2.3, 1.9, 2.2]}}
    unsure = several_tasks(analysed(entries(runs))).changes["sum"]
    assert unsure.worse == ["left", "right"] and unsure.shown_worse == []


def test_seeds_without_a_partner_and_diverged_runs_are_left_out_and_told():
    records = [entry for entry in entries() if (entry["combine"], entry["seed"]) != ("alone", 2)]
    records = [
        of_parts("famo", 0, 0.84, 1.9, status="diverged") if (entry["combine"], entry["seed"]) == ("famo", 0) else entry
        for entry in records
    ]
    analysis = analysed(records)
    found = several_tasks(analysis)
    assert found.changes["famo"].seeds == [1] and found.changes["famo"].unpaired == [0, 2]
    assert found.changes["sum"].seeds == [0, 1] and found.changes["sum"].unpaired == [2]
    text = " ".join(told_of_tasks(analysis))
    assert "famo (seeds 0, 2) and sum (seed 2)" in text
    assert "1 seed can't say how sure that is" in text
    (table,) = tables_of_tasks(analysis)
    assert {row[0]: row[1] for row in table.rows} == {"alone": "–", "famo": "1", "sum": "2"}


def test_a_part_that_is_0_alone_is_told_and_not_divided_by():
    runs = {**RUNS, "alone": {"left": [0.8, 0.0, 0.8], "right": ALONE["right"]}}
    analysis = analysed(entries(runs))
    found = several_tasks(analysis)
    assert found.zero == ["left"]
    right = np.array(ALONE["right"])
    expected = (100 * (right - RUNS["famo"]["right"]) / right).mean()
    assert found.changes["famo"].mean.mean == pytest.approx(expected)
    assert set(found.changes["famo"].parts) == {"left", "right"}
    assert "alone has a value of 0 of left under some seed" in " ".join(told_of_tasks(analysis))
    assert "without left, which is 0 alone" in tables_of_tasks(analysis)[0].caption
    all_zero = analysed(entries({**RUNS, "alone": {"left": [0.0] * 3, "right": [0.0] * 3}}))
    assert several_tasks(all_zero).changes["famo"].mean is None
    assert "Every part of alone has a value of 0" in " ".join(told_of_tasks(all_zero))
    assert [row[2] for row in tables_of_tasks(all_zero)[0].rows] == ["–"] * 3


def test_no_spread_claims_no_certainty():
    runs = {"alone": {"left": [0.8] * 3, "right": [2.0] * 3}, "sum": {"left": [0.7] * 3, "right": [2.0] * 3}}
    analysis = analysed(entries(runs))
    change = several_tasks(analysis).changes["sum"]
    assert change.worse == ["left"] and change.shown_worse == [] and np.isnan(change.mean.low)
    assert "can't say how sure" in " ".join(told_of_tasks(analysis))


def test_without_alone_the_command_that_adds_it_is_told(tmp_path):
    analysis = analysed([entry for entry in entries() if entry["combine"] != "alone"])
    assert several_tasks(analysis).alone == "" and tables_of_tasks(analysis) == []
    (text,) = told_of_tasks(analysis)
    assert "which no run here has" in text and text.endswith("combine=alone") and "seed=0,1,2" in text
    assert text.count("combine=") == 1 and "loss=several_tasks" in text


def test_alone_without_results_is_told():
    records = [{**each, "status": "failed"} if each["combine"] == "alone" else each for each in entries()]
    (text,) = told_of_tasks(analysed(records))
    assert text.startswith("No run of alone has results of all parts (left and right)")


def test_the_verdict_in_words_and_the_table():
    analysis = analysed(entries())
    text = " ".join(told_of_tasks(analysis))
    change = several_tasks(analysis).changes["famo"].mean
    assert f"famo has the best mean relative change: {change.mean:+.2f} %"[:50] in text
    assert "so the parts are better together than alone" in text
    assert "sum: 1 of 2, 1 shown (left). None under famo." in text
    (table,) = tables_of_tasks(analysis)
    heading = ["method", "pairs", "change, %", "parts worse", "left balanced accuracy", "right MAE"]
    assert table.heading == heading
    assert [row[0] for row in table.rows] == ["alone", "famo", "sum"]
    assert table.rows[1][3] == "0 of 2" and table.rows[2][3] == "1 of 2, 1 shown"
    assert (1, 4) in table.bold and (2, 5) in table.bold
    assert "better: left balanced accuracy up and right MAE down" in table.caption


def test_every_format_has_it():
    analysis = analysed(entries())
    assert "Against a network of each part's own (alone)" in to_markdown(analysis)
    assert "| famo | 3 | +" in to_markdown(analysis) and "parts worse" in to_latex(analysis)
    rows = list(csv.DictReader(io.StringIO(to_csv(analysis))))
    (row,) = [row for row in rows if row["metric"] == "mean_relative_change" and row["loss"] == "famo"]
    assert float(row["mean"]) == pytest.approx(several_tasks(analysis).changes["famo"].mean.mean)
    assert row["baseline"] == "alone" and row["n"] == "3"
    worse = {row["loss"]: row["mean"] for row in rows if row["metric"] == "parts_worse"}
    assert worse == {"famo": "0", "sum": "1"}


def test_one_task_has_none_of_this(monkeypatch):
    monkeypatch.setattr("lossbench.compare.numbers.comparisons.task_of", lambda entry: _one(TASK))
    analysis = analysed(entries())
    assert several_tasks(analysis) is None and told_of_tasks(analysis) == [] and tables_of_tasks(analysis) == []
    assert "mean_relative_change" not in to_csv(analysis)


def _one(task):
    from dataclasses import replace

    return replace(task, parts={})
