"""Perceptual and style losses against sums that are written out, invariances, and the classifier that they see by."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from lossbench.catalogue.binding import load_loss
from lossbench.errors import ConfigError
from lossbench.models import ConvNet, LeNet
from lossbench.records import record
from lossbench.running.build import build_data
from lossbench.running.feature_network import classifier_features, features_of
from lossbench.running.run import run
from lossbench.tasks import task_named

NAMES = ("vae_perceptual", "vae_style")
GENERATOR = torch.Generator().manual_seed(0)
KERNELS = [torch.randn(shape, generator=GENERATOR, dtype=torch.float64) for shape in ((4, 1, 3, 3), (6, 4, 1, 1))]

pytestmark = pytest.mark.xdist_group("frechet")


def seen(images):
    """Two layers, around the edges as on a ring, so that a shifted image has shifted maps."""
    first = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="circular"), KERNELS[0]).tanh()
    return [first, F.conv2d(first, KERNELS[1]).tanh()[..., ::2, :]]


def given(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    logits, images = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    code = torch.randn(2, shape[0], 3, generator=generator, dtype=torch.float64)
    return {"logits": logits.requires_grad_(), "images": images.sigmoid(), "mean": code[0], "log_variance": code[1]}


def value(name, logits, images, mean, log_variance, **parameters):
    context = {"mean": mean, "log_variance": log_variance, "epoch": 0, "feature_maps": seen}
    return load_loss(name, **parameters)(logits, images, **context)


def apart(name, one, other):
    """The distance of two images, each number by itself."""
    total = 0.0
    for a, b in zip(seen(one[None]), seen(other[None]), strict=True):
        _, channels, height, width = a.shape
        size = channels * height * width
        if name == "vae_perceptual":
            total = total + ((a - b) ** 2).sum() / size
            continue
        for c in range(channels):
            for d in range(channels):
                total = total + ((a[0, c] * a[0, d]).sum() / size - (b[0, c] * b[0, d]).sum() / size) ** 2
    return total


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parameters", [{}, {"weight": 3.0, "pixels": 0.5, "beta": 2.0}])
def test_is_the_sum_over_layers_beside_pixels_and_divergence(name, parameters):
    known = given(3, 1, 4, 6)
    ours = value(name, **known, **parameters)
    weight, pixels = parameters.get("weight", 10.0), parameters.get("pixels", float(name == "vae_style"))
    means = known["logits"].sigmoid()
    distances = torch.stack([apart(name, one, other) for one, other in zip(known["images"], means, strict=True)])
    of_pixels = F.binary_cross_entropy(means, known["images"], reduction="none").sum((1, 2, 3))
    code = torch.distributions.Normal(known["mean"], (0.5 * known["log_variance"]).exp())
    divergence = torch.distributions.kl_divergence(code, torch.distributions.Normal(0.0, 1.0)).sum(1)
    theirs = weight * distances + pixels * of_pixels + parameters.get("beta", 1.0) * divergence
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(each.sum(), known["logits"])[0] for each in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", NAMES)
def test_without_features_it_is_that_of_bernoulli_pixels(name):
    known = given(3, 1, 4, 6)
    code = {key: known[key] for key in ("mean", "log_variance")}
    plain = load_loss("vae_bernoulli")(known["logits"], known["images"], epoch=0, **code)
    torch.testing.assert_close(value(name, **known, weight=0.0, pixels=1.0), plain)


@pytest.mark.parametrize(("name", "knows_places"), [("vae_perceptual", True), ("vae_style", False)])
def test_only_style_does_not_see_where_things_are(name, knows_places):
    known = given(3, 1, 4, 6)
    moved = known["images"].roll((2, 3), (2, 3)).logit()
    same = known["images"].logit()
    costs = [value(name, **{**known, "logits": each}, pixels=0.0, beta=0.0) for each in (same, moved)]
    assert costs[0].abs().max() < 1e-12
    assert (costs[1] > 1e-3).all() if knows_places else costs[1].abs().max() < 1e-12


@pytest.mark.parametrize(("model", "size"), [(LeNet, 28), (ConvNet, 8), (ConvNet, 3)])
def test_the_maps_of_a_model_are_those_that_its_features_come_from(model, size):
    network, images = model((2, size, size)), torch.rand(3, 2, size, size)
    first, second = network.maps(images)
    torch.testing.assert_close(first, F.relu(network.conv1(images)))
    between = F.max_pool2d(first, 2) if model is LeNet else first
    torch.testing.assert_close(second, F.relu(network.conv2(between)))
    hidden = F.max_pool2d(second, 2).flatten(1)
    layers = [network.fc1, network.fc2] if model is LeNet else [network.fc]
    for layer in layers:
        hidden = F.relu(layer(hidden))
    torch.testing.assert_close(network(images), hidden)
    assert network.num_features == hidden.shape[1]


def test_the_classifier_of_small_images_has_maps_and_takes_no_gradient(cell):
    made = cell("loss=vae_style", "data=digits")
    data = build_data(made.config.data)
    maps = features_of(made, data)["feature_maps"]
    images = next(iter(data.test_dataloader())).inputs.requires_grad_()
    found = maps(images)
    assert [tuple(each.shape[1:]) for each in found] == [(16, 8, 8), (32, 8, 8)]
    sum(each.sum() for each in found).backward()
    assert images.grad.abs().sum() > 0
    features = classifier_features("digits", None, convolutional=True)
    assert not any(weight.requires_grad for weight in features.parameters())
    with torch.no_grad():
        batch = next(iter(data.test_dataloader()))
        right = features.head(features(batch.inputs)).argmax(1) == batch.target
    assert right.double().mean() > 0.93


def test_other_losses_need_no_second_classifier(cell):
    made = cell("loss=vae_bernoulli", "data=digits")
    assert set(features_of(made, build_data(made.config.data))) == {"image_metrics"}


def test_images_without_a_classifier_are_refused(cell):
    data = SimpleNamespace(source="mine", root=None, task=task_named("vae"))
    with pytest.raises(ConfigError, match=r"loss=vae_style compares features of a classifier.* Use data=.*digits"):
        features_of(cell("loss=vae_style", "data=digits"), data)


@pytest.mark.usefixtures("undrawn")
def test_features_come_nearer(cell):
    made = cell("loss=vae_perceptual", "data=digits", "trainer.max_epochs=6", "learner.network.hidden=[64]")
    run(made)
    history = record.read(made.path)["history"]
    assert history[-1]["train/loss"] < 0.8 * history[0]["train/loss"]
    assert history[-1]["test/ssim"] > history[0]["test/ssim"] + 0.1
