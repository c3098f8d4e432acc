"""The numbers of a comparison and how they are told, on made-up records."""

import csv
import io
import math

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from lossbench.compare.numbers.analysis import Analysis, analyse
from lossbench.compare.numbers.comparisons import comparisons, labels
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.reliability import fit_temperature, temper
from lossbench.compare.numbers.selection import SELECTIONS
from lossbench.compare.numbers.selection import test_metrics as metrics_at
from lossbench.compare.numbers.unpaired import unpaired_difference
from lossbench.compare.report.across import rank_across, told
from lossbench.compare.report.formatting import missing_lines
from lossbench.compare.report.latex_tables import to_latex
from lossbench.compare.report.provenance import commands
from lossbench.compare.report.selection_table import gap_lines, selections_table
from lossbench.compare.report.tables import means_table
from lossbench.compare.report.verdict import power, verdict
from lossbench.compare.report.writers import to_csv, to_markdown, to_rich
from lossbench.errors import ConfigError
from lossbench.tasks.classification.confidence_bins import bin_confidence
from tests.support.compared import made_up

CE, FOCAL, LDAM = [0.80, 0.82, 0.84], [0.85, 0.86, 0.90], [0.81, 0.80, 0.86]


def compared(values: dict[str, list[float]], *more, **options) -> Analysis:
    entries = [made_up(loss, seed, value) for loss, found in values.items() for seed, value in enumerate(found)]
    (comparison,) = comparisons([*entries, *more])
    return analyse(comparison, Options(**options))


@pytest.fixture(scope="module")
def three() -> Analysis:
    return compared({"cross_entropy": CE, "focal": FOCAL, "ldam": LDAM})


def test_numbers_by_hand(three):
    interval = three.main.intervals["cross_entropy"]
    assert (interval.n, interval.mean, interval.sd) == (3, pytest.approx(0.82), pytest.approx(0.02))
    assert interval.high == pytest.approx(0.82 + 4.302653 * 0.02 / math.sqrt(3))  # t of 2 degrees of freedom at 0.975
    focal = three.main.against["focal"].difference  # one of three pairs
    assert focal.mean == pytest.approx(0.05) and focal.low == pytest.approx(
        0.05 - stats.t.isf(0.025 / 3, 2) * 0.01 / math.sqrt(3)
    )
    assert focal.p_t == pytest.approx(stats.ttest_rel(FOCAL, CE).pvalue)
    assert focal.effect_size == pytest.approx(5.0) and focal.improvement == 1.0 and focal.p_wilcoxon == 0.25
    assert three.order == ["focal", "ldam", "cross_entropy"] and three.baseline == "cross_entropy"


@pytest.mark.parametrize(("family", "size"), [("all", 3), ("baseline", 2)])
def test_one_family_for_p_intervals_and_letters(family, size):
    found = compared({"cross_entropy": CE, "focal": FOCAL, "ldam": LDAM}, family=family)
    against, alpha = found.main.against, 0.05
    for loss, values in (("focal", FOCAL), ("ldam", LDAM)):
        raw = stats.ttest_rel(values, CE)
        assert against[loss].p_t == pytest.approx(min(1, size * raw.pvalue))
        wide = raw.confidence_interval(1 - alpha / size)
        assert (against[loss].difference.low, against[loss].difference.high) == pytest.approx((wide.low, wide.high))
        assert against[loss].difference.kind == "simultaneous 95% Student t"
    assert found.main.size == size and bool(found.main.letters) == (family == "all")
    assert ("group" in means_table(found).heading) == (family == "all")
    told = "3 pairs of losses" if family == "all" else "2 comparisons with cross_entropy"
    assert all(f"over {told}" in text for text in (to_markdown(found), verdict(found), power(found)))


@pytest.mark.parametrize("losses", [2, 4, 7])
@pytest.mark.parametrize("n", [2, 4, 12])
def test_interval_p_and_letters_never_contradict_each_other(losses, n):
    """On sweeps at the edge of what can be decided."""
    rng = np.random.default_rng(losses * n)
    decided = 0
    for _ in range(10):
        means = rng.normal(0, 1.5 / math.sqrt(n) * stats.t.isf(0.025, n - 1), losses)
        names = ["cross_entropy", *(f"loss_{k}" for k in range(1, losses))]
        found = compared({name: list(mean + rng.normal(0, 1, n)) for name, mean in zip(names, means, strict=True)})
        for (one, other), pair in found.main.pairs.items():
            outside = pair.difference.low > 0 or pair.difference.high < 0  # not where there is no spread and no test
            shared = set(found.main.letters[one]) & set(found.main.letters[other])
            assert outside == (pair.p_t <= 0.05) == (not shared)
            decided += outside
        assert found.main.size == losses * (losses - 1) // 2
    assert decided


