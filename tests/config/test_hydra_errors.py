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
    ("trainer.callbacks=[{_target_:",): "a bracket is opened that is not closed",
    ("+loss=focal",): "+loss=focal: there is a choice of loss already. Without the plus, loss=focal takes its place.",
    ("++loss=focl",): "loss=focl takes its place. Nearest: focal",
    ("+data/noise=symmetric",): "there is a choice of data/noise already",
    ("+seed=1",): "+seed=1: there is a key 'seed' already. Write seed=1",
    ("~monitor",): "~monitor: 'monitor' is null already",
    ("experiment=cao2019_cifar_lt",): "nothing is chosen yet, so write +experiment=cao2019_cifar_lt.",
    ("experiment=cao2019_cifar",): "nothing is chosen yet, so write +experiment=NAME. Nearest: cao2019_cifar_lt",
    ("~los",): "~los: there is no key 'los' in the config. Nearest: loss",
    ("model=mlp", "~trainer.max_epoch"): "no key 'max_epoch' in trainer=default, which is chosen here. Nearest: max_ep",
    ("~loss=focal",): "~loss=focal: it is loss=cross_entropy here. Write ~loss",
    ("~seed=5",): "~seed=5: it is seed=0 here. Write ~seed",
    ("hydra/lancher=joblib",): "there is no group 'hydra/lancher'. Nearest: hydra/launcher",
    ("~data/nois",): "there is no group 'data/nois'. Nearest: data/noise",
    ("hydra/launcher=null",): "hydra/launcher=null: there must be one.",
    ("--config-name", "confg"): "--config-name confg: there is no such config. Nearest: config",
    (
        "loss._target_=mine.f",
        "loss.alpha=2",
    ): "loss.alpha=2: there is no such key yet. As an option of mine.f it is +loss",
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


def test_a_file_that_chooses_again_is_told_of_override(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "twice.yaml").write_text("# @package _global_\ndefaults:\n  - /loss: focal\n")
    with pytest.raises(ConfigError, match=r"^loss: there is a choice already, so a file .* override /loss: NAME"):
        compose_cells(parse_arguments(["--config-dir", str(tmp_path), "+experiment=twice"]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hydra/launcher=basic", "-m", "seed=0,1", "loss=focal"], "seed=0,1: overrides stand before a flag and after"),
        (["--multrun", "seed=0,1"], "--multrun: there is no such flag. Nearest: --multirun"),
        (["--cfg", "jobs"], "--cfg/-c: invalid choice: 'jobs'"),
        (["--cfg", "job", "--package", "los"], "--package los: there is no key 'los' in the config. Nearest: loss"),
        (
            ["loss=focal", "--cfg", "job", "-p", "loss.gama"],
            "no key 'gama' in loss=focal, which is chosen here. Nearest",
        ),
        (["--cfg", "job", "--package", "monitor"], "--package monitor: it is null"),
        (["--cfg", "job", "--package", "hydra.launcher"], "--cfg all shows everything"),
        (["--cfg", "all", "--package", "hydra.lancher"], "no key 'lancher' in hydra. Nearest: launcher"),
    ],
)
def test_flags_that_can_t_be_read_are_told(words, told, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lossbench", *words])
    with pytest.raises(ConfigError) as error:
        look(read_arguments("config"))
    assert told in str(error.value)


@pytest.mark.parametrize("asked", [["--cfg", "job", "trainer=bad"], ["--info", "defaults", "+experiment=wrong"]])
def test_what_only_shows_a_config_tells_mistakes_as_a_run_does(asked, mine, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lossbench", "--config-dir", mine, *asked])
    with pytest.raises(ConfigError):
        look(read_arguments("config"))
