"""Of what a verdict speaks, new seeds or new test data too, on made-up samples; and all that it says of losses."""

import csv
import io
import math
import re

import numpy as np
import pytest
from scipy import stats

from lossbench.compare.numbers.analysis import Analysis, analyse
from lossbench.compare.numbers.by_sample import BySample
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.two_sources import half_widths, runs_by_sample, tails_beyond
from lossbench.compare.report.tables import differences_table
from lossbench.compare.report.verdict import verdict
from lossbench.compare.report.writers import to_csv, to_markdown
from lossbench.errors import ConfigError
from tests.support.compared import made_up
from tests.support.two_way import crossed

SEEDS, SAMPLES = 5, 200
METRIC = "balanced_accuracy"


def by_samples(tables: dict[str, np.ndarray]) -> BySample:
    """What is known by sample of losses with values (seeds, samples)."""
    rows = {(label, seed): SEEDS * k + seed for k, label in enumerate(tables) for seed in range(SEEDS)}
    return BySample({METRIC: (rows, runs_by_sample(np.concatenate(list(tables.values()))))})


def compared(tables: dict[str, np.ndarray], samples: BySample | None = None, **options) -> Analysis:
    entries = [
        made_up(label, seed, float(row.mean())) for label, table in tables.items() for seed, row in enumerate(table)
    ]
    (comparison,) = comparisons(entries)
    return analyse(comparison, Options(**options), by_samples(tables) if samples is None else samples)


def made(seed: int, means: dict[str, float], seeds: float, samples: float, rest: float) -> dict[str, np.ndarray]:
    """Values of losses with chance of seeds, of samples (of each loss) and of both."""
    rng = np.random.default_rng(seed)
    return {
        label: mean
        + rng.normal(0, seeds, (SEEDS, 1))
        + rng.normal(0, samples, (1, SAMPLES))
        + rng.normal(0, rest, (SEEDS, SAMPLES))
        for label, mean in means.items()
    }


TWO = {"cross_entropy": 0.80, "focal": 0.82}


@pytest.fixture(scope="module")
def of_samples() -> dict[str, np.ndarray]:
    """Decided for this test set, whose samples have the most of the chance."""
    return made(2, TWO, 0.001, 0.2, 0.02)


def test_the_interval_is_that_of_crossed_random_effects(of_samples):
    pair = compared(of_samples).main.against["focal"]
    differences = of_samples["focal"] - of_samples["cross_entropy"]
    mean_squares = crossed(differences)
    half = float(half_widths([mean_squares], 0.025)[0])
    middle = differences.mean()
    assert (pair.difference.low, pair.difference.high) == pytest.approx((middle - half, middle + half), rel=1e-6)
    assert pair.p_t == pytest.approx(2 * tails_beyond([mean_squares], abs(middle))[0])
    alone = stats.ttest_1samp(differences.mean(1), 0)
    told = pair.this_test_set
    assert (told.low, told.high) == pytest.approx(tuple(alone.confidence_interval()), rel=1e-6)
    assert told.p_t == pytest.approx(alone.pvalue) and told.p_t < 0.05 < pair.p_t


def test_the_default_verdict_is_for_new_data_and_both_are_shown(of_samples):
    both, alone = compared(of_samples), compared(of_samples, population="seeds")
    assert "focal has the best mean" in verdict(both) and "does not decide it" in verdict(both)
    assert "95 % two-source t interval" in verdict(both) and "more test data would narrow it most" in verdict(both)
    assert "roughly" in verdict(both) and "test samples would be needed" in verdict(both)
    assert (
        "focal is best on" in verdict(alone) and "two-source" not in verdict(alone) and "chance" not in verdict(alone)
    )
    table = differences_table(both, METRIC)
    assert table.heading[3:5] == ["interval", "this test set"] and len(table.rows[0]) == len(table.heading)
    assert table.rows[0][3].startswith("[-") and table.rows[0][4].startswith("[+")
    assert "new seeds and new test data like these 200 samples" in table.caption
    assert "new seeds on this test set, not for new test data" in differences_table(alone, METRIC).caption
    assert "this test set" in to_markdown(both)
    (row,) = (
        row for row in csv.DictReader(io.StringIO(to_csv(both))) if row["loss"] == "focal" and row["metric"] == METRIC
    )
    assert float(row["this_test_set_low"]) > 0 > float(row["difference_low"])


def test_the_verdict_says_where_chance_is():
    text = verdict(compared(made(0, {"cross_entropy": 0.80, "focal": 0.85}, 0.05, 0.01, 0.01)))
    assert "% is in the seeds" in text and "more seeds would narrow it most" in text
    shares = [int(share) for share in re.findall(r"(\d+) % (?:is )?in (?:the|how)", text)]
    assert len(shares) == 3 and 99 <= sum(shares) <= 101
    assert "no number of test samples alone would (5 and 200 now)" in text
    assert "narrow it alike" in verdict(compared(made(0, TWO, 0.0, 0.0, 1.0)))


