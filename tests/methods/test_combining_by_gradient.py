"""Combinations of gradients against scipy, numpy, brute force and vectors that torchjd publishes."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls, root
from torchjd import aggregation

from lossbench.methods.combining import (
    aligned_mtl,
    cagrad,
    conflict_free,
    dualproj,
    graddrop,
    imtl_g,
    mgda,
    nash_mtl,
    pcgrad,
    upgrad,
)
from lossbench.methods.combining.torchjd_rules import own_draws
from lossbench.seeding import derive_seed
from tests.support.combining import of

PUBLISHED = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
DRAWN = [torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
"""Jacobians of three terms, all of them with conflicts."""


def weights_of(combine, jacobian):
    """Return the vector and the weights as arrays; the vector is the weighted sum of the rows."""
    vector = combine(jacobian)
    torch.testing.assert_close(combine.weights @ jacobian, vector)
    return vector.numpy(), combine.weights.numpy()


def simplex(count):
    return {"bounds": [(0, 1)] * count, "constraints": {"type": "eq", "fun": lambda shares: shares.sum() - 1}}


def test_the_drawn_gradients_conflict():
    assert all((jacobian @ jacobian.T).min() < 0 for jacobian in DRAWN)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (aligned_mtl, [0.2133, 0.9673, 0.9673]),
        (cagrad, [0.1835, 1.2041, 1.2041]),
        (conflict_free, [0.1588, 2.0706, 2.0706]),
        (imtl_g, [0.0767, 1.0000, 1.0000]),
        (mgda, [0.0, 1.0, 1.0]),
        (nash_mtl, [0.0542, 0.7061, 0.7061]),
        (pcgrad, [0.5848, 3.8012, 3.8012]),
    ],
)
def test_vectors_of_torchjds_documentation(method, expected):
    torch.testing.assert_close(method(terms="ab")(PUBLISHED), torch.tensor(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "published", "exact"),
    [
        (dualproj, [0.5563, 1.1109, 1.1109], [5 / 9, 10 / 9, 10 / 9]),
        (upgrad, [0.2929, 1.9004, 1.9004], [50 / 171, 325 / 171, 325 / 171]),
    ],
)
def test_projections_are_those_of_torchjds_documentation_but_for_what_it_regularises(method, published, exact):
    vector = method(terms="ab")(PUBLISHED)
    torch.testing.assert_close(vector, torch.tensor(published), rtol=0, atol=1e-3)
    torch.testing.assert_close(vector, torch.tensor(exact), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("degrees", [100, 120, 150, 179])
def test_pcgrad_of_two_unit_gradients_has_the_norm_of_the_closed_form(degrees):
    angle = np.deg2rad(degrees)
    jacobian = torch.tensor([[1.0, 0.0], [np.cos(angle), np.sin(angle)]], dtype=torch.float64)
    norm = of(pcgrad)(jacobian).norm().item()
    assert norm == pytest.approx(2 * np.sin(angle) * np.sin(angle / 2), abs=1e-12)
    if degrees == 120:
        assert norm == pytest.approx(1.5)
        assert jacobian.sum(0).norm().item() == pytest.approx(1)


@pytest.mark.parametrize("jacobian", DRAWN)
def test_pcgrad_is_one_of_the_orders(jacobian):
    rows = jacobian.numpy()
    projected = []
    for place, row in enumerate(rows):
        of_orders = []
        for order in itertools.permutations([other for other in range(3) if other != place]):
            vector = row.copy()
            for other in order:
                vector -= min(vector @ rows[other], 0) / (rows[other] @ rows[other]) * rows[other]
            of_orders.append(vector)
        projected.append(of_orders)
    sums = [np.sum(choice, axis=0) for choice in itertools.product(*projected)]
    found = {min(range(8), key=lambda k, v=v: np.abs(sums[k] - v).max()) for v in vectors(pcgrad, jacobian, 40)}
    assert len({tuple(each.round(9)) for each in sums}) == len({tuple(sums[k].round(9)) for k in found})
    assert all(min(np.abs(each - v).max() for each in sums) < 1e-12 for v in vectors(pcgrad, jacobian, 40))


def vectors(method, jacobian, count, **settings):
    combine = of(method, len(jacobian), **settings)
    return [combine(jacobian).numpy() for _ in range(count)]


@pytest.mark.parametrize("method", [pcgrad, graddrop])
def test_draws_are_those_of_the_seed_and_the_step_and_leave_the_global_generator_alone(method):
    before = torch.get_rng_state()
    one, same, other = (vectors(method, DRAWN[0], 12, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert len(np.unique(np.round(one, 9), axis=0)) > 1


@pytest.mark.parametrize("jacobian", DRAWN)
def test_mgda_is_the_shortest_vector_of_the_hull_by_scipy(jacobian):
    vector, weights = weights_of(of(mgda, 3), jacobian)
    gramian = (jacobian @ jacobian.T).numpy()
    best = minimize(lambda a: a @ gramian @ a, np.ones(3) / 3, **simplex(3), options={"ftol": 1e-14})
    np.testing.assert_allclose(vector, best.x @ jacobian.numpy(), atol=1e-5)
    assert (jacobian.numpy() @ vector).min() == pytest.approx(vector @ vector)  # the condition for the shortest
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()


def test_mgda_is_shorter_than_torchjds_which_ends_early():
    theirs = aggregation.MGDA()(DRAWN[0])
    assert theirs.norm() > 1.04 * of(mgda, 3)(DRAWN[0]).norm()


def test_mgda_of_two_gradients_has_equal_products_with_both():
    jacobian = torch.tensor([[2.0, 0.0, 1.0], [-1.0, 3.0, 0.0]], dtype=torch.float64)
    vector, _ = weights_of(of(mgda), jacobian)
    products = jacobian.numpy() @ vector
    np.testing.assert_allclose(products, [vector @ vector] * 2)


def test_mgda_of_normalized_gradients_is_that_of_gradients_of_norm_1():
    jacobian = DRAWN[1] * torch.tensor([[1.0], [100.0], [0.01]])
    units = jacobian / jacobian.norm(dim=1, keepdim=True)
    torch.testing.assert_close(of(mgda, 3, normalize="norm")(jacobian), of(mgda, 3)(units))


@pytest.mark.parametrize("c", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("jacobian", DRAWN[:2])
def test_cagrad_gains_most_for_the_term_that_gains_least_near_the_mean(jacobian, c):
    vector, _ = weights_of(of(cagrad, 3, c=c), jacobian)
    rows = jacobian.numpy()
    mean = rows.mean(0)
    near = {"type": "ineq", "fun": lambda d: c**2 * mean @ mean - (d[:-1] - mean) @ (d[:-1] - mean)}
    gains = {"type": "ineq", "fun": lambda d: rows @ d[:-1] - d[-1]}
    best = minimize(lambda d: -d[-1], [*mean, (rows @ mean).min()], constraints=[near, gains], options={"ftol": 1e-12})
    np.testing.assert_allclose(vector, best.x[:-1], atol=1e-3)
    assert np.linalg.norm(vector - mean) == pytest.approx(c * np.linalg.norm(mean), rel=1e-6)


def test_cagrad_without_a_radius_is_the_mean():
    torch.testing.assert_close(of(cagrad, 3, c=0.0)(DRAWN[0]), DRAWN[0].mean(0))


@pytest.mark.parametrize("jacobian", DRAWN)
def test_imtl_g_solves_the_equations_of_the_paper(jacobian):
    vector, weights = weights_of(of(imtl_g, 3), jacobian)
    rows = jacobian.numpy()
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    equations = np.vstack([np.ones(3), (units[0] - units[1:]) @ rows.T])
    np.testing.assert_allclose(weights, np.linalg.solve(equations, [1, 0, 0]), rtol=1e-9)
    np.testing.assert_allclose(units @ vector, [units[0] @ vector] * 3)


@pytest.mark.parametrize("jacobian", DRAWN)
def test_nash_mtl_is_the_bargain_by_scipy(jacobian):
    vector, weights = weights_of(of(nash_mtl, 3, max_norm=0.0), jacobian)
    gramian = (jacobian @ jacobian.T).numpy()
    solved = root(lambda logs: gramian @ np.exp(logs) - np.exp(-logs), np.zeros(3), tol=1e-12)
    assert solved.success
    np.testing.assert_allclose(weights, np.exp(solved.x), rtol=2e-3)
    assert np.linalg.norm(vector) == pytest.approx(np.sqrt(3), rel=1e-3)
    cut, _ = weights_of(of(nash_mtl, 3), jacobian)
    np.testing.assert_allclose(cut, vector / np.linalg.norm(vector), rtol=1e-6)


def test_nash_mtl_finds_weights_every_few_steps():
    combine = of(nash_mtl, 3, update_every=2, max_norm=0.0)
    shares = []
    for jacobian in DRAWN:
        combine(jacobian)
        shares.append(combine.weights * jacobian.norm(dim=1))
    torch.testing.assert_close(shares[0], shares[1])
    torch.testing.assert_close(shares[2], shares[3])
    assert not torch.allclose(shares[1], shares[2], rtol=1e-2)


@pytest.mark.parametrize(("scale", "length"), [("min", np.min), ("median", None), ("rmse", None)])
@pytest.mark.parametrize("jacobian", DRAWN[:2])
def test_aligned_mtl_is_the_polar_factor_by_numpy(jacobian, scale, length):
    vector, _ = weights_of(of(aligned_mtl, 3, scale=scale), jacobian)
    left, singular, right = np.linalg.svd(jacobian.numpy(), full_matrices=False)
    length = {"min": singular.min(), "median": np.median(singular), "rmse": np.sqrt((singular**2).mean())}[scale]
    np.testing.assert_allclose(vector, (length * left @ right).mean(0), rtol=1e-9)


@pytest.mark.parametrize("jacobian", DRAWN)
def test_conflict_free_has_the_same_cosine_to_all_and_the_length_of_their_sum_along_it(jacobian):
    vector, _ = weights_of(of(conflict_free, 3), jacobian)
    rows = jacobian.numpy()
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    direction = np.linalg.lstsq(units, np.ones(3), rcond=None)[0]
    direction /= np.linalg.norm(direction)
    np.testing.assert_allclose(vector, (rows @ direction).sum() * direction, rtol=1e-8)


def nearest_without_conflict(vector, rows):
    """Return the nearest vector whose products with the rows are not below 0, by non-negative least squares."""
    return vector + rows.T @ nnls(rows.T, -vector)[0]


@pytest.mark.parametrize("jacobian", [*DRAWN, DRAWN[0] * torch.tensor([[1.0], [1000.0], [0.1]])])
def test_projections_are_those_of_scipy(jacobian):
    rows = jacobian.numpy()
    expected = nearest_without_conflict(rows.mean(0), rows)
    np.testing.assert_allclose(weights_of(of(dualproj, 3), jacobian)[0], expected, rtol=1e-4, atol=1e-5)
    expected = np.mean([nearest_without_conflict(row, rows) for row in rows], axis=0)
    np.testing.assert_allclose(weights_of(of(upgrad, 3), jacobian)[0], expected, rtol=1e-4, atol=1e-5)


def test_upgrad_of_two_is_half_of_pcgrad():
    torch.testing.assert_close(2 * of(upgrad)(DRAWN[0][:2]), of(pcgrad)(DRAWN[0][:2]), rtol=1e-6, atol=1e-6)


def test_graddrop_keeps_one_sign_of_each_parameter_and_is_the_sum_on_average():
    jacobian = DRAWN[0]
    drawn = np.array(vectors(graddrop, jacobian, 800))
    positive, negative = (jacobian.clamp(min=0).sum(0).numpy(), jacobian.clamp(max=0).sum(0).numpy())
    assert (np.isclose(drawn, positive) | np.isclose(drawn, negative)).all()
    spread = 4 * (positive - negative).max() / 2 / np.sqrt(800)
    np.testing.assert_allclose(drawn.mean(0), jacobian.sum(0).numpy(), atol=spread)


@pytest.mark.parametrize("leak", [0.0, 0.3, 1.0])
def test_graddrop_draws_and_keeps_what_torchjd_does(leak):
    jacobian = torch.randn(3, 40000, generator=torch.Generator().manual_seed(0))  # more than is worked on at a time
    jacobian[:, :5] = 0
    with own_draws(derive_seed(7, "combine", 0), jacobian.device):
        theirs = aggregation.GradDrop(leak=torch.full((3,), leak))(jacobian)
    ours = of(graddrop, 3, seed=7, leak=leak)(jacobian)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 if leak else 0)


def test_graddrop_leaks():
    jacobian = DRAWN[0]
    torch.testing.assert_close(of(graddrop, 3, leak=1.0)(jacobian), jacobian.sum(0))
    half, none = of(graddrop, 3, leak=0.5)(jacobian), of(graddrop, 3)(jacobian)
    torch.testing.assert_close(half, (none + jacobian.sum(0)) / 2)
