"""The family of margins by class counts against its members in the catalogue, numpy, and its minimisers."""

import math

import numpy as np
import pytest
import scipy.special
import torch

from lossbench.catalogue.binding import load_loss
from lossbench.losses import margin_family
from lossbench.losses.facts import declared_losses
from lossbench.losses.family_margin import MEMBERS
from tests.support.families import assert_same_by_sample, broken_at, drawn
from tests.support.losses import assert_same_loss, subject_of, value_and_gradient

COUNTS = [500, 80, 20, 5]
OUTPUTS = 2 * torch.rand(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1  # also as cosines
CLASSES = torch.arange(40) % 4


def family(counts=COUNTS, target=CLASSES, **parameters):
    return lambda z: margin_family(z, target, class_counts=counts, **parameters)


def of_catalogue(name, **parameters):
    needs = {"class_counts": COUNTS} if "class_counts" in declared_losses()[name].needs else {}
    loaded = load_loss(name, **needs, **parameters)
    return lambda z: loaded(z, CLASSES)


@pytest.mark.parametrize("name", MEMBERS)
def test_has_its_members_exactly(name):
    assert_same_loss(family(**MEMBERS[name]), of_catalogue(name), OUTPUTS)


@pytest.mark.parametrize(
    ("name", "given", "parameters"),
    [
        ("logit_adjustment", {"tau": 2.5}, {"tau": 2.5}),
        ("vs", {"gamma": 0.1, "tau": 1.6}, {"gamma": 0.1, "tau": 1.6}),
        ("vs", {"gamma": 0.0, "tau": 0.0}, {}),
        ("cdt", {"gamma": 0.4}, {"gamma": 0.4}),
        ("ldam", {"max_m": 0.3, "s": 10.0}, {"m": 0.3, "s": 10.0}),
        ("cosface", {"m": 0.2, "s": 5.0}, {"m": 0.2, "s": 5.0, "power": 0.0}),
        ("norm_softmax", {"s": 3.0}, {"s": 3.0}),
    ],
)
def test_has_them_with_other_parameters_too(name, given, parameters):
    assert_same_loss(family(**parameters), of_catalogue(name, **given), OUTPUTS)


def test_a_linear_layer_does_not_make_it_ldam():
    """The loss is the same function; the cosines come from the head, which the family does not ask for."""
    heads = {name: subject_of(name).declaration.head for name in ("margin_family", *MEMBERS)}
    assert {name for name, head in heads.items() if head == "cosine"} == {"ldam", "cosface", "norm_softmax"}


@pytest.mark.parametrize("parameters", drawn("margin_family", 6), ids=str)
def test_equals_the_printed_formula_and_its_derivative_by_hand(parameters):
    n, z, y = np.array(COUNTS, dtype=float), OUTPUTS.numpy(), CLASSES.numpy()
    own, scale = np.eye(4)[y], (n / n.max()) ** parameters["gamma"]
    margins = parameters["m"] * (n.min() / n) ** parameters["power"]
    inside = parameters["s"] * (scale * z - own * margins) + parameters["tau"] * np.log(n / n.sum())
    got = value_and_gradient(family(**parameters), OUTPUTS)
    np.testing.assert_allclose(got[0], scipy.special.logsumexp(inside, axis=1) - inside[own == 1], rtol=1e-9)
    gradient = parameters["s"] * scale * (scipy.special.softmax(inside, axis=1) - own)
    np.testing.assert_allclose(got[1], gradient, rtol=1e-8, atol=1e-12)


def test_golden_values():
    """Counts 16 and 1: margins 1/2 and 1, scales 1 and 1/4, by hand."""
    zeros, labels = torch.zeros(2, 2, dtype=torch.float64), torch.tensor([0, 1])
    values = margin_family(zeros, labels, class_counts=[16, 1], m=1.0)
    assert values.tolist() == pytest.approx([math.log(1 + math.exp(0.5)), math.log(1 + math.e)])
    scaled = margin_family(4 + zeros, labels, class_counts=[16, 1], gamma=0.5)
    assert scaled.tolist() == pytest.approx([math.log(1 + math.exp(-3)), math.log(1 + math.exp(3))])


def slope_of_risk(probabilities, logits, counts, **parameters):
    p, logits = (torch.tensor(each, dtype=torch.float64) for each in (probabilities, logits))
    every = family(counts, torch.arange(len(p)), **parameters)
    return value_and_gradient(lambda z: p * every(z), logits.expand(len(p), -1))[1].sum(0).abs().max().item()


@pytest.mark.parametrize("tau", [-0.5, 0.0, 1.0])
def test_with_a_shift_and_a_temperature_alone_it_is_proper_for_other_priors(tau):
    posterior, n = np.array([0.7, 0.2, 0.1]), np.array([60.0, 30.0, 10.0])
    minimum = (np.log(posterior) - tau * np.log(n / n.sum())) / 2.5
    assert slope_of_risk(posterior, minimum, n, s=2.5, tau=tau) < 1e-12


@pytest.mark.parametrize("m", [-1.0, 0.5, 3.0])
@pytest.mark.parametrize("odds", [0.2, 1.0, 4.0])
def test_two_equal_margins_exaggerate_the_odds_and_keep_the_order(m, odds):
    a = math.exp(m)
    posterior_odds = odds * (odds + a) / (1 + a * odds)
    posterior = np.array([1.0, posterior_odds]) / (1 + posterior_odds)
    assert slope_of_risk(posterior, [0.0, math.log(odds)], [50, 50], m=m) < 1e-12
    assert (posterior_odds > 1) == (odds > 1)
    exaggeration = max(odds / posterior_odds, posterior_odds / odds)
    assert 1 <= exaggeration <= max(a, 1 / a) and (m < 0 or abs(math.log(odds)) >= abs(math.log(posterior_odds)))


def test_a_scale_by_class_leaves_the_probabilities_open():
    posterior, n = np.array([0.7, 0.2, 0.1]), np.array([60.0, 30.0, 10.0])
    for constant in (0.0, 1.0):
        minimum = (np.log(posterior) + constant) / (n / n.max()) ** 0.3
        assert slope_of_risk(posterior, minimum, n, gamma=0.3) < 1e-12


def test_each_sample_may_have_parameters_of_its_own():
    members = [{**subject_of("margin_family").parameters, **each} for each in MEMBERS.values()]
    candidates = drawn("margin_family", 40 - len(members)) + members
    for outputs in (OUTPUTS, OUTPUTS.float()):
        assert_same_by_sample(lambda z, **parameters: family(**parameters)(z), outputs, candidates)


@pytest.mark.parametrize("parameters", [*MEMBERS.values(), *drawn("margin_family", 5)], ids=str)
def test_keeps_the_contract_wherever_it_is_searched(parameters):
    assert broken_at("margin_family", parameters) == {}


def test_counts_must_fit():
    with pytest.raises(ValueError, match="one number for each class"):
        family([3, 2])(OUTPUTS)
    with pytest.raises(ValueError, match="no sample in class 1"):
        family([3, 0, 2, 2])(OUTPUTS)
