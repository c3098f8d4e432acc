"""Real races of small runs: by the engines of a sweep, stopped and gone on with, refused where they can't work."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lossbench.cli.race import compose_racing
from lossbench.compat.hydra import parse_arguments
from lossbench.config.cell import Cell
from lossbench.config.checks import check
from lossbench.errors import ConfigError, Killed
from lossbench.race import rounds
from lossbench.race.contestants import check_race, contests, rules_of
from lossbench.race.decide import Race, race
from lossbench.race.outcome import as_data, as_markdown, conclusion, folder_of, told
from lossbench.records import record
from lossbench.running.run import run
from tests.support.commands import make_cell

FAST = ["tracking=none", "data=outliers", "data.max_train=60", "trainer.max_epochs=2", "model.hidden=[4]"]
LOSSES = "loss=mse,huber,mae"


def compose(*overrides: str, output_dir: Path) -> list[Cell]:
    """Compose and check the cells of a race, as the command does."""
    cells = compose_racing(parse_arguments([*FAST, f"output_dir={output_dir}", *overrides]))
    check(cells)
    check_race(cells)
    return cells


@pytest.fixture
def racing(tmp_path, undrawn, monkeypatch):
    """Race in this process, without the report of the comparison; return exit code and `race.json`."""
    monkeypatch.setattr(rounds, "conclude", lambda *_, **__: {})

    def run_it(*overrides: str, folder: str = "outputs", avoided: Sequence[int] = ()):
        cells = compose(*overrides, output_dir=tmp_path / folder)
        code = rounds.run_races(cells, "single", rules_of(cells[0]), avoided)
        (contest,) = contests(cells, rules_of(cells[0]), avoided)
        return code, json.loads((folder_of(contest) / "race.json").read_text())

    return run_it


@pytest.fixture
def made_up(monkeypatch):
    """Write records in place of training: a loss is behind by so much, and each seed differs by itself."""

    def replace(gaps: dict[str, float], draw: bool = False):
        def run_round(cells, _engine):
            for cell in cells:
                seed = cell.config.seed
                value = gaps[cell.loss] + 0.1 * math.sin(seed) + 0.02 * math.sin(7 * seed + len(cell.loss))
                entry = {**cell.record("finished"), "metrics": {"last": {"test/mae": value}, "best_val": None}}
                record.write(cell.path, entry)
            return [record.read(cell.path) for cell in cells]

        monkeypatch.setattr(rounds, "run_round", run_round)
        if not draw:
            monkeypatch.setattr("lossbench.race.picture.draw_race", lambda *_: None)

    return replace


def test_a_race_drops_what_is_worse_and_tells_all(racing, made_up, tmp_path, capsys):
    made_up({"mse": 1.0, "huber": 0.03, "mae": 0.0}, draw=True)  # of MAE: lower is better
    code, found = racing(LOSSES, "race.max_seeds=12", "race.step=2")
    assert code == 0 and found["over"] and found["best_is_known"] and found["best"] == "mae"
    out = {decision["loss"]: decision for decision in found["out"]}
    assert out["mse"]["n"] < out["huber"]["n"] and {d["than"] for d in out.values()} <= {"mae", "huber"}
    assert found["seeds"]["mse"] == list(range(out["mse"]["n"]))
    assert len(list((tmp_path / "outputs" / "outliers").glob("*/record.json"))) == found["runs"]
    assert [look["n"] for look in found["looks"]][:3] == [3, 5, 7]
    assert found["fixed_design"]["runs"] == 3 * found["fixed_design"]["seeds"]
    (folder,) = (tmp_path / "outputs" / "races").iterdir()
    assert (folder / "race.png").stat().st_size > 1000 and (folder / "race.svg").is_file()
    told, page = capsys.readouterr(), (folder / "race.md").read_text()
    for text in (told.out, page):
        assert "The best is known" in text and re.search(r"mse, worse than \w+ by", text)
    assert "a race of mse, huber, mae on outliers by MAE: 3 seeds each, then 2 at a time, at most 12" in told.err
    assert f"The race took {found['runs']} runs; 36 were allowed." in page


def test_a_race_that_is_stopped_goes_on_with_the_same_decisions(racing, made_up, monkeypatch):
    made_up({"mse": 0.3, "huber": 0.01, "mae": 0.0})
    words = (LOSSES, "race.futility=0", "race.first=2", "race.max_seeds=5")
    _, expected = racing(*words, folder="undisturbed")
    assert [len(look["left"]) for look in expected["looks"]] == [0, 1, 0, 0]
    run_round, calls = rounds.run_round, []

    def stopped(cells, engine):
        calls.append(len(cells))
        if len(calls) in (1, 3):
            run_round(cells[:2], engine)
            raise Killed(15)
        return run_round(cells, engine)

    monkeypatch.setattr(rounds, "run_round", stopped)
    for _ in range(2):
        with pytest.raises(Killed) as killed:
            racing(*words)
        assert killed.value.exit_code == 143 and "the same decisions" in killed.value.then
    _, found = racing(*words)
    assert found == expected and calls[:2] == [6, 4]
    calls.clear()
    assert racing(*words)[1] == expected and not calls  # nothing is left to run
    monkeypatch.setattr(rounds, "run_round", run_round)
    _, more = racing(*words[:3], "race.max_seeds=6", "race.step=3")
    assert more["looks"][: len(found["looks"])] == found["looks"] and more["looks"][-1]["n"] == 6
    assert more["rules"]["planned"] == 5 and more["rules"]["step"] == 1  # as the race began


OTHERS = ["loss=mse,huber", "seed=1", "compare.metric=mse", "race.margin=0.1", "race.alpha=0.1", "optimizer.lr=0.1"]


@pytest.mark.parametrize("other", OTHERS)
def test_another_race_on_the_data_has_a_plan_and_a_folder_of_its_own(racing, made_up, other, monkeypatch):
    made_up({"mse": 0.3, "huber": 0.01, "mae": 0.0})
    monkeypatch.setattr(rounds, "_value", lambda entry, _contest: entry["metrics"]["last"]["test/mae"])
    _, begun = racing("loss=mse,mae", "race.max_seeds=4")
    assert racing("loss=mse,mae", other, "race.max_seeds=5")[1]["rules"]["planned"] == 5
    assert racing("loss=mse,mae", "race.max_seeds=4")[1] == begun
    _, more = racing("loss=mae,mse", "race.max_seeds=6")  # the same, and goes on by its own plan
    assert more["rules"]["planned"] == 4 and len(more["looks"]) > len(begun["looks"])


def test_a_race_goes_on_by_its_plan_past_seeds_that_it_avoids(racing, made_up):
    made_up({"mse": 0.0, "mae": 0.0})
    words = ("loss=mse,mae", "race.futility=0")
    _, begun = racing(*words, "race.max_seeds=4", avoided=[5])
    _, more = racing(*words, "race.max_seeds=7", avoided=[5])
    assert more["seeds"]["mae"] == [0, 1, 2, 3, 4, 6, 7] and more["key"] == begun["key"]
    assert more["rules"]["planned"] == 4 and more["looks"][: len(begun["looks"])] == begun["looks"]
    assert racing(*words, "race.max_seeds=7", avoided=[6])[1]["rules"]["planned"] == 7  # on other seeds


def test_a_race_that_an_earlier_version_wrote_goes_on_where_it_is(racing, made_up, tmp_path):
    made_up({"mse": 0.3, "huber": 0.01, "mae": 0.0})
    _, found = racing("loss=mse,mae", "race.max_seeds=4")
    (folder,) = (tmp_path / "outputs" / "races").iterdir()
    earlier = folder.rename(folder.with_name(folder.name.rpartition("-")[0]))
    (earlier / "race.json").write_text(json.dumps({name: found[name] for name in found if name != "key"}))
    assert racing("loss=mse,huber", "race.max_seeds=5")[1]["rules"]["planned"] == 5  # another one
    _, more = racing("loss=mse,mae", "race.max_seeds=6")
    assert more["rules"]["planned"] == 4 and json.loads((earlier / "race.json").read_text()) == more


def test_the_runs_of_an_earlier_sweep_are_taken_over(racing, tmp_path, monkeypatch, undrawn):
    for loss in ("mse", "mae"):
        for seed in range(3):
            overrides = [*FAST[1:], f"loss={loss}", f"seed={seed}"]
            run(make_cell(*overrides, output_dir=tmp_path / "outputs"))
    asked = []
    run_round = rounds.run_round
    monkeypatch.setattr(rounds, "run_round", lambda cells, engine: asked.append(len(cells)) or run_round(cells, engine))
    code, found = racing("loss=mse,mae", "race.max_seeds=4", "race.futility=0")
    assert code == 0 and asked[0] <= 2 and found["looks"][0]["n"] == 3
    values = [record.read(path)["metrics"]["last"]["test/mae"] for path in (tmp_path / "outputs").glob("outliers/*")]
    assert len(values) == found["runs"] == 8


def test_a_run_that_fails_ends_the_race_and_begins_the_next_one(racing, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(rounds, "run_round", lambda cells, engine: [None for _ in cells])
    cells = compose("loss=mse,mae", output_dir=tmp_path / "outputs")
    assert rounds.run_races(cells, "single", rules_of(cells[0])) == 1
    assert "failed: outliers mse-s0" in capsys.readouterr().err


def test_each_problem_has_a_race_of_its_own(tmp_path):
    cells = compose("loss=mse,mae", "optimizer.lr=0.01,0.1", "seed=5,3", "race.margin=0.2", output_dir=tmp_path)
    first, second = contests(cells, rules_of(cells[0]))
    assert list(first.contestants) == list(second.contestants) == ["mse", "mae"]
    assert first.seeds[:4] == [5, 3, 6, 7] and first.any_cell.problem != second.any_cell.problem
    assert first.rules.margin == first.any_cell.config.compare.margin == 0.2
    assert not first.rules.higher_is_better
    named = contests(compose("loss=huber", "loss.delta=1,2", output_dir=tmp_path), rules_of(cells[0]))
    assert list(named[0].contestants) == ["huber(delta=1)", "huber(delta=2)"]


def test_its_runs_have_the_keys_of_a_sweep(tmp_path):
    cells = compose("loss=mse,mae", "race.margin=0.2", output_dir=tmp_path)
    contest = contests(cells, rules_of(cells[0]))[0]
    swept = make_cell(*FAST[1:], "loss=mae", "seed=4", output_dir=tmp_path)
    assert contest.cell("mae", 4).key == swept.key and contest.cell("mae", 4).path == swept.path
    assert contest.any_cell.problem == swept.problem and contest.any_cell.choices.keys() == swept.choices.keys()


REFUSED = {
    "loss=mse": ["loss=mse", "at least two losses", "loss=A,B"],
    "loss=mse,mae race.max_seeds=1": ["race.max_seeds=1", "[2, inf)"],
    "loss=mse,mae race.max_seeds=2": ["race.first=3", "race.max_seeds=2"],
    "loss=mse,mae race.alpha=0": ["race.alpha=0", "(0, 1)"],
    "loss=mse,mae race.alpha=1": ["race.alpha=1", "(0, 1)"],
    "loss=mse,mae race.margin=0": ["race.margin=0", "(0, inf)"],
    "loss=mse,mae race.margin=-1": ["race.margin=-1", "(0, inf)"],
    "loss=mse,mae race.margin=0.1 compare.metric=acuracy": ["compare.metric=acuracy", "not known"],
    "loss=mse,mae race.margin=0.1 compare.metric=r": ["compare.metric=r", "Nearest: r2"],
    "loss=mse,mae race.first=1": ["race.first=1", "[2, inf)"],
    "loss=mse,mae race.futility=1": ["race.futility=1", "[0, 1)"],
    "loss=mse,mae race.step=0": ["race.step=0", "[1, inf)"],
    "loss=mse,mae race.alpha=0.05,0.1": ["race.KEY=A,B", "one value"],
    "loss=mse,mae rerun=true": ["rerun=true", "output_dir"],
    "loss=mse,mae seed=0,1,2,3 race.max_seeds=3": ["seed: 4", "race.max_seeds=3"],
    "loss=mse,mae +race.maxseeds=3": ["race.maxseeds", "Nearest: max_seeds"],
    "loss=mse,mae race=null": ["race"],
    "loss=mse,mae ~race": ["no node race"],
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_can_not_be_raced_is_refused_before_anything_is_written(command, tmp_path):
    with pytest.raises(ConfigError) as error:
        compose(*command.split(), output_dir=tmp_path / "outputs")
    assert all(part in str(error.value) for part in REFUSED[command]), error.value
    assert not list(tmp_path.iterdir())


def test_a_metric_that_no_run_has_is_refused_after_the_first_round(racing, monkeypatch):
    monkeypatch.setattr(rounds, "_value", lambda *_: math.nan)
    with pytest.raises(ConfigError, match="was not recorded"):
        racing("loss=mse,mae", "race.max_seeds=3")


def test_where_no_loss_has_a_number_nothing_is_known(tmp_path):
    cells = compose("loss=mse,mae", output_dir=tmp_path)
    contest = contests(cells, rules_of(cells[0]))[0]
    none = race({label: dict.fromkeys(range(3), math.nan) for label in ("mse", "mae")}, contest.seeds, contest.rules)
    assert isinstance(none, Race) and "nothing is known" in conclusion(none, contest)


def test_a_race_that_gives_up_says_why(tmp_path):
    cells = compose("loss=mse,mae", output_dir=tmp_path)
    contest = contests(cells, rules_of(cells[0]))[0]
    rng = np.random.default_rng(0)
    values = {label: dict(enumerate(rng.normal(size=50).tolist())) for label in ("mse", "mae")}
    found = race(values, contest.seeds, contest.rules)
    text = conclusion(found, contest)
    assert found.gave_up and as_data(found, values, contest)["gave_up"] and as_data(found, values, contest)["over"]
    assert f"Open after {found.runs // 2} seeds" in text and "is below 5 % (race.futility; 0 spends them" in text


def test_a_race_warns_of_runs_that_fail(tmp_path):
    cells = compose("loss=mse,mae", output_dir=tmp_path)
    contest = contests(cells, rules_of(cells[0]))[0]
    rng = np.random.default_rng(1)
    values = {label: dict(enumerate((0.1 * rng.normal(size=50)).tolist())) for label in ("mse", "mae")}
    usual = race(values, contest.seeds, contest.rules)
    assert as_data(usual, values, contest)["warning"] is None and usual.ran["mae"] > 6
    values["mae"][4] = 9.0
    found = race(values, contest.seeds, contest.rules)
    data = as_data(found, values, contest)
    warning = data["warning"]
    assert f"1 of {found.ran['mae']} runs of mae (seed 4)" in warning and "up to 17 %" in warning
    assert warning in as_markdown(found, contest, data) and list(told(found, values, contest))[-1] == warning


@pytest.mark.parametrize(("planned", "text"), [(3, "goes on from here, with what is left"), (9, "goes on from here.")])
def test_a_race_that_ends_within_its_plan_still_has_its_alpha(tmp_path, planned, text):
    cells = compose("loss=mse,mae", "race.max_seeds=4", "race.futility=0", output_dir=tmp_path)
    contest = contests(cells, replace(rules_of(cells[0]), planned=planned))[0]
    values = {"mse": {0: 0.1, 1: 0.2, 2: 0.1, 3: 0.3}, "mae": {0: 0.2, 1: 0.1, 2: 0.2, 3: 0.1}}
    assert text in conclusion(race(values, contest.seeds, contest.rules), contest)


def test_the_command_runs_a_race_by_the_engines_of_a_sweep(lossbench, tmp_path):
    ended = lossbench(*FAST, "loss=mse,mae", "race.max_seeds=3", "output_dir=outputs", module="lossbench.race")
    assert ended.returncode == 0, ended.stderr
    assert "3 seeds: " in ended.stdout and "Race: outputs/races/outliers-" in ended.stdout
    alone = lossbench("loss=mse", "output_dir=elsewhere", "data=outliers", module="lossbench.race")
    assert alone.returncode == 2 and "at least two losses" in alone.stderr and not (tmp_path / "elsewhere").exists()
