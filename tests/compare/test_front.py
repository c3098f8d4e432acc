"""Fronts and volumes: against inclusion and exclusion, against counted points of a grid, and by hand."""

from itertools import combinations

import numpy as np
import pytest

from lossbench.compare.numbers.front import hypervolume, nondominated


def by_inclusion_and_exclusion(points, reference, higher) -> float:
    """Add and subtract the boxes of all subsets."""
    sign = np.where(higher, 1.0, -1.0)
    gained = [np.clip(sign * (np.array(point) - reference), 0, None) for point in points]
    total = 0.0
    for size in range(1, len(gained) + 1):
        for subset in combinations(gained, size):
            total += (-1) ** (size + 1) * np.prod(np.min(subset, axis=0))
    return float(total)


def by_counting(points, reference, higher, side: int = 60) -> float:
    """Count the cells of a grid, on which all points lie, that are worse than a point."""
    sign = np.where(higher, 1, -1)
    gained = sign * (np.array(points) - reference)
    axis = np.arange(side) + 0.5
    cells = np.stack(np.meshgrid(*[axis] * len(higher), indexing="ij"), axis=-1)
    covered = np.zeros(cells.shape[:-1], bool)
    for point in gained:
        covered |= (cells < point).all(axis=-1)
    return float(covered.sum())


@pytest.mark.parametrize("higher", [[True], [True, False], [False, False], [True, True, True], [False, True, False]])
@pytest.mark.parametrize("seed", range(4))
def test_volume_against_inclusion_and_exclusion(higher, seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(9, len(higher)))
    points[3] = points[5]
    reference = rng.normal(size=len(higher)) * 0.7
    expected = by_inclusion_and_exclusion(points, reference, higher)
    assert hypervolume(points, reference, higher) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("higher", [[True, True], [False, True, True]])
@pytest.mark.parametrize("seed", range(3))
def test_volume_of_points_with_ties_against_counted_cells(higher, seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 60, size=(30, len(higher)))
    points[:, 0] = np.where(higher[0], points[:, 0], 60 - points[:, 0])
    reference = np.where(higher, 0, 60)
    assert hypervolume(points, reference, higher) == by_counting(points, reference, higher)


def test_volume_against_random_points():
    rng = np.random.default_rng(0)
    points = rng.random((12, 3))
    drawn = rng.random((200_000, 3))
    share = np.mean((drawn[:, None] < points).all(axis=2).any(axis=1))
    assert hypervolume(points, [0, 0, 0], [True] * 3) == pytest.approx(share, abs=0.005)


def test_volume_of_a_line_of_weights_is_known():
    """n points on x + y = 1 at k / n: a staircase of n (n - 1) / 2 cells of side 1 / n."""
    n = 20
    points = [[k / n, 1 - k / n] for k in range(n + 1)]
    assert hypervolume(points, [0, 0], [True, True]) == pytest.approx(n * (n - 1) / 2 / n**2)
    assert hypervolume(1 - np.array(points), [1, 1], [False, False]) == pytest.approx(n * (n - 1) / 2 / n**2)


def test_what_is_not_better_than_the_reference_adds_nothing():
    assert hypervolume([[1.0, 5.0], [5.0, 1.0]], [1.0, 1.0], [True, True]) == 0.0
    assert hypervolume([[1.0, 5.0], [5.0, 1.0], [2.0, 3.0]], [1.0, 1.0], [True, True]) == 2.0


def test_more_points_never_have_less_volume_and_dominated_ones_add_none():
    points = np.random.default_rng(1).random((15, 3))
    higher = [True, False, True]
    reference = [0, 1, 0]
    volumes = [hypervolume(points[:k], reference, higher) for k in range(1, 16)]
    assert (np.diff(volumes) >= 0).all()
    assert hypervolume(points[nondominated(points, higher)], reference, higher) == pytest.approx(volumes[-1], abs=1e-15)


@pytest.mark.parametrize("higher", [[True, True], [False, True], [True, False, False]])
def test_front_against_pairs(higher):
    points = np.random.default_rng(2).integers(0, 6, size=(40, len(higher)))
    sign = np.where(higher, 1, -1)
    for point, best in zip(points, nondominated(points, higher), strict=True):
        beaten = any((sign * other >= sign * point).all() and (other != point).any() for other in points)
        assert best == (not beaten)


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="4 goals; a volume is computed of 1 to 3"):
        hypervolume([[1, 2, 3, 4]], [0] * 4, [True] * 4)
    with pytest.raises(ValueError, match="give finite numbers"):
        nondominated([[1, np.nan]], [True, True])
