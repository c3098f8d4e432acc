"""Cells that differ in their seed alone are checked once, configs of a sweep are read once: with the same outcome."""

import contextlib
from dataclasses import replace

import pytest

from lossbench.compat.hydra import parse_arguments
from lossbench.config import checks, compose
from lossbench.config.checks import check
from lossbench.config.compose import compose_cells
from lossbench.config.seeds import without_other_seeds
from lossbench.errors import ConfigError


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: compose_cells(parse_arguments(["-m", *words, "tracking=none"]))


@pytest.mark.parametrize(
    ("words", "checked"),
    [
        (["loss=focal,brier", "seed=range(0,4)"], 2),
        (["loss=focal", "seed=0,1", "data.seed=0,1"], 2),
        (["loss=focal", "seed=2,3", "trainer.max_epochs=${seed}"], 2),
        (["loss=focal", "seed=0,1", "data.max_train=${seed}"], 2),
        (["loss=focal", "seed=0,1", "warm_start=cross_entropy"], 2),
        (["loss=focal", "seed=0,1,-1,1.5"], 3),
    ],
)
def test_each_cell_is_checked_that_differs_in_more_than_its_seed(sweep, words, checked):
    cells = sweep(*words)
    assert len(list(without_other_seeds(cells))) == checked


def test_a_seed_that_is_not_allowed_is_refused_wherever_it_stands(sweep):
    with pytest.raises(ConfigError, match="seed=-1"):
        check(sweep("loss=focal", "seed=0,1,-1"))


def test_a_cell_that_can_t_be_read_is_left_to_the_check(sweep):
    first, second = sweep("loss=focal", "seed=0,1")
    del second.config.data
    assert list(without_other_seeds([first, second, replace(second)]))[:2] == [first, second]


def test_a_mistake_is_told_once_for_all_seeds(sweep, monkeypatch):
    told = []
    monkeypatch.setattr(checks, "check_values", lambda cell: told.append(cell.config.seed))
    check(sweep("loss=focal,brier", "seed=0,1,2"))
    assert told == [0, 0]


def test_configs_are_the_same_read_once_and_read_each_time(sweep, monkeypatch):
    words = ["loss=focal,brier", "seed=0,1", "data=digits,digits_imb", "model=mlp,lenet"]
    once = sweep(*words)
    monkeypatch.setattr(compose, "reading_each_file_once", contextlib.nullcontext)
    for one, other in zip(once, sweep(*words), strict=True):
        assert one.config == other.config and one.choices == other.choices and one.overrides == other.overrides
        assert one.resolved == other.resolved and one.key == other.key and one.problem == other.problem
    once[0].config.data.batch_size = 7
    assert all(cell.config.data.batch_size != 7 for cell in once[1:])  # each has a config of its own


@pytest.mark.parametrize(
    ("words", "composed"),
    [
        (["loss=focal", "seed=1"], 1),
        (["loss=focal", "seed=0,1"], 2),
        (["loss=focal,brier"], 3),
        (["variants.a='loss=focal'"], 2),
    ],
)
def test_a_sweep_of_one_cell_is_composed_once(sweep, monkeypatch, words, composed):
    asked, made = [], compose.compose
    monkeypatch.setattr(compose, "compose", lambda *given, **named: asked.append(given) or made(*given, **named))
    (cell, *_) = sweep(*words)
    assert len(asked) == composed
    if composed == 1:
        (plain,) = compose_cells(parse_arguments([*words, "tracking=none"]))
        assert plain.config == cell.config and plain.choices == cell.choices
        assert set(plain.overrides) == set(cell.overrides)
