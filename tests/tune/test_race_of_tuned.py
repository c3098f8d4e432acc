"""A tuned comparison as a race: on seeds that nothing was chosen on, with the studies that it would have without."""

import json

import pytest

from lossbench.cli import tune as command
from lossbench.compat.hydra import parse_arguments
from lossbench.config.checks import check
from lossbench.race import rounds
from lossbench.race.contestants import check_race
from lossbench.records import record
from lossbench.tune.space import check_tuning, study_name, tuned_cell

pytest.importorskip("optuna")

FAST = ["tracking=none", "data=outliers", "loss=mse,mae", "tune.seeds=4,100"]


def compose(*overrides: str):
    cells = command.compose_tuning(parse_arguments([*FAST, *overrides]))
    check(cells)
    check_tuning(cells)
    return cells


def test_the_final_comparison_is_a_race_on_fresh_seeds(tmp_path, monkeypatch):
    def run_round(cells, _engine):
        for cell in cells:
            metrics = {"last": None, "best_val": {"test/mae": len(cell.loss) + 0.1 * (cell.config.seed * 7 % 5)}}
            record.write(cell.path, {**cell.record("finished"), "metrics": metrics})
        return [record.read(cell.path) for cell in cells]

    cells = compose("tune.race=true", "race.max_seeds=6", f"output_dir={tmp_path}")
    check_race(cells)
    monkeypatch.setattr("lossbench.tune.study.tune", lambda cell: {"optimizer.lr": 0.02 * len(cell.loss)})
    monkeypatch.setattr(rounds, "run_round", run_round)
    monkeypatch.setattr(rounds, "conclude", lambda *_, **__: {})
    monkeypatch.setattr("lossbench.race.picture.draw_race", lambda *_: None)
    assert command.tune_and_compare(cells) == 0
    (found,) = tmp_path.glob("races/*/race.json")
    told = json.loads(found.read_text())
    assert [look["n"] for look in told["looks"]] == [3, 4, 5, 6]
    assert told["seeds"]["mse"] == [0, 1, 2, 3, 5, 6]  # 4 is one that the values were chosen on
    entry = record.read(next(tmp_path.glob("outliers/mae-s6-*")))
    assert entry["config"]["protocol"]["name"] == "tuned" and entry["config"]["optimizer"]["lr"] == pytest.approx(0.06)


def test_whether_there_is_a_race_changes_no_study_and_no_run():
    plain, raced = compose()[0], compose("tune.race=true", "race.max_seeds=20")[0]
    assert study_name(plain) == study_name(raced)
    values = {"optimizer.lr": 0.02}
    assert tuned_cell(plain, values).key == tuned_cell(raced, values).key
    assert "race" not in tuned_cell(raced, values).config
