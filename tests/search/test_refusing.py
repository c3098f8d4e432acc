"""Which candidates are refused before they train."""

import pytest

from lossbench.search.refusing import why_refused


def refused(name: str, proper: bool = False, **parameters: object) -> str:
    return why_refused({"_target_": f"lossbench.losses.{name}", **parameters}, proper)


@pytest.mark.parametrize("name", ["taylor", "margin_family", "robust_family", "poly1"])
def test_families_as_given_are_not_refused(name):
    assert refused(name) == ""


def test_what_is_not_finite_or_has_no_gradient_is_refused():
    assert "finite" in refused("expression", expression="exp(exp(1/p))", c1=0.0, c2=0.0, c3=0.0)
    assert "gradient is 0 everywhere" in refused("taylor", a_log=0.0)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("cross_entropy", {}), ("brier", {}), ("taylor", {}), ("mse", {}), ("mae", {}), ("robust_family", {"alpha": 1.0}),
     ("bce", {})],
)  # fmt: skip
def test_proper_losses_have_the_right_minimiser(name, parameters):
    assert refused(name, proper=True, **parameters) == ""


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("gce", {"q": 0.7}), ("mae_prob", {}), ("focal", {"gamma": 2.0}), ("taylor", {"a1": 1.0}),
     ("quantile", {"q": 0.9}), ("robust_family", {"tau": 0.7}), ("logit_adjustment", {"tau": 1.0})],
)  # fmt: skip
def test_others_are_refused_where_they_must_be_proper(name, parameters):
    assert refused(name, **parameters) == ""
    assert refused(name, proper=True, **parameters).startswith("not proper")
