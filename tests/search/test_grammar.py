"""Formulas that are drawn, changed and simplified: they can be read, may learn, and depend on the seed alone."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from lossbench.losses.expressions import expression, expression_residual
from lossbench.losses.formula import FUNCTIONS, VARIABLES, names_of, of_loss, parsed, parts_of
from lossbench.search import grammar
from lossbench.search.grammar import (
    crossed,
    mutate,
    random_expression,
    simplified,
)

OF = [("p",), ("r",), ("r", "y")]
LOSS = {variables: "expression" if variables == ("p",) else "expression_residual" for variables in OF}


def is_promising(text, variables=("p",)):
    return grammar._is_promising(grammar._read(text, variables), variables)


def values_of(text, known):
    with np.errstate(all="ignore"):
        return grammar._values(parsed(text, tuple(known)), known)


def loss_values(text, variables, main):
    """The values of the loss itself at probabilities of two classes, or at residuals of a target of 0.3."""
    main = torch.as_tensor(main, dtype=torch.float64)
    if variables == ("p",):
        logits = torch.stack([main.log(), (1 - main).log()], 1)
        return expression(logits, torch.zeros(len(main), dtype=torch.long), expression=text)
    target = torch.full_like(main, 0.3)
    return expression_residual(target - main, target, expression=text)


@pytest.mark.parametrize("variables", OF)
def test_what_is_drawn_can_be_read_and_is_least_at_the_truth(variables):
    rng = np.random.default_rng(0)
    drawn = [random_expression(rng, int(depth), variables) for depth in rng.integers(0, 5, 100)]
    for text in drawn:
        assert names_of(of_loss(LOSS[variables], text)) <= {*VARIABLES[LOSS[variables]]}
        main = [0.01, 0.3, 0.95] if variables == ("p",) else [-20.0, 20.0, 0.0]
        values = loss_values(text, variables, main)
        assert values.isfinite().all()
        assert (values[:2] > values[2]).all() or variables == ("r",)
        assert (values[:2] >= values[2]).all()
    assert len(set(drawn)) > 60
    used = {part.name for text in drawn for part in parts_of(parsed(text, variables)) if hasattr(part, "arguments")}
    assert used >= {"log" if variables == ("p",) else "abs", "+", "*", "tanh", "max"}


def test_only_the_seed_decides():
    def twenty(seed):
        rng = np.random.default_rng(seed)
        drawn = [random_expression(rng) for _ in range(20)]
        return drawn + [mutate(text, rng) for text in drawn] + [crossed(drawn[0], text, rng) for text in drawn]

    assert twenty(1) == twenty(1)
    assert twenty(1) != twenty(2)


@pytest.mark.parametrize("variables", OF)
def test_changes_are_other_formulas_that_are_promising(variables):
    rng = np.random.default_rng(0)
    text, seen = random_expression(rng, 3, variables), set()
    for _ in range(60):
        changed = mutate(text, rng, variables)
        assert is_promising(changed, variables)
        assert changed != text
        seen.add(changed)
        text = changed if len(changed) < 150 else random_expression(rng, 3, variables)
    assert len(seen) > 40


def test_a_number_is_changed_a_little_and_all_else_may_be():
    changes = {mutate("-log(p) + 0.5*(1 - p)^2", np.random.default_rng(seed)) for seed in range(200)}
    kinds = {tuple(type(part).__name__ for part in parts_of(parsed(text, ("p",)))) for text in changes}
    assert len(kinds) > 10
    numbers = {text.removeprefix("-log(p) + ").removesuffix("*(1 - p)^2") for text in changes}
    assert sum(number.replace(".", "", 1).isdigit() for number in numbers) > 3


def test_a_crossed_formula_has_parts_of_both():
    found = {crossed("-log(p)", "tanh(1 - p)", np.random.default_rng(seed)) for seed in range(30)}
    assert "tanh(-log(p))" not in found  # a part comes in the place of a part
    assert {"tanh(1 - p)", "1 - p"} <= found


PROMISING = {
    ("p",): {"-log(p)": True, "1 - p": True, "log(p)": False, "p": False, "3": False, "-1/log(p - 2)": False,
             "(p - 0.3)^2": False, "-log(p) + 0.1*p": True, "exp(exp(exp(9/p)))": False, "c1 - p": True},
    ("r",): {"r^2": True, "r": False, "abs(r) - r/2": True, "max(0.9*r, -0.1*r)": True, "r^2*exp(-r^2)": False,
             "(r - 1)^2": False, "1/r": False, "relu(r)": False, "c1*abs(r)": True},
    ("r", "y"): {"r^2/(1 + abs(y))": True, "y*r^2": False, "y": False, "abs(r) + y": True},
}  # fmt: skip


@pytest.mark.parametrize("variables", OF)
def test_promising(variables):
    assert {text: is_promising(text, variables) for text in PROMISING[variables]} == PROMISING[variables]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_the_loss(name):
    both = [("p",), ("r", "y")]
    for variables in both:
        main = np.array([0.05, 0.4, 0.9]) if variables == ("p",) else np.array([-1.5, 0.2, 3.0])
        text = f"{name}({', '.join([variables[0], '0.5'][: FUNCTIONS[name]])}) + {variables[0]}^2"
        known = {variables[0]: main, "y": 0.3}
        np.testing.assert_allclose(values_of(text, known), loss_values(text, variables, main), rtol=1e-9)


SHORTER = {
    "1*(-log(p)) + 0": "-log(p)",
    "p - -log(p)": "p + log(p)",
    "(2 - 1)*p": "p",
    "max(p, p)": "p",
    "0*log(p) + p": "p",
    "p^1/1": "p",
    "0 - p": "-p",
    "p + -p*p": "p - p*p",
    "atan(2)*p": "atan(2)*p",
}


def test_without_sympy_0_1_and_signs_go(monkeypatch):
    monkeypatch.setitem(sys.modules, "lossbench.search.algebra", None)
    assert {text: simplified(text) for text in SHORTER} == SHORTER


WITH_SYMPY = {
    "log(1/p)": "-log(p)",
    "(1 - p)*(1 - p)": "(1 - p)^2",
    "-log(p) - log(p)": "-2*log(p)",
    "exp(2*log(p))": "p^2",
    "1 - p + (1 - p - 5)": "-(2*p + 3)",
    "(p - 1)*(p - 1)": "(1 - p)^2",
    "1/(1 + exp(-p))": "sigmoid(p)",
    "log(1 + exp(p)) + 0*p": "softplus(p)",
    "max(0, 1 - p)": "relu(1 - p)",
    "p/3 + p/3": "2*p/3",
    "p - 1/3 - 1/3": "p - 2/3",
    "p/4 + p/4 + p/8": "0.625*p",
    "c1*p + c1*p": "2*c1*p",
}


@pytest.mark.parametrize("text", WITH_SYMPY)
def test_with_sympy_more_goes(text):
    pytest.importorskip("sympy")
    assert simplified(text) == WITH_SYMPY[text]


@pytest.mark.parametrize("variables", OF)
def test_what_is_simplified_is_the_same_loss(variables):
    rng = np.random.default_rng(5)
    main = rng.uniform(0.001, 0.999, 20) if variables == ("p",) else rng.normal(0, 3, 20)
    for _ in range(20):
        text = random_expression(rng, 3, variables)
        shorter = simplified(text, variables)
        assert len(list(parts_of(of_loss(LOSS[variables], shorter)))) <= len(list(parts_of(parsed(text, variables))))
        torch.testing.assert_close(
            loss_values(shorter, variables, main), loss_values(text, variables, main), rtol=1e-7, atol=1e-9
        )


def test_where_a_formula_has_no_value_it_is_not_promising():
    assert not is_promising("p/(p - p)")
    assert math.isnan(values_of("(p - p)/(p - p)", {"p": np.array(0.5)}))


def test_it_needs_no_torch():
    code = "import sys, lossbench.search.grammar as g; g.simplified('1*p'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert grammar.__doc__ is not None
