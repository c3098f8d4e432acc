"""Results as data: one row a run whatever it is made of, histories, predictions, and an index that is never believed
over a record."""

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest

import lossbench
from lossbench.compare.numbers import runs_index
from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.runs import FIRST, LAST, frame_of
from lossbench.compare.numbers.runs_index import FILE
from lossbench.compare.report.run_files import runs_frame, write_runs
from lossbench.errors import ConfigError
from tests.support.commands import ROOT
from tests.support.compared import made_up, write

OTHER = {"data": "a_function", "loss": "huber", "model": "mlp"}


def with_loss(loss: str, **parameters) -> dict:
    config = made_up(loss, 0, 0.5)["config"]
    return {**config, "loss": {"_target_": f"lossbench.losses.{loss}", "_partial_": True, **parameters}}


@pytest.fixture
def outputs(tmp_path) -> Path:
    """Runs of three losses, one of another problem, and one that diverged; all are older than any index of them."""
    folder = tmp_path / "outputs"
    for seed in range(3):
        write(folder, made_up("focal", seed, 0.7 + seed / 100, config=with_loss("focal", gamma=2.0, search={"a": 1})))
        write(folder, made_up("sum", seed, 0.6, config=with_loss("weighted_sum", terms=["gce"], weights=[1.0])))
    write(folder, made_up("nce", 0, 0.5, status="diverged", config=with_loss("nce", gamma="auto"), sampler="pk"))
    write(folder, made_up("huber", 0, 0.4, task="regression", choices=OTHER, problem="q" * 64))
    for path in folder.rglob("record.json"):
        os.utime(path, (1.7e9, 1.7e9))
    return folder


def records(folder: Path) -> dict[str, dict]:
    return {str(path.parent): json.loads(path.read_text()) for path in sorted(folder.glob("*/*/record.json"))}


def test_a_row_for_each_run(outputs):
    frame, known = lossbench.load_results(outputs), records(outputs)
    assert list(frame["folder"]) == list(known) and len(frame) == 8
    assert list(frame.columns[: len(FIRST)]) == list(FIRST) and list(frame.columns[-len(LAST) :]) == list(LAST)
    for row in frame.to_dict("records"):
        entry = known[row["folder"]]
        assert row["data"] == entry["choices"]["data"] and row["seed"] == entry["seed"] and row["epochs"] == 3
        assert row["cost.seconds"] == 2.0 and row["status"] == entry["status"]
        for name, value in (entry["metrics"]["last"] or {}).items():
            assert name == "epoch" or row[name] == value
    focal, nce = frame[frame["loss"] == "focal"].iloc[0], frame[frame["loss"] == "nce"].iloc[0]
    assert focal["loss.gamma"] == "2.0" and nce["loss.gamma"] == "auto"  # a column is of one kind
    assert "loss.search" not in frame and frame["loss.terms"].dropna().unique().tolist() == ['["gce"]']
    assert nce["method"] == "nce+pk" and "nan in epoch 1" in nce["error"] and np.isnan(nce["test/nll"])
    assert frame["test/mae"].notna().sum() == 1 and frame["seed"].dtype == frame["epochs"].dtype == "Int64"


@pytest.mark.parametrize("select", ["last", "best_val", "best_clean_val", "oracle"])
def test_the_epoch_that_counts(outputs, select):
    frame = lossbench.load_results(outputs, data="made_up", select=select)
    row = frame[(frame["loss"] == "focal") & (frame["seed"] == 1)].iloc[0]
    expected = {"last": (2, 0.71), "best_val": (1, 0.66), "best_clean_val": (0, 0.76), "oracle": (0, 0.76)}[select]
    assert (row["epoch"], row["test/balanced_accuracy"]) == pytest.approx(expected)
    regression = lossbench.load_results(outputs, data=["a_function"], select=select).iloc[0]
    assert regression["test/mae"] == pytest.approx({"last": 0.4, "best_val": 0.45}.get(select, 0.35))


