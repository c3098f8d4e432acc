"""What the losses pick, against closed forms: computed in Python, and by the page's own JavaScript in node."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import optimize, stats

from lossbench.play.lessons import LESSONS
from lossbench.play.measure import POINTS, State, measured, sample
from tests.support.play import NODE, asked_of, data_in

pytestmark = pytest.mark.xdist_group("play")
in_node = pytest.mark.skipif(NODE is None, reason="no node here: install the system's package nodejs")
SAMPLES = (
    {},
    {"share": 0.1},
    {"share": 0.25, "at": 3.5},
    {"share": 0.4, "at": 6.0, "two_sided": True},
    {"share": 0.05, "skew": 0.5},
)
PLACES = (
    {"eta": 0.8},
    {"eta": 0.3},
    {"eta": 0.9, "noise": 0.2},
    {"eta": 0.09, "weight": 10.0},
    {"eta": 0.6, "noise": 0.3, "weight": 2.0},
    {"eta": 0.97},
)


def huber(y, delta):
    return optimize.brentq(lambda c: np.clip(y - c, -delta, delta).sum(), y.min(), y.max())


CONSTANTS = {
    ("mse", None): np.mean,
    ("l2", None): np.mean,
    ("mae", None): np.median,
    ("l1", None): np.median,
    ("quantile", 0.9): lambda y: np.quantile(y, 0.9, method="inverted_cdf"),
    ("quantile", 0.25): lambda y: np.quantile(y, 0.25, method="inverted_cdf"),
    ("expectile", 0.75): lambda y: stats.expectile(y, 0.75),
    ("expectile", 0.1): lambda y: stats.expectile(y, 0.1),
    ("huber", 0.5): lambda y: huber(y, 0.5),
    ("huber", 2.0): lambda y: huber(y, 2.0),
    ("linex", 1.0): lambda y: np.log(np.exp(y).mean()),
    ("linex", -0.5): lambda y: np.log(np.exp(-0.5 * y).mean()) / -0.5,
    ("log_cosh", None): lambda y: optimize.brentq(lambda c: np.tanh(y - c).sum(), y.min(), y.max()),
}


def odds(p):
    return p / (1 - p)


def share(odds_of_one):
    return odds_of_one / (1 + odds_of_one)


def focal(gamma):
    """Set the derivative of e FL(p) + (1 - e) FL(1 - p) over p to 0."""

    def slope(p):
        return gamma * (1 - p) ** (gamma - 1) * np.log(p) - (1 - p) ** gamma / p

    return lambda e: optimize.brentq(lambda p: e * slope(p) - (1 - e) * slope(1 - p), 1e-6, 1 - 1e-6)


PROBABILITIES = {
    ("cross_entropy", None): lambda e: e,
    ("bce", None): lambda e: e,
    ("brier", None): lambda e: e,
    ("label_smoothing", 0.2): lambda e: 0.8 * e + 0.1,
    ("gce", 0.7): lambda e: share(odds(e) ** (1 / 0.3)),
    ("gce", 0.3): lambda e: share(odds(e) ** (1 / 0.7)),
    ("forward_correction", 0.2): lambda e: np.clip((e - 0.2) / 0.6, 1 / (1 + np.exp(10)), 1 / (1 + np.exp(-10))),
    ("focal", 0.0): lambda e: e,
    ("focal", 2.0): focal(2.0),
    ("hinge", None): lambda e: 1 / (1 + np.exp(-1 if e > 0.5 else 1)),
    ("squared_hinge", None): lambda e: 1 / (1 + np.exp(-(2 * e - 1))),
    ("mae_prob", None): lambda e: 1 / (1 + np.exp(-10 if e > 0.5 else 10)),
}


def seen(eta, noise=0.0, weight=1.0):
    """The probability of class 1 among what a loss sees: flipped, then weighted."""
    flipped = eta * (1 - noise) + (1 - eta) * noise
    return weight * flipped / (weight * flipped + 1 - flipped)


CASES = [(name, value, tuple(each.items())) for name, value in CONSTANTS for each in SAMPLES] + [
    (name, value, tuple(each.items())) for name, value in PROBABILITIES for each in PLACES
]


def state_of(case) -> State:
    name, value, sliders = case
    return State((name,), {} if value is None else {name: value}, **dict(sliders))


def expected(case) -> float:
    name, value, sliders = case
    if (name, value) in CONSTANTS:
        return CONSTANTS[name, value](np.array(sample(**dict(sliders))))
    return PROBABILITIES[name, value](seen(**dict(sliders)))


@pytest.fixture(scope="module")
def by_page(whole_page) -> list[SimpleNamespace]:
    return asked_of(whole_page, [state_of(case) for case in CASES])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_python_finds_the_minimiser(case):
    assert getattr(measured(state_of(case)), case[0]).best == pytest.approx(expected(case), abs=0.002)


@in_node
@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: str(CASES[number]))
def test_the_page_finds_the_minimiser(by_page, number):
    found = getattr(by_page[number], CASES[number][0])
    assert found.best == pytest.approx(expected(CASES[number]), abs=0.003)


@in_node
def test_the_page_makes_the_same_sample(whole_page):
    states = [State(("mse",), **each) for each in SAMPLES]
    for state, told, sliders in zip(states, asked_of(whole_page, states), SAMPLES, strict=True):
        assert len(told.mse.points) == POINTS, state
        assert told.mse.points == pytest.approx(sample(**sliders), abs=1e-12)


def test_outliers_are_as_many_as_the_slider_says():
    points = np.array(sample(share=0.1, at=6.0))
    assert (points > 4).sum() == 20 and points[points > 4].mean() == pytest.approx(6.0, abs=0.01)
    points = np.array(sample(share=0.1, at=6.0, two_sided=True))
    assert (points > 4).sum() == (points < -4).sum() == 10
    skewed = np.array(sample(skew=0.5))
    assert np.median(skewed) == 0 and skewed.mean() == pytest.approx((np.exp(0.125) - 1) / 0.5, abs=0.01)


@in_node
def test_the_page_agrees_with_python_for_every_loss(whole_page):
    """Also for losses that are not convex; where two places cost the same, either will do."""
    losses = data_in(whole_page)["losses"]
    constant = tuple(loss["name"] for loss in losses if loss["kind"] == "residual")
    margin = tuple(loss["name"] for loss in losses if loss["kind"] == "margin")
    states = [State(constant, x=x, **SAMPLES[number]) for x, number in ((-3.3, 1), (2.0, 3), (0.7, 4))]
    places = [PLACES[0], PLACES[4], {"eta": 0.2, "ratio": 10}, {"eta": 0.2, "ratio": 100, "right": 0}]
    states += [State(margin, x=0.4 * number - 1.5, **each) for number, each in enumerate(places)]
    for state, told in zip(states, asked_of(whole_page, states), strict=True):
        ours = measured(state)
        for name in state.losses:
            one, other = getattr(told, name), getattr(ours, name)
            assert one.best == pytest.approx(other.best, abs=0.01), (name, state)
            assert one.value == pytest.approx(other.value, rel=1e-4, abs=1e-6), (name, state)
            assert one.slope == pytest.approx(other.slope, rel=1e-3, abs=1e-5), (name, state)
            assert one.curvature == pytest.approx(other.curvature, rel=6e-3, abs=1e-4), (name, state)


CLAIMS = [(f"{lesson.title} {number}", each) for lesson in LESSONS for number, each in enumerate(lesson.tries, 1)]


@pytest.mark.parametrize("each", [each for _, each in CLAIMS], ids=[name for name, _ in CLAIMS])
def test_what_a_lesson_says_is_true_of_the_losses(each):
    assert each.holds(measured(each.state)), each.seen()
    for state, holds in each.also:
        assert holds(measured(state)), (state, each.see)


@in_node
def test_what_the_lessons_say_is_true_of_the_page(whole_page):
    claims = [claim for _, each in CLAIMS for claim in ((each.state, each.holds), *each.also)]
    for (state, holds), told in zip(claims, asked_of(whole_page, [state for state, _ in claims]), strict=True):
        assert holds(told), state


def test_tukey_has_two_valleys_where_a_lesson_says_so():
    y = np.array(sample(share=0.4))[:, None]
    u = np.clip((y - np.linspace(-1, 6, 141)) / 3.0, -1, 1)
    mean = (1 - (1 - u**2) ** 3).mean(0)
    inner = (mean[1:-1] < mean[:-2]) & (mean[1:-1] < mean[2:])
    assert len(np.linspace(-1, 6, 141)[1:-1][inner]) == 2
