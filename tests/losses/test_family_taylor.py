"""The family of the probability of the true class against its members in the catalogue, numpy, and where it is proper.

The members were written and tested apart from it.
"""

import math

import numpy as np
import pytest
import scipy.special
import torch

from lossbench.catalogue.binding import load_loss
from lossbench.losses import brier, taylor
from lossbench.losses.family_taylor import MEMBERS, NEAR
from tests.support.families import assert_same_by_sample, broken_at, drawn
from tests.support.losses import assert_same_loss, subject_of, value_and_gradient

LOGITS = 3 * torch.randn(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LOGITS[:2] = torch.tensor([[30.0, 0, 0, 0], [-300.0, 0, 0, 0]])
CLASSES = torch.arange(40) % 4
CLASSES[1] = 0
P_Y = LOGITS.softmax(-1).gather(1, CLASSES[:, None]).squeeze(1)


def family(**parameters):
    return lambda z: taylor(z, CLASSES, **parameters)


def of_catalogue(name, **parameters):
    loaded = load_loss(name, **parameters)
    return lambda z: loaded(z, CLASSES)


def of_powers(a, q):
    """`aul` in powers of 1 - p: ((a - 1 + m)^q - (a - 1)^q) / q, by the binomial theorem."""
    return {"a_log": 0.0, **{f"a{j}": math.comb(q, j) * (a - 1) ** (q - j) / q for j in range(1, q + 1)}}


@pytest.mark.parametrize("name", MEMBERS)
def test_has_its_members_exactly(name):
    assert_same_loss(family(**MEMBERS[name]), of_catalogue(name), LOGITS)


@pytest.mark.parametrize(
    ("name", "given", "parameters"),
    [
        *(("focal", {"gamma": gamma}, {"gamma": gamma}) for gamma in (0.0, 0.5, 3.0)),
        *(("gce", {"q": q}, {"a_log": 0.0, "a_q": 1.0, "q": q}) for q in (0.01, 0.3, 1.0)),
        ("gce", {"q": 1.0}, {"a_log": 0.0, "a1": 1.0}),
        *(("poly1", {"epsilon": epsilon}, {"a1": epsilon}) for epsilon in (-1.0, 5.0)),
        *(("poly1_focal", {"epsilon": -1.0, "gamma": g}, {"gamma": g, f"a{g + 1}": -1.0}) for g in range(6)),
        ("rce", {"floor": math.exp(-4)}, {"a_log": 0.0, "a1": 4.0}),
        ("sce", {"alpha": 6.0, "beta": 0.1, "floor": math.exp(-4)}, {"a_log": 6.0, "a1": 0.4}),
        *(("taylor_ce", {"t": t}, {"a_log": 0.0, **{f"a{j}": 1 / j for j in range(1, t + 1)}}) for t in range(1, 7)),
        *(("aul", {"a": a, "q": float(q)}, of_powers(a, q)) for q in range(1, 7) for a in (1.5, 6.0)),
    ],
)
def test_has_them_with_other_parameters_too(name, given, parameters):
    cancelled = given.get("a", 1.0) ** given.get("q", 1.0)  # aul is a difference of such numbers
    atol = max(1e-12, 16 * cancelled * np.finfo(np.float64).eps)
    assert_same_loss(family(**parameters), of_catalogue(name, **given), LOGITS, rtol=1e-9, atol=atol)


def test_two_classes_brier_is_the_square():
    two, labels = LOGITS[:, :2], CLASSES % 2
    assert_same_loss(lambda z: taylor(z, labels, a_log=0.0, a2=2.0), lambda z: brier(z, labels), two)


@pytest.mark.parametrize("q", [0.3, 0.01, 0.0001])
def test_its_power_tends_to_the_logarithm(q):
    """e^(-x) lies between 1 - x and 1 - x + x^2 / 2, here at x = -q log p."""
    entropy = taylor(LOGITS, CLASSES)
    short = entropy - taylor(LOGITS, CLASSES, a_log=0.0, a_q=1.0, q=q)
    assert (short >= -1e-12).all() and (short <= q / 2 * entropy**2 + 1e-12).all()


def test_a_longer_series_differs_by_its_rest():
    parameters = {f"a{j}": 1 / j for j in range(1, 7)}
    rest = of_catalogue("taylor_ce", t=12)(LOGITS) - taylor(LOGITS, CLASSES, a_log=0.0, **parameters)
    expected = sum((1 - P_Y) ** j / j for j in range(7, 13))
    torch.testing.assert_close(rest, expected, rtol=1e-9, atol=1e-12)


WITHIN = {"ael": 3e-6, "agce": 1e-4}


@pytest.mark.parametrize("name", NEAR)
def test_comes_near_to_others(name):
    within = WITHIN[name]
    values, gradient = value_and_gradient(family(**NEAR[name]), LOGITS)
    expected, slope = value_and_gradient(of_catalogue(name), LOGITS)
    smallest = math.exp(-1 / 2.5) if name == "ael" else 0.0
    torch.testing.assert_close(values, expected - smallest, rtol=0, atol=within)
    torch.testing.assert_close(gradient, slope, rtol=0, atol=within)


@pytest.mark.parametrize("parameters", drawn("taylor", 5), ids=str)
def test_equals_the_printed_formula_and_its_derivative_by_hand(parameters):
    rows, z = np.arange(2, 40), LOGITS.numpy()[2:]
    all_p = scipy.special.softmax(z, axis=1)
    p, a = all_p[rows - 2, CLASSES[2:]], {"a5": 0.3, "a6": -0.2, **parameters, "gamma": parameters["gamma"] + 0.1}
    focusing, powers = a["gamma"], range(1, 7)
    value = a["a_log"] * (1 - p) ** focusing * -np.log(p) + a["a_q"] * (1 - p ** a["q"]) / a["q"]
    value += sum(a[f"a{j}"] * (1 - p) ** j for j in powers)
    slope = a["a_log"] * (focusing * (1 - p) ** (focusing - 1) * np.log(p) - (1 - p) ** focusing / p)
    slope += -a["a_q"] * p ** (a["q"] - 1) - sum(j * a[f"a{j}"] * (1 - p) ** (j - 1) for j in powers)
    gradient = (slope * p)[:, None] * (np.eye(4)[CLASSES[2:]] - all_p)
    got = value_and_gradient(family(**a), LOGITS)
    np.testing.assert_allclose(got[0][2:], value, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(got[1][2:], gradient, rtol=1e-7, atol=1e-9)


def slope_of_risk(probabilities, **parameters):
    """The largest slope of the expected loss, in the logits, where the model knows the probabilities."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    logits, every = p.log().expand(len(p), -1), torch.arange(len(p))
    gradient = value_and_gradient(lambda z: p * taylor(z, every, **parameters), logits)[1]
    return gradient.sum(0).abs().max().item()


def test_is_proper_as_the_cross_entropy_alone():
    three = [0.6, 0.3, 0.1]
    proper = {name for name, parameters in MEMBERS.items() if slope_of_risk(three, **parameters) < 1e-12}
    assert proper == {"cross_entropy"}
    assert slope_of_risk(three, a_log=0.3) < 1e-12 and slope_of_risk(three, a_log=1.0, a2=1.0) > 0.01


def test_is_proper_for_two_classes_where_p_times_the_slope_is_symmetric():
    """It is -1 for the logarithm, -2 p (1 - p) for a2 = 1, -12 p^2 (1 - p)^2 for a3 = 4 and a4 = -3, -p for a1 = 1."""
    two = [0.8, 0.2]
    assert slope_of_risk(two, a_log=0.5, a2=2.0) < 1e-12 and slope_of_risk(two, a_log=0.0, a3=4.0, a4=-3.0) < 1e-12
    assert slope_of_risk(two, a_log=0.0, a3=4.0) > 0.01 and slope_of_risk(two, a_log=0.0, a1=1.0) > 0.01


@pytest.mark.parametrize("name", MEMBERS)
def test_members_keep_the_order_of_the_probabilities(name):
    """By exchange: giving the likelier class the larger probability costs less."""
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    risks = [
        (p * taylor(p[list(order)].log().expand(3, -1), torch.arange(3), **MEMBERS[name])).sum().item()
        for order in ([0, 1, 2], [1, 0, 2], [0, 2, 1], [2, 1, 0])
    ]
    assert risks[0] < min(risks[1:])


def test_each_sample_may_have_parameters_of_its_own():
    candidates = drawn("taylor", 36) + [{**subject_of("taylor").parameters, **MEMBERS[n]} for n in list(MEMBERS)[:4]]
    assert_same_by_sample(lambda z, **parameters: taylor(z, CLASSES, **parameters), LOGITS, candidates)
    single = LOGITS.float()
    assert_same_by_sample(lambda z, **parameters: taylor(z, CLASSES, **parameters), single, candidates)


@pytest.mark.parametrize("parameters", [*MEMBERS.values(), *NEAR.values(), *drawn("taylor", 5)], ids=str)
def test_keeps_the_contract_wherever_it_is_searched(parameters):
    assert broken_at("taylor", parameters) == {}
