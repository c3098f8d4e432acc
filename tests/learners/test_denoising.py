"""Denoising diffusion and flow matching: losses, paths and sampling against closed forms on Gaussians, and fits."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbench.catalogue.binding import load_loss
from lossbench.errors import ConfigError
from lossbench.learners.denoising import SIGNAL, diffuse, follow, straight, undo_diffusion
from lossbench.models import DenoisingMLP
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.feature_network import image_metrics_of
from lossbench.running.run import run
from lossbench.seeding import torch_stream

LOSSES = ("denoise_huber", "denoise_l1", "denoise_min_snr", "denoise_mse", "flow_matching")
SHORT = ["data=digits", "trainer.max_epochs=2", "learner.network.hidden=32", "learner.network.blocks=1"]
MEAN, DEVIATION = 0.7, 0.4
"""Of the Gaussian data below, whose best predictions are known."""


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    outputs, noise = torch.randn(2, 7, 2, 3, generator=generator, dtype=torch.float64)
    return outputs.requires_grad_(), noise


def assert_same(one, other, outputs):
    torch.testing.assert_close(one, other)
    gradients = [torch.autograd.grad(each.sum(), outputs, retain_graph=True)[0] for each in (one, other)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("denoise_mse", F.mse_loss),
        ("denoise_l1", F.l1_loss),
        ("denoise_huber", F.huber_loss),
        ("flow_matching", F.mse_loss),
    ],
)
def test_is_that_of_torch_for_each_sample(name, function, pair):
    outputs, noise = pair
    expected = torch.stack([function(out, to) for out, to in zip(outputs, noise, strict=True)])
    assert_same(load_loss(name)(outputs, noise), expected, outputs)


def test_huber_is_half_the_squared_error_below_delta_and_nearly_delta_times_the_absolute_above(pair):
    outputs, noise = pair
    wide = load_loss("denoise_huber", delta=100.0)(outputs, noise)
    assert_same(wide, 0.5 * load_loss("denoise_mse")(outputs, noise), outputs)
    narrow = load_loss("denoise_huber", delta=1e-6)(outputs, noise) / 1e-6
    torch.testing.assert_close(narrow, load_loss("denoise_l1")(outputs, noise), atol=1e-5, rtol=0)


def test_min_snr_weighs_by_hand(pair):
    """From memory of the paper: checked by hand-made weights, and by the identity for the clean sample below."""
    outputs, noise = pair
    ratios = torch.tensor([0.0, 0.1, 2.5, 5.0, 10.0, 50.0, 5000.0]).double()
    value = load_loss("denoise_min_snr")(outputs, noise, signal_to_noise=ratios)
    weights = torch.tensor([1, 1, 1, 1, 0.5, 0.1, 0.001]).double()
    assert_same(value, weights * load_loss("denoise_mse")(outputs, noise), outputs)


def test_min_snr_is_the_squared_error_of_the_clean_sample_at_most_gamma_times(pair):
    outputs, noise = pair
    clean = torch.randn(noise.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noised = diffuse(clean, noise, torch.tensor([0.0, 0.01, 0.05, 0.1, 0.3, 0.6, 0.999]).double())
    signal = (noised.signal_to_noise / (1 + noised.signal_to_noise))[:, None, None]
    foreseen = (noised.samples - (1 - signal).sqrt() * outputs) / signal.sqrt()
    error = (foreseen - clean).square().mean((1, 2))
    value = load_loss("denoise_min_snr")(outputs, noise, signal_to_noise=noised.signal_to_noise)
    assert_same(value, noised.signal_to_noise.clamp_max(5.0) * error, outputs)


def test_an_infinite_gamma_weighs_nothing(pair):
    outputs, noise = pair
    snr = torch.full((7,), 1e4, dtype=torch.float64)
    value = load_loss("denoise_min_snr", gamma=1e12)(outputs, noise, signal_to_noise=snr)
    assert_same(value, load_loss("denoise_mse")(outputs, noise), outputs)


def test_the_schedule_of_diffusion_is_the_linear_one():
    """Its last value is published with implementations of it: 4.0358e-05."""
    assert float(SIGNAL[0]) == pytest.approx(1 - 1e-4)
    assert float(SIGNAL[1]) == pytest.approx((1 - 1e-4) * (1 - 1e-4 - 0.0199 / 999))
    assert float(SIGNAL[-1]) == pytest.approx(4.0358e-05, rel=1e-4)


@pytest.mark.parametrize(("corrupt", "ends_in_noise"), [(diffuse, 1 - 1e-9), (straight, 0.0)])
def test_paths_lead_from_data_to_noise(corrupt, ends_in_noise):
    clean, noise = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    there, here = torch.full((4,), ends_in_noise).double(), torch.full((4,), 1 - ends_in_noise - 1e-12).double()
    torch.testing.assert_close(corrupt(clean, noise, there.clamp(0, 1 - 1e-9)).samples, noise, atol=0.02, rtol=0)
    torch.testing.assert_close(corrupt(clean, noise, here.clamp(0, 1 - 1e-9)).samples, clean, atol=0.04, rtol=0)


def test_diffusion_keeps_the_variance_of_standard_data_and_flow_gives_the_difference():
    clean, noise = torch.randn(2, 50_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    where = torch.rand(50_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noised = diffuse(clean, noise, where)
    assert float(noised.samples.var()) == pytest.approx(1, abs=0.03) and torch.equal(noised.target, noise)
    moved = straight(clean, noise, where)
    later = straight(clean, noise, where + 1e-6)
    torch.testing.assert_close((later.samples - moved.samples) / 1e-6, moved.target, atol=1e-4, rtol=0)


def best_velocity(points, time):
    """The mean of x1 - x0 given x_t, for Gaussian data: a regression of one Gaussian on another."""
    t = time[:, None]
    variance = (1 - t) ** 2 + t**2 * DEVIATION**2
    return MEAN + (t * DEVIATION**2 - (1 - t)) / variance * (points - t * MEAN)


def best_noise(points, time):
    signal = SIGNAL[(time * 1000).round().long()][:, None]
    variance = signal * DEVIATION**2 + 1 - signal
    return (1 - signal).sqrt() / variance * (points - signal.sqrt() * MEAN)


@pytest.mark.parametrize(("corrupt", "best", "time"), [(straight, best_velocity, 0.3), (diffuse, best_noise, 0.2)])
def test_the_target_has_the_best_prediction_of_gaussian_data_as_its_mean(corrupt, best, time):
    """The line that least squares fits to targets over noised samples is the one that theory gives."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 200_000, 1, generator=generator, dtype=torch.float64)
    noised = corrupt(MEAN + DEVIATION * clean, noise, torch.full((200_000,), time).double())
    slope, height = np.polyfit(noised.samples[:, 0], noised.target[:, 0], 1)
    ends = best(torch.tensor([[0.0], [1.0]]).double(), torch.full((2,), time).double())
    assert height == pytest.approx(float(ends[0]), abs=0.01)
    assert slope == pytest.approx(float(ends[1] - ends[0]), abs=0.01)


