"""Where combinations lead on problems with a known Pareto front, what equal terms and other scales make of them."""

import pytest
import torch
from scipy.optimize import minimize

from lossbench.methods import combining
from tests.support.combining import descend, jacobian, of, shortest

BY_VALUE = [
    "plain_sum", "uncertainty", "uncertainty_revised", "dwa", "cov_weighting", "random_weighting", "geometric_mean",
    "chebyshev", "famo", "gradnorm",
]  # fmt: skip
BY_GRADIENT = [
    "pcgrad", "mgda", "cagrad", "imtl_g", "nash_mtl", "aligned_mtl", "graddrop", "conflict_free", "dualproj", "upgrad",
]  # fmt: skip
LEFT, RIGHT = torch.tensor([1.0, 4.0], dtype=torch.float64), torch.tensor([4.0, 1.0], dtype=torch.float64)
START = torch.tensor([0.0, 2.0], dtype=torch.float64)
LANDS = {  # distance from the front: norm of the shortest vector in the hull of the gradients, at most
    "plain_sum": 1e-6, "dwa": 1e-6, "uncertainty": 1e-2, "uncertainty_revised": 1e-2, "geometric_mean": 1e-6,
    "chebyshev": 1e-4, "cov_weighting": 1e-2, "famo": 1e-2, "gradnorm": 5e-2, "pcgrad": 1e-6, "mgda": 1e-3,
    "cagrad": 1e-3, "imtl_g": 1e-4, "conflict_free": 1e-4, "dualproj": 1e-4, "upgrad": 1e-4, "aligned_mtl": 0.05,
}  # fmt: skip
HOVERS = {"random_weighting": 0.02, "graddrop": 0.1, "nash_mtl": 0.05}
"""Those that go on around the front at a learning rate that stays: they draw, or all their steps are as long."""
SCALE_FREE = ["imtl_g", "nash_mtl", "conflict_free", "geometric_mean", "chebyshev", "famo", "cov_weighting", "dwa"]
"""Those whose direction is the same, or whose weights of 100 times a term are the same (dwa, cov_weighting)."""


def two(point):
    """Return two quadratics around (0, 0) and (1, 1), both 1 there; the front is a curve between them."""
    return torch.stack([(LEFT * point**2).sum() / 2 + 1, (RIGHT * (point - 1) ** 2).sum() / 2 + 1])


def distance(point):
    point = point.clone().requires_grad_()
    return shortest(*jacobian(two(point), point))


def came_to(name, steps=120, lr=0.2, **course):
    return descend(of(getattr(combining, name)), two, START, steps=steps, lr=lr, epoch=5, **course)


def test_every_method_is_in_a_table():
    methods = set(combining.__all__) - {"ByGradient", "Combine", "alone", "fixed"}  # no methods of their own
    assert methods == set(BY_VALUE) | set(BY_GRADIENT) == set(LANDS) | set(HOVERS)


def test_the_distance_is_0_on_the_front_alone():
    for share in (0.0, 0.3, 1.0):
        minimum = (1 - share) * RIGHT / (share * LEFT + (1 - share) * RIGHT)
        assert distance(minimum) < 1e-9
    assert distance(START) > 0.8


@pytest.mark.parametrize("name", LANDS)
def test_lands_on_the_front(name):
    assert distance(came_to(name, steps=40 if name == "cagrad" else 120)) < LANDS[name]


@pytest.mark.parametrize("name", HOVERS)
def test_hovers_around_the_front_unless_the_learning_rate_falls(name):
    steps, course = (25, {"lr": 0.4, "decay": 0.85}) if name == "nash_mtl" else (120, {"decay": 0.97})
    assert distance(came_to(name, steps=steps)) > HOVERS[name] / 2
    assert distance(came_to(name, steps=steps, **course)) < HOVERS[name]


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("plain_sum", lambda left, right: left + right),
        ("dwa", lambda left, right: left + right),
        ("cagrad", lambda left, right: left + right),  # for c < 1
        ("geometric_mean", lambda left, right: left * right),
        ("uncertainty", lambda left, right: left * right),  # at the best variances
    ],
)
def test_the_point_on_the_front_is_the_minimum_that_the_method_is_known_for(name, total):
    best = minimize(lambda x: total(*two(torch.tensor(x))).item(), [0.5, 0.5], method="Nelder-Mead")
    found = came_to(name, steps=40 if name == "cagrad" else 200)
    torch.testing.assert_close(found, torch.tensor(best.x), rtol=0, atol=0.02)