def test_a_pair_can_be_asked_for_either_way(three):
    one, other = three.main.pair("focal", "ldam"), three.main.pair("ldam", "focal")
    assert one.difference.mean == -other.difference.mean and one.difference.low == -other.difference.high
    assert one.difference.improvement == 1 - other.difference.improvement and one.p_t == other.p_t
    assert three.main.pair("focal", "gce") is None


@pytest.mark.parametrize(
    ("losses", "wanted", "baseline"),
    [
        (["focal", "cross_entropy"], None, "cross_entropy"),
        (["focal", "bce"], None, "focal"),
        (["ldam", "focal"], None, "ldam"),
        (["focal", "cross_entropy"], "focal", "focal"),
    ],
)
def test_the_baseline(losses, wanted, baseline):
    assert compared({loss: [0.5, 0.6] for loss in losses}, baseline=wanted).baseline == baseline


@pytest.mark.parametrize(
    ("gammas", "baseline"), [((0.5, 2.0, 5.0), "focal(gamma=2)"), ((0.5, 5.0), "focal(gamma=0.5)")]
)
@pytest.mark.parametrize("wanted", [None, "focal"])
def test_of_several_settings_the_baseline_is_the_one_of_the_yaml(gammas, baseline, wanted):
    runs = [made_up("focal", seed, 0.5 + gamma / 100, gamma=gamma) for gamma in gammas for seed in (0, 1)]
    for entry, gamma in zip(runs, [gamma for gamma in gammas for _ in (0, 1)], strict=True):
        entry["config"]["loss"]["gamma"] = gamma
    assert compared({}, *runs, baseline=wanted).baseline == (
        baseline if 2.0 in gammas or not wanted else "focal(gamma=5)"
    )


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"baseline": "focl"}, ["compare.baseline=focl", "Nearest: focal"]),
        ({"metric": "nlll"}, ["compare.metric=nlll", "Nearest: nll"]),
        ({"select": "lst"}, ["compare.select=lst", "Nearest: last"]),
        ({"interval": "bcaa"}, ["compare.interval=bcaa", "bca"]),
        ({"confidence": 95}, ["compare.confidence=95", "(0, 1)"]),
    ],
)
def test_mistakes_are_told(options, parts):
    with pytest.raises(ConfigError) as error:
        compared({"cross_entropy": CE, "focal": FOCAL}, **options)
    assert all(part in str(error.value) for part in parts)


def test_unpaired_seeds_are_an_error_unless_asked_for():
    values, more = {"cross_entropy": CE, "focal": FOCAL}, made_up("focal", 3, 0.9)
    nested = compared(values, more).main.against["focal"]
    assert nested.paired and nested.difference.n == 3 and nested.difference.p_t == stats.ttest_rel(FOCAL, CE).pvalue
    more = [more, made_up("cross_entropy", 4, 0.83)]
    with pytest.raises(ConfigError, match=r"focal: 0 to 3.*compare\.unpaired=true"):
        compared(values, *more)
    against = compared(values, *more, unpaired=True).main.against["focal"]
    test = stats.ttest_ind([*FOCAL, 0.9], [*CE, 0.83], equal_var=False)
    assert not against.paired
    assert against.difference.p_t == pytest.approx(test.pvalue)
    assert (against.difference.low, against.difference.high) == pytest.approx(tuple(test.confidence_interval()))


def test_unpaired_difference_needs_two_runs_of_each():
    one = unpaired_difference([1.0], [0.0, 0.1], higher_is_better=False)
    assert math.isnan(one.p_t) and math.isnan(one.low) and one.improvement == 0.0 and one.n == 1
    assert math.isnan(unpaired_difference([1.0, 1.0], [0.0, 0.0], higher_is_better=True).effect_size)


def test_cells_without_numbers_are_shown():
    more = [made_up("focal", 3, 0.9), made_up("cross_entropy", 3, 0.9, status="failed")]
    more += [made_up("gce", seed, 0.5, status="diverged") for seed in range(4)]
    more += [made_up("mae_prob", seed, 0.5) for seed in range(4)]
    more[-1]["metrics"]["last"] = {**more[-1]["metrics"]["last"], "test/balanced_accuracy": None}
    analysis = compared({"cross_entropy": CE, "focal": FOCAL}, *more)
    assert missing_lines(analysis) == [
        "cross_entropy seed 3: failed",
        "gce seeds 0 to 3: diverged in epoch 2",
        "mae_prob seed 3: finished, but without a finite test/balanced_accuracy at the last epoch",
    ]
    assert analysis.main.against["focal"].difference.n == 3
    assert "Diverged and not in the numbers: gce (seeds 0 to 3)." in verdict(analysis)
    console = Console(width=80, file=io.StringIO())
    console.print(to_rich(analysis, 80))
    shown = console.file.getvalue()
    for text in (shown, to_markdown(analysis), to_latex(analysis)):
        assert "0 of 4" in text and "3 of 4" in text and "gce" in text
    (gce,) = [row for row in csv.DictReader(io.StringIO(to_csv(analysis))) if row["loss"] == "gce"]
    assert gce["n"] == "0" and gce["mean"] == "" and "seed 2: diverged" in gce["not_in_the_numbers"]


