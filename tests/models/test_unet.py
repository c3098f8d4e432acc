"""Networks that map images to features of each pixel."""

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from lossbench import load_loss
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.models import PixelMLP, UNet
from lossbench.running.build import build_network


def built(model, input_shape, num_classes=5, **settings):
    node = OmegaConf.merge(OmegaConf.load(CONF / "model" / f"{model}.yaml"), settings)
    return build_network(node, load_loss("cross_entropy"), input_shape, num_classes, 0)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def made(model, *arguments, **settings):
    torch.manual_seed(0)
    return model(*arguments, **settings)


@pytest.mark.parametrize("model", ["unet", "pixel_mlp"])
@pytest.mark.parametrize("shape", [[1, 32, 48], [3, 64, 64]])
def test_each_pixel_has_features_and_outputs(model, shape):
    network, images = built(model, shape), torch.randn(2, *shape)
    assert network.backbone(images).shape == (2, *shape[1:], 16) and network.backbone.num_features == 16
    assert network(images).shape == (2, *shape[1:], 5)


def test_parameter_counts():
    blocks = [(3, 16), (16, 32), (32, 64), (64, 32), (32, 16)]
    convolutions = sum(9 * width_in * width + 9 * width * width + 4 * width for width_in, width in blocks)
    enlarge = 4 * 64 * 32 + 32 + 4 * 32 * 16 + 16
    assert parameters(made(UNet, [3, 64, 64])) == convolutions + enlarge == 117_344
    assert 450_000 < parameters(made(UNet, [3, 64, 64], [16, 32, 64, 128])) < 500_000
    assert parameters(made(PixelMLP, [2, 8, 8], [5, 7])) == 2 * 5 + 5 + 5 * 7 + 7


def seen_by(low, high, levels):
    """Return the first and the last pixel that pixels low ... high of a level depend on, in words of the layers."""
    low, high = low - 2, high + 2  # of the two convolutions on the way up
    direct = (low - 2, high + 2)  # and of those on the way down
    if levels == 1:
        return direct[0] + 2, direct[1] - 2  # the lowest level is passed once
    below = seen_by(low // 2, high // 2, levels - 1)
    through = (2 * below[0] - 2, 2 * below[1] + 1 + 2)
    return min(direct[0], through[0]), max(direct[1], through[1])


@pytest.mark.parametrize("channels", [[8], [8, 16], [4, 8, 16]])
def test_what_a_pixel_sees(channels):
    """With all weights positive, no path cancels: the gradient of a pixel is not 0 on just what it sees."""
    network = made(UNet, [1, 64, 64], channels).eval().double()
    for parameter in network.parameters():
        parameter.data.abs_()
    reached = torch.zeros(64, 64, dtype=torch.bool)
    for seed in range(4):  # max pooling sends a gradient to one of four pixels: several images, to find them all
        generator = torch.Generator().manual_seed(seed)
        images = torch.rand(1, 1, 64, 64, dtype=torch.float64, generator=generator, requires_grad=True)
        network(images)[0, 33, 30].sum().backward()
        reached |= images.grad[0, 0] != 0
    rows, columns = reached.any(1).nonzero().flatten(), reached.any(0).nonzero().flatten()
    assert (rows.min().item(), rows.max().item()) == seen_by(33, 33, len(channels))
    assert (columns.min().item(), columns.max().item()) == seen_by(30, 30, len(channels))


def test_a_unet_sees_objects_shift_with_the_coarsest_pixel():
    network = made(UNet, [2, 64, 64]).eval()
    images = torch.zeros(1, 2, 64, 64)
    images[:, :, 24:32, 28:36] = torch.randn(2, 8, 8)
    moved = network(images.roll((4, -8), (2, 3)))
    inside = slice(24, 40)
    torch.testing.assert_close(moved.roll((-4, 8), (1, 2))[:, inside, inside], network(images)[:, inside, inside])


def test_channels_last_changes_no_result():
    network, images = made(UNet, [3, 16, 16]).double(), torch.randn(4, 3, 16, 16, dtype=torch.float64)
    features = network(images)
    assert features.dtype == torch.float64 and features.is_contiguous()
    plain = made(UNet, [3, 16, 16]).double().to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(plain(images), features)


def test_a_pixel_perceptron_treats_all_pixels_alike_and_by_themselves():
    network = made(PixelMLP, [3, 6, 4])
    images = torch.randn(2, 3, 6, 4)
    features = network(images)
    expected = nn.Sequential(*network)(images.permute(0, 2, 3, 1).reshape(-1, 3)).reshape(2, 6, 4, 16)
    torch.testing.assert_close(features, expected)
    order = torch.randperm(24)
    shuffled = images.flatten(2)[..., order].unflatten(2, (6, 4))
    torch.testing.assert_close(network(shuffled).flatten(1, 2), features.flatten(1, 2)[:, order])


@pytest.mark.parametrize("model", ["unet", "pixel_mlp"])
def test_a_gradient_reaches_every_parameter(model):
    network = built(model, [3, 16, 16])
    network(torch.randn(4, 3, 16, 16)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        ("unet", [3, 30, 32], r"divisible by 4, as it has 3 levels .model.channels.*\(3, 30, 32\)"),
        ("unet", [13], r"model=unet needs images.*\(13,\)"),
        ("pixel_mlp", [13], r"model=pixel_mlp needs images.*\(13,\)"),
    ],
)
def test_a_model_refuses_inputs_that_it_can_not_see(model, shape, message):
    with pytest.raises(ConfigError, match=message):
        built(model, shape)
    assert built("unet", [3, 30, 32], channels=[4, 8])(torch.randn(1, 3, 30, 32)).shape == (1, 30, 32, 5)