def test_losses_that_are_alike_have_one_order_however_they_were_given():
    values = made(0, {"a": 0.5}, 1.0, 1.0, 1.0)["a"]
    given = [compared(dict.fromkeys(names, values)).order for names in ("ab", "ba")]
    assert given == [["a", "b"], ["a", "b"]]


def test_other_metrics_and_lost_files_speak_of_this_test_set(of_samples):
    assert "NLL is not known by sample" in differences_table(compared(of_samples), "nll").caption
    lost = differences_table(compared(of_samples, BySample(reason="no run has kept its predictions")), METRIC)
    assert (
        "not for new test data: no run has kept its predictions" in lost.caption and "this test set" not in lost.heading
    )
    own = differences_table(compared(of_samples, BySample(new_samples_by_seed=True, reason="each has its own")), METRIC)
    assert "so for new test data, too" in own.caption


@pytest.mark.parametrize("margin", [None, 0.05])
def test_interval_p_and_letters_agree_of_new_data_too(margin):
    decided = equal = 0
    for seed in range(12):
        names = {"cross_entropy": 0.5, "focal": 0.5 + 0.01 * seed, "ldam": 0.52}
        found = compared(made(seed, names, 0.01, 0.1, 0.1), margin=margin)
        for (one, other), pair in found.main.pairs.items():
            assert pair.sources is not None
            outside = pair.difference.low > 0 or pair.difference.high < 0
            shared = bool(set(found.main.letters[one]) & set(found.main.letters[other]))
            assert outside == (pair.p_t <= 0.05) and shared == (not outside or pair.outcome == "equivalent")
            decided, equal = decided + outside, equal + (pair.outcome == "equivalent")
    assert decided and bool(equal) == (margin is not None)


def test_losses_that_beat_the_baseline_are_named_and_what_the_best_one_costs():
    seeds = np.array([0.80, 0.82, 0.84, 0.81, 0.83])
    noise = 0.001 * np.array([1, -1, 0.5, -0.7, 0.2])
    values = {"cross_entropy": seeds, "focal": seeds + 0.06 + noise, "ldam": seeds + 0.05 - noise, "gce": seeds - noise}
    entries = [made_up(label, seed, value) for label, found in values.items() for seed, value in enumerate(found)]
    for entry in entries:
        if entry["loss"] == "focal":
            nll = 0.7 + noise[entry["seed"]]
            entry["metrics"]["last"] = {**entry["metrics"]["last"], "test/nll": nll, "test/ece": 0.1}
    for entry in entries:
        if entry["loss"] != "focal":
            shift = 0.3 + 0.01 * seeds[entry["seed"]]
            entry["metrics"]["last"] = {**entry["metrics"]["last"], "test/nll": shift}
    text = verdict(analyse(comparisons(entries)[0], Options()))
    assert (
        text.startswith("focal is best on balanced accuracy") and "Better than cross_entropy, too: ldam (p ≤ " in text
    )
    assert "It pays for that: focal is worse on NLL (0.7000 against 0.3082 of " in text and "ECE" not in text


@pytest.mark.parametrize("family", ["all", "baseline"])
def test_equal_losses_are_told_apart_in_one_sweep_of_twenty_at_most(family):
    """By three standard errors of 300 sweeps of four losses whose seeds have a strong effect on all."""
    rng, alarms = np.random.default_rng(13), 0
    names = ["cross_entropy", "focal", "ldam", "gce"]
    for _ in range(300):
        runs = 0.5 + rng.normal(0, 0.01, (4, 5)) + rng.normal(0, 0.03, 5)
        entries = [
            made_up(name, seed, value) for name, row in zip(names, runs, strict=True) for seed, value in enumerate(row)
        ]
        for entry in entries:
            entry["metrics"]["last"] = {f"test/{METRIC}": entry["metrics"]["last"][f"test/{METRIC}"]}
        found = analyse(comparisons(entries)[0], Options(family=family, population="seeds"))
        alarms += any(pair.p_t <= 0.05 for pair in found.main.pairs.values())
    assert 0 < alarms / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"population": "data"}, ["compare.population=data", "seeds_and_data"]),
        ({"family": "al"}, ["compare.family=al", "Nearest: all"]),
    ],
)
def test_mistakes_are_told(options, parts):
    with pytest.raises(ConfigError) as error:
        Options(**options)
    assert all(part in str(error.value) for part in parts)
