"""What races have dropped is told as their decision, not as missing."""

import json

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.of_folder import compare
from lossbench.compare.races import with_races
from lossbench.compare.report.formatting import missing_lines
from lossbench.compare.report.provenance import cells_table
from tests.support.compared import made_up, write


def outcome(**changes) -> dict:
    out = [{"loss": "mae", "fate": "worse", "than": "mse", "n": 3, "low": -2.0, "high": -1.0}]
    seeds = {"mse": [0, 1, 2, 3, 4, 5, 6], "mae": [0, 1, 2], "huber": [0, 1, 2, 3, 4, 5, 6]}
    return {"problem": "p" * 64, "out": out, "seeds": seeds} | changes


def entries() -> list[dict]:
    return [
        made_up(loss, seed, 0.5 + 0.01 * ((7 * seed + len(loss)) % 5), task="regression")
        for loss, seeds in {"mse": range(7), "mae": range(3), "huber": range(6)}.items()
        for seed in seeds
    ]


def raced(tmp_path, *found: dict):
    for i, each in enumerate(found):
        folder = tmp_path / "races" / f"made_up-{i}"
        folder.mkdir(parents=True)
        (folder / "race.json").write_text(json.dumps(each))
    (comparison,) = comparisons(entries())
    return analyse(with_races(comparison, tmp_path), Options(population="seeds"))


def test_seeds_of_a_dropped_loss_are_not_missing(tmp_path):
    analysis = raced(tmp_path, outcome())
    assert missing_lines(analysis) == [
        "mae seeds 3 to 6: dropped by the race after 3 seeds, worse than mse", "huber seed 6: missing",
    ]  # fmt: skip
    (row,) = (row for row in cells_table(analysis).rows if row[:2] == ["mae", "4"])
    assert row[2].startswith("dropped by the race")


def test_a_race_on_another_problem_and_broken_files_say_nothing(tmp_path):
    (tmp_path / "races" / "broken").mkdir(parents=True)
    (tmp_path / "races" / "broken" / "race.json").write_text("{")
    analysis = raced(tmp_path, outcome(problem="q" * 64), {"problem": "p" * 64})
    assert {why for reasons in analysis.missing.values() for why in reasons.values()} == {"missing"}


def test_comparisons_of_a_folder_know_its_races(tmp_path):
    for entry in entries():
        write(tmp_path, entry)
    raced(tmp_path, outcome(out=[{"loss": "mae", "fate": "equivalent", "than": "mse", "n": 3}]))
    (compared,) = compare(tmp_path)
    assert set(compared.analysis.missing["mae"].values()) == {"dropped by the race after 3 seeds, equivalent to mse"}
