"""Learners that generate: fits on small images, pairing, resuming, what is kept and drawn, what is refused."""

import numpy as np
import pytest
import torch

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.errors import ConfigError
from lossbench.learners import Learner
from lossbench.models import VAEMLP, VAEConv
from lossbench.records import record
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from lossbench.seeding import torch_stream
from lossbench.tasks.autoencoding.report import generated
from lossbench.tasks.generation.image_figures import mosaic

SHORT = ["data=digits", "trainer.max_epochs=2", "learner.network.hidden=[32]", "learner.network.latents=5"]
VAES = ("vae_bernoulli", "vae_gaussian", "vae_l1")


def cost_without_a_model(cell) -> tuple[float, float]:
    """Return the bound of the test images, and their squared error, where every pixel has its mean over the data."""
    data = build_data(cell("loss=vae_bernoulli", "data=digits").config.data)
    train = torch.cat([batch.inputs for batch in data.train_dataloader()])
    test = torch.cat([batch.inputs for batch in data.test_dataloader()])
    chances = train.mean(0).clamp(1e-3, 1 - 1e-3)
    bound = -(test * chances.log() + (1 - test) * (1 - chances).log()).sum((1, 2, 3)).mean()
    return float(bound), float((test - chances).square().mean())


SHARP = [
    ["loss=vae_bernoulli"],
    ["loss=vae_gaussian", "loss.variance=0.04"],
    ["loss=vae_gaussian", "loss.variance=null"],
    ["loss=vae_l1", "loss.b=0.15"],
]
"""The default scales of the last two are blunt for images of 64 pixels: their divergence outweighs what they tell."""


@pytest.mark.parametrize("lines", SHARP)
@pytest.mark.usefixtures("undrawn")
def test_every_vae_loss_learns_more_than_the_mean_of_each_pixel(lines, cell):
    length = ["trainer.max_epochs=15", "trainer.check_val_every_n_epoch=15", "optimizer.lr=0.003"]
    metrics = run(cell(*lines, *length, "data=digits", "learner.network.latents=8"))["metrics"]["last"]
    bound, error = cost_without_a_model(cell)
    if lines == ["loss=vae_bernoulli"]:
        assert metrics["test/neg_elbo"] < bound - 1.5
    assert metrics["test/mse"] < 0.6 * error
    assert metrics["test/active_units"] >= 4
    assert metrics["test/neg_elbo"] == pytest.approx(metrics["test/reconstruction"] + metrics["test/kl"])


@pytest.mark.usefixtures("undrawn")
def test_the_terms_of_the_bernoulli_loss_add_up_to_it_and_beta_changes_the_loss_alone(cell):
    plain = run(cell("loss=vae_bernoulli", *SHORT, "trainer.max_epochs=1"))["history"][0]
    assert plain["train/loss"] == pytest.approx(plain["train/reconstruction"] + plain["train/kl"], rel=1e-5)
    weighted = run(cell("loss=vae_bernoulli", "loss.beta=4", *SHORT, "trainer.max_epochs=1"))["history"][0]
    total = weighted["train/reconstruction"] + 4 * weighted["train/kl"]
    assert weighted["train/loss"] == pytest.approx(total, rel=1e-5)


@pytest.mark.usefixtures("undrawn")
def test_losses_under_one_seed_share_weights_order_and_noise(cell):
    learners = []
    for loss in VAES:
        data = build_data(cell(f"loss={loss}", *SHORT).config.data)
        learner = build_learner(cell(f"loss={loss}", *SHORT), data)
        learner._draws = torch_stream(learner.seed, "latent", 0)
        learners.append((learner, next(iter(data.train_dataloader()))))
    outputs = [learner.reconstruct(batch.inputs)[0] for learner, batch in learners]
    assert all(torch.equal(outputs[0], other) for other in outputs[1:])
    samples = [learner.sample(4, torch_stream(0, "samples")) for learner, _ in learners]
    assert all(torch.equal(samples[0], other) for other in samples[1:])
    hashes = [run(cell(f"loss={loss}", *SHORT))["hashes"] for loss in VAES]
    assert hashes[0] == hashes[1] == hashes[2] != run(cell(f"loss={VAES[0]}", *SHORT, "seed=1"))["hashes"]


@pytest.mark.usefixtures("undrawn")
def test_a_loss_that_draws_numbers_changes_no_noise(cell, monkeypatch):
    entry = run(cell("loss=vae_bernoulli", *SHORT))
    step = Learner.training_step

    def greedy(self, batch, batch_idx):
        torch.rand(7)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Learner, "training_step", greedy)
    assert run(cell("loss=vae_bernoulli", *SHORT, "rerun=true"))["history"] == entry["history"]


