"""The report as a reader and as a browser see it, and the command that makes it."""

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.compare.present import compare_cells, compare_records
from lossbench.compare.report.across import rank_across, ranks_table, told
from lossbench.compare.report.figures.critical_difference import critical_difference
from lossbench.compare.report.figures.metrics import forest, learning_curves
from lossbench.compare.report.metric_groups import group_tables
from lossbench.compare.report.tables import tables
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.tasks.loss_style import style_of
from lossbench.tracking.read import read_mlflow
from tests.support.commands import ended
from tests.support.compared import made_up, write
from tests.support.pages import compared

pytestmark = pytest.mark.xdist_group("report")

VALUES = {"cross_entropy": [0.80, 0.82, 0.84], "focal": [0.85, 0.86, 0.90], "ldam": [0.81, 0.80, 0.86]}
VOID = {"meta", "img", "br", "hr", "link", "input", "wbr"}


class Reader(HTMLParser):
    """Collect tags that are not closed, addresses, headings and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.wrong, self.addresses, self.text = [], [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        loads = ("src", "srcset", "data", "action") if tag == "a" else ("src", "href", "srcset", "data", "action")
        self.addresses += [value for name, value in attributes if name in loads]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text += f" {data}" if self.open and self.open[-1] not in ("style", "script") else ""


@pytest.fixture(scope="session")
def outputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compare") / "outputs"
    for loss, values in VALUES.items():
        for seed, value in enumerate(values):
            write(folder, made_up(loss, seed, value))
            changes = {"problem": "r" * 64, "choices": {"data": "a_function", "loss": loss, "model": "mlp"}}
            regression = {"cross_entropy": "mse", "focal": "mae", "ldam": "huber"}[loss]
            write(folder, made_up(regression, seed, 1 - value, task="regression", **changes))
    for seed in range(3):
        write(folder, made_up("gce", seed, 0.5, status="diverged" if seed == 1 else "finished"))
    return folder


@pytest.fixture(scope="session")
def folders(outputs) -> dict[str, Path]:
    found, errors = compare_records(comparisons(read_outputs(outputs)), outputs, Options())
    assert not errors
    return {data: folder for data, (folder,) in found.items()}


def test_the_report_is_one_well_formed_file(folders):
    for folder in folders.values():
        html = (folder / "report.html").read_text()
        page = Reader(html)
        assert not page.wrong and not page.open
        assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
        for outside in ("<script src", "<link", "@import", "url(h", "url('", 'url("'):
            assert outside not in html
        for needed in ('name="viewport"', "prefers-color-scheme: dark", "@media print", 'charset="utf-8"'):
            assert needed in html


def test_the_report_says_what_a_reader_needs(folders):
    text = Reader((folders["made_up"] / "report.html").read_text()).text
    for part in (
        "gce seed 1: diverged in epoch 2", "python -m lossbench -m", "run-of-focal-2", "torch", "samples/s",
        "over 6 pairs of losses", "95 % Student", "3 seeds", made_up("ldam", 1, 0.0)["key"][:12],
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ("made_up", ["paired_differences", "learning_curves", "recall_by_class", "accuracy_by_shots", "memorised",
                     "reliability", "confusion", "curves", "loss_curves"]),
        ("a_function", ["paired_differences", "learning_curves", "residuals", "fitted_function", "loss_curves"]),
    ],
)  # fmt: skip
def test_pictures_are_files_and_in_the_report(folders, data, names):
    folder = folders[data]
    html = (folder / "report.html").read_text()
    assert "could not be drawn" not in html and "Not drawn" not in html
    for name in names:
        assert (folder / f"{name}.png").stat().st_size > 5000 and (folder / f"{name}.svg").stat().st_size > 5000
        assert f"Files: {name}.png" in html
    drawn = {path.stem for path in folder.glob("*.png")}
    assert drawn <= set(names) and not list(folder.glob("*.pdf"))
    assert {"table.md", "table.tex", "table.csv", "report.html", "runs.csv", "runs.parquet"} <= {
        path.name for path in folder.iterdir()
    }


def test_captions_say_over_what(folders):
    html = (folders["made_up"] / "report.html").read_text()
    captions = html.split("<figcaption>")[1:]
    assert all("seeds" in caption or "pairs" in caption or "definitions" in caption for caption in captions)


def test_a_loss_has_its_own_style_in_every_picture_and_the_baseline_is_thicker(outputs):
    analysis = analyse(comparisons(read_outputs(outputs), "a_function")[0], Options())
    (picture,) = forest(analysis)
    drawn = [line.get_color() for line in picture.figure.axes[0].lines if len(line.get_xdata()) == 2]
    others = [label for label in analysis.order if label != "mse"]
    assert drawn[: len(others)] == [style_of(label).color for label in others]
    (picture,) = learning_curves(analysis)
    lines = {line.get_label(): line for line in picture.figure.axes[0].lines}
    for label in ("mse", *others):
        assert (lines[label].get_color(), lines[label].get_marker()) == (style_of(label).color, style_of(label).marker)
        assert lines[label].get_linewidth() == (2.6 if label == "mse" else 1.6)
    (legend,) = picture.figure.legends
    assert "mse (baseline)" in [text.get_text() for text in legend.get_texts()]


def test_one_wide_interval_does_not_hide_the_others():
    """It ends at four times the reach of the median one, in an arrow; the words have all of it."""
    (picture,) = forest(compared(losses=6, wide="gce"))
    lines = picture.figure.axes[0].lines
    ends = {line.get_marker(): float(line.get_xdata()[0]) for line in lines if line.get_marker() in "<>"}
    reach = max(abs(float(x)) for line in lines if len(line.get_xdata()) == 2 for x in line.get_xdata()[:2])
    assert -ends["<"] == ends[">"] == reach < 1 and "Arrows" in picture.caption
    assert "gce -0.26 [-8.49, 7.97]" in picture.alt
    (picture,) = forest(compared(losses=6))
    assert (
        not {line.get_marker() for line in picture.figure.axes[0].lines} & {"<", ">"}
        and "Arrows" not in picture.caption
    )


def test_many_losses_have_a_panel_each():
    names = [f"loss_{k}" for k in range(20)]
    entries = [made_up(name, seed, 0.5 + 0.01 * k + 0.02 * seed) for k, name in enumerate(names) for seed in (0, 1)]
    analysis = analyse(comparisons(entries)[0], Options())
    (picture,) = learning_curves(analysis)
    assert len(picture.figure.axes) == 20


def test_the_critical_difference_picture():
    analyses = []
    for data in "abcd":
        entries = [
            {**made_up(loss, seed, value + 0.01 * (data == "a")), "problem": data * 64,
             "choices": {"data": data, "model": "mlp"}}
            for loss, values in VALUES.items() for seed, value in enumerate(values)
        ]  # fmt: skip
        analyses.append(analyse(comparisons(entries)[0], Options()))
    (across,) = rank_across(analyses)
    picture = critical_difference(across)
    assert "further apart than 1.66 differ" in told(across)  # 2.343 sqrt(3 * 4 / 24), Demšar 2006, table 5
    assert "4 data sets" in picture.caption
    drawn = [line for line in picture.figure.axes[0].lines if line.get_marker() == "o"]
    dots = [line.get_xdata() for line in drawn if line.get_color() == "black"]  # in other colours the losses themselves
    assert [sorted(xs) for xs in dots] == [sorted(across.summary.ranks)]  # four data sets can't tell any two apart


def test_problems_of_one_data_set_are_columns_of_their_own():
    entries = [
        made_up(loss, seed, value - rate, problem=str(rate) * 20, choices={"data": data, "model": "mlp"},
                config={**made_up(loss, seed, value)["config"], "optimizer": {"lr": rate}})
        for data, rate in (("made_up", 0.1), ("made_up", 0.01), ("another", 0.1))
        for loss, values in VALUES.items() for seed, value in enumerate(values)
    ]  # fmt: skip
    entries = [entry | {"problem": entry["problem"] + entry["choices"]["data"]} for entry in entries]
    (across,) = rank_across([analyse(each, Options()) for each in comparisons(entries)])
    table = ranks_table(across)
    assert table.heading[2:7] == ["group", "p vs cross_entropy", "P(better)", "P(equal)", "P(worse)"]
    assert table.heading[7:] == ["made_up, optimizer.lr=0.1", "made_up, optimizer.lr=0.01", "another"]
    focal = table.rows[[row[0] for row in table.rows].index("focal")]
    assert focal[7:] == ["0.770 (n=3)", "0.860 (n=3)", "0.770 (n=3)"]
    assert "Over 3 problems (made_up, optimizer.lr=0.1; made_up, optimizer.lr=0.01; another)" in told(across)
    assert "Several of the problems are of made_up: the tests take them as independent" in told(across)
    assert across.summary.n == 3 and "3 problems" in critical_difference(across).caption


OPTIONS = {name: value for name, value in vars(Options()).items() if name != "trust"}
"""All but one, which stands at the top of a config since teachers have use for it too."""


def test_options_are_those_of_the_config():
    assert OmegaConf.to_container(OmegaConf.load(CONF / "compare" / "default.yaml")) == OPTIONS


@pytest.mark.usefixtures("without_pictures")
def test_the_end_of_a_sweep_shows_cells_that_never_started(tmp_path, capsys):
    cells = []
    config = {"output_dir": str(tmp_path), "data": {"task": "multiclass"}, "compare": OPTIONS, "trust": []}
    for loss in ("cross_entropy", "focal"):
        for seed in range(3):
            entry = made_up(loss, seed, 0.5 + 0.1 * seed)
            cell = SimpleNamespace(
                path=tmp_path / "made_up" / f"{loss}-s{seed}-p",
                resolved=entry["config"],
                variant=None,
                config=OmegaConf.create(config),
                record=lambda status, entry=entry: {**entry, "status": status},
            )
            cells.append(cell)
            if (loss, seed) != ("focal", 2):
                write(tmp_path, entry)
    found = compare_cells(cells)
    shown = capsys.readouterr().out
    assert found == {"made_up": [tmp_path / "comparisons" / "made_up-pppppppp"]}
    assert "not in the numbers: focal seed 2: missing" in shown and "report.html" in shown
    assert max(len(line) for line in shown.splitlines() if "Report:" not in line) <= 80


# None in sys.modules would do, but scipy looks for a torch in there.
NO_TORCH = ("~torch", "~pytorch_lightning", "~torchmetrics", "lossbench.compare.report")


def command(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m lossbench.compare` where torch can't be imported."""
    return ended(*arguments, module="lossbench.compare", cwd=cwd, loaded=NO_TORCH, COLUMNS="80")


