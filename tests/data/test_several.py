"""Data with several targets: pairs of digits, scenes whose order is seen, and tables."""

import numpy as np
import pandas as pd
import pytest
import torch

from lossbench.data import DataModule
from lossbench.data.digit_pairs import digit_pairs
from lossbench.data.files import DataError
from lossbench.data.own_columns import Column
from lossbench.data.own_parts import wanted_of
from lossbench.data.own_tables import prepare, task_seen
from lossbench.data.own_targets import seen_as
from lossbench.data.scenes import digit_scenes
from lossbench.data.sources.several import in_front, order
from lossbench.data.sources.source import load_source


def module(source, task, **settings):
    made = DataModule(source, task, **settings)
    made.setup()
    return made


def test_a_pair_is_made_of_its_digits():
    singles = np.random.default_rng(0).random((20, 5, 5)).astype(np.float32)
    made = digit_pairs(singles, np.arange(20), 50, np.random.default_rng(1), offset=2)
    assert made.images.shape == (50, 1, 7, 7)
    for image, (left, right) in zip(made.images[:, 0], made.labels, strict=True):
        assert (image[:2, :5] == singles[left, :2]).all() and (image[5:, 2:] == singles[right, 3:]).all()
        both = np.maximum(singles[left, 2:, 2:], singles[right, :3, :3])
        assert (image[2:5, 2:5] == both).all() and not image[:2, 5:].any() and not image[5:, :2].any()


@pytest.mark.parametrize(("source", "marks"), [("digit_pairs", None)])
def test_no_digit_of_the_test_pairs_is_in_the_training_pairs(source, marks):
    """The uncovered corner of each pair is a part of a digit of its own part of the source."""
    pairs, single = load_source(source, None, 3, count=400), load_source("digits", None, 0)
    for side, place in (("left", (slice(0, 4), slice(0, 4))), ("right", (slice(8, 12), slice(8, 12)))):
        corner = (slice(0, 4), slice(0, 4)) if side == "left" else (slice(4, 8), slice(4, 8))
        for part in ("train", "test"):
            shown = getattr(pairs, f"{part}_inputs")[:, 0][:, place[0], place[1]].flatten(1)
            known = getattr(single, f"{part}_inputs")[:, 0][:, corner[0], corner[1]].flatten(1)
            assert (torch.cdist(shown, known, p=1).min(1).values == 0).all()
    assert pairs.train_target.shape == (400, 2) and pairs.shared["parts"]["left"]["class_names"][9] == "9"


def test_the_test_pairs_are_the_same_under_every_seed_and_sides_are_independent():
    one, other = (load_source("digit_pairs", None, seed, count=3000) for seed in (0, 1))
    assert torch.equal(one.test_inputs, other.test_inputs) and not torch.equal(one.train_inputs, other.train_inputs)
    left, right = one.train_target.T.numpy()
    table = np.histogram2d(left, right, bins=10)[0]
    expected = table.sum(0) * table.sum(1)[:, None] / table.sum()
    assert ((table - expected) ** 2 / expected).sum() < 126  # chi-square with 81 degrees of freedom, p = .001


@pytest.mark.real_data
def test_pairs_of_mnist(real_data_root):
    made = module("mnist_pairs", "digit_pair", count=200, max_test=50, root=str(real_data_root))
    assert made.input_shape == [1, 36, 36] and set(made.parts) == {"left", "right"}


def test_scenes_show_their_order():
    """What is in front is the largest: each digit is larger than those behind it."""
    ink = np.ones((1, 8, 8))
    drawn = digit_scenes(ink, np.array([0]), 60, np.random.default_rng(0), size=64, most=4, nearer_is_larger=True)
    whole = np.array([[(box[2] - box[0]) * (box[3] - box[1]) for box in boxes] for boxes in drawn.boxes])
    last = (drawn.box_labels >= 0).sum(1) - 1
    assert (whole.max(1) == whole[np.arange(60), last]).all()
    plain = digit_scenes(ink, np.array([0]), 60, np.random.default_rng(0), size=64, most=4)
    assert not np.array_equal(plain.boxes, drawn.boxes)


def test_the_order_is_that_of_pasting():
    ink, labels = np.ones((3, 6, 6)), np.array([0, 1, 2])
    made = digit_scenes(ink, labels, 50, np.random.default_rng(2), size=24, most=5, nearer_is_larger=True)
    depth, front = order(made), in_front(made)
    assert set(np.unique(depth)) <= {1, 2, 3, 4, 5, 6} and (depth[made.instances == 0] == 6).all()
    for picture in range(50):
        nearest = depth[picture] == 1
        assert nearest.any() and (made.instances[picture][nearest] == made.instances[picture].max()).all()
        assert (made.classes[picture][nearest] == 1 + front[picture]).all()


