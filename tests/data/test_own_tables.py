"""Tables of the user's own: what is read as what, how it is split, and what is refused before a run."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes

from lossbench.data.grouped import choose_groups
from lossbench.data.own_files import read_own
from lossbench.data.own_parts import wanted_of
from lossbench.data.own_tables import prepare, task_seen
from lossbench.errors import ConfigError
from lossbench.running.plan import why_alone
from lossbench.running.run import run
from tests.support.own_files import module

ROWS = 60


@pytest.fixture
def houses():
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "size": rng.gamma(9, 12, ROWS).round(1),
            "rooms": rng.integers(1, 7, ROWS),
            "town": rng.choice(["Graz", "Linz", "Wien"], ROWS),
            "garden": rng.random(ROWS) < 0.5,
            "sold": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.permutation(ROWS), "D"),
            "street": rng.choice(8, ROWS),
            "kind": rng.choice(["flat", "house", "villa"], ROWS, p=[0.6, 0.3, 0.1]),
            "price": rng.normal(3e5, 1e5, ROWS).round(2),
        }
    )


@pytest.fixture
def file(tmp_path):
    """Write a table, and return its path."""

    def write(table, name="houses.csv", **settings):
        path = tmp_path / name
        table.to_parquet(path) if name.endswith("parquet") else table.to_csv(path, index=False, **settings)
        return str(path)

    return write


def read(path, target="price", task="regression", **keys):
    return prepare(wanted_of({"path": path, "target": target, **keys}, task))


def test_columns_are_read_as_what_they_are(houses, file):
    made = read(file(houses))
    kinds = {each["column"]: each["read_as"] for each in made.facts["columns"]}
    assert kinds == {
        "size": "number", "rooms": "number", "garden": "boolean", "sold": "date", "street": "number",
        "town": "category", "kind": "category",
    }  # fmt: skip
    assert made.inputs[0].shape == (48, 5 + 3 + 3) and made.inputs[1].shape == (12, 11)
    assert made.inputs[0].dtype == made.targets[0].values.dtype == np.float32
    np.testing.assert_allclose(made.inputs[0][:, :5].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(made.inputs[0][:, :5].std(0), 1, atol=1e-5)
    assert (made.inputs[0][:, 5:8].sum(1) == 1).all()
    json.dumps(made.facts)


def test_all_formats_give_the_same(houses, file):
    first = read(file(houses))
    others = [
        file(houses, "houses.tsv", sep="\t"),
        file(houses, "german.csv", sep=";", decimal=","),
        file(houses, "mark.csv", encoding="utf-8-sig", lineterminator="\r\n"),
        file(houses, "houses.parquet"),
    ]
    for other in map(read, others):
        np.testing.assert_array_equal(other.inputs[0], first.inputs[0])
        np.testing.assert_array_equal(other.targets[1].values, first.targets[1].values)


def test_names_and_gaps_are_read_as_they_are_written(tmp_path):
    lines = [f"{number}, {number % 3},{'?' if number % 7 == 0 else number**2 * 1.5}, b" for number in range(40, 0, -1)]
    (tmp_path / "t.csv").write_text("\n\nsize, rooms ,price,kind\n" + "\n".join(lines) + "\n")
    made = read(str(tmp_path / "t.csv"))
    assert [each["column"] for each in made.facts["columns"]] == ["size", "rooms"]
    assert "5 rows have no target: left out" in made.told and "kind: left out, all rows are alike" in made.told


def test_the_transformer_sees_the_training_part_alone(houses, file):
    """Against NumPy: median, mean and deviation of the training rows; a level of the test part alone is all 0."""
    houses.loc[::5, "size"] = np.nan
    train = read(file(houses))
    of_test = houses.assign(town="Bern", size=1e6)
    parted = read(file(houses, "train.csv"), test=file(of_test, "test.csv"))
    size = houses["size"].to_numpy()
    filled = np.where(np.isnan(size), np.nanmedian(size), size)
    np.testing.assert_allclose(parted.inputs[0][:, 4], (filled - filled.mean()) / filled.std(), rtol=1e-5)
    np.testing.assert_array_equal(parted.inputs[0][:, 5], np.isnan(size))
    assert (parted.inputs[1][:, 6:9] == 0).all()
    assert "town: 60 test rows have a level that no training row has: Bern" in parted.told
    assert any(line.startswith("size: ") and "the median" in line for line in train.told)


def test_rare_levels_share_an_input(houses, file):
    houses["town"] = ["Graz"] * 29 + ["Linz"] * 28 + ["a", "b", "c"]
    made = read(file(houses), features="town")
    (fact,) = made.facts["columns"]
    assert made.inputs[0].shape[1] == len(fact["levels"]) + bool(fact["grouped"])
    assert fact["levels"] == ["Graz", "Linz"] and set(fact["grouped"]) <= {"a", "b", "c"}


@pytest.mark.parametrize(
    ("target", "task", "names"),
    [
        ("price", "regression", ()),
        ("kind", "multiclass", ("flat", "house", "villa")),
        ("garden", "binary", ("false", "true")),
        ("rooms", "multiclass", ("1", "2", "3", "4", "5", "6")),
        ("sick", "binary", ("no", "yes")),
        ("five", "binary", ("5", "7")),
        (("garden", "sunny"), "multilabel", ("garden", "sunny")),
    ],
)
def test_the_task_is_seen_by_the_target(houses, file, target, task, names):
    rng = np.random.default_rng(0)
    houses["sick"], houses["sunny"] = rng.choice(["no", "yes"], ROWS), rng.integers(0, 2, ROWS)
    houses["five"] = rng.choice([5, 7], ROWS)
    path = file(houses)
    assert task_seen(wanted_of({"path": path, "target": target}, "auto"))[0] == task
    wanted = f"data.target={target}" if isinstance(target, str) else f"data.target=[{','.join(target)}]"
    loaded = module("data=table", f"data.path={path}", wanted)
    assert (loaded.task.name, tuple(loaded.class_names)) == (task, names)
    if names:
        assert sum(loaded.class_counts) == len(loaded.num_train * [0]) or task == "multilabel"


def test_a_task_that_a_loss_sets_reads_the_target_alike(houses, file):
    path = file(houses)
    overrides = ("data=table", f"data.path={path}", "data.target=price")
    plain, gaussian = module(*overrides, "loss=mse"), module(*overrides, "loss=gaussian_nll")
    assert (plain.task.name, gaussian.task.name) == ("regression", "distributional")
    assert plain.hashes == gaussian.hashes
    assert module("data=table", f"data.path={path}", "data.target=rooms", "data.task=count").task.name == "count"


def test_the_test_part_is_drawn_by_class_and_the_same_under_every_seed(houses, file):
    path = file(houses)
    overrides = ("data=table", f"data.path={path}", "data.target=kind")
    first, other = (module(*overrides, f"seed={seed}") for seed in (0, 1))
    targets = [each.evaluation_loaders["test"].samples.target for each in (first, other)]
    assert torch.equal(*targets) and first.hashes["split"] != other.hashes["split"]
    counts = houses["kind"].value_counts().sort_index().to_numpy()
    assert torch.bincount(targets[0]).tolist() == [max(1, int(0.2 * count)) for count in counts]


@pytest.mark.parametrize("target", ["price", "kind"])
def test_groups_stay_in_one_part(houses, file, target):
    houses["street"] = [f"street {number}" for number in houses["street"]]
    overrides = ("data=table", f"data.path={file(houses)}", f"data.target={target}", "data.group=street")
    loaded = module(*overrides, "data.val_fraction=0.2")
    parts = {
        "train": loaded.train_dataloader().samples,
        **{name: loader.samples for name, loader in loaded.evaluation_loaders.items()},
    }
    groups = {name: set(samples.extras["group"].tolist()) for name, samples in parts.items()}
    assert groups.keys() == {"train", "val", "test"} and all(groups.values())
    assert sum(map(len, groups.values())) == len(set.union(*groups.values())) == 8
    assert sum(len(samples.index) for samples in parts.values()) == ROWS
    assert "street" not in {each["column"] for each in loaded.facts()["table"]["columns"]}


@pytest.mark.parametrize("seed", range(5))
def test_chosen_groups_leave_a_group_of_each_class(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 30, 400)
    labels = (groups % 7 == 0) + 2 * (groups == 4)
    held = choose_groups(labels, groups, 0.4, rng)
    left = np.delete(np.arange(400), held)
    assert not set(groups[held]) & set(groups[left]) and 0 < len(held) <= 160
    assert set(labels[left]) == {0, 1, 2}
    with pytest.raises(ConfigError, match="none of the 1 groups"):
        choose_groups(labels, np.zeros(400, int), 0.4, rng)


def test_the_last_rows_by_time_are_the_test_part(houses, file):
    made = read(file(houses), time="sold")
    last = houses.sort_values("sold").price.to_numpy(np.float32)[-12:]
    assert set(made.targets[1].values) == set(last)
    assert "sold" not in {each["column"] for each in made.facts["columns"]}


def test_weights_and_ids_come_with_their_rows(houses, file):
    houses["w"], houses["house"] = np.arange(ROWS) + 1.0, np.arange(ROWS) + 500
    made = read(file(houses), weight="w", id="house")
    rows = made.extras[0]["id"] - 500
    np.testing.assert_array_equal(made.targets[0].values, houses["price"].to_numpy(np.float32)[rows])
    np.testing.assert_allclose(made.extras[0]["weight"], (rows + 1) / (rows + 1).mean(), rtol=1e-6)
    assert set(made.extras[1]["id"]) == set(range(500, 560)) - set(made.extras[0]["id"])
    assert "weight" not in made.extras[1]


def test_rows_without_target_are_left_out_and_told(houses, file):
    houses.loc[[0, 7, 9], "price"] = np.nan
    made = read(file(houses))
    assert "3 rows have no target: left out" in made.told
    assert len(made.targets[0].values) + len(made.targets[1].values) == 57


def test_a_table_is_learned_as_well_as_the_same_data_of_ours(tmp_path):
    """Diabetes from a CSV: the same linear fit, by least squares on what comes out."""
    data = load_diabetes()
    pd.DataFrame(data.data * 1e6, columns=data.feature_names).assign(y=data.target + 0.5).to_csv(
        tmp_path / "d.csv", index=False
    )
    made = read(str(tmp_path / "d.csv"), target="y")

    def r2(train, y, test, z):
        weights = np.linalg.lstsq(np.c_[train, np.ones(len(train))], y, rcond=None)[0]
        return 1 - ((np.c_[test, np.ones(len(test))] @ weights - z) ** 2).mean() / z.var()

    found = r2(made.inputs[0], made.targets[0].values, made.inputs[1], made.targets[1].values)
    assert 0.3 < found < 0.65 and len(made.targets[1].values) == 88


BAD = {
    "broken number": ({"size": [*map(str, range(59)), "n.a."]}, {}, r"'size' holds numbers, but 'n.a.' in row 60"),
    "constant": ({"price": 1.0}, {}, r"target 'price' is 1 in every row"),
    "constant text": ({"kind": "flat"}, {"target": "kind"}, r"target 'kind' is flat in every row"),
    "all missing": ({"price": np.nan}, {}, r"target 'price' has no value in any row"),
    "no target": ({}, {"target": "prise"}, r"data.target=prise: there is no such column. Nearest: price"),
    "no feature": ({}, {"features": "siez"}, r"data.features=siez: there is no such column. Nearest: size"),
    "no column to drop": ({}, {"drop": "x"}, r"data.drop=x: there is no such column"),
    "target is a feature": ({}, {"features": ["price", "size"]}, r"data.features has 'price'"),
    "identifier text": ({"name": [f"n{i}" for i in range(ROWS)]}, {}, r"'name' has texts .*data.drop=\[name\]"),
    "identifier number": ({"row": range(1, ROWS + 1)}, {}, r"'row' has the numbers of the rows"),
    "infinite": ({"size": [np.inf] + [1.0, 2.0] * 29 + [3.0]}, {}, r"column 'size' is inf in row 1"),
    "infinite target": ({"price": [1.0, 2.0] * 29 + [3.0, -np.inf]}, {}, r"column 'price' is -inf in row 60"),
    "one of a class": ({"kind": ["a", "b"] * 29 + ["a", "c"]}, {"target": "kind"}, r"one row: 'c' \(row 60\)"),
    "too many classes": (
        {"kind": [f"k{i}" for i in range(ROWS)]},
        {"target": "kind"},
        "60 different values in 60",
    ),
    "text as number": ({}, {"target": "kind", "task": "regression"}, "a text, but data.task=regression needs numbers"),
    "three of two": ({}, {"target": "kind", "task": "binary"}, "data.task=binary has 2 classes, but .* 3: flat, house"),
    "no counts": ({}, {"task": "count"}, r"is \d+ in row 1, but a count is a whole number"),
    "a date among several": ({}, {"target": ["price", "sold"]}, "the target 'sold' holds dates"),
    "dates": ({}, {"target": "sold"}, "the target 'sold' holds dates"),
    "text id": ({}, {"id": "town"}, "data.id=town holds texts"),
    "text time": ({}, {"time": "town"}, "data.time=town is a category"),
    "group and time": ({}, {"group": "street", "time": "sold"}, "Use one of them"),
    "missing group": ({"street": [np.nan] + [1.0, 2.0] * 29 + [1.0]}, {"group": "street"}, "row 1 has no group"),
}


@pytest.mark.parametrize(("changes", "keys", "told"), BAD.values(), ids=BAD)
def test_what_cannot_be_learned_is_refused(houses, file, changes, keys, told):
    keys = {"target": "price", **keys}
    path = file(houses.assign(**changes))
    with pytest.raises(ConfigError, match=f"(?s)data.path={path}: .*{told}"):
        task = keys.pop("task", None) or task_seen(wanted_of({"path": path, **keys}, "auto"))[0]
        read(path, task=task, **keys)


@pytest.mark.parametrize("row", range(0, ROWS, 7))
def test_a_negative_weight_is_refused_in_a_test_row_too(houses, file, row):
    weights = np.ones(ROWS)
    weights[row] = -2
    with pytest.raises(ConfigError, match=f"data.weight=w is -2 in row {row + 1}: weights are numbers from 0"):
        read(file(houses.assign(w=weights)), weight="w")


@pytest.mark.parametrize("target", ["price", "kind", "garden"])
def test_a_feature_that_gives_the_target_away_is_named(houses, file, target):
    leaks = {"price": houses["price"] * 1.2 + 3, "kind": houses["kind"].str.upper(), "garden": 1 - houses["garden"]}
    path = file(houses.assign(leak=leaks[target]))
    task = {"price": "regression", "kind": "multiclass", "garden": "binary"}[target]
    with pytest.raises(ConfigError, match=rf"'leak' gives the target '{target}' away.*data.drop=\[leak\]"):
        read(path, target, task)
    read(path, target, task, drop="leak")
    read(path, target, task, features=["leak", "size"])


TEXTS = {
    "empty": ("", "the file is empty"),
    "header only": ("a,b\n", "it has no rows"),
    "short row": ("a,b\n1,2\n3\n", "line 3: Expected 2 columns, got 1"),
    "long row": ("a,b\n1,2\n3,4\n3,4,5\n", "line 4: Expected 2 columns, got 3"),
    "same name": ("a,a,b\n1,2,3\n", "two columns are called 'a'"),
    "one column": ("b\n1\n2\n", "no column is left"),
    "binary": ("\x00\x01\x02", "there is no such column|can't be read"),
}


@pytest.mark.parametrize(("text", "told"), TEXTS.values(), ids=TEXTS)
def test_files_that_are_no_tables_are_refused(tmp_path, text, told):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        read(str(path), "b")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no file at"):
        read(str(tmp_path / "none.csv"))
    (tmp_path / "t.xlsx").write_text("x")
    with pytest.raises(ConfigError, match=r"it ends with \.xlsx"):
        read(str(tmp_path / "t.xlsx"))
    (tmp_path / "t.parquet").write_text("not parquet at all")
    with pytest.raises(ConfigError, match="can't be read as a table"):
        read(str(tmp_path / "t.parquet"))
    (tmp_path / "t.csv").write_bytes("a,b\n1,Köln\n2,Wien\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8"):
        read(str(tmp_path / "t.csv"), "b")


TESTS = {
    "class": ({"kind": "castle"}, "kind", r"'castle' in row 1, a class that no row of data.path has"),
    "kind of a column": ({"size": "large"}, "price", r"column 'size' is a category there, but a number in data.path"),
    "no column": ({"size": None}, "price", None),
}


@pytest.mark.parametrize(("changes", "target", "told"), TESTS.values(), ids=TESTS)
def test_a_test_file_that_does_not_fit_is_refused(houses, file, changes, target, told):
    train, test = file(houses), file(houses.assign(**changes), "test.csv")
    task = "multiclass" if target == "kind" else "regression"
    if told is None:
        assert len(read(train, target, task, test=test).inputs[1]) == ROWS
        return
    with pytest.raises(ConfigError, match=rf"data.test={test}: .*{told}"):
        read(train, target, task, test=test)
    with pytest.raises(ConfigError, match="there is no column 'size'"):
        read(train, target, task, test=file(houses.drop(columns="size"), "less.csv"))
    with pytest.raises(ConfigError, match="8 groups are in"):
        read(train, target, task, test=file(houses, "same.csv"), group="street")


def test_a_command_ends_before_anything_is_written(houses, file, tmp_path, monkeypatch, capsys):
    import sys

    from lossbench.cli.run import main

    monkeypatch.chdir(tmp_path)
    path = file(houses.assign(price=1.0))
    words = ["lossbench", "loss=mse", "data=table", f"data.path={path}", "data.target=price", "output_dir=out"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises((ConfigError, SystemExit)):
        main()
    assert [each.name for each in tmp_path.iterdir()] == ["houses.csv"]


def test_what_is_told_of_a_file_is_for_own_files_alone(houses, file):
    node = {"source": "table", "path": file(houses), "target": "price"}
    first, *_ = read_own(node, "regression")
    assert first.startswith("data=table: 60 rows, 7 features; price is regression: numbers that are not whole; 48 rows")
    assert read_own({"source": "digits"}, "multiclass") == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), r"data\.target is needed"),
        (("data.target=3",), r"data\.target=3 is out of range"),
        (("data.target=price", "data.test=1.5"), r"data\.test=1\.5 is out of range"),
        (("data.target=price", "data.task=classes"), r"data\.task=classes is not known"),
        (("data.target=kind",), r"loss=mse is for regression, but data=table is multiclass"),
    ],
)
def test_keys_are_checked_as_others(cell, houses, file, words, told):
    with pytest.raises(ConfigError, match=told):
        cell("data=table", f"data.path={file(houses)}", "loss=mse", *words)


def test_the_key_holds_what_lies_there_and_not_where(cell, houses, file):
    lines = ("data=table", "data.target=price", "loss=mse")
    path, test = file(houses), file(houses, "test.csv")
    made = cell(*lines, f"data.path={path}", f"data.test={test}")
    same = cell(*lines, f"data.path={file(houses, 'b.csv')}", f"data.test={file(houses, 'c.csv')}")
    other = cell(*lines, f"data.path={path}", f"data.test={file(houses[1:], 'd.csv')}")
    drawn = cell(*lines, f"data.path={path}")
    assert made.key == same.key and made.problem == same.problem
    assert len({made.key, other.key, drawn.key}) == len({made.problem, other.problem, drawn.problem}) == 3
    assert drawn.key == cell(*lines, f"data.path={path}", "data.task=regression").key


def test_a_run_keeps_groups_and_ids_and_learns_by_weights(cell, houses, file):
    houses["house"], houses["w"] = np.arange(ROWS) * 3, np.arange(ROWS) % 3
    lines = ("data=table", f"data.path={file(houses)}", "data.target=kind", "data.group=street", "trainer.max_epochs=2")
    weighted = cell(*lines, "data.id=house", "data.weight=w", "loss=focal")
    entry, plain = run(weighted), run(cell(*lines, "data.drop=[w,house]", "loss=focal"))
    with np.load(weighted.path / "predictions.npz") as kept:
        rows = kept["id"] // 3
        np.testing.assert_array_equal(np.array(["flat", "house", "villa"])[kept["target"]], houses["kind"][rows])
        assert len(set(kept["group"])) == houses["street"][rows].nunique()
    assert why_alone(weighted) is None
    assert entry["history"][-1]["train/loss"] != plain["history"][-1]["train/loss"]