def test_the_hard_maximum_ends_where_both_are_as_bad_beside_the_first_step():
    first = two(START)
    found = descend(of(combining.chebyshev, mu=0.01, warmup_epochs=0), two, START, steps=300, lr=0.02)
    left, right = two(found) / first
    assert left.item() == pytest.approx(right.item(), abs=0.02) and distance(found) < 0.1


# --- The toy of the paper of CAGrad -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place"), [("plain_sum", 0.0), ("cagrad", 0.0), ("pcgrad", None), ("mgda", -7.0), ("imtl_g", None)]
)
def test_the_toy_of_cagrad_in_its_lower_half(name, place):
    def terms(point):
        x, y = point
        return torch.stack([((x - side) ** 2 + 0.1 * (y + 8) ** 2) / 10 - 20 for side in (7, -7)])

    start = torch.tensor([-8.5, -5.0], dtype=torch.float64)
    x, y = descend(of(getattr(combining, name)), terms, start, steps=60, lr=2.0).tolist()
    assert y == pytest.approx(-8, abs=0.6) and -7.1 < x < 7.1  # near the front, a line at y = -8
    assert place is None or x == pytest.approx(place, abs=0.3)  # the minimum of the mean, or the near end


# --- Equal terms, and a term times 100 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name in (*BY_VALUE, *BY_GRADIENT) if name not in ("random_weighting", "mgda")]
)
def test_equal_terms_get_equal_weights(name):
    combine, gradient = of(getattr(combining, name), 3), torch.tensor([0.6, -0.8], dtype=torch.float64)
    for epoch in range(4):
        values = torch.full((3,), 2.0 / (epoch + 1), dtype=torch.float64)
        combine.start_epoch(epoch, values if epoch else None)
        if combine.by == "gradient":
            vector = combine(gradient.expand(3, 2))
            assert torch.nn.functional.cosine_similarity(vector, gradient, dim=0).item() == pytest.approx(1)
        else:
            assert combine(values).isfinite()
            getattr(combine, "balance", lambda *_: None)(values, torch.ones(3))
            getattr(combine, "after_step", lambda *_: None)(values / 2)
        if name != "graddrop":
            torch.testing.assert_close(combine.weights, combine.weights[:1].expand(3), rtol=1e-4, atol=1e-6)


def test_the_shortest_of_equal_gradients_is_one_of_them_whatever_its_shares():
    gradient = torch.tensor([0.6, -0.8], dtype=torch.float64)
    torch.testing.assert_close(of(combining.mgda, 3)(gradient.expand(3, 2)), gradient)


def direction_with(name, scale):
    """Return the direction of the third step, the second term being so many times as large."""
    combine, point = of(getattr(combining, name)), START.clone().requires_grad_()
    scales = torch.tensor([1.0, scale], dtype=torch.float64)
    for epoch, size in enumerate((1.0, 0.9, 0.7)):
        values = scales * two(point) * torch.tensor([size, size**2], dtype=torch.float64)
        combine.start_epoch(epoch, values.detach() / 0.9 if epoch else None)
        rows = jacobian(values, point)
        vector = combine(rows) if combine.by == "gradient" else torch.autograd.grad(combine(values), point)[0]
        getattr(combine, "after_step", lambda *_: None)(values.detach() * torch.tensor([0.9, 0.7]))
    weights = combine.weights * (1 if name in ("dwa", "cov_weighting") else scales)
    return vector / vector.norm(), weights / weights.norm()


@pytest.mark.parametrize("name", [*SCALE_FREE, "mgda", "cagrad", "plain_sum", "pcgrad", "aligned_mtl", "upgrad"])
def test_a_term_times_100_changes_nothing_for_the_scale_free_and_much_for_others(name):
    (vector, weights), (scaled, of_scaled) = direction_with(name, 1.0), direction_with(name, 100.0)
    if name in SCALE_FREE:
        torch.testing.assert_close(weights, of_scaled, rtol=1e-3, atol=1e-3)
    turned = (vector - scaled).norm()
    assert turned < 1e-3 if name in SCALE_FREE and name not in ("dwa", "cov_weighting") else turned > 0.02


def test_gradients_scaled_to_norm_1_make_mgda_scale_free():
    gradients = torch.tensor([[1.0, 0.5, 0.0], [-0.5, 1.0, 1.0]], dtype=torch.float64)
    scales = torch.tensor([[1.0], [100.0]], dtype=torch.float64)
    make = of(combining.mgda, normalize="norm")
    torch.testing.assert_close(make(scales * gradients), make(gradients))
