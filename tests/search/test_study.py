"""The search for one contestant: batches, refusals, what is kept, what a later command finds; training made up."""

import copy
import functools
import math
from pathlib import Path

import pytest

from lossbench.cli.search import compose_searching
from lossbench.compat.hydra import parse_arguments
from lossbench.config.cell import Cell
from lossbench.errors import ConfigError
from lossbench.records import claims
from lossbench.search import study as studies
from lossbench.tune.space import study_name

FAST = ["tracking=none", "data=digits_noisy", "search.trials=10", "search.batch=4", "search.against=gce"]


@functools.cache
def asked(*overrides: str):
    return compose_searching(parse_arguments([*FAST, "search.family=taylor", *overrides]))


@pytest.fixture
def compose(tmp_path: Path):
    def make(*overrides: str, output_dir: str = "outputs"):
        like = asked(*overrides)
        config = copy.deepcopy(like.family[0].config)
        config.output_dir = str(tmp_path / output_dir)
        return Cell(config, like.family[0].choices), like.settings

    return make


@pytest.fixture
def bowl(monkeypatch):
    """Replace training by a function of a1 and the learning rate, with its best value 1 at 2 and 0.002."""
    batches: list[list] = []

    def scores_of(cells):
        batches.append(list(cells))
        return [1 - (cell.config.loss.get("a1", 0) - 2) ** 2 - math.log10(cell.config.optimizer.lr / 0.002) ** 2
                for cell in cells]  # fmt: skip

    monkeypatch.setattr(studies, "scores_of", scores_of)
    return batches


def tried(found: studies.Found) -> list[tuple[dict, float | None]]:
    return [(trial.params, trial.value) for trial in found.trials]


def test_candidates_come_in_batches_and_begin_with_what_is_known(compose, bowl):
    cell, settings = compose("search.seeds=100,101")
    found = studies.search(cell, settings)
    assert [len(batch) for batch in bowl] == [8, 8, 4]
    assert {each.config.seed for batch in bowl for each in batch} == {100, 101}
    assert not any("tune" in each.config or "search" in each.config for batch in bowl for each in batch)
    first = found.trials[0].params
    assert first["loss.a_log"] == 1 and first["optimizer.lr"] == 0.001 and first["loss.a1"] == 0
    known = [{key: value for key, value in trial.params.items() if value != first[key]} for trial in found.trials[1:7]]
    assert {"loss.gamma": 2.0} in known and {"loss.a_log": 0.0, "loss.a_q": 1.0} in known
    assert len(found.trained) == 10 and not found.refused and found.best.value == max(v for _, v in tried(found))


def test_the_search_comes_near_to_the_best(compose, bowl):
    cell, settings = compose("search.trials=60", "search.batch=8", "search.members=false")
    found = studies.search(cell, settings)
    assert found.best.value > 0.9


def test_a_stopped_search_goes_on_to_the_same_candidates(compose, bowl, monkeypatch):
    undisturbed = studies.search(*compose(output_dir="undisturbed"))
    train, cell_and_settings = studies.scores_of, compose()

    def stopped(cells):
        if len(bowl) == 4:
            bowl.append([])
            raise KeyboardInterrupt
        return train(cells)

    monkeypatch.setattr(studies, "scores_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        studies.search(*cell_and_settings)
    found = studies.search(*cell_and_settings)
    assert tried(found) == tried(undisturbed)
    count = len(bowl)
    assert tried(studies.search(*cell_and_settings)) == tried(found) and len(bowl) == count


def test_more_trials_add_and_fewer_look_at_the_start(compose, bowl):
    first = studies.search(*compose())
    more = studies.search(*compose("search.trials=14"))
    assert tried(more)[:10] == tried(first) and len(more.trained) == 14
    assert tried(studies.search(*compose())) == tried(first)


def test_what_the_search_depends_on_is_in_its_name(compose):
    base = study_name(compose()[0])
    for same in ("seed=7", "search.trials=20"):
        assert study_name(compose(same)[0]) == base
    for other in ("search.seed=1", "search.batch=5", "search.seeds=7", "search.lr.high=2", "loss.search.a1.high=3"):
        assert study_name(compose(other)[0]) != base, other


def test_refused_candidates_are_counted_and_not_trained(compose, bowl, monkeypatch):
    monkeypatch.setattr(studies, "why_refused", lambda node, proper: "too negative" if node["a3"] < 0 else "")
    found = studies.search(*compose("search.members=false"))
    assert len(found.trained) == 10 and found.refused
    assert all(trial.params["loss.a3"] < 0 and math.isinf(trial.value) for trial in found.refused)
    assert all(each.config.loss.a3 >= 0 for batch in bowl for each in batch)
    assert tried(studies.search(*compose("search.members=false"))) == tried(found)


def test_a_rival_is_not_refused(compose, bowl, monkeypatch):
    monkeypatch.setattr(studies, "why_refused", lambda node, proper: "never")
    family, settings = compose()
    config = copy.deepcopy(asked().rivals[0].config)
    config.output_dir = family.config.output_dir
    found = studies.search(Cell(config, asked().rivals[0].choices), settings)
    assert len(found.trained) == 10 and not found.refused


def test_a_family_of_which_all_is_refused_is_told(compose, bowl, monkeypatch):
    monkeypatch.setattr(studies, "why_refused", lambda node, proper: "never")
    with pytest.raises(ConfigError, match=r"81 candidates were refused for 0 .*never.*search\.proper=false"):
        studies.search(*compose())
    assert not bowl


def test_diverged_candidates_are_the_worst(compose, monkeypatch):
    monkeypatch.setattr(studies, "scores_of", lambda cells: [None] + [0.5] * (len(cells) - 1))
    found = studies.search(*compose())
    assert found.trials[0].value == -math.inf and found.best.value == 0.5
    monkeypatch.setattr(studies, "scores_of", lambda cells: [None] * len(cells))
    with pytest.raises(ConfigError, match="every candidate diverged"):
        studies.search(*compose(output_dir="other"))


def test_two_processes_do_not_share_a_search(compose, bowl):
    cell, settings = compose()
    folder = Path(cell.config.output_dir) / "searching" / study_name(cell)
    with claims.claimed(folder), pytest.raises(ConfigError, match="another process"):
        studies.search(cell, settings)