def test_the_command_needs_no_torch(outputs):
    (outputs / "comparisons" / "made_up-pppppppp" / ".loss_curves.json").unlink(missing_ok=True)  # else it is kept
    result = command(outputs.parent, "data=made_up", "select=best_val")
    assert result.returncode == 0, result.stderr
    html = (outputs / "comparisons" / "made_up-pppppppp" / "report.html").read_text()
    assert "best validation epoch" in html and "The losses" in html
    assert "of the losses are not drawn" not in html and "The curves of" not in html
    assert "focal" in result.stdout and "a_function" not in result.stdout
    assert {path.name for path in outputs.parent.iterdir()} == {"outputs"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["select=lst"], "Nearest: last"),
        (["data=nothing"], "Allowed: a_fun"),
        (["source=disk"], "outputs"),
    ],
)
def test_mistakes_of_the_command(outputs, arguments, part):
    result = command(outputs.parent, *arguments)
    assert result.returncode == 2 and part in result.stderr and "Traceback" not in result.stderr


@pytest.mark.usefixtures("without_pictures")
def test_uneven_seeds_stop_only_their_comparison(outputs, tmp_path, capsys):
    records = list(read_outputs(outputs))
    records = [entry for entry in records if (entry["loss"], entry["seed"]) not in [("ldam", 2), ("focal", 0)]]
    found, errors = compare_records(comparisons(records), tmp_path, Options())
    assert list(found) == ["a_function"] and "ldam: 0, 1" in str(errors[0])
    assert "mae" in capsys.readouterr().out