def test_a_newer_run_of_the_same_cell_counts_and_the_older_is_told():
    older = {**made_up("focal", 0, 0.1), "key": "older", "started": -1.0, "folder": "outputs/older"}
    analysis = compared({"cross_entropy": CE, "focal": FOCAL}, older)
    assert analysis.scores["focal"][0]["balanced_accuracy"] == 0.85
    assert any("outputs/older" in line for line in missing_lines(analysis))


def test_selections():
    entry = made_up("focal", 0, 0.8)
    found = {select: metrics_at(entry, select, "balanced_accuracy")["balanced_accuracy"] for select in SELECTIONS}
    assert found == pytest.approx({"last": 0.8, "best_val": 0.75, "best_clean_val": 0.85, "oracle": 0.85})
    assert metrics_at(made_up("mae", 0, 0.3, task="regression"), "oracle", "mae")["mae"] == pytest.approx(0.25)
    without_validation = {**entry, "metrics": {"last": entry["metrics"]["last"], "best_val": None}}
    assert metrics_at(without_validation, "best_val", "balanced_accuracy") == {}


def test_the_oracle_is_labelled_and_comes_with_its_gap(three):
    assert not gap_lines(three) and "ORACLE" not in to_markdown(three)
    oracle = compared({"cross_entropy": CE, "focal": FOCAL}, select="oracle")
    assert "oracle, not a result" in verdict(oracle)
    for text in (to_markdown(oracle), to_latex(oracle).replace(r" \\ ", " ")):
        assert "ORACLE" in text and "gap: oracle minus last epoch" in text
    assert gap_lines(oracle)[0].startswith("focal: gap: oracle minus last epoch +0.050 (no spread) (n=3)")
    assert selections_table(oracle).heading[-1] == "gap: oracle minus best clean validation epoch"


def test_the_verdict_says_what_is_decided():
    seeds = [0.80, 0.82, 0.84, 0.81, 0.83]
    better = [value + 0.05 + 0.001 * (-1) ** k for k, value in enumerate(seeds)]
    text = verdict(compared({"cross_entropy": seeds, "focal": better, "ldam": seeds[::-1]}))
    assert text.startswith("focal is best on balanced accuracy (0.870 [0.850, 0.890], 5 seeds), 0.050 above")
    assert "paired difference, simultaneous 95 % Student t interval [+0.048, +0.052], p < 0.001 adjusted over" in text
    assert "better than every other loss" in text


def test_the_verdict_says_what_is_not_decided():
    seeds = [0.80, 0.82, 0.84, 0.81, 0.83]
    text = verdict(compared({"cross_entropy": seeds, "focal": [0.83, 0.80, 0.84, 0.84, 0.81]}))
    assert text.startswith("focal has the best mean balanced accuracy") and "does not decide it" in text
    assert "would be needed to resolve it" in text
    text = verdict(compared({"cross_entropy": CE, "focal": FOCAL, "ldam": [0.84, 0.88, 0.87]}))
    assert "can't be told apart from ldam" in text and "cross_entropy" not in text.partition("told apart")[2]


def test_the_verdict_when_the_baseline_is_best():
    worse = [value - 0.1 - 0.001 * k for k, value in enumerate(CE)]
    text = verdict(compared({"cross_entropy": CE, "focal": worse, "ldam": [0.80, 0.83, 0.81]}))
    assert text.startswith("cross_entropy has the best mean") and "focal is shown to be worse" in text


def test_the_verdict_without_anything_to_compare():
    assert "no other loss" in verdict(compared({"focal": CE}))
    lower = [value - shift for value, shift in zip(CE, [0.03, -0.02, 0.01] * len(CE), strict=False)]
    one = verdict(compared({"cross_entropy": CE, "focal": lower}))
    assert "and is the baseline: focal is not shown to differ from it." in one
    two = verdict(compared({"cross_entropy": CE, "focal": lower, "ldam": lower[::-1]}))
    assert "none of the 2 other losses is shown to differ from it" in two
    assert "1 seed can't say" in verdict(compared({"cross_entropy": [0.8], "focal": [0.9]}))
    dead = [made_up("focal", 0, 0.5, status="diverged")]
    analysis = analyse(comparisons(dead)[0], Options())
    assert verdict(analysis).startswith("There is no verdict") and "focal (seed 0)" in verdict(analysis)
    assert "| focal |" in to_markdown(analysis) and "0 of 1" in to_latex(analysis)
    no_baseline = compared({"focal": CE}, *[made_up("mse", s, 0.1, "failed") for s in range(3)], baseline="mse")
    assert "no other loss has results" in verdict(no_baseline)


