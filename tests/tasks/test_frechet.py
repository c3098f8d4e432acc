"""The Fréchet distance against closed forms and other libraries, and the features it is measured in."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from lossbench.records.record import read_all
from lossbench.running import feature_network
from lossbench.running.build import build_data
from lossbench.running.feature_network import classifier_features, image_metrics_of
from lossbench.tasks.generation.frechet import Gaussian, frechet_distance
from lossbench.tasks.generation.image_metrics import ImageMetrics

pytestmark = pytest.mark.xdist_group("frechet")


def gaussian(dimensions: int, seed: int, rank: int | None = None) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(dimensions, rank or dimensions, generator=generator, dtype=torch.float64)
    return Gaussian(torch.randn(dimensions, generator=generator, dtype=torch.float64), factor @ factor.T)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The data of digits for generation, and its classifier's features, made in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield made_of_digits(), classifier_features("digits", None)


def made_of_digits():
    from hydra import compose, initialize_config_dir

    from lossbench.locate import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return build_data(compose("config", ["loss=vae_bernoulli", "data=digits"]).data)


def distance_of(features, data):
    """The Fréchet distance of images from the test part."""
    measures = ImageMetrics(features, torch.nn.Identity(), {"test": data.test_dataloader()})
    return lambda images: measures.measured("test", images)["frechet"]


def test_is_the_closed_form_of_diagonal_gaussians():
    one = Gaussian(torch.tensor([0.0, 1.0]).double(), torch.diag(torch.tensor([1.0, 4.0])).double())
    other = Gaussian(torch.tensor([3.0, 1.0]).double(), torch.diag(torch.tensor([9.0, 0.25])).double())
    assert frechet_distance(one, other) == pytest.approx(3**2 + (1 - 3) ** 2 + (2 - 0.5) ** 2)


@pytest.mark.parametrize("dimensions", [2, 5, 20])
def test_is_that_of_scipy_and_torchmetrics(dimensions):
    from torchmetrics.image.fid import _compute_fid

    one, other = gaussian(dimensions, 0), gaussian(dimensions, 1)
    root = sqrtm((one.covariance @ other.covariance).numpy()).real
    expected = float((one.mean - other.mean).square().sum() + (one.covariance + other.covariance).trace())
    expected -= 2 * np.trace(root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(one, other) == pytest.approx(float(_compute_fid(*one, *other)), rel=1e-8)
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), rel=1e-8)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_is_zero_for_the_same_gaussian_of_any_rank(rank):
    one = gaussian(8, 0, rank)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-5)


def test_a_shift_counts_as_its_square(digits):
    features = torch.nn.Flatten()
    data, _ = digits
    images = torch.cat([batch.inputs for batch in data.test_dataloader()])
    distance = distance_of(features, data)
    assert distance(images) == pytest.approx(0, abs=1e-5)
    assert distance(images + 0.5) == pytest.approx(64 * 0.25, rel=1e-4)


def test_grows_with_noise_and_falls_on_fresh_real_images(digits):
    data, features = digits
    distance = distance_of(features, data)
    images = torch.cat([batch.inputs for batch in data.test_dataloader()])
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    distances = [distance(torch.lerp(images, noise, part)) for part in (0.0, 0.1, 0.3, 0.6, 1.0)]
    assert distances == sorted(distances) and distances[0] < 1e-4
    train = torch.cat([batch.inputs for batch in data.train_dataloader()])
    assert 0 < distance(train) < distances[2]
    ones = train[train.flatten(1).sum(1).argsort()[:100]].repeat(10, 1, 1, 1)
    assert distance(ones) > 3 * distance(train)


def test_the_features_tell_the_digits_apart(digits):
    data, features = digits
    test = [(features(batch.inputs), batch.target) for batch in data.test_dataloader()]
    vectors, target = torch.cat([pair[0] for pair in test]), torch.cat([pair[1] for pair in test])
    half = len(target) // 2
    nearest = torch.cdist(vectors[half:], vectors[:half]).argmin(1)
    assert (target[:half][nearest] == target[half:]).double().mean() > 0.9


def test_the_classifier_is_trained_once_and_always_the_same(digits, monkeypatch, tmp_path):
    _, features = digits
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    state = torch.random.get_rng_state()
    again = classifier_features("digits", None)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(one, other) for one, other in zip(
        features.state_dict().values(), again.state_dict().values(), strict=True
    ))  # fmt: skip
    assert len(list((tmp_path / "lossbench" / "features").glob("digits-*.pt"))) == 1
    monkeypatch.setattr(feature_network, "_train", None)  # would fail if it were called
    classifier_features("digits", None)


def test_only_images_have_it(cell):
    assert image_metrics_of(build_data(cell("data=breast_cancer").config.data)) is None


def test_the_distance_of_a_fit_falls(digits, cell):
    from lossbench.running.run import run

    entry = run(cell("loss=vae_bernoulli", "data=digits", "trainer.max_epochs=12", "learner.network.latents=8"))
    distances = [row["test/frechet"] for row in entry["history"]]
    assert np.isfinite(distances).all() and distances[-1] < 0.7 * distances[0]


def test_a_single_run_of_the_command_line_has_it(lossbench, tmp_path):
    words = ["loss=vae_bernoulli", "data=digits", "trainer.max_epochs=1", "tracking=none"]
    result = lossbench(*words, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert result.returncode == 0, result.stderr
    (entry,) = (entry for _, entry in read_all(tmp_path / "outputs"))
    assert entry["metrics"]["last"]["test/frechet"] > 0
