import pytest
import torch

from lossbench.errors import ConfigError
from lossbench.learners.detection_targets import boxes_of
from lossbench.models.centre_points import CentrePoints


def made(*, shape=(3, 24, 32), **settings):
    torch.manual_seed(0)
    return CentrePoints(shape, num_classes=5, **settings)


IMAGES = torch.randn(4, 3, 24, 32, generator=torch.Generator().manual_seed(1))


def test_each_place_has_classes_a_box_and_a_quality():
    network = made()
    places = network(IMAGES)
    assert (
        places.logits.shape == (4, 48, 5) and places.distances.shape == (4, 48, 4) and places.quality.shape == (4, 48)
    )
    assert (places.distances > 0).all()
    assert 100_000 < sum(parameter.numel() for parameter in network.parameters()) < 300_000
    assert made(quality=False)(IMAGES).quality is None


@pytest.mark.parametrize("quality", [False, True])
def test_a_distance_is_the_mean_of_a_distribution_over_strides(quality):
    network = made(bins=5, quality=quality)
    places = network(IMAGES)
    assert places.bins.shape == (4, 48, 4, 5) and places.distances.shape == (4, 48, 4)
    exponentials = places.bins.double().exp()
    means = sum(4 * k * exponentials[..., k] for k in range(5)) / exponentials.sum(-1)
    torch.testing.assert_close(places.distances.double(), means, rtol=1e-5, atol=1e-5)
    assert (places.quality is not None) == quality and made(quality=quality)(IMAGES).bins is None
    with torch.no_grad():  # left 1, upper 0, right 4 and lower side half-way between 2 and 3
        network.boxes.weight.zero_()
        network.boxes.bias.fill_(-1000)
        for at in (1, 5, 14, 17, 18):
            network.boxes.bias[at] = 0
        if quality:
            network.boxes.bias[20] = 7
    places = network(IMAGES)
    assert places.distances[0, 9].tolist() == [4, 0, 16, 10]
    assert not quality or (places.quality == 7).all()
    corners = boxes_of(network.locations, places.distances)[0, 9]
    assert corners.tolist() == [6 - 4, 6, 6 + 16, 6 + 10]


def test_one_bin_is_refused():
    with pytest.raises(ConfigError, match="one bin has one distance"):
        made(bins=1)


def test_places_are_named_row_by_row():
    """A bright spot changes most what the place says within whose four by four pixels it lies."""
    network = made(blocks=0)
    assert network.locations.shape == (48, 2)
    assert network.locations[[0, 1, 8]].tolist() == [[2, 2], [6, 2], [2, 6]]
    assert "locations" not in network.state_dict()
    for place in (9, 22, 36):
        x, y = network.locations[place].int().tolist()
        images = torch.zeros(1, 3, 24, 32)
        images[..., y - 2 : y + 2, x - 2 : x + 2] = 100
        changed = (network.maps(images) - network.maps(torch.zeros_like(images))).abs().sum(1).flatten()
        assert changed.argmax() == place


def test_at_the_start_all_classes_are_rare():
    probabilities = made()(IMAGES).logits.sigmoid()
    assert probabilities.min() > 0.005 and probabilities.max() < 0.02


def test_an_image_is_seen_the_same_alone():
    network = made(bins=3)
    for one, all_of_them in zip(network(IMAGES[2:3]), network(IMAGES), strict=True):
        torch.testing.assert_close(one, all_of_them[2:3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 30, 32), (64,)])
def test_images_whose_sides_four_does_not_divide_are_refused(shape):
    with pytest.raises(ConfigError, match="whose sides 4 divides"):
        made(shape=shape)


@pytest.mark.parametrize("channels", [1, 6, 64])
def test_any_width_can_be_built(channels):
    assert made(channels=channels, blocks=1)(IMAGES).logits.shape == (4, 48, 5)
