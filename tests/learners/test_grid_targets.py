"""What the cells of a grid shall say against loops, and the boxes that are read from it."""

import pytest
import torch

from lossbench.learners.grid_targets import grid_boxes, grid_targets

CELLS, SIZE, CLASSES = 3, 24, 4


def drawn(images=40, most=5):
    """Boxes (N, M, 4) of whole pixels, some on the edges of cells, and labels (N, M), some of which are padding."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, SIZE - 10, (images, most, 2), generator=generator).float()
    boxes = torch.cat([corners, corners + torch.randint(2, 10, corners.shape, generator=generator)], -1)
    labels = torch.randint(-1, CLASSES, (images, most), generator=generator)
    labels[0] = -1
    return boxes, labels


def by_loops(boxes, labels):
    target = torch.zeros(CELLS, CELLS, 5 + CLASSES)
    areas = {}
    for box, label in zip(boxes.tolist(), labels.tolist(), strict=True):
        if label < 0:
            continue
        (x1, y1, x2, y2), side = box, SIZE / CELLS
        x, y, width, height = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
        row, column = int(y // side), int(x // side)
        if width * height < areas.get((row, column), float("inf")):
            areas[row, column] = width * height
            numbers = [x / side - column, y / side - row, width / SIZE, height / SIZE, 1]
            target[row, column] = torch.tensor(numbers + [float(each == label) for each in range(CLASSES)])
    return target


def test_each_cell_has_the_smallest_object_whose_centre_is_in_it():
    boxes, labels = drawn()
    found = grid_targets(boxes, labels, cells=CELLS, size=SIZE, num_classes=CLASSES)
    expected = torch.stack([by_loops(*image) for image in zip(boxes, labels, strict=True)])
    torch.testing.assert_close(found, expected)
    there = found[..., 4].sum((1, 2))
    assert (there < (labels >= 0).sum(1)).any() and (there == 0).any() and there.max() > 3


@pytest.mark.parametrize("number", [1, 2])
def test_the_truth_is_read_as_the_true_boxes(number):
    boxes, labels = drawn()
    target = grid_targets(boxes, labels, cells=CELLS, size=SIZE, num_classes=CLASSES)
    outputs = torch.cat([target[..., :5]] * number + [target[..., 5:]], -1)
    scores, read = grid_boxes(outputs, size=SIZE, num_classes=CLASSES)
    assert scores.shape == (40, 9 * number, CLASSES) and read.shape == (40, 9 * number, 4)
    for image in range(40):
        there, label = scores[image].nonzero(as_tuple=True)
        found = {(int(each), *box) for each, box in zip(label, read[image][there].round().tolist(), strict=True)}
        true = {(int(each), *box) for each, box in zip(labels[image], boxes[image].tolist(), strict=True) if each >= 0}
        assert found <= true and len(found) == target[image, ..., 4].sum()
        torch.testing.assert_close(read[image][there], read[image][there].round())


def test_numbers_beyond_what_they_mean_are_cut():
    """A confidence of 2, a class of -1 and of 3, a width below 0."""
    outputs = torch.tensor([0.5, 0.5, -0.5, 0.5, 2.0, -1.0, 3.0]).view(1, 1, 1, 7)
    scores, boxes = grid_boxes(outputs, size=8, num_classes=2)
    assert scores.tolist() == [[[0, 1]]] and boxes.tolist() == [[[4, 2, 4, 6]]]


def test_an_image_without_boxes_has_an_empty_grid():
    none = grid_targets(torch.zeros(2, 0, 4), torch.zeros(2, 0).long(), cells=2, size=8, num_classes=3)
    assert none.shape == (2, 2, 2, 8) and not none.any()


def test_a_centre_on_the_last_edge_belongs_to_the_last_cell():
    target = grid_targets(torch.tensor([[[8.0, 8, 8, 8]]]), torch.tensor([[0]]), cells=2, size=8, num_classes=1)
    assert target[0, 1, 1].tolist() == [1, 1, 0, 0, 1, 1]
