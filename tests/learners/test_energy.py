"""Energy-based models: losses against known likelihoods, chains and normalisation against closed forms, and fits."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from lossbench.catalogue.binding import load_loss
from lossbench.errors import ConfigError
from lossbench.learners import Energy
from lossbench.learners.energy import LEAST_VARIANCE, Whitened, langevin
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from lossbench.seeding import torch_stream
from lossbench.tasks.generation.frechet import Gaussian
from lossbench.tasks.generation.plane import Plane

SMALL = ["data=gaussians8", "data.max_test=500", "learner.network.hidden=[64,64]"]
PERSISTENT = ["loss=contrastive_divergence", "loss.persistent=true"]


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(cell, *lines):
    made = cell(*lines)
    data = build_data(made.config.data)
    return build_learner(made, data), data


def test_contrastive_divergence_has_the_gradient_of_the_likelihood_where_the_drawn_samples_are_the_models():
    """A model of three states whose shares are those of four drawn samples; the energy of data falls."""
    energy = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log().neg().requires_grad_()
    states, drawn = torch.tensor([0, 1, 2]), torch.tensor([[0, 0, 1, 2]] * 3)
    value = load_loss("contrastive_divergence", alpha=0.0)(energy[states], energy[drawn])
    (ours,) = torch.autograd.grad(value[1], energy)
    (likelihood,) = torch.autograd.grad(-(-energy).log_softmax(0)[1], energy)
    torch.testing.assert_close(ours, likelihood)
    assert ours[1] > 0 > ours[0]  # a step against it lowers the energy of the data, and raises that of the others


def test_alpha_weighs_the_squared_energies():
    energies, drawn = draws(4), draws(4, 3, seed=1)
    free = load_loss("contrastive_divergence", alpha=0.0)(energies, drawn)
    for alpha in (0.01, 2.0):
        held = load_loss("contrastive_divergence", alpha=alpha)(energies, drawn)
        torch.testing.assert_close(held, free + alpha * (energies**2 + (drawn**2).sum(1) / 3))


def test_noise_contrastive_is_the_cross_entropy_of_telling_data_from_noise():
    energies, drawn, log_noise, drawn_log_noise = draws(4), draws(4, 3, seed=1), draws(4, seed=2), draws(4, 3, seed=3)
    loss = load_loss("noise_contrastive")
    loss.module.log_partition.data += 0.7
    free = [energies.requires_grad_(), drawn.requires_grad_(), loss.module.log_partition]
    ours = loss(energies, drawn, log_noise=log_noise, drawn_log_noise=drawn_log_noise)
    model = [-each - loss.module.log_partition for each in (energies[:, None], drawn)]
    noise = [3 * each.exp() for each in (log_noise[:, None], drawn_log_noise)]
    odds = torch.cat([each.exp() / other for each, other in zip(model, noise, strict=True)], 1)
    labels = torch.tensor([1.0, 0, 0, 0]).double().expand(4, 4)
    theirs = F.binary_cross_entropy(odds / (1 + odds), labels, reduction="none").sum(1)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(*(torch.autograd.grad(each.sum(), free) for each in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("nu", [1, 5])
def test_noise_contrastive_learns_the_log_partition(nu):
    """The expected loss, over a grid, of a Gaussian model against Gaussian noise: its minimum is at the data."""
    grid = torch.linspace(-8, 8, 4001).double()
    data, noise = (stats.norm(*each).pdf(grid) * 0.004 for each in ((1.0, 0.6), (0.0, 1.5)))
    log_noise = torch.tensor(stats.norm(0.0, 1.5).logpdf(grid))
    loss = load_loss("noise_contrastive", nu=nu)
    loss.module.double()
    center, width = (torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in (0.0, 1.0))
    free = [center, width, loss.module.log_partition]
    optimizer = torch.optim.LBFGS(free, max_iter=200, line_search_fn="strong_wolfe")
    weight = torch.tensor(noise / np.maximum(data, 1e-300))  # the noise term of a sample, at the rate of noise

    def step():
        optimizer.zero_grad()
        energy = (grid - center) ** 2 / (2 * width**2)
        constant = loss.module.log_partition
        ratio = -energy - constant - log_noise - math.log(nu)
        at_data = loss(energy, energy[:, None].expand(-1, nu), log_noise=log_noise,
                       drawn_log_noise=log_noise[:, None].expand(-1, nu))  # fmt: skip
        of_noise = nu * F.softplus(ratio)  # in `at_data` it is weighted as the data are
        value = (torch.tensor(data) * (at_data - of_noise) + torch.tensor(noise) * of_noise).sum()
        value.backward()
        return value

    assert weight.isfinite().all()
    optimizer.step(step)
    found = [float(each.detach()) for each in free]
    assert found == pytest.approx([1.0, 0.6, math.log(0.6 * math.sqrt(2 * math.pi))], abs=1e-4)


def test_the_measure_against_which_densities_are_meant_does_not_matter():
    energies, drawn, log_noise, drawn_log_noise = draws(4), draws(4, 3, seed=1), draws(4, seed=2), draws(4, 3, seed=3)
    other, drawn_other = draws(4, seed=4), draws(4, 3, seed=5)
    loss = load_loss("noise_contrastive")
    one = loss(energies, drawn, log_noise=log_noise, drawn_log_noise=drawn_log_noise)
    same = loss(energies + other, drawn + drawn_other, log_noise=log_noise - other,
                drawn_log_noise=drawn_log_noise - drawn_other)  # fmt: skip
    torch.testing.assert_close(one, same)


@pytest.mark.parametrize("step_size", [0.02, 0.2, 0.6])
def test_chains_keep_a_gaussian_whatever_their_steps(step_size):
    """Without rejections steps of 0.6 in a mode of deviation 0.4 would give 2.3 times its variance."""
    start = 0.4 * draws(4000, 2)
    ended = langevin(lambda w: w.square().sum(1) / (2 * 0.4**2), start, 30, step_size, torch_stream(0, "chains"))
    assert float(ended.var()) == pytest.approx(0.16, rel=0.06) and not torch.equal(ended, start)


def test_chains_find_a_mode_that_is_far():
    start = torch.full((500, 1), 5.0)
    with torch.inference_mode():
        ended = langevin(lambda w: w.square().sum(1) / 2, start, 300, 0.5, torch_stream(0, "chains"))
    assert float(ended.mean()) == pytest.approx(0, abs=0.2) and float(ended.std()) == pytest.approx(1, abs=0.1)


def test_whitened_samples_have_the_density_of_scipys_gaussian():
    factor = draws(4, 4)
    gaussian = Gaussian(draws(4, seed=1), factor @ factor.T)
    samples = draws(6, 1, 2, 2, seed=2)
    whitened = Whitened(gaussian, (1, 2, 2))
    torch.testing.assert_close(whitened.back(whitened(samples)), samples)
    ridge = LEAST_VARIANCE * np.trace(gaussian.covariance) / 4 * np.eye(4)
    expected = stats.multivariate_normal(gaussian.mean, gaussian.covariance + ridge).logpdf(samples.flatten(1))
    np.testing.assert_allclose(whitened.log_density(samples), expected)


def test_a_density_over_the_plane_is_normalised_and_drawn_from():
    """A mixture of a narrow and a wide Gaussian, as sharp as those of the data, times e^3."""
    parts = [(0.3, [-0.5, 0.1], 0.025), (0.7, [0.6, -0.4], 0.1)]

    def density(points):
        return sum(w * stats.multivariate_normal(m, s**2 * np.eye(2)).pdf(points.numpy()) for w, m, s in parts)

    def log_density(points):
        return torch.tensor(np.log(density(points) + 1e-300)) + 3.0

    plane = Plane(log_density, torch.tensor([0.0, 0.1]).double(), torch.tensor([0.7, 0.5]).double())
    assert plane.log_partition == pytest.approx(3.0, abs=1e-6)
    drawn = plane.draw(20_000, torch_stream(0, "plane"))
    left = drawn[:, 0] < 0
    assert float(left.double().mean()) == pytest.approx(0.3, abs=0.015)
    np.testing.assert_allclose(drawn[left].mean(0), [-0.5, 0.1], atol=0.002)
    np.testing.assert_allclose(drawn[~left].std(0), [0.1, 0.1], atol=0.003)
    assert plane.draw(5, torch_stream(0, "plane")).shape == (5, 2)


def test_a_network_of_zeros_has_the_likelihood_of_the_gaussian(cell):
    learner, data = built(cell, *SMALL, "loss=noise_contrastive")
    for weight in learner.network.parameters():
        weight.data.zero_()
    learner.on_validation_epoch_start()
    batch = next(iter(data.test_dataloader()))
    train = torch.cat([each.inputs for each in data.train_dataloader()]).double().numpy()
    covariance = np.cov(train.T) + LEAST_VARIANCE * np.trace(np.cov(train.T)) / 2 * np.eye(2)
    expected = stats.multivariate_normal(train.mean(0), covariance).logpdf(batch.inputs.numpy())
    np.testing.assert_allclose(learner.kept(batch)["log_likelihood"].detach(), expected, atol=5e-4)


def test_chains_begin_at_the_data_or_go_on(cell, monkeypatch):
    begun, ended = [], []

    def follow(self, start, steps, noise):
        begun.append(start.clone())
        ended.append(start + steps)
        return ended[-1]

    monkeypatch.setattr(Energy, "follow", follow)
    for lines in (["loss=contrastive_divergence", "loss.steps=3"], PERSISTENT):
        learner, data = built(cell, *SMALL, *lines)
        first, second = (next(iter(data.train_dataloader())).select(torch.arange(size)) for size in (8, 12))
        learner._trainer = SimpleNamespace(current_epoch=0)
        for batch in (first, second):
            assert learner.per_sample_loss(batch).shape == (len(batch.inputs),)
    torch.testing.assert_close(begun[0], learner.whitened(first.inputs))
    torch.testing.assert_close(begun[3][:8], ended[2])
    assert torch.equal(learner.chains, ended[3])
    torch.testing.assert_close(ended[0], begun[0] + 3)


LEARNED = {
    "contrastive divergence": ["loss=contrastive_divergence", "loss.steps=3", "learner.step_size=0.15"],
    "persistent": [*PERSISTENT, "loss.steps=3"],
    "noise": ["loss=noise_contrastive"],
}


@pytest.mark.parametrize("case", LEARNED)
def test_learns_points_better_than_a_gaussian_does(case, cell, monkeypatch):
    """The log-likelihood of eight Gaussians is 1.07 in the mean, that of the best Gaussian -2.15.

    The constant that noise-contrastive estimation learns is the log-partition that the grid gives.
    """
    learners = []
    ended = Energy.on_validation_epoch_end
    monkeypatch.setattr(Energy, "on_validation_epoch_end", lambda self: (learners.append(self), ended(self))[1])
    made = cell(*SMALL, *LEARNED[case], "trainer.max_epochs=6", "trainer.check_val_every_n_epoch=3")
    entry = run(made)
    assert entry["status"] == "finished", entry.get("traceback")
    with np.load(made.path / "predictions.npz") as kept, np.load(made.path / "snapshots.npz") as shown:
        real = kept["real"]
        cells = np.diff(shown["side"][-1])[0] ** 2
        assert 0.9 < np.exp(shown["log_density"][-1]).sum() * cells < 1.02
        assert np.isfinite(kept["samples"]).all() and kept["log_likelihood"].shape == (500,)
    gaussian = stats.multivariate_normal(real.mean(0), np.cov(real.T)).logpdf(real).mean()
    assert gaussian + 0.5 < entry["metrics"]["last"]["test/log_likelihood"] < 1.2
    assert (made.path / "points.png").is_file()
    if case == "noise":
        constant = float(learners[-1].loss_module.log_partition.detach())
        assert constant == pytest.approx(learners[-1].plane.log_partition, abs=0.2)


@pytest.mark.parametrize("loss", ["contrastive_divergence", "noise_contrastive"])
@pytest.mark.usefixtures("undrawn")
def test_images_are_drawn_by_chains_and_have_no_likelihood(loss, cell):
    made = cell(f"loss={loss}", "data=digits", "data.max_train=200", "data.max_test=60", "trainer.max_epochs=1",
                "learner.sampling_steps=5")  # fmt: skip
    entry = run(made)
    assert entry["status"] == "finished", entry.get("traceback")
    with np.load(made.path / "predictions.npz") as kept:
        assert kept["samples"].dtype == np.uint8 and kept["samples"].shape == (60, 1, 8, 8)
        assert "log_likelihood" not in kept
    assert "test/sliced_wasserstein" in entry["metrics"]["last"]


@pytest.mark.usefixtures("undrawn")
def test_losses_share_weights_and_data(cell):
    entries = [run(cell(*SMALL, f"loss={name}", "trainer.max_epochs=1", "trainer.limit_train_batches=2"))
               for name in ("contrastive_divergence", "noise_contrastive")]  # fmt: skip
    assert entries[0]["hashes"] == entries[1]["hashes"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["loss=noise_contrastive", "data=breast_cancer"], "noise_contrastive is for energy, but data=breast_cancer"),
        (["loss=contrastive_divergence", "data=digits", "loss.steps=0"], r"allowed is .* in \[1, inf\)"),
        (["loss=contrastive_divergence", "data=digits", "learner.step_size=0"], r"allowed is a number in \(0, inf\)"),
    ],
)
def test_what_can_not_be_learned_is_refused(cell, overrides, said):
    with pytest.raises(ConfigError, match=said):
        cell(*overrides)


def test_a_sum_of_losses_is_refused(cell):
    terms = [
        "loss=weighted_sum",
        "loss.terms.0=contrastive_divergence",
        "loss.terms.1=noise_contrastive",
        "task=energy",
    ]
    with pytest.raises(ConfigError, match="can't be added: each has samples of its own"):
        built(cell, *SMALL, *terms, "loss.weights=[1,1]")