def test_histories_are_long(outputs):
    frame = lossbench.load_results(outputs, long=True)
    known = records(outputs)
    expected = {
        (folder, row["epoch"], name): value
        for folder, entry in known.items()
        for row in entry["history"]
        for name, value in row.items()
        if name != "epoch"
    }
    found = {tuple(each[:3]): each[3] for each in frame[["folder", "epoch", "metric", "value"]].itertuples(index=False)}
    assert found == expected and len(frame) == len(expected)
    one = lossbench.load_results(outputs, data="a_function", long=True)
    assert [len(lossbench.load_results(outputs, data=[], long=long)) for long in (False, True)] == [0, 0]
    assert set(one["metric"].unique()) == {"train/loss", "test/mae", "val/mae", "val/mae_observed"}
    wide = one.pivot(index="epoch", columns="metric", values="value")
    assert wide["test/mae"].tolist() == pytest.approx([0.35, 0.45, 0.4]) and set(one["loss"]) == {"huber"}


def test_the_index_is_used(outputs, monkeypatch):
    first = lossbench.load_results(outputs)
    read = []
    monkeypatch.setattr(runs_index.record, "read", read.append)
    for long in (False, True):
        lossbench.load_results(outputs, long=long)
    pd.testing.assert_frame_equal(lossbench.load_results(outputs), first)
    assert read == [] and (outputs / FILE).is_file()


def test_what_has_changed_is_read_again(outputs):
    before = lossbench.load_results(outputs)
    changed, gone = (outputs / "made_up" / f"{name}-p" for name in ("focal-s1", "focal-s2"))
    entry = made_up("focal", 1, 0.9)
    (changed / "record.json").write_text(json.dumps(entry))
    for path in gone.iterdir():
        if path.is_file():
            path.unlink()
    write(outputs, made_up("aaa", 0, 0.3))
    after = lossbench.load_results(outputs)
    assert after[after["folder"] == str(changed)]["test/balanced_accuracy"].tolist() == [0.9]
    assert str(gone) not in set(after["folder"]) and len(after) == len(before)
    assert list(after["folder"]) == list(records(outputs)) and after["loss"].tolist().index("aaa") == 1
    long = lossbench.load_results(outputs, long=True)
    assert set(long["folder"].unique()) == set(after["folder"])
    values = long[(long["folder"] == str(changed)) & (long["metric"] == "test/balanced_accuracy")]["value"]
    assert values.tolist() == pytest.approx([0.95, 0.85, 0.9])


def test_a_record_that_is_as_young_as_the_index_is_not_trusted_to_it(outputs):
    """A clock of whole seconds shows two records of one second and one size alike."""
    path = outputs / "made_up" / "focal-s1-p" / "record.json"
    text = path.read_text()
    path.write_text(text)
    lossbench.load_results(outputs)
    seen = path.stat()
    path.write_text(text.replace("0.71", "0.17"))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    frame = lossbench.load_results(outputs)
    assert 0.17 in frame["test/balanced_accuracy"].tolist()


@pytest.mark.parametrize("how", ["text", "empty", "cut", "foreign", "no JSON", "older", "folder"])
def test_a_broken_index_is_made_anew(outputs, how):
    expected, index = lossbench.load_results(outputs), outputs / FILE
    table = runs_index.pq.read_table(index)
    if how in ("text", "empty"):
        index.write_text("no parquet" * (how == "text"))
    elif how == "cut":
        index.write_bytes(index.read_bytes()[:-100])
    elif how == "foreign":
        pd.DataFrame({"folder": ["x"], "facts": ["{}"]}).to_parquet(index)
    elif how == "no JSON":
        broken = table.to_pylist()
        broken[3]["facts"] = "{"
        runs_index.pq.write_table(runs_index.pa.Table.from_pylist(broken, schema=table.schema), index)
    elif how == "older":
        runs_index.pq.write_table(table.replace_schema_metadata({"layout": "0"}), index)
    else:
        index.unlink()
        index.mkdir()
    for _ in range(2):
        pd.testing.assert_frame_equal(lossbench.load_results(outputs), expected)
    assert how == "folder" or runs_index.pq.read_schema(index).metadata[b"layout"] == runs_index.LAYOUT.encode()


