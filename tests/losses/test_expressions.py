"""Losses by formula against sympy, the losses of the catalogue that are formulas, and outputs without bounds."""

import math

import pytest
import torch

from lossbench import load_loss
from lossbench.errors import ConfigError
from lossbench.losses.expressions import MEMBERS, MEMBERS_OF_RESIDUAL, expression, expression_residual
from lossbench.losses.formula import CONSTANTS, printed
from tests.support.losses import LOGITS, RESIDUALS, TARGET, assert_same_loss, value_and_gradient

sympy = pytest.importorskip("sympy")

OF_P = [
    "-log(p)", "1 - p", "-log(p) + 0.5*(1-p)", "-(1-p)^2*log(p)", "-(1-p)^0.5*log(p)", "(1 - p^0.7)/0.7", "-sqrt(p)",
    "log(1 - p)*p + 3", "exp(-2*p)", "softplus(-p*5)", "sigmoid(4*(0.5 - p))", "tanh(1-p)", "atan(1/p)", "log((1-p)/p)",
    "-log(p^2*sqrt(1-p))", "log(1 + exp(-3*p))", "max(1-2*p, 0.1)", "min(-log(p), 1.3)", "relu(0.6 - p)", "cosh(p-1)",
    "-p^c1", "c2*(1-p)^c1 - log(p)/c3", "log(cosh(c1*(1-p)))", "2^-p", "log(3*p + 1)", "-p**2", "abs(p - 0.5)",
    "log(p + 1)", "log((1-p) + p^2)", "1/(p+0.1)",
]  # fmt: skip
OF_R = [
    "r^2", "abs(r)", "log(cosh(r))", "0.5*r^2/(1 + abs(y))", "sqrt(1 + r^2) - 1", "log(1 + r^2/2)", "1 - exp(-r^2/2)",
    "r*atan(r) - log(1 + r^2)/2", "max(0.9*r, -0.1*r)", "relu(r)^2 + 0.3*relu(-r)", "r*tanh(c1*r)", "abs(r)^c1",
    "exp(0.3*r) - 0.3*r - 1", "softplus(r) - r/2", "r^4/(1 + r^2)", "min(abs(r), c2)*abs(r)", "r^-2", "(r - y)^3",
    "log(exp(r/9) + exp(-r/9))", "sigmoid(abs(r))*r^2", "cosh(r/9)^0.5",
]  # fmt: skip
CONSTANT = {"c1": 1.4, "c2": 0.6, "c3": 2.0}


def by_sympy(text, names):
    """The formula as sympy reads it, without a word of ours, by double precision of math."""
    own = {
        "relu": lambda x: sympy.Max(x, 0),
        "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
        "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
        "max": sympy.Max,
        "min": sympy.Min,
    }
    symbols = {name: sympy.Symbol(name, real=True) for name in names}
    read = sympy.sympify(text.replace("^", "**"), locals={**own, **symbols}).subs(CONSTANT)
    both = [read, sympy.diff(read, symbols[names[0]])]
    return [sympy.lambdify(list(symbols.values()), each, "math") for each in both]


@pytest.mark.parametrize("text", OF_P)
def test_formulas_of_p_are_those_of_sympy(text):
    value, slope = by_sympy(text, ("p",))
    values, gradient = value_and_gradient(lambda z: expression(z, TARGET, expression=text, **CONSTANT), LOGITS)
    p = LOGITS.softmax(-1)
    for row, label in enumerate(TARGET):
        own = p[row, label].item()
        assert values[row].item() == pytest.approx(value(own), rel=1e-9, abs=1e-12)
        change = own * ((torch.arange(3) == label).double() - p[row])  # of p_y by each logit
        torch.testing.assert_close(gradient[row], slope(own) * change, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("text", OF_R)
def test_formulas_of_the_residual_are_those_of_sympy(text):
    value, slope = by_sympy(text, ("r", "y"))
    residuals = RESIDUALS[:100:7]
    target = torch.linspace(-2, 3, len(residuals)).double()
    values, gradient = value_and_gradient(
        lambda p: expression_residual(p, target, expression=text, **CONSTANT), target - residuals
    )
    for row, (r, y) in enumerate(zip(residuals.tolist(), target.tolist(), strict=True)):
        assert values[row].item() == pytest.approx(value(r, y), rel=1e-9, abs=1e-12)
        assert -gradient[row].item() == pytest.approx(slope(r, y), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("name", MEMBERS)
def test_members_of_the_catalogue(name):
    logits = torch.cat([LOGITS, 50 * LOGITS])  # p_y from 1e-150 to 1 - 1e-40
    target = torch.cat([TARGET, TARGET])
    member = load_loss(name)
    assert_same_loss(lambda z: expression(z, target, **MEMBERS[name]), lambda z: member(z, target), logits)


@pytest.mark.parametrize("name", MEMBERS_OF_RESIDUAL)
def test_members_of_the_catalogue_of_the_residual(name):
    target, member = torch.zeros_like(RESIDUALS), load_loss(name)
    assert_same_loss(
        lambda p: expression_residual(p, target, **MEMBERS_OF_RESIDUAL[name]), lambda p: member(p, target), -RESIDUALS
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "text",
    ["-log(p)", "-(1-p)^2*log(p)", "-(1-p)^0.3*log(p)", "-log(p)*log(1-p)", "p*log(p) + (1-p)*log(1-p)", "-p^0.2",
     "(1 - p^c1)/c1", "-log(p^3)", "-log(sqrt(p)/(1 + p))", "log(1 + exp(-5*p))", "sqrt(1-p)"],
)  # fmt: skip
def test_formulas_of_p_stay_finite_and_are_not_cut_off(text, dtype):
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [0.0, 0.0, 0.0], [30.0, -30.0, 0.0]], dtype=dtype)
    for label in range(3):
        target = torch.full((4,), label)
        values, gradient = value_and_gradient(lambda z, y=target: expression(z, y, expression=text, c1=0.7), logits)
        assert values.isfinite().all()
        assert gradient.isfinite().all()
    assert expression(logits[:1], torch.tensor([1]), expression="-log(p)").item() == pytest.approx(2e4, rel=1e-2)


