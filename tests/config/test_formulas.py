"""A formula that can't be read is refused when a command is checked, before anything is written."""

import pytest

from lossbench.compat.hydra import parse_arguments
from lossbench.config.checks import check
from lossbench.config.compose import compose_cells
from lossbench.errors import ConfigError

REFUSED = {
    "-lg(p)": ["loss.expression='-lg(p)', place 2", "there is no function 'lg'", "Nearest: log", "softplus"],
    "log(q)": ["place 5: there is no 'q'", "c1, c2, c3"],
    "(1 - p": ["place 7", "a closing bracket"],
    "c1 + 2": ["has no p, so that nothing could be learned"],
}


def checked(*overrides):
    cells = compose_cells(parse_arguments([*overrides, "data=digits"]))
    check(cells)
    return cells


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize("key", ["loss.expression", "+loss.terms.1.expression"])
def test_a_formula_that_cannot_be_read_is_refused_in_words(text, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of_a_term = "terms" in key
    term = "{name: expression, expression: '" + text + "'}"
    given = ["loss=weighted_sum", f"loss.terms.1={term}"] if of_a_term else ["loss=expression", f'{key}="{text}"']
    with pytest.raises(ConfigError) as error:
        checked(*given)
    for part in REFUSED[text]:
        assert part.replace("loss.expression", "loss.terms.1.expression" if of_a_term else "loss.expression") in str(
            error.value
        )
    assert not list(tmp_path.iterdir())


def test_formulas_are_values_of_a_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = checked("-m", "loss=expression", 'loss.expression="-log(p)","(1-p)^2"')
    assert [cell.config.loss.expression for cell in cells] == ["-log(p)", "(1-p)^2"]
    assert len({cell.key for cell in cells}) == 2


def test_no_text_is_no_formula():
    with pytest.raises(ConfigError, match=r"loss.expression=5 is out of range: allowed is text"):
        checked("loss=expression", "loss.expression=5")


@pytest.mark.parametrize("text", ["log(", "-log(p)", "(1-p)^2"])
def test_a_formula_that_hydra_cannot_read_is_told_to_stand_in_quotes(text):
    with pytest.raises(ConfigError) as error:
        checked("loss=expression", f"loss.expression={text}")
    told = str(error.value)
    assert told.startswith(f"loss.expression={text}: ") and f"'loss.expression=\"{text}\"'." in told
    assert "hydra.cc" not in told