@pytest.mark.parametrize(
    ("generate", "best", "tolerance"), [(follow, best_velocity, 0.01), (undo_diffusion, best_noise, 0.02)]
)
def test_the_best_prediction_leads_from_noise_to_gaussian_data(generate, best, tolerance):
    noise = torch.tensor([[-2.0], [0.0], [1.0], [2.0]]).double()
    samples = generate(best, noise, 500, False)
    torch.testing.assert_close(samples, MEAN + DEVIATION * noise, atol=tolerance, rtol=0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("undrawn")
def test_every_denoising_loss_comes_nearer_to_the_digits(loss, cell):
    lines = [f"loss={loss}", "data=digits", "trainer.max_epochs=15", "trainer.check_val_every_n_epoch=15"]
    made = cell(*lines, "learner.network.hidden=128")
    data = build_data(made.config.data)
    untrained = build_learner(made, data, image_metrics_of(data))
    noise = untrained.sample(500, torch_stream(0, "samples"))
    start = untrained.problem.image_metrics.measured("test", noise)["frechet"]
    end = run(made)["metrics"]["last"]["test/frechet"]
    assert end < 0.5 * start


@pytest.mark.parametrize("loss", ["denoise_mse", "flow_matching"])
def test_both_paths_lead_to_all_modes_of_points(loss, cell):
    lines = [f"loss={loss}", "data=gaussians8", "trainer.max_epochs=12", "trainer.check_val_every_n_epoch=12"]
    made = cell(*lines, "learner.network.hidden=128")
    metrics = run(made)["metrics"]["last"]
    assert metrics["test/modes_covered"] == 8 and metrics["test/mode_kl"] < 0.3
    with np.load(made.path / "predictions.npz") as kept, np.load(made.path / "snapshots.npz") as shown:
        assert kept["samples"].shape == kept["real"].shape == (1000, 2) and shown["samples"].shape == (1, 500, 2)
        radius = np.linalg.norm(kept["samples"], axis=1)
        assert np.quantile(np.abs(radius - 1), 0.5) < 0.3
    assert {path.name for path in made.path.glob("*.png")} == {"learning_curves.png", "loss_terms.png", "points.png"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["loss=denoise_mse", "data=breast_cancer"], "denoise_mse is for denoising, but data=breast_cancer is binary"),
        (["loss=denoise_mse", "data=digits", "learner=vae"], "learned by learner=denoising"),
        (["loss=focal", "data=gaussians8"], "focal is for multiclass, but data=gaussians8 has points"),
        (["loss=denoise_mse", "data=digits", "learner.steps=0"], r"allowed is a whole number in \[1, inf\)"),
        (["loss=denoise_huber", "data=digits", "loss.delta=0"], r"allowed is a number in \(0, inf\)"),
    ],
)
def test_what_can_not_be_denoised_is_refused(cell, overrides, said):
    with pytest.raises(ConfigError, match=said):
        cell(*overrides)


@pytest.mark.usefixtures("undrawn")
def test_losses_under_one_seed_share_weights_and_noise(cell):
    hashes, seen = [], []
    for loss in LOSSES:
        made = cell(f"loss={loss}", *SHORT)
        learner = build_learner(made, data := build_data(made.config.data))
        learner._draws = torch_stream(learner.seed, "noise", 0)
        first = next(iter(data.train_dataloader()))
        learner.per_sample_loss(first)
        seen.append(learner._draws.get_state())
        hashes.append(run(made)["hashes"])
    assert all(each == hashes[0] for each in hashes) and all(torch.equal(seen[0], state) for state in seen)


def test_the_network_takes_points_and_images():
    for shape in ((2,), (1, 8, 8)):
        network = DenoisingMLP(shape, hidden=16, blocks=2)
        samples, time = torch.rand(5, *shape), torch.rand(5)
        assert network(samples, time).shape == samples.shape
        assert not torch.allclose(network(samples, time), network(samples, time / 2))
