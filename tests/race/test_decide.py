"""What a race decides, from made-up numbers: by hand, and by counting its errors where the truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lossbench.compare.numbers.sequential import confidence_sequence, critical_t
from lossbench.errors import ConfigError
from lossbench.race.contestants import race_seeds
from lossbench.race.decide import Race, Rules, _Pairs, race
from lossbench.race.fixed import fixed_seeds, seeds_to_equate

SEEDS = range(50)
LOOKS = range(3, 51)


def drawn(gaps, seed=0, seeds=50, spread=1.0) -> dict[str, dict[int, float]]:
    """Return values of losses that are worse than the best by so many standard deviations of a difference."""
    noise = np.random.default_rng(seed).standard_normal((len(gaps), seeds)) * spread / np.sqrt(2)
    return {f"l{i}": dict(enumerate((noise[i] - gap).tolist())) for i, gap in enumerate(gaps)}


def test_the_worse_leave_the_best_stays_and_all_that_ran_is_counted():
    found = race(drawn([0, 2, 6, 1.2]), SEEDS, Rules())
    assert found.is_known and found.best == "l0" and found.running == ["l0"] and not found.missing
    assert {decision.fate for decision in found.out.values()} == {"worse"}
    assert found.ran == {"l0": max(d.n for d in found.out.values()), **{d.loss: d.n for d in found.out.values()}}
    assert found.ran["l2"] < found.ran["l3"] and found.runs == sum(found.ran.values())
    assert all(decision.high < 0 for decision in found.out.values())


def judged(differences, level: float) -> tuple[np.ndarray, np.ndarray]:
    return confidence_sequence(differences, critical_t([level], LOOKS, 50)[0], level)


def test_two_losses_are_judged_by_one_sequence_of_intervals_at_half_of_alpha_for_each_side():
    values = drawn([0, 1], seed=4)
    low, high = judged([values["l1"][s] - values["l0"][s] for s in SEEDS], 0.025)
    found = race(values, SEEDS, Rules())
    n = int(np.argmax(high < 0)) + 1
    assert found.out["l1"].n == n and found.out["l1"].high == pytest.approx(high[:n].min())
    assert found.out["l1"].low == pytest.approx(low[:n].max())


def test_the_level_is_that_of_a_closed_test_over_the_losses_that_stand():
    values = drawn([0, 1, 40], seed=1)
    found = race(values, SEEDS, Rules())
    differences = [values["l1"][s] - values["l0"][s] for s in SEEDS]
    _, wide = judged(differences, 0.05 / (3 * 2))
    _, high = judged(differences, 0.05 / (3 * 1))
    crossed, later = int(np.argmax(high < 0)) + 1, int(np.argmax(wide < 0)) + 1
    assert found.out["l2"].n <= found.out["l1"].n == crossed < later


def test_a_lower_metric_can_be_the_better_one():
    values = drawn([0, 3])
    assert race(values, SEEDS, Rules(higher_is_better=False)).best == "l1"
    mirrored = {label: {s: -v for s, v in found.items()} for label, found in values.items()}
    one, other = race(values, SEEDS, Rules()), race(mirrored, SEEDS, Rules(higher_is_better=False))
    assert one.looks == other.looks


@pytest.mark.parametrize("step", [1, 4])
def test_it_asks_for_the_next_seeds_and_a_stopped_race_decides_the_same(step):
    values, rules = drawn([0, 0.8, 2, 3], seed=2), Rules(first=4, step=step)
    whole = race(values, SEEDS, rules)
    known: dict[str, dict[int, float]] = {label: {} for label in values}
    asked = []
    while (found := race(known, SEEDS, rules)).missing:
        assert found.looks == whole.looks[: len(found.looks)]
        asked.append(found.missing)
        label, seeds = next(iter(found.missing.items()))  # it may be stopped after any run
        known[label][seeds[0]] = values[label][seeds[0]]
    assert asked[0] == {label: [0, 1, 2, 3] for label in values}
    assert found == whole
    assert {label: len(each) for label, each in known.items()} == whole.ran


def test_more_seeds_add_to_a_race_that_is_over():
    values = drawn([0, 0.4, 0.5, 3], seed=5, seeds=200)
    rules = Rules(max_seeds=20, step=3, futility=0)
    short, long = race(values, range(20), rules), race(values, range(200), replace(rules, max_seeds=200, planned=20))
    assert not short.is_known and short.undecided
    assert long.looks[: len(short.looks)] == short.looks and long.is_known
    assert [look.n for look in long.looks][4:10] == [15, 18, 20, 23, 26, 29]
    less = race(values, range(16), replace(rules, max_seeds=16, planned=20))
    assert [look.n for look in less.looks] == [3, 6, 9, 12, 15, 16] and less.looks[:5] == short.looks[:5]
    assert less.looks[5].left == ()  # no look was planned there, so that none can decide anything


def test_what_a_loss_has_beyond_its_race_is_not_looked_at():
    values = drawn([0, 4, 1], seed=3)
    whole = race(values, SEEDS, Rules())
    cut = {label: {s: v for s, v in found.items() if s < whole.ran[label]} for label, found in values.items()}
    assert race(cut, SEEDS, Rules()) == whole


def test_within_the_margin_is_equivalent_and_beyond_it_worse():
    found = race(drawn([0, 0.05, 5], spread=1.0), SEEDS, Rules(margin=1.5))
    assert found.is_known and {label: d.fate for label, d in found.out.items()} in (
        {"l1": "equivalent", "l2": "worse"},
        {"l0": "equivalent", "l2": "worse"},
    )
    equal = next(d for d in found.out.values() if d.fate == "equivalent")
    assert -1.5 < equal.low < equal.high < 1.5


def test_worse_by_less_or_more_than_the_margin_may_stay_open_when_the_best_is_known():
    found = race(drawn([0, 1.5], seed=6), SEEDS, Rules(margin=1.4))
    assert found.is_known and found.running == ["l0", "l1"] and found.looks[-1].against_best["l1"][1] < 0
    assert found.looks[-1].n < 50


def test_who_was_equivalent_to_a_leader_that_is_overtaken_comes_back():
    def row(start: float, end: float) -> dict[int, float]:
        noise = np.random.default_rng(int(100 * start)).normal(0, 0.02, 60)
        return {s: float(v + (start if s < 8 else end)) for s, v in enumerate(noise)}

    values = {"first": row(0.5, -1.0), "same": row(0.45, 0.45), "late": row(0.0, 3.0)}
    values["late"] |= {s: 2.0 * (-1) ** s - 0.6 for s in range(8)}
    rules = Rules(margin=0.5, max_seeds=60)
    found = race(values, range(60), rules)
    back = [look for look in found.looks if look.back]
    assert found.looks[1].left[0].loss == "same"
    assert found.looks[1].left[0].fate == "equivalent" and found.looks[1].left[0].than == "first"
    assert back and back[0].back == ("same",) and back[0].best == "late"
    assert found.ran["same"] > back[0].n
    partial = {label: {s: v for s, v in each.items() if s < back[0].n} for label, each in values.items()}
    partial["same"] = {s: v for s, v in partial["same"].items() if s < 4}
    assert race(partial, range(60), rules).missing["same"] == list(range(4, back[0].n + 1))  # it catches up


def test_losses_that_are_the_same_are_never_worse_and_are_equivalent_after_some_tosses():
    same = {s: 0.5 + 0.001 * s for s in SEEDS}
    values = {"a": same, "b": {s: v + 1e-9 for s, v in same.items()}}
    assert not race(values, SEEDS, Rules()).is_known
    found = race(values, SEEDS, Rules(margin=0.1))
    (left,) = found.out.values()
    assert found.is_known and left.fate == "equivalent" and left.n == 5  # 2^-4 <= 2 * 0.05


def test_a_run_without_a_number_takes_its_loss_out_and_no_other():
    values = drawn([0, 3, 0.2])
    values["l2"][4] = float("nan")
    found = race(values, SEEDS, Rules())
    assert found.out["l2"].fate == "diverged" and found.out["l2"].n == 5
    assert found.is_known and found.best == "l0" and found.out["l1"].fate == "worse"
    alone = race({"a": {0: float("nan"), 1: 1.0, 2: 1.0}, "b": {0: 1.0, 1: 1.0, 2: 1.0}}, SEEDS, Rules())
    assert alone.is_known and alone.best == "b" and not alone.missing
    none = race({label: dict.fromkeys(range(3), float("nan")) for label in "ab"}, SEEDS, Rules())
    assert not none.is_known and none.best == "" and not none.missing


def test_it_gives_up_where_the_budget_would_hardly_decide_anything():
    values = drawn([0, 0, 3], seed=2, seeds=200)
    found, whole = race(values, SEEDS, Rules()), race(values, SEEDS, Rules(futility=0))
    assert found.gave_up and not found.missing and found.looks[-1].n < 50 and not found.is_known
    assert not whole.gave_up and whole.looks[-1].n == 50 and whole.looks[: len(found.looks)] == found.looks
    n = found.looks[-1].n
    cut = {label: {s: v for s, v in each.items() if s < n} for label, each in values.items()}
    assert race(cut, SEEDS, Rules()) == found
    more = race(cut, range(200), Rules(max_seeds=200, planned=50))
    assert more.looks == found.looks and (more.missing or more.gave_up)
    decided = race(drawn([0, 1]), SEEDS, Rules())
    assert decided == race(drawn([0, 1]), SEEDS, Rules(futility=0)) and not decided.gave_up


@pytest.mark.parametrize("margin", [None, 0.8])
def test_the_chance_to_be_decided_is_that_of_the_rest_of_the_race(margin):
    """Given the first seeds, and every mean and spread taken for as likely as another before."""
    rules, n, many, last = Rules(max_seeds=30, margin=margin), 12, 40_000, 30
    values = drawn([0, 0.45], seed=3, seeds=30)
    pairs = _Pairs(values, range(30), rules)
    differences = np.array([values["l0"][s] - values["l1"][s] for s in range(n)])
    rng = np.random.default_rng(0)
    spread = differences.std(ddof=1) * np.sqrt((n - 1) / rng.chisquare(n - 1, many))
    mean = differences.mean() + spread / np.sqrt(n) * rng.standard_normal(many)
    ahead = mean + spread / np.sqrt(last - n) * rng.standard_normal(many)
    whole = (n * differences.mean() + (last - n) * ahead) / last
    reach = critical_t([0.025, 0.05], range(3, 31), 30)[:, -1] * differences.std(ddof=1) / np.sqrt(last)
    decided = np.abs(whole) > reach[0]
    if margin is not None:
        decided |= np.abs(whole) < margin - reach[1]
    assert pairs.chance("l1", "l0", n, 2) == pytest.approx(decided.mean(), abs=0.01)


def test_more_seeds_at_first_than_at_most_are_refused():
    with pytest.raises(ConfigError, match=r"race\.first=6 is above race\.max_seeds=5"):
        Rules(first=6, max_seeds=5)


def errors(gaps, rules: Rules, races: int, noise=None) -> tuple[float, float, list[Race]]:
    """Return the shares of races with a wrong "worse" and a wrong "equivalent"."""
    rng, found = np.random.default_rng(7), []
    for _ in range(races):
        shape = (len(gaps), rules.max_seeds)
        values = (noise or (lambda rng, shape: rng.standard_normal(shape) / np.sqrt(2)))(rng, shape)
        values = values - np.array(gaps)[:, None]
        found.append(race({str(i): dict(enumerate(row)) for i, row in enumerate(values.tolist())}, SEEDS, rules))
    behind = [[(d, gaps[int(d.loss)] - gaps[int(d.than)]) for d in each.out.values()] for each in found]
    worse = np.mean([any(d.fate == "worse" and gap <= (rules.margin or 0) for d, gap in each) for each in behind])
    equal = np.mean([any(d.fate == "equivalent" and abs(gap) >= rules.margin for d, gap in each) for each in behind])
    return float(worse), float(equal), found


def coarse(rng, shape):
    return (rng.binomial(500, 0.98, shape) - 490) / np.sqrt(500 * 0.98 * 0.02) / np.sqrt(2)


@pytest.mark.parametrize(
    ("gaps", "noise"), [([0, 0], None), ([0, 0, 0, 0], None), ([0, 0, 0, 3], None), ([0, 0, 0], coarse)]
)
def test_wrong_words_are_rare_though_it_looks_after_every_seed(gaps, noise):
    worse, _, _ = errors(gaps, Rules(max_seeds=30), 400, noise)
    assert worse <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize("gaps", [[0, 1], [0, 1, 1]])
def test_as_far_as_the_margin_is_rarely_called_equivalent_or_worse_by_more(gaps):
    worse, equal, _ = errors(gaps, Rules(margin=1.0, max_seeds=30), 400)
    assert max(worse, equal) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_it_takes_at_most_half_the_runs_of_a_fixed_number_of_seeds():
    gaps = [0, 1, 3, 3, 3, 4, 4, 4]
    _, _, found = errors(gaps, Rules(), 60)
    power = np.mean([each.is_known and each.best == "0" for each in found])
    assert power > 0.9
    n = 2
    level = 0.05 / 8  # of the hardest comparison, which comes last: never stricter
    while stats.nct.sf(stats.t.isf(level, n - 1), n - 1, np.sqrt(n)) < min(power, 0.95):
        n += 1
    assert np.mean([each.runs for each in found]) < 0.5 * n * len(gaps)


def test_the_fixed_design_has_the_chance_that_it_promises():
    values = drawn([0, 1.2], seed=8)
    rules = Rules()
    found = race(values, SEEDS, rules)
    n = fixed_seeds(found, values, SEEDS, rules)
    had = np.array([values["l0"][s] - values["l1"][s] for s in range(found.ran["l1"])])
    effect = had.mean() / had.std(ddof=1)
    draws = np.random.default_rng(0).standard_normal((20_000, n)) + effect
    t = draws.mean(1) / draws.std(1, ddof=1) * np.sqrt(n)
    assert 0.79 < (t > stats.t.isf(0.025, n - 1)).mean() < 0.9
    assert fixed_seeds(race(drawn([0, 0.01]), SEEDS, rules), drawn([0, 0.01]), SEEDS, rules) is None


@pytest.mark.parametrize(("mean", "margin"), [(0.0, 1.0), (0.3, 1.2)])
def test_the_fixed_design_for_equivalence_has_the_chance_that_it_promises(mean, margin):
    values = np.random.default_rng(1).standard_normal(9)
    values = (values - values.mean()) / values.std(ddof=1) + mean
    n = seeds_to_equate(values, margin, 0.05, 0.8)
    draws = np.random.default_rng(0).standard_normal((20_000, n)) + mean
    room = margin - stats.t.isf(0.05, n - 1) * draws.std(1, ddof=1) / np.sqrt(n)
    assert 0.79 < (np.abs(draws.mean(1)) < room).mean() < 0.9
    assert seeds_to_equate(values + 2, margin, 0.05, 0.8) is None


def test_seeds_begin_with_those_given_and_avoid_others():
    assert race_seeds([4, 2], 5, avoided=[5, 100]) == [4, 2, 6, 7, 8]
