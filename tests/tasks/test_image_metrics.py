"""Kernel distance, inception score, PSNR and SSIM against torchmetrics, scipy and kornia, and closed forms."""

import math
from types import SimpleNamespace

import kornia
import numpy as np
import pytest
import torch
from monai.metrics import SSIMMetric
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import poly_mmd

from lossbench.tasks.autoencoding.metrics import bound_of_each, peak_signal_to_noise, similarity
from lossbench.tasks.generation.image_metrics import KERNEL_SAMPLES, ImageMetrics, inception_score, kernel_distance


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("one", "other"), [(7, 7), (30, 12)])
def test_the_kernel_distance_is_that_of_torchmetrics_and_of_all_pairs(one, other):
    x, y = uniform(one, 5).double(), 1.3 * uniform(other, 5, seed=1).double()
    if one == other:  # it takes as many of the one as of the other
        assert kernel_distance(x, y) == pytest.approx(float(poly_mmd(x, y, degree=3, gamma=None, coef=1.0)))

    def mean(pairs):
        return np.mean([(float(a @ b) / 5 + 1) ** 3 for a, b in pairs])

    within = [mean([(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]) for z in (x, y)]
    assert kernel_distance(x, y) == pytest.approx(sum(within) - 2 * mean([(a, b) for a in x for b in y]))


def test_the_kernel_distance_has_no_bias():
    """Of 200 pairs of ten samples of one distribution the mean is near 0, which the biased form is far from."""
    found = [kernel_distance(uniform(10, 3, seed=k), uniform(10, 3, seed=1000 + k)) for k in range(200)]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(200) and min(found) < 0


def test_the_inception_score_is_that_of_torchmetrics():
    logits = 3 * torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    theirs = InceptionScore(feature=torch.nn.Identity(), splits=1)
    theirs.features.append(logits)
    assert inception_score(logits) == pytest.approx(float(theirs.compute()[0]), rel=1e-5)


def test_the_inception_score_lies_between_one_and_the_number_of_classes():
    sure = 2000 * torch.eye(5).repeat(3, 1)
    assert inception_score(sure) == pytest.approx(5) and inception_score(sure[:1].repeat(9, 1)) == pytest.approx(1)
    assert inception_score(torch.zeros(9, 5)) == pytest.approx(1)


def test_a_part_is_compared_with_itself():
    batches = [SimpleNamespace(inputs=uniform(1500, 1, 2, 2, seed=k)) for k in range(2)]
    measures = ImageMetrics(torch.nn.Flatten(), torch.nn.Linear(4, 3), {"test": batches})
    assert len(measures.real["test"]) == KERNEL_SAMPLES
    own = measures.measured("test", torch.cat([batch.inputs for batch in batches]))
    assert own["frechet"] == pytest.approx(0, abs=1e-6) and abs(own["kernel_distance"]) < 5e-3
    assert own["inception_score"] >= 1
    moved = measures.measured("test", 1 + uniform(100, 1, 2, 2, seed=9))
    assert moved["frechet"] == pytest.approx(4, rel=0.05) and moved["kernel_distance"] > 1


def pair(size, channels=1):
    images = uniform(3, channels, size, size)
    return (images + 0.2 * (uniform(3, channels, size, size, seed=1) - 0.5)).clamp(0, 1), images


def test_psnr_is_that_of_torchmetrics_for_each_image():
    made, images = pair(8)
    mse = bound_of_each(made, images, torch.zeros(3, 1), torch.zeros(3, 1))["mse"]
    theirs = peak_signal_noise_ratio(made, images, data_range=1.0, dim=(1, 2, 3), reduction="none")
    torch.testing.assert_close(peak_signal_to_noise(mse), theirs)
    assert peak_signal_to_noise(torch.zeros(1)).item() == pytest.approx(100)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3)])
def test_ssim_is_that_of_scipys_filter_and_of_kornia(size, channels):
    made, images = pair(size, channels)
    x, y = made.double().numpy(), images.double().numpy()

    def smooth(values):
        return gaussian_filter(values, 1.5, mode="mirror", truncate=3.4, axes=(2, 3))

    mean = smooth(x), smooth(y)
    variance = smooth(x * x) - mean[0] ** 2, smooth(y * y) - mean[1] ** 2
    shared = smooth(x * y) - mean[0] * mean[1]
    alike = (2 * mean[0] * mean[1] + 0.01**2) * (2 * shared + 0.03**2)
    apart = (mean[0] ** 2 + mean[1] ** 2 + 0.01**2) * (sum(variance) + 0.03**2)
    expected = (alike / apart).mean((1, 2, 3))
    np.testing.assert_allclose(similarity(made, images), expected, rtol=1e-4)
    np.testing.assert_allclose(kornia.metrics.ssim(made, images, 11).mean((1, 2, 3)), expected, rtol=1e-4)


def test_ssim_of_the_other_family_is_another_number():
    """monai 1.6.1 takes only windows within the image; no two families may be compared."""
    made, images = pair(32)
    inner = SSIMMetric(2, data_range=1.0)(made, images).flatten()
    assert (similarity(made, images) - inner).abs().max() > 1e-3


def test_ssim_of_equal_images_is_one_and_there_is_none_of_very_small_ones():
    _, images = pair(8)
    torch.testing.assert_close(similarity(images, images), torch.ones(3))
    assert similarity(images[..., :5], images[..., :5]).isnan().all()
