"""How far losses are from each other."""

import pytest

from lossbench.catalogue.facts import default_parameters
from lossbench.search.relatives import distance, known_of, nearest_relatives, relatives_of


def node(name: str, **parameters: object) -> dict:
    return {**default_parameters(name), **parameters}


@pytest.mark.parametrize("family", ["taylor", "margin_family", "robust_family", "spline_residual"])
def test_members_are_at_no_distance(family):
    members = known_of(node(family))
    assert members
    for name, parameters in members.items():
        assert distance(node(family, **parameters), node(name)) == pytest.approx(0, abs=1e-6), name


def test_a_factor_and_a_constant_change_nothing_and_others_do():
    assert distance(node("taylor", a_log=3.0), node("cross_entropy")) == pytest.approx(0, abs=1e-12)
    near = distance(node("gce", q=0.1), node("cross_entropy"))
    far = distance(node("gce", q=1.0), node("cross_entropy"))
    assert 0 < near < far < 1
    assert distance(node("mse"), node("mae")) == pytest.approx(distance(node("mae"), node("mse")))


def test_the_rare_and_the_common_class_both_count():
    shifted, plain = node("margin_family", tau=1.0), node("cross_entropy")
    assert distance(shifted, plain) > 0.1
    assert distance(shifted, node("balanced_softmax")) == pytest.approx(0, abs=1e-9)


def test_relatives_come_nearest_first_and_only_from_the_same_axis():
    known = {**relatives_of(node("taylor")), "mse": node("mse")}
    found = nearest_relatives(node("taylor", a1=2.0), known)
    assert next(iter(found)) == "poly1" and "mse" not in found
    assert list(found.values()) == sorted(found.values())
