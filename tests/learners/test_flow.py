"""Normalising flows: likelihood against torch.distributions, volumes against the Jacobian, bits by hand, and fits."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import distributions
from torch.autograd.functional import jacobian

from lossbench.catalogue.binding import load_loss
from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.errors import ConfigError
from lossbench.learners.flow import bounded, unbounded
from lossbench.losses.flow import flow_nll
from lossbench.models import CouplingFlow
from lossbench.running.assemble import _levels, build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from lossbench.tasks.generation.report import densities

SMALL = ["loss=flow_nll", "learner.network.hidden=32", "learner.network.couplings=6", "optimizer.lr=0.004"]


def flow_with_weights(shape, couplings=4):
    """A flow that changes something, in double precision."""
    flow = CouplingFlow(shape, couplings=couplings, hidden=16).double()
    generator = torch.Generator().manual_seed(0)
    for weight in flow.parameters():
        weight.data = 0.4 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    return flow


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_is_the_likelihood_of_torch_distributions_in_value_and_gradient():
    samples, scale, shift = draws(5, 3).requires_grad_(), torch.tensor([0.5, 2.0, 3.0]).double(), draws(3, seed=1)
    latents = (samples - shift) / scale
    ours = load_loss("flow_nll")(latents, -scale.log().sum().expand(5))
    theirs = -distributions.TransformedDistribution(
        distributions.Normal(torch.zeros(3).double(), torch.ones(3).double()),
        [distributions.transforms.AffineTransform(shift, scale)],
    ).log_prob(samples).sum(1)  # fmt: skip
    torch.testing.assert_close(ours, theirs)
    one, other = (torch.autograd.grad(each.sum(), samples, retain_graph=True)[0] for each in (ours, theirs))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("shape", [(2,), (3,), (1, 4, 4)])
@pytest.mark.parametrize("couplings", [1, 4, 5])
def test_the_log_determinant_is_that_of_the_jacobian_and_the_inverse_leads_back(shape, couplings):
    flow, samples = flow_with_weights(shape, couplings), draws(4, *shape)
    latents, log_determinant = flow(samples)
    for row, sample in enumerate(samples):
        matrix = jacobian(lambda x: flow(x.view(1, *shape))[0][0], sample.flatten())
        assert float(log_determinant[row].detach()) == pytest.approx(float(torch.linalg.slogdet(matrix)[1]), abs=1e-10)
    assert log_determinant.abs().min() > 1e-3
    torch.testing.assert_close(flow.inverse(latents), samples)


def test_a_new_flow_changes_nothing_and_every_number_is_changed_by_some_coupling():
    flow, samples = CouplingFlow((7,), couplings=2), torch.randn(3, 7)
    latents, log_determinant = flow(samples)
    assert torch.equal(latents, samples) and (log_determinant == 0).all()
    assert torch.equal(flow.given.sum(0), torch.ones(7))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_every_level_comes_back_from_its_box(levels):
    images = (torch.arange(levels) / (levels - 1)).double().view(-1, 1, 1, 1)
    for noise in (0.001, 0.5, 0.999):
        values, _ = unbounded(images, torch.full_like(images, noise), levels, 0.05)
        torch.testing.assert_close(bounded(values, levels, 0.05), images)


def test_preparation_is_that_of_scipy_and_its_volume_that_of_the_jacobian():
    images, noise = torch.tensor([[0.0, 0.25], [1.0, 0.5]]).double(), torch.rand(2, 2, dtype=torch.float64)
    values, log_determinant = unbounded(images, noise, 5, 0.1)
    shares = 0.1 + 0.8 * (4 * images + noise).numpy() / 5
    np.testing.assert_allclose(values, special.logit(shares))
    for row in range(2):
        levels = 4 * images[row] + noise[row]
        matrix = jacobian(lambda k: torch.logit(0.1 + 0.8 * k / 5), levels)
        assert float(log_determinant[row]) == pytest.approx(float(torch.linalg.slogdet(matrix).logabsdet))


def test_bits_per_dimension_of_an_unchanged_flow_are_those_by_hand(cell):
    """A new flow takes the logits of dequantised pixels for standard normal."""
    made = cell(*SMALL, "data=digits")
    data = build_data(made.config.data)
    learner = build_learner(made, data)
    assert learner.problem.levels == 17
    learner.on_validation_epoch_start()
    state = learner._draws.get_state()
    batch = next(iter(data.test_dataloader()))
    kept = {name: tensor.detach() for name, tensor in learner.kept(batch).items()}
    noise = torch.rand(batch.inputs.shape, generator=torch.Generator().set_state(state)).numpy()
    share = 0.05 + 0.9 * (16 * batch.inputs.numpy() + noise) / 17
    density = stats.norm.logpdf(special.logit(share)) + np.log(0.9 / 17 / (share * (1 - share)))
    nats = density.reshape(len(noise), -1).sum(1)
    np.testing.assert_allclose(kept["log_likelihood"].numpy(), nats, rtol=1e-5)
    measured = learner.metrics("test", learner.predictions(kept))
    assert measured["bits_per_dimension"] == pytest.approx(-nats.mean() / 64 / math.log(2), rel=1e-5)


def test_the_densities_of_all_levels_add_up_to_one():
    """But for what lies beyond alpha and 1 - alpha: a pixel of 17 levels, integrated over the noise."""
    noise = (torch.arange(400).double() + 0.5) / 400
    images = (torch.arange(17).double() / 16).repeat_interleave(400)[:, None]
    values, log_determinant = unbounded(images, noise.repeat(17)[:, None], 17, 0.05)
    total = float((-flow_nll(values, log_determinant)).exp().sum() / 400)
    assert total == pytest.approx(2 * stats.norm.cdf(special.logit(0.95)) - 1, rel=1e-4)


def test_levels_are_counted_in_the_images():
    def of(values, target="sample"):
        loaders = {"test": [SimpleNamespace(inputs=torch.tensor(values).view(-1, 1, 1, 1))]}
        task = SimpleNamespace(target=target)
        return _levels(SimpleNamespace(input_shape=[1, 1, 1], evaluation_loaders=loaders, task=task))

    assert of([0, 3 / 255, 4 / 255, 1.0]) == 256 and of([0.0, 1.0]) == of([0.0, 0.0]) == 2
    assert of([0.0, 1.0], "class") is None


def test_learns_points_better_than_a_gaussian_does(cell, tmp_path):
    for seed in (0, 1):
        made = cell(*SMALL, "data=gaussians8", "trainer.max_epochs=8", "trainer.check_val_every_n_epoch=4",
                    "data.max_test=500", f"seed={seed}")  # fmt: skip
        entry = run(made)
        assert entry["status"] == "finished", entry.get("traceback")
        with np.load(made.path / "predictions.npz") as kept, np.load(made.path / "snapshots.npz") as shown:
            assert kept["log_likelihood"].shape == (500,) and kept["samples"].shape == (500, 2)
            cells = np.diff(shown["side"][-1])[0] ** 2
            assert 0.9 < np.exp(shown["log_density"][-1]).sum() * cells < 1.02  # some lies outside of the picture
            real = kept["real"]
        gaussian = stats.multivariate_normal(real.mean(0), np.cov(real.T)).logpdf(real).mean()
        metrics = entry["metrics"]["last"]
        assert metrics["test/log_likelihood"] > gaussian + 0.5
        assert metrics["test/bits_per_dimension"] == pytest.approx(-metrics["test/log_likelihood"] / 2 / math.log(2))
        assert "points.png" in {path.name for path in made.path.glob("*.png")}
    (found,) = comparisons(read_outputs(tmp_path))
    (picture,) = densities(analyse(found, Options()))
    assert len(picture.figure.axes) == 1 and "seed 0" in picture.caption


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["loss=flow_nll", "data=breast_cancer"], "flow_nll is for flow, but data=breast_cancer is binary"),
        (["loss=flow_nll", "data=digits", "learner=vae"], "learned by learner=flow"),
        (["loss=flow_nll", "data=digits", "learner.alpha=0.5"], r"allowed is a number in \(0, 0.5\)"),
        (["loss=flow_nll", "data=digits", "learner.network.couplings=0"], "allowed is a whole number"),
    ],
)
def test_what_can_not_flow_is_refused(cell, overrides, said):
    with pytest.raises(ConfigError, match=said):
        cell(*overrides)
