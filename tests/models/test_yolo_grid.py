import pytest
import torch

from lossbench.errors import ConfigError
from lossbench.learners.grid_targets import grid_boxes
from lossbench.models.yolo_grid import YoloGrid

IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def made(shape=(3, 32, 32), **settings):
    torch.manual_seed(0)
    return YoloGrid(shape, num_classes=5, **settings)


def test_each_cell_has_boxes_and_classes():
    outputs = made(channels=16)(IMAGES)
    assert outputs.shape == (3, 4, 4, 15)
    assert made(channels=16, boxes=3)(IMAGES).shape == (3, 4, 4, 20)
    scores, boxes = grid_boxes(outputs, size=32, num_classes=5)
    assert scores.max() < 0.05 and (boxes[..., 2:] - boxes[..., :2] - 8).abs().max() < 4
    centre = ((boxes[..., :2] + boxes[..., 2:]) / 2).unflatten(1, (4, 4, 2))[0, :, :, 0]
    assert (centre[1, 2] - torch.tensor([20.0, 12.0])).abs().max() < 2  # row 1, column 2


def test_an_image_is_seen_the_same_alone():
    network = made(channels=16)
    torch.testing.assert_close(network(IMAGES[2:]), network(IMAGES)[2:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 32, 40), (3, 36, 36), (64,)])
def test_images_that_are_no_squares_of_whole_cells_are_refused(shape):
    with pytest.raises(ConfigError, match="square images whose side 8 divides"):
        made(shape)
