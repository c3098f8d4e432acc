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


def chosen_by(size, counts, **more):
    """The two losses with a validation part of so many samples."""
    data = {"sizes": {"train": 900, "val": size, "test": 90}, "val_class_counts": counts, "class_names": [*"abcd"]}
    same = {"hashes": SHARED, "versions": {"torch": "2.2"}, "engine": {"name": "single"}, "data": data}
    (comparison,) = comparisons([made_up(loss, 0, 0.8, **{**same, **more}) for loss in ("focal", "ldam")])
    return cautions(comparison)


@pytest.mark.parametrize(
    ("size", "counts", "said"),
    [
        (199, None, "chosen by 199 samples: too few"),
        (199, [50, 50, 50, 49], "chosen by 199 samples: too few"),
        (143, [90, 40, 11, 2], "chosen by 143 samples, only 2 of them of class d: too few"),
        (37, [20, 12, 5, 0], "chosen by 37 samples, none of them of class d: too few"),
        (5000, [4000, 991, 9, 10], "chosen by 5000 samples, only 9 of them of class c: too few"),
        (1, None, "chosen by 1 sample: "),
    ],
)
def test_how_few_samples_chose_the_epoch_is_told(size, counts, said):
    (caution,) = chosen_by(size, counts)
    assert caution.startswith("The best validation epochs were") and said in caution


@pytest.mark.parametrize(("size", "counts"), [(200, None), (200, [50] * 4), (400, [370, 10, 10, 10]), (0, None)])
def test_enough_samples_need_no_caution(size, counts):
    assert chosen_by(size, counts) == []
    assert chosen_by(20, counts, metrics={"last": {"test/accuracy": 0.5}, "best_val": None}) == []


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


def test_a_loss_of_0_throughout_is_told():
    nothing = [{"epoch": 0, "train/loss": 0.0, "test/balanced_accuracy": 0.8}]
    assert cautions(compared(history=nothing)) == [
        "The training loss was 0 in every epoch, so that nothing was learned: ldam."
    ]
