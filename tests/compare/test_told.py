"""What a comparison has told is told again where nothing has changed, and computed where something has."""

import json
import subprocess
import sys

import pytest

from lossbench.compare import present
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.records import record
from tests.support.compared import made_up, write


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    for loss in ("cross_entropy", "focal"):
        for seed in range(3):
            write(tmp_path, made_up(loss, seed, 0.5 + seed / 10))
    monkeypatch.setattr("lossbench.compare.report.html.write_report", lambda analysis, folder, *more: (
        folder.joinpath("report.html").write_text("drawn")))  # fmt: skip
    return tmp_path


def told(outputs, capsys, **options):
    folders, errors = present.compare_records(comparisons(read_outputs(outputs)), outputs, Options(**options))
    assert not errors
    return folders, capsys.readouterr().out


def test_the_same_runs_are_told_again_without_an_analysis(outputs, capsys, monkeypatch):
    first = told(outputs, capsys)
    with monkeypatch.context() as patch:
        patch.setattr(present, "analyse", lambda *given: pytest.fail("analysed again"))
        assert told(outputs, capsys) == first
    assert "Report: " in first[1] and "focal" in first[1]


@pytest.mark.parametrize("change", ["option", "run", "ended", "report", "stamp", "broken", "width"])
def test_what_has_changed_is_analysed(outputs, capsys, monkeypatch, change):
    folders, _ = told(outputs, capsys)
    (folder,) = folders["made_up"]
    options = {"confidence": 0.9} if change == "option" else {}
    if change == "run":
        write(outputs, made_up("brier", 0, 0.7))
    elif change == "ended":
        path = next(path.parent for path in outputs.glob("*/*/record.json"))
        record.write(path, {**record.read(path), "ended": 5.0})
    elif change == "report":
        (folder / "report.html").unlink()
    elif change == "stamp":
        (folder / ".made-from").write_text("other")
    elif change == "broken":
        kept = outputs / present.COMPARISONS / present.TOLD
        kept.write_text(json.dumps({**json.loads(kept.read_text()), "stamps": 3}))
    elif change == "width":
        monkeypatch.setenv("COLUMNS", "61")
    analysed = []
    monkeypatch.setattr(present, "analyse", lambda *given, of=present.analyse: analysed.append(1) or of(*given))
    told(outputs, capsys, **options)
    assert analysed


def test_to_tell_again_takes_no_scipy_stats_no_matplotlib_and_no_pandas():
    code = "import sys, lossbench.compare.present as p; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["scipy.stats", "scipy.optimize", "matplotlib", "pandas", "torch", "mlflow", "sklearn"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
