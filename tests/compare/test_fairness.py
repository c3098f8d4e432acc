import pytest

from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.report.fairness import cautions, drawn_by_seed, protocol
from tests.support.compared import made_up

SHARED = {"targets": "t", "split": "s", "weights": "w", "order": "o"}


def compared(**changes):
    """Two losses under one seed, the second with changes."""
    same = {"hashes": SHARED, "versions": {"torch": "2.2"}, "engine": {"name": "single"}}
    first, second = (made_up(loss, 0, 0.8, **same) for loss in ("focal", "ldam"))
    (comparison,) = comparisons([first, {**second, **changes}])
    return comparison


def test_runs_that_share_everything_need_no_caution():
    assert cautions(compared()) == []


@pytest.mark.parametrize("key", SHARED)
def test_what_one_seed_does_not_share_is_told(key):
    (caution,) = cautions(compared(hashes={**SHARED, key: "another"}))
    assert caution.startswith("The runs of seed 0 do not share")


def test_mixed_versions_are_told():
    (caution,) = cautions(compared(versions={"torch": "2.3"}))
    assert caution == "Runs were made with several versions of torch: 2.2 (1 run) and 2.3 (1 run)."


def test_mixed_engines_are_told():
    stacked = {"name": "stacked", "runs": 8}
    (caution,) = cautions(compared(engine=stacked))
    assert caution.startswith("1 run trained in stacks, 1 alone")
    assert cautions(compared(engine={"name": "packed"})) == []


def test_the_protocol_is_told():
    assert "values of its YAML" in protocol(compared())
    tuned = protocol(compared(protocol={"name": "tuned", "trials": 20, "seeds": [100, 101]}))
    assert "20 trials" in tuned and "100, 101" in tuned and "values of its YAML" in tuned
    assert "first gradient" in protocol(compared(calibration={"factor": 2.0}))


def test_what_the_seeds_draw_anew_is_told():
    runs = [
        made_up("focal", seed, 0.8, hashes={**SHARED, "weights": f"w{seed}", "order": f"o{seed}"}) for seed in (0, 1)
    ]
    (comparison,) = comparisons(runs)
    assert drawn_by_seed(comparison).startswith("Each seed draws anew: initial weights and batch order;")
    assert drawn_by_seed(compared()) == ""