def test_records_from_mlflow(tmp_path, monkeypatch):
    """The client is made up: what counts is what is asked of it, and what becomes of runs without a record."""

    def run(number: int, key: str, status: str) -> SimpleNamespace:
        tags = {
            "lossbench.key": key, "lossbench.problem": "p" * 64, "lossbench.status": status, "loss": "focal",
            "weighting": "none", "seed": "1", "data": "made_up", "model": "mlp",
        }  # fmt: skip
        info = SimpleNamespace(run_id=f"r{number}", run_name="focal-s1", start_time=1000 * number)
        parameters = {"data.task": "multiclass", "loss.gamma": "2.0"}
        return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags, params=parameters))

    class Client:
        def search_experiments(self):
            return [SimpleNamespace(experiment_id="1")]

        def search_runs(self, experiments, wanted, *_):
            assert "tags.`lossbench.kind` = 'run'" in wanted and "tags.data = 'made_up'" in wanted
            found = [run(1, "a", "finished"), run(2, "a", "finished"), run(3, "b", "killed")]
            return type("Page", (list,), {"token": None})(found)

        def download_artifacts(self, run_id, name, folder):
            if run_id != "r2" or name not in ("record.json", "validation.npz"):
                raise OSError(name)
            if name == "record.json":
                (Path(folder) / name).write_text(json.dumps(made_up("focal", 0, 0.5)))
            else:
                np.savez(Path(folder) / name, target=np.arange(3))

    monkeypatch.setattr("lossbench.tracking.read.connect", lambda tracking: Client())
    tracking = OmegaConf.create({"uri": "http://server", "telemetry": False})
    first, second = read_mlflow(tracking, "made_up", tmp_path)
    assert first["mlflow_run_id"] == "r2" and first["metrics"]["last"]["test/balanced_accuracy"] == 0.5
    assert (Path(first["folder"]) / "validation.npz").exists()
    assert second["status"] == "killed" and second["config"]["loss"] == {"gamma": 2.0} and second["seed"] == 1
    assert len(comparisons([first, second])) == 1


