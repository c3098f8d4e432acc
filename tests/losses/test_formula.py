"""The language of formulas: what it reads, how it writes it again, and what it says of what it can't read."""

import ast

import pytest
import torch

from lossbench.losses.formula import (
    FUNCTIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    FormulaError,
    in_python,
    names_of,
    parsed,
    parts_of,
    written,
)

NAMES = ("p", "r", "c1")
SAMPLES = [
    "1", "p", "-p", "--p", "-p^2", "(-p)^2", "2^3^p", "(2^3)^p", "p^-2", "p-(1-r)", "p-1-r", "p/(2/r)", "p/2/r",
    "p*(r+1)", "-(p+r)", "-(p*r)", "(-p)*r", "p*-r", "p+-r", "p - -r", "log(p)^2", "max(p, r)/min(1, p)", ".5*p",
    "1e-3*p", "(1-p)*log(1-p)", "c1*relu(-r)", "p*(r/c1)", "2^(p+1)", "2^(p*r)", "(p+1)^(r+1)", "-2^-p",
    "1.23456789012*p",
]  # fmt: skip


def python_value(text):
    """The value of a formula by Python's own parser of arithmetic."""
    functions = {"log": lambda x: x.log(), "relu": lambda x: x.relu(), "max": torch.maximum, "min": torch.minimum}
    values = {"p": torch.tensor(0.3).double(), "r": torch.tensor(1.7).double(), "c1": torch.tensor(2.5).double()}

    def of(node):
        if isinstance(node, ast.Constant):
            return torch.tensor(float(node.value)).double()
        if isinstance(node, ast.Name):
            return values[node.id]
        if isinstance(node, ast.UnaryOp):
            return -of(node.operand)
        if isinstance(node, ast.Call):
            return functions[node.func.id](*map(of, node.args))
        left, right = of(node.left), of(node.right)
        made = {"Add": left + right, "Sub": left - right, "Mult": left * right, "Div": left / right, "Pow": left**right}
        return made[type(node.op).__name__]

    return of(ast.parse(text.replace("^", "**"), mode="eval").body).item()


@pytest.mark.parametrize("text", SAMPLES)
def test_what_is_written_is_read_as_the_same_and_as_python_reads_it(text):
    node = parsed(text, NAMES)
    assert parsed(written(node), NAMES) == node
    assert len(written(node).replace(" ", "")) <= len(text.replace(" ", "")) + 2
    assert python_value(written(node)) == pytest.approx(python_value(text), nan_ok=True, rel=1e-11)


@pytest.mark.parametrize("text", SAMPLES)
def test_the_python_of_a_formula_has_its_value(text):
    node = parsed(text, NAMES)
    tensors = {"p": torch.tensor(0.3).double(), "r": torch.tensor(1.7).double(), "c1": torch.tensor(2.5).double()}
    got = eval(in_python(node), {"torch": torch}, tensors)
    assert float(got) == pytest.approx(python_value(text), nan_ok=True, rel=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_read_written_and_known_to_torch(name):
    text = f"{name}({', '.join(['p'] * FUNCTIONS[name])})"
    assert written(parsed(text, NAMES)) == text
    found = eval(in_python(parsed(text, NAMES)), {"torch": torch, "p": torch.tensor([0.5])})
    assert found.shape == (1,)


def test_names_and_parts():
    node = parsed("c1*log(p)", NAMES)
    assert names_of(node) == {"p", "c1"}
    assert [written(part) for part in parts_of(node)] == ["c1*log(p)", "c1", "log(p)", "p"]


REFUSED = {
    "": "place 1: the end can't stand here. Needed is a number, a bracket, or one of: abs,",
    "p +": "place 4: the end can't stand here",
    "2p": "place 2: 'p' can't follow what stands before it. An operator is missing",
    "(p": "place 3: the end can't stand here. Needed is an operator",
    "p)": "place 2: ')' can't follow",
    "p ? 1": "place 3: '?' is no part of a formula",
    "logg(p)": "place 1: there is no function 'logg'. Nearest: log. Allowed: abs,",
    "1 + q": "place 5: there is no 'q'. Allowed: abs, atan, c1",
    "c2": "there is no 'c2'. Nearest: c1.",
    "p(2)": "place 1: 'p' is no function. Nearest: exp. Allowed:",
    "log p": r"place 1: log is a function and needs brackets: log(...)",
    "max(p)": "place 6: max has 1 arguments and takes 2",
    "log(p, 1)": "log has 2 arguments and takes 1",
    "log()": "place 5: ')' can't stand here",
    "*p": "place 1: '*' can't stand here",
    "p + * r": "place 5: '*' can't stand here",
    "1e999*p": "1e999 is too large a number",
    "(" * 60 + "p" + ")" * 60: f"more than {MAX_DEPTH} deep",
    "-" * 60 + "p": f"more than {MAX_DEPTH} deep",
    "^".join(["p"] * 60): f"more than {MAX_DEPTH} deep",
    "p+" * 400 + "p": f"too long: allowed are {MAX_LENGTH}",
    "__import__('os')": "there is no function '__import__'",
    "p.real": "'.' is no part of a formula",
    "p if r else 1": "'if' can't follow",
    "lambda: p": "there is no 'lambda'",
    "p[0]": "'[' is no part of a formula",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_place(text):
    with pytest.raises(FormulaError) as caught:
        parsed(text, NAMES)
    assert REFUSED[text] in str(caught.value)
    assert str(caught.value).endswith(".")


def test_long_sums_are_read():
    assert len(list(parts_of(parsed("+".join(["p"] * 200), NAMES)))) == 399