def test_a_folder_that_cannot_be_written_is_read(outputs, monkeypatch):
    def refuse(path, write):
        raise PermissionError(path)

    monkeypatch.setattr(runs_index.files, "replace", refuse)
    assert len(lossbench.load_results(outputs)) == 8 and not (outputs / FILE).exists()
    assert len(lossbench.load_results(outputs, long=True)["folder"].unique()) == 8


def test_a_broken_record_is_left_out(outputs):
    (outputs / "made_up" / "focal-s1-p" / "record.json").write_text("{")
    assert len(lossbench.load_results(outputs)) == 7


@pytest.mark.parametrize(
    ("folder", "options", "part"),
    [
        ("nothing", {}, "no such folder"),
        ("empty", {}, "DATA/NAME"),
        ("outputs", {"data": "made_upp"}, "Nearest: made_up"),
        ("outputs", {"data": ["made_up", "x"]}, "data=x"),
        ("outputs", {"select": "best_vall"}, "Nearest: best_val"),
        ("outputs/made_up", {}, "data=made_up"),
        ("outputs/made_up/focal-s0-p", {}, "that of a run"),
    ],
)
def test_mistakes_are_told(outputs, folder, options, part):
    (outputs.parent / "empty").mkdir()
    with pytest.raises(ConfigError, match=part):
        lossbench.load_results(outputs.parent / folder, **options)


def test_predictions(outputs):
    frame = lossbench.load_results(outputs, data="made_up")
    found = {which: lossbench.load_predictions(frame["folder"][0], which) for which in ("last", "best", "validation")}
    for which, name in (("last", "predictions"), ("best", "predictions_best"), ("validation", "validation")):
        with np.load(Path(frame["folder"][0]) / f"{name}.npz") as file:
            assert set(found[which]) == set(file.files) == {"probabilities", "target"}
            assert all(np.array_equal(found[which][key], file[key]) for key in file.files)


def test_mistakes_with_predictions(outputs):
    folder = outputs / "made_up" / "focal-s0-p"
    (folder / "validation.npz").unlink()
    np.savez(folder / "predictions.npz", target=np.array([{"an": "object"}], dtype=object))
    (folder / "predictions_best.npz").write_bytes(b"PK no more")
    for where, which, part in [
        ("nowhere", "last", "no such folder"),
        (folder, "lst", "Nearest: last"),
        (folder, "validation", "the run is finished. Which are there: last, best"),
        (outputs, "last", "no folder of a run"),
        (folder, "last", "plain arrays"),
        (folder, "best", "plain arrays"),
    ]:
        with pytest.raises(ConfigError, match=part):
            lossbench.load_predictions(where, which)


def test_the_runs_lie_beside_a_report(outputs):
    hostile = {"variant": "=1+1", "error": '@SUM(1)\n"x"', "status": "failed"}
    bad = made_up("nce", 1, 0.5, config=with_loss("nce", gamma="-2+3"), **hostile)
    bad["metrics"]["best_val"] = {"=cmd/x": 1.0}
    write(outputs, bad)
    (found,) = comparisons(read_outputs(outputs), "made_up")
    folder = outputs / "comparisons" / found.name
    write_runs(runs_frame(analyse(found, Options(select="best_val", unpaired=True))), folder)
    kept, told = pd.read_parquet(folder / "runs.parquet"), pd.read_csv(folder / "runs.csv")
    assert len(kept) == len(told) == 8 and kept["label"].nunique() == 4
    own = lossbench.load_results(outputs, data="made_up", select="best_val").set_index("key")
    for row in kept.to_dict("records"):
        same = own.loc[row["key"]]
        assert outputs / row["folder"] == Path(same["folder"])
        assert row["test/ece"] == same["test/ece"] or pd.isna(same["test/ece"])
    cells = [str(each) for each in [*told.columns, *told.to_numpy().ravel()]]
    assert not [each for each in cells if each.startswith(("=", "@", "+", "-"))]
    assert {"'=1+1", "'-2+3", "'=cmd/x"} <= set(cells)
    assert "=1+1" in set(kept["variant"])


