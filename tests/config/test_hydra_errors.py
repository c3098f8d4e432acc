"""Errors that Hydra or a YAML parser raises are told in a sentence: where, what, and what to do."""

import sys

import pytest

from lossbench.cli.arguments import look, read_arguments
from lossbench.compat.hydra import parse_arguments
from lossbench.config.compose import compose_cells
from lossbench.errors import ConfigError

TOLD = {
    ("loss=expression", 'loss.expression="-log(p)'): "a quote is opened that is not closed",
    ("optimizer.lr=${seed",): "optimizer.lr=",
    ("hydra.sweeper.params.seed='1,2'",): "hydra.sweeper.params.seed='1,2': Hydra can't use it",
    ("hydra.job.env_copy=[ABSENT]",): "hydra.job.env_copy=[ABSENT]: Hydra can't use it",
}


@pytest.fixture
def mine(tmp_path):
    """Give a folder of own YAML with a list that is not closed and a choice that does not exist."""
    for path, text in {
        "trainer/bad.yaml": "defaults: [default]\nmax_epochs: [1,2\n",
        "experiment/wrong.yaml": "# @package _global_\ndefaults:\n  - optional nothere_${data}\n",
    }.items():
        (tmp_path / "mine" / path).parent.mkdir(parents=True)
        (tmp_path / "mine" / path).write_text(text)
    return str(tmp_path / "mine")


@pytest.mark.parametrize("words", TOLD, ids=lambda words: words[-1].partition("=")[0])
def test_mistakes_that_hydra_finds_are_told(words):
    with pytest.raises(ConfigError) as error:
        compose_cells(parse_arguments(list(words)))
    assert TOLD[words] in str(error.value) and "hydra.cc/docs" not in str(error.value)


def test_a_file_that_is_no_yaml_is_named_with_its_line(mine):
    with pytest.raises(ConfigError, match=r"trainer/bad\.yaml, line [23], column \d+: this is no YAML: "):
        compose_cells(parse_arguments(["--config-dir", mine, "trainer=bad"]))


@pytest.mark.parametrize("asked", [["--cfg", "job", "trainer=bad"], ["--info", "defaults", "+experiment=wrong"]])
def test_what_only_shows_a_config_tells_mistakes_as_a_run_does(asked, mine, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lossbench", "--config-dir", mine, *asked])
    with pytest.raises(ConfigError):
        look(read_arguments("config"))
