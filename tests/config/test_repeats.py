"""What a command asks for again, or takes back, is said in a line, and the rest runs."""

import pytest

from lossbench.compat.hydra import parse_arguments
from lossbench.config.compose import compose_cells
from lossbench.config.repeats import SHOWN, once_each


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: once_each(compose_cells(parse_arguments(["-m", *words, "tracking=none"])))


@pytest.mark.parametrize(
    ("words", "names", "told"),
    [
        (["loss=focal", "seed=0,0,1"], ["focal-s0", "focal-s1"], "digits_imb focal-s0"),
        (["loss=focal,brier,focal"], ["focal-s0", "brier-s0"], "digits_imb focal-s0"),
        (["loss=focal", "loss.gamma=1,1.0,2"], ["focal-s0", "focal-s0"], "digits_imb focal-s0"),
        (["loss=focal,brier", "seed=0,0"], ["focal-s0", "brier-s0"], "digits_imb focal-s0, digits_imb brier-s0"),
    ],
)
def test_runs_that_are_asked_for_again_are_named_and_made_once(words, names, told, sweep, capsys):
    assert [cell.name for cell in sweep(*words)] == names
    assert capsys.readouterr().err == f"asked for more than once, made once: {told}\n"


def test_a_line_names_a_few(sweep, capsys):
    seeds = ",".join(map(str, range(SHOWN + 2)))
    assert len(sweep(f"seed={seeds},{seeds}")) == SHOWN + 2
    told = capsys.readouterr().err
    assert told.count("cross_entropy-s") == SHOWN and told.endswith(" and 2 others\n")


@pytest.mark.parametrize(
    ("words", "losses", "told"),
    [
        (["loss=focal,brier", "loss=focal"], ["focal"], "loss=focal,brier is not swept: loss=focal comes later"),
        (["loss=focal,gce", "loss=sce,gce"], ["sce", "gce"], "loss=focal,gce is not swept: loss=sce,gce comes later"),
        (["loss=focal", "loss=focal,brier"], ["focal", "brier"], ""),
        (["loss=focal,brier", "loss=focal,brier"], ["focal", "brier"], ""),
    ],
)
def test_values_that_a_later_word_takes_back_are_told(words, losses, told, sweep, capsys):
    assert [cell.loss for cell in sweep(*words)] == losses
    said = capsys.readouterr().err
    assert said.startswith(told) and bool(said) == bool(told)