def test_comparing_in_a_program(outputs, capsys):
    found = lossbench.compare(outputs, data="made_up", select="best_val", metric="balanced_accuracy")
    assert len(found) == 1 and not (outputs / "comparisons").exists() and capsys.readouterr().out == ""
    (one,) = found
    means = one.table[one.table["metric"] == "balanced_accuracy"].set_index("loss")["mean"]
    frame = lossbench.load_results(outputs, data="made_up", select="best_val")
    assert means["focal"] == pytest.approx(frame[frame["loss"] == "focal"]["test/balanced_accuracy"].mean())
    assert one.verdict in repr(one) and one.title == "made_up" and "<table" in one._repr_html_()
    assert list(one.runs.columns[:2]) == ["label", "data"] and len(one.runs) == 7
    assert len(lossbench.compare(outputs)) == 2
    for options, part in [
        ({"metrics": "nll"}, "Nearest: metric"), ({"select": "lst"}, "Nearest: last"),
        ({"data": "made"}, "Nearest: made_up"), ({"output_dir": "nowhere"}, "no such folder"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=part):
            lossbench.compare(**{"output_dir": outputs, **options})


@pytest.mark.filterwarnings("error")
def test_a_frame_of_many_metrics(outputs):
    many = {f"test/recall/{k}": 0.5 for k in range(300)}
    entry = made_up("gce", 0, 0.5)
    write(outputs, {**entry, "metrics": {"last": entry["metrics"]["last"] | many, "best_val": None}})
    (found,) = comparisons(read_outputs(outputs), "made_up")
    frame = runs_frame(analyse(found, Options(unpaired=True)))
    write_runs(frame, outputs / "comparisons" / found.name)
    assert set(many) < set(frame)


def test_a_frame_of_kinds():
    rows = [{"loss.a": True, "cost.seconds": 1, "seed": 0}, {"loss.a": 0.5, "seed": 1}, {"seed": 2}]
    frame = frame_of(rows)
    assert frame["loss.a"].tolist() == ["True", "0.5", ANY] and frame["cost.seconds"].dtype == "float64"


def test_losses_and_metrics_are_listed():
    assert "focal" in lossbench.list_losses() == sorted(lossbench.list_losses())
    assert "gce" in lossbench.list_losses(problem="noise") and "mse" in lossbench.list_losses(task="count")
    assert "gce" not in lossbench.list_losses(task="regression")
    table = lossbench.metrics("multiclass")
    assert table.loc["recall/", "per"] == "class" and table.loc["mcc", "low"] == -1 and table.index.is_unique
    for call in (lambda: lossbench.metrics("multclass"), lambda: lossbench.list_losses(task="multclass")):
        with pytest.raises(ConfigError, match="Nearest: multiclass"):
            call()
    with pytest.raises(ConfigError, match="Nearest: noise"):
        lossbench.list_losses(problem="nois")


def test_what_is_public_is_found():
    public = set(lossbench.__all__)
    assert public <= set(dir(lossbench)) and all(
        callable(getattr(lossbench, name)) for name in public - {"__version__"}
    )
    stub = (ROOT / "lossbench" / "__init__.pyi").read_text()
    for name, module in lossbench._PUBLIC.items():
        assert f"from {module} import {name} as {name}\n" in stub
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lossbench.nothing  # noqa: B018


def test_importing_is_light():
    code = (
        "import sys, lossbench; dir(lossbench); assert not {'torch', 'pandas', 'numpy', 'hydra'} & set(sys.modules)\n"
        "lossbench.load_results, lossbench.load_predictions, lossbench.compare, lossbench.list_losses(task='count')\n"
        "import lossbench.compare.numbers.runs as runs; assert runs.__package__ == 'lossbench.compare.numbers'\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)\n"
        "from lossbench import *; print(compare('nowhere') if not callable(compare) else sorted(lossbench.__all__))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "load_results" in done.stdout