@pytest.mark.parametrize("uri", [None, "sqlite:///nowhere/mlflow.db"])
def test_an_mlflow_store_that_is_not_there(tmp_path, uri):
    with pytest.raises(ConfigError, match=r"tracking\.uri"):
        list(read_mlflow(OmegaConf.create({"uri": uri, "telemetry": False}), None, tmp_path))


def test_what_nobody_trained_has_a_row_in_every_table():
    """BM25 and a random order stand below the losses of retrieval, and in no table of their own."""
    entries = []
    for loss, values in {"info_nce": [0.2, 0.3], "list_net": [0.4, 0.5]}.items():
        for seed, value in enumerate(values):
            metrics = {"test/ndcg_at_10": value, "test/mrr": value}
            metrics |= {"test/bm25_ndcg_at_10": 0.38, "test/random_mrr": 0.01}
            history = [{"epoch": 0, "val/ndcg_at_10": value, **metrics}]
            entry = made_up(loss, seed, value, task="retrieval", monitor="ndcg_at_10", history=history)
            entries.append({**entry, "metrics": {"last": metrics, "best_val": metrics}})
    (comparison,) = comparisons(entries)
    analysis = analyse(comparison, Options(metric="ndcg_at_10"))
    (means, *_), grouped = tables(analysis), group_tables(analysis)
    assert means.heading[:4] == ["loss", "n", "group", "nDCG@10"]
    assert [row[:4] for row in means.rows[2:]] == [["BM25", "–", "–", "0.380"], ["random", "–", "–", "–"]]
    assert [row[1:] for row in grouped["Ranking"].rows[2:]] == [["0.380", "–"], ["–", "0.010"]]
    assert not {"BM25", "Random order"} & set(grouped)