def test_power_is_stated(three):
    assert "can't give a p below 0.25, 0.75 adjusted over 3 pairs of losses" in power(three)
    assert "Only from 7 seeds on" in power(three)  # 3 * 2 / 2^7 = 0.047, and 3 * 2 / 2^6 = 0.094


def test_tables_say_over_what(three):
    text = to_markdown(three)
    for part in (
        "n runs that differ in the seed",
        "0 to 2",
        "95 % Student-t",
        "with the same seed, over 3 pairs of losses",
        "test set, last epoch",
    ):
        assert part in text
    bca = to_markdown(compared({"cross_entropy": CE, "focal": FOCAL}, interval="bca", confidence=0.9))
    assert "90 % BCa" in bca and "too narrow" in bca


def test_latex_is_balanced_and_escaped(three):
    text = to_latex(three)
    bare = text.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}") and text.count(r"\begin") == text.count(r"\end")
    assert r"cross\_entropy" in text and not any("_" in line.replace(r"\_", "") for line in text.splitlines()[1:])
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {row.count("&") for row in rows[:4]} == {5}  # heading and three losses: loss, n, group, three metrics


def test_csv_has_every_metric(three):
    rows = list(csv.DictReader(io.StringIO(to_csv(three))))
    assert len(rows) == 3 * len(three.columns) and {"recall/3", "accuracy_few", "nll"} <= {
        row["metric"] for row in rows
    }
    focal = next(row for row in rows if row["loss"] == "focal" and row["metric"] == "balanced_accuracy")
    assert float(focal["difference"]) == pytest.approx(0.05) and focal["baseline"] == "cross_entropy"


def test_labels_name_only_what_differs():
    def run(**changes):
        return {**made_up("focal", 0, 0.5), **changes}

    drw = run(weighting="drw", config={"loss": {"gamma": 2.0}, "weighting": {"beta": 0.9, "start_epoch": 3}})
    assert labels([run(), drw]) == ["focal", "focal+drw"]
    assert labels([run(head="cosine")]) == ["focal"]
    assert labels([run(head="cosine"), run()]) == ["focal(head=cosine)", "focal(head=linear)"]


def test_the_command_that_repeats(tmp_path):
    entries = [made_up(loss, seed, 0.5, folder=str(tmp_path)) for loss in ("focal", "ldam") for seed in (0, 1, 10)]
    (comparison,) = comparisons(entries[::-1])
    found = commands(comparison)  # without folders, from the choices
    assert len(found) == 1 and found[0].startswith("python -m lossbench -m ")
    assert "seed=0,1,10" in found[0] and "data=made_up" in found[0]
    uneven = commands(comparisons([*entries, made_up("gce", 0, 0.5, folder=str(tmp_path))])[0])
    assert any("loss=gce" in line and line.split().count("-m") == 1 for line in uneven)


def ranked(*, metric_values: dict[str, list[list[float]]]):
    analyses = []
    for data, columns in metric_values.items():
        entries = []
        for loss, values in zip(("cross_entropy", "focal", "ldam"), columns, strict=True):
            for seed, value in enumerate(values):
                entry = made_up(loss, seed, value, problem=data * 64)
                entries.append({**entry, "choices": {**entry["choices"], "data": data}})
        analyses.append(analyse(comparisons(entries)[0], Options()))
    return rank_across(analyses)


def test_ranks_over_data_sets():
    values = {"a": [[0.5], [0.6], [0.7]], "b": [[0.5], [0.7], [0.6]], "c": [[0.4], [0.5], [0.6]]}
    (across,) = ranked(metric_values=values)
    assert across.labels == ["ldam", "focal", "cross_entropy"]
    assert across.summary.ranks.tolist() == pytest.approx([4 / 3, 5 / 3, 3.0])
    table = np.array([[column[0] for column in columns] for columns in values.values()])
    assert across.summary.friedman_p == pytest.approx(stats.friedmanchisquare(*table.T).pvalue)
    assert "Over 3 data sets (a, b and c)" in told(across)


def test_one_data_set_has_no_ranks():
    assert ranked(metric_values={"a": [[0.5], [0.6], [0.7]]}) == []


def test_temperature_scaling_against_a_known_temperature():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 5))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    target = (true.cumsum(1) > rng.random((len(true), 1))).argmax(1)
    odds = np.log(true / (1 - true))
    sharp = temper(odds, 0.5)
    sharp_odds = np.log(sharp / (1 - sharp))
    assert fit_temperature(sharp_odds, target) == pytest.approx(2.0, rel=0.05)
    assert temper(sharp_odds, 2.0) == pytest.approx(true)
    assert bin_confidence(sharp, target).error > 10 * bin_confidence(true, target).error
