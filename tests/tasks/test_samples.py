"""Distances between samples, and the modes they hit, against scipy, scikit-learn and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from sklearn.metrics.pairwise import rbf_kernel

from lossbench.data.points import POINTS
from lossbench.seeding import numpy_stream
from lossbench.tasks.generation.samples import diversity, mmd, mode_metrics, sample_metrics, sliced_wasserstein
from lossbench.tasks.problem import Modes

REAL = torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
OTHER = 1.5 * torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.3
EIGHT = POINTS["gaussians8"].modes


def test_sliced_wasserstein_of_shifted_points_is_known():
    shift = torch.tensor([3.0, 4.0], dtype=torch.float64)
    expected = 5 / math.sqrt(
        2
    )  # the mean square of the shift's projection on a direction in the plane is |shift|^2 / 2
    assert sliced_wasserstein(REAL + shift, REAL) == pytest.approx(expected, rel=0.1)
    assert sliced_wasserstein(REAL[torch.randperm(300)], REAL) == 0


def test_in_one_dimension_it_bounds_scipys_first_distance_and_is_it_for_a_shift():
    line, other = REAL[:, :1], OTHER[:, :1]
    first = wasserstein_distance(line[:, 0], other[:, 0])
    assert sliced_wasserstein(other, line) >= first
    assert sliced_wasserstein(line + 0.7, line) == pytest.approx(wasserstein_distance(line[:, 0] + 0.7, line[:, 0]))


def test_mmd_is_that_of_scikit_learns_kernel():
    x, y = OTHER.numpy(), REAL.numpy()
    distances = [np.linalg.norm(y[i] - y[j]) for i in range(300) for j in range(i)]
    gamma = 1 / (2 * np.sort(distances)[(len(distances) - 1) // 2] ** 2)
    square = rbf_kernel(x, x, gamma).mean() + rbf_kernel(y, y, gamma).mean() - 2 * rbf_kernel(x, y, gamma).mean()
    assert mmd(OTHER, REAL) == pytest.approx(math.sqrt(square), rel=1e-6)
    assert mmd(REAL.clone(), REAL) == pytest.approx(0, abs=1e-7)


def test_samples_of_the_data_hit_every_mode():
    samples, _ = POINTS["gaussians8"].draw(4000, numpy_stream(3, "test"))
    found = mode_metrics(samples.double(), EIGHT)
    assert found["good_samples"] == pytest.approx(1 - math.exp(-4.5), abs=0.006)  # within 3 deviations in the plane
    assert found["modes_covered"] == 8 and found["mode_kl"] < 0.01 and found["collapsed"] == 0


@pytest.mark.parametrize(("hit", "collapsed"), [(1, 1.0), (3, 1.0), (4, 0.0), (8, 0.0)])
def test_samples_on_some_modes(hit, collapsed):
    samples = EIGHT.centers[:hit].repeat(100, 1).double()
    found = mode_metrics(samples, EIGHT)
    assert found["modes_covered"] == hit and found["good_samples"] == 1 and found["collapsed"] == collapsed
    assert found["mode_kl"] == pytest.approx(math.log(8 / hit))


def test_samples_between_the_modes_are_bad_but_have_not_collapsed():
    samples = torch.cat([0.5 * EIGHT.centers] * 50).double()
    found = mode_metrics(samples, EIGHT)
    assert found == {"good_samples": 0, "modes_covered": 0, "mode_kl": math.log(8), "collapsed": 0}


def test_a_mode_needs_a_tenth_of_its_share():
    modes = Modes(torch.tensor([[0.0, 0.0], [5.0, 0.0]]), 0.1)
    samples = modes.centers[[0] * 95 + [1] * 5].double()
    assert mode_metrics(samples, modes)["modes_covered"] == 2
    assert mode_metrics(samples[1:].roll(1, 0)[:95], modes)["modes_covered"] == 1


def test_copies_of_few_images_have_collapsed():
    images = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    assert sample_metrics(images, images.flip(0))["collapsed"] == 0
    assert diversity(images.flatten(1), images.flatten(1)) == pytest.approx(1)
    few = sample_metrics(images[:5].repeat(40, 1, 1, 1), images)
    assert few["collapsed"] == 1 and few["diversity"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", sorted(POINTS))
def test_points_lie_where_their_modes_are(name):
    points, mode = POINTS[name].draw(3000, numpy_stream(0, "test"))
    modes = POINTS[name].modes
    assert len(modes.centers) == POINTS[name].count and points.abs().max() < 1.4
    assert {int(number) for number in mode.unique()} == set(range(POINTS[name].count))
    found = mode_metrics(points.double(), modes)
    assert found["good_samples"] > 0.96 and found["modes_covered"] == POINTS[name].count and found["mode_kl"] < 0.05
    expected = modes.centers[mode.long()]
    noise = 2 * modes.std**2 if "gaussians" in name else None
    if noise is not None:
        assert (points - expected).square().sum(1).mean() == pytest.approx(noise, rel=0.1)
