"""What a search says of itself: how much of its lead survived, by made-up records, and formulas that are searched."""

import copy
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lossbench.cli.search import compose_searching
from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_cells
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.statistics import paired_difference
from lossbench.compare.report.searched import conclusion, said_of, told_of_search
from lossbench.compat.hydra import parse_arguments
from lossbench.config.cell import Cell
from lossbench.records import record
from lossbench.search import study as studies
from lossbench.search.formulas import KEY, next_formula
from lossbench.search.outcome import compared_cells, write_outcome, write_search
from lossbench.tune.space import study_name

LINES = ["tracking=none", "search.against=cross_entropy,gce", "search.trials=6", "search.batch=6", "seed=0,1,2"]


@pytest.fixture(scope="module")
def asked():
    return compose_searching(
        parse_arguments([*LINES, "data=digits_noisy", "search.family=expression", "search.formulas=true"])
    )


def moved(cell: Cell, folder) -> Cell:
    config = copy.deepcopy(cell.config)
    config.output_dir = str(folder)
    return Cell(config, cell.choices)


def test_the_page_says_how_much_of_the_lead_survived(asked, tmp_path, monkeypatch):
    score = {"cross_entropy": 0.6, "gce": 0.7}
    monkeypatch.setattr(studies, "scores_of", lambda cells: [score.get(cell.loss, 0.8) for cell in cells])
    cells = [moved(cell, tmp_path) for cell in (*asked.family, *asked.rivals)]
    found = {study_name(cell): studies.search(cell, asked.settings) for cell in cells}
    searched = found[study_name(cells[0])]
    rivals = [each for each in found.values() if each is not searched]
    folder = write_outcome(searched, rivals, asked.settings)
    chosen = compared_cells(cells, found, asked.settings)
    assert {cell.loss for cell in chosen} == {"searched", "cross_entropy", "gce"}
    for cell in chosen:
        test = {"cross_entropy": 0.5, "gce": 0.7, "searched": 0.71}[cell.loss] + 0.02 * cell.config.seed
        test += 0.03 * (cell.loss == "searched") * (-1) ** cell.config.seed
        metrics = {"best_val": {"val/balanced_accuracy": test - 0.1, "test/balanced_accuracy": test}, "last": None}
        record.write(cell.path, {**cell.record("finished"), "metrics": metrics})
    write_search(folder, searched, rivals, chosen, asked.settings)
    told = json.loads((folder / "search.json").read_text())
    assert [each["rival"] for each in told["rivals"]] == ["gce", "cross_entropy"]
    assert [each["said"] for each in told["rivals"]] == ["not told apart", "better"]
    assert told["rivals"][0]["lead"] == pytest.approx(0.1)
    assert told["rivals"][1]["test"]["mean"] == pytest.approx(0.22)
    assert told["conclusion"] == "Nothing better than gce was found, as far as these seeds can tell."
    page = (folder / "search.md").read_text()
    assert page.count("-log(p)") >= 2 and "| gce | +0.1000 |" in page and "6 trials" in page
    (comparison,) = comparisons(read_cells(chosen))
    analysis = analyse(comparison, Options())
    assert analysis.baseline == "cross_entropy" and list(comparison.entries)[-1] == "searched"
    section = told_of_search(analysis, tmp_path)
    assert section is not None and section.text.startswith(told["conclusion"]) and "6 trials" in section.text
    assert section.text.endswith(f"searched/{folder.name}.") and (folder / "search.md").is_file()
    assert section.yaml == (folder / "loss" / "searched.yaml").read_text().strip() and "# Formula: " in section.yaml
    assert dict(section.relatives.rows) == {name: f"{far:.3f}" for name, far in told["distances"].items()}
    assert [row[:2] for row in section.worths.rows] == [["gce", "+0.1000"], ["cross_entropy", "+0.2000"]]
    assert len(section.candidates.rows) == 6 and section.candidates.rows[0][-1] == "0.8000"
    without = replace(comparison, entries={name: comparison.entries[name] for name in ("gce", "cross_entropy")})
    assert told_of_search(analyse(without, Options()), tmp_path) is None
    elsewhere = replace(comparison, data="digits")
    assert told_of_search(analyse(elsewhere, Options()), tmp_path) is None
    (folder / "search.json").write_text("[]")
    assert told_of_search(analyse(comparison, Options()), tmp_path) is None


def test_the_formulas_of_known_losses_come_first_then_others(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "scores_of", lambda cells: [0.5] * len(cells))
    settings = asked.settings.__class__(**{**vars(asked.settings), "trials": 14, "batch": 7})
    family, other = moved(asked.family[0], tmp_path / "a"), moved(asked.family[0], tmp_path / "b")
    found = studies.search(family, settings)
    formulas = [studies.values_of_trial(trial)[KEY] for trial in found.trials]
    assert formulas[:3] == ["-log(p) + c1*(1 - p)", "-log(p)", "2*(1 - p)"] and len(set(formulas)) >= 12
    assert all("formula" in trial.user_attrs and KEY not in trial.params for trial in found.trials)
    assert [trial.user_attrs["formula"] for trial in studies.search(other, settings).trials] == formulas


def test_new_formulas_depend_on_seed_and_number_alone():
    given = {"tried": ["-log(p)"], "best": ["-log(p)", "1 - p"]}
    drawn = [next_formula("expression", **given, seed=0, number=number) for number in range(8)]
    assert drawn == [next_formula("expression", **given, seed=0, number=number) for number in range(8)]
    assert len(set(drawn)) > 4 and all("p" in formula for formula in drawn)
    assert "r" in next_formula("expression_residual", tried=[], best=[], seed=1, number=0)


@pytest.mark.parametrize(
    ("differences", "higher", "said"),
    [([0.1, 0.11, 0.12], True, "better"), ([0.1, 0.11, 0.12], False, "worse"), ([0.1], True, "not known"),
     ([0.1, -0.2, 0.1], True, "not told apart"), ([0.0, 0.0], True, "not told apart")],
)  # fmt: skip
def test_a_difference_is_told_by_its_interval(differences, higher, said):
    assert said_of(paired_difference(differences, [0.0] * len(differences), higher_is_better=higher), higher) == said


def test_a_search_that_is_worse_than_any_rival_says_so():
    first, second = SimpleNamespace(rival="gce", said="better"), SimpleNamespace(rival="sce", said="worse")
    assert conclusion([first]).startswith("The search found a loss that is better than gce")
    assert "worse than sce" in conclusion([first, second])
    assert said_of(None, True) == "not known" and math.isnan(paired_difference([1], [0], higher_is_better=True).low)