def test_the_data_module_describes_and_standardises_each_part():
    made = module("scene_parts", "scene_parts", count=30, max_test=10, kinds=4)
    parts = made.parts
    assert parts["mask"].shape == (48, 48) and parts["mask"].num_classes == 5 and parts["front"].num_classes == 4
    assert sum(parts["mask"].class_counts) == 27 * 48 * 48 and sum(parts["front"].class_counts) == 27
    assert parts["order"].class_counts == () and made.num_classes is None
    facts = made.facts()["parts"]
    assert facts["front"]["class_names"] == ["0", "1", "2", "3"] and facts["mask"]["shape"] == [48, 48]


@pytest.fixture
def table(tmp_path):
    rng, rows = np.random.default_rng(0), 120
    x = rng.normal(size=(rows, 2))
    price, size = 1000 + 300 * x[:, 0] + rng.normal(size=rows), x[:, 1] ** 2
    frame = pd.DataFrame({"x": x[:, 0], "y": x[:, 1], "price in EUR": price, "size": size})
    frame["paid"] = np.where(x[:, 0] > 0, "yes", "no")
    path = tmp_path / "table.csv"
    frame.loc[3, "size"] = np.nan
    frame.to_csv(path, index=False)
    return path


def test_a_table_with_several_targets(table):
    target = ["price in EUR", "size", "paid"]
    keys = {"path": str(table), "target": target}
    task, why = task_seen(wanted_of(keys, "auto"))
    assert task == "several(price_in_EUR=regression,size=regression,paid=binary)" and "paid: two texts: no, yes" in why
    made = module("table", task, **keys)
    assert made.input_shape == [2] and made.train_size + len(made.evaluation_loaders["val"].samples.index) == 96
    price, paid = made.parts["price_in_EUR"], made.parts["paid"]
    assert 900 < price.center < 1100 and 200 < price.scale < 400
    assert (paid.class_names, paid.center, paid.scale) == (("no", "yes"), 0.0, 1.0)
    batch = next(iter(made.test_dataloader()))
    assert batch.target.shape[1] == 3 and set(batch.target[:, 2].unique().tolist()) == {0.0, 1.0}
    frame = pd.read_csv(table)
    values = batch.target[:, 0].double() * price.scale + price.center
    assert (
        torch.cdist(values[:, None], torch.tensor(frame["price in EUR"].to_numpy())[:, None]).min(1).values.max() < 0.01
    )
    assert prepare(wanted_of(keys, task)).told[1] == "1 row has no target: left out"


def test_a_test_file_of_its_own_is_read_alike(table, tmp_path):
    frame = pd.read_csv(table)
    other = tmp_path / "test.csv"
    frame.iloc[:20].drop(3).to_csv(other, index=False)
    keys = {"path": str(table), "target": ["size", "paid"], "test": str(other)}
    made = module("table", "several(size=regression,paid=binary)", **keys)
    assert len(made.test_dataloader().samples.index) == 19


def test_arrays_with_several_targets(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(rows, 3)) for name, rows in (("X", 60), ("X_test", 20))}
    y, y_test = ((X[:, :2] + 0.1).round(2) for X in arrays.values())
    for name, extra in (("whole", {}), ("parted", {"X_test": arrays["X_test"], "y_test": y_test})):
        np.savez(tmp_path / f"{name}.npz", X=arrays["X"], y=y, **extra)
        made = module("arrays", "several(y_0=regression,y_1=regression)", path=str(tmp_path / f"{name}.npz"))
        assert set(made.parts) == {"y_0", "y_1"} and made.parts["y_0"].scale != made.parts["y_1"].scale
    assert len(made.test_dataloader().samples.index) == 20


@pytest.mark.parametrize(
    ("task", "target", "said"),
    [
        (
            "several(price=regression,paid=binary)",
            ["size", "paid"],
            "has the parts price, paid, but the targets are size, paid",
        ),
        (
            "several(size=regression,paid=regression)",
            ["size", "paid"],
            "a text, but data.task=regression needs numbers",
        ),
        ("regression", ["size", "paid"], "data.task=regression takes one target, not size, paid"),
    ],
)
def test_targets_that_do_not_fit_their_parts_are_told(table, task, target, said):
    with pytest.raises(DataError, match=said):
        prepare(wanted_of({"path": str(table), "target": target}, task))


def test_several_columns_of_labels_stay_labels():
    label = Column("number", np.array([0.0, 1.0, 1.0]))
    assert seen_as({"a": label, "b": label})[0] == "multilabel"
    assert (
        seen_as({"a": label, "b": Column("number", np.array([0.5, 1.0, 7.0]))})[0] == "several(a=binary,b=regression)"
    )