def test_the_chance_of_a_miss_keeps_its_digits():
    """By hand: logits (40, 0) give log(1 - p) = -40 and 1 - p = e^-40, where 1 - p in float32 is 0."""
    logits, target = torch.tensor([[40.0, 0.0]]), torch.tensor([0])
    assert expression(logits, target, expression="log(1-p)").item() == pytest.approx(-40)
    assert expression(logits, target, expression="1-p").item() == pytest.approx(math.exp(-40))
    assert expression(logits, target, expression="(1-p)/p").item() == pytest.approx(math.exp(-40))


def test_long_formulas_are_computed():
    long = "+".join(["p"] * 200)
    for text, expected in ((long, 100.0), (f"log({long})", math.log(100)), ("/".join(["p"] * 200), 2.0**198)):
        value = expression(torch.zeros(1, 2).double(), torch.tensor([0]), expression=text)
        assert value.item() == pytest.approx(expected)


def test_what_is_infinite_stays_so():
    value = expression(torch.tensor([[-1e4, 1e4]]), torch.tensor([0]), expression="1/p")
    assert value.item() == math.inf


@pytest.mark.parametrize("function", [expression, expression_residual])
def test_constants_may_differ_from_sample_to_sample(function):
    draws = torch.Generator().manual_seed(0)
    if function is expression:
        outputs, target, text = LOGITS, TARGET, "c2*(1-p)^c1 - log(p)/c3"
    else:
        outputs, target, text = torch.linspace(-2, 2, 4).double(), torch.ones(4).double(), "c2*abs(r)^c1 + (r/c3)^2"
    given = {name: torch.rand(4, generator=draws) + 0.5 for name in CONSTANTS}
    values, gradient = value_and_gradient(lambda z: function(z, target, expression=text, **given), outputs)
    for row in range(4):
        one = {name: each[row].item() for name, each in given.items()}
        alone, slope = value_and_gradient(
            lambda z, row=row, one=one: function(z, target[row : row + 1], expression=text, **one),
            outputs[row : row + 1],
        )
        torch.testing.assert_close(values[row], alone[0])
        torch.testing.assert_close(gradient[row], slope[0])


@pytest.mark.parametrize(
    ("function", "given"),
    [
        *((expression, given) for given in MEMBERS.values()),
        *((expression_residual, given) for given in MEMBERS_OF_RESIDUAL.values()),
    ],
)
def test_the_printed_python_is_the_loss(function, given):
    formula, python = printed(function.__name__, given)
    assert not {"c1", "c2", "c3"} & set(formula.replace("(", " ").split())
    made = {}
    exec(python, made)  # what a reader would run
    outputs = LOGITS if function is expression else RESIDUALS
    target = TARGET if function is expression else torch.zeros_like(RESIDUALS)
    outputs = outputs.clamp(-30, 30)  # cosh of 900 is infinite as it stands
    assert_same_loss(lambda z: function(z, target, **given), lambda z: made["searched"](z, target), outputs, rtol=1e-8)


def test_pixels_and_batches_of_any_shape_are_taken():
    logits = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    target = torch.randint(3, (2, 5, 4), generator=torch.Generator().manual_seed(1))
    values = expression(logits, target, expression="-(1-p)^2*log(p)")
    torch.testing.assert_close(values, load_loss("focal", gamma=2.0)(logits, target))


def test_a_formula_that_cannot_be_read_is_refused_when_it_is_bound():
    with pytest.raises(ConfigError, match=r"loss.expression='-lg\(p\)', place 2: there is no function 'lg'. Nearest: "):
        load_loss("expression", expression="-lg(p)")
    with pytest.raises(ConfigError, match="'1 \\+ y' has no r, so that nothing could be learned"):
        load_loss("expression_residual", expression="1 + y")
    with pytest.raises(ConfigError, match="place 1: there is no 'r'"):
        load_loss("weighted_sum", terms=["cross_entropy", {"name": "expression", "expression": "r"}])