def test_what_a_run_keeps_is_small_and_shows_what_it_learned(cell):
    made = cell("loss=vae_bernoulli", *SHORT)
    run(made)
    with np.load(made.path / "predictions.npz") as kept:
        assert kept["samples"].shape == kept["images"].shape == kept["reconstructions"].shape == (64, 1, 8, 8)
        assert kept["samples"].dtype == kept["images"].dtype == np.uint8
        assert kept["mean"].shape == (500, 5) and kept["neg_elbo"].shape == (500,)
        test = build_data(made.config.data).test_dataloader().samples.inputs[:64].numpy()
        assert np.abs(kept["images"] / 255 - test).max() <= 0.5 / 255 + 1e-6
    with np.load(made.path / "snapshots.npz") as shown:
        assert shown["epoch"].tolist() == [0, 1]
        assert shown["samples"].shape == (2, 20, 1, 8, 8) and shown["reconstructions"].shape == (2, 10, 1, 8, 8)
        assert (shown["samples"][0] != shown["samples"][1]).any()
    assert {path.name for path in made.path.glob("*.png")} == {"generated.png", "learning_curves.png", "loss_terms.png"}


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("kind", [VAEMLP, VAEConv])
def test_networks_decode_to_the_shape_they_encode(kind, shape):
    network = kind(shape, latents=3)
    mean, log_variance = network.encode(torch.rand(2, *shape))
    assert mean.shape == log_variance.shape == (2, 3)
    assert network.decode(mean).shape == (2, *shape)


def test_the_network_of_the_example_on_mnist_has_its_parameters():
    encoder, code, decoder = 784 * 400 + 400, 2 * (400 * 20 + 20), 20 * 400 + 400 + 400 * 784 + 784
    assert sum(each.numel() for each in VAEMLP((1, 28, 28)).parameters()) == encoder + code + decoder == 652_824


def test_a_convolution_that_does_not_fit_is_told():
    with pytest.raises(ConfigError, match=r"sides 4 divides.*vae_mlp"):
        VAEConv((1, 10, 10))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["loss=vae_bernoulli", "data=breast_cancer"],
            "vae_bernoulli is for vae, but data=breast_cancer is binary",
        ),
        (
            ["loss=vae_bernoulli", "data=gaussians8"],
            "vae_bernoulli is for vae, but data=gaussians8 is points",
        ),
        (["loss=vae_bernoulli", "data=digits", "model=lenet"], "model is for what predicts"),
        (["loss=vae_bernoulli", "data=digits", "weighting=drw"], "weighting"),
        (["loss=vae_bernoulli", "data=digits", "learner=supervised"], "learned by learner=vae"),
        (["loss=focal", "data=digits", "learner=vae"], "learned by learner=supervised, not by learner=vae"),
        (["loss=vae_bernoulli", "data=digits_imb"], "data/imbalance=exp is for multiclass"),
        (["loss=vae_bernoulli", "data=digits", "optimizer.calibrate=gradient"], "no baseline for vae"),
        (
            ["loss=vae_bernoulli", "data=digits", "learner.network.latents=0"],
            r"allowed is a whole number in \[1, inf\)",
        ),
        (["loss=vae_bernoulli", "data=digits", "loss.beta=-1"], r"allowed is a number in \[0, inf\)"),
        (["loss=vae_bernoulli", "data=digits", "monitor=accuracy"], "neg_elbo"),
    ],
)
def test_what_can_not_be_generated_is_refused(cell, overrides, said):
    with pytest.raises(ConfigError, match=said):
        cell(*overrides)


@pytest.mark.usefixtures("undrawn")
def test_the_convolutional_network_is_a_choice(cell):
    made = cell("loss=vae_bernoulli", "data=digits", "learner/network=vae_conv", "trainer.max_epochs=1")
    assert run(made)["status"] == "finished"
    assert record.read(made.path)["choices"]["learner/network"] == "vae_conv"


@pytest.mark.parametrize(("loss", "network"), [("vae_l1", "denoising_mlp"), ("denoise_mse", "vae_mlp")])
def test_the_network_of_another_learner_is_refused(cell, loss, network):
    with pytest.raises(ConfigError, match=r"has no \w+.* which learner=.* needs"):
        run(cell(f"loss={loss}", "data=digits", f"learner/network={network}"))


def test_a_report_shows_samples_and_reconstructions_of_every_loss(cell, tmp_path):
    for loss in ("vae_bernoulli", "vae_l1"):
        for seed in (0, 1):
            run(cell(f"loss={loss}", f"seed={seed}", *SHORT))
    (found,) = comparisons(read_outputs(tmp_path))
    analysis = analyse(found, Options())
    assert (analysis.metric, analysis.baseline) == ("neg_elbo", "vae_bernoulli")
    pictures = generated(analysis)
    assert [picture.name for picture in pictures] == ["samples", "reconstructions"]
    assert len(pictures[0].figure.axes) == 2 and "seed 0" in pictures[0].caption
    (axes,) = pictures[1].figure.axes
    assert axes.get_yticklabels()[0].get_text() == "test images"
    assert axes.images[0].get_array().shape == (3 * 10, 10 * 10)
    assert analyse(found, Options(metric="frechet")).counted


def test_a_mosaic_has_every_image_at_its_place():
    grey = np.arange(6, dtype=np.uint8).reshape(3, 1, 1, 2)
    laid = mosaic([grey[:2], grey[2:]])
    assert laid.shape == (6, 8)
    assert laid[1, 1:3].tolist() == [0, 1] and laid[1, 5:7].tolist() == [2, 3] and laid[4, 1:3].tolist() == [4, 5]
    assert mosaic([np.zeros((1, 3, 4, 4), np.uint8)]).shape == (6, 6, 3)
