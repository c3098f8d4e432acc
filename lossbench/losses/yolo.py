"""The loss of YOLO, version 1: boxes, confidences and classes of a grid of cells in one sum of squares."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.boxes import iou_of
from lossbench.losses.declaration import adds, loss
from lossbench.losses.links import identity

__all__ = ["yolo_v1"]

_STRAIGHT = 1e-4
"""Width or height, as a share of the image, below which the root is a straight line: its slope stays finite at 0."""


class _Squares(NamedTuple):
    """Squared errors of all boxes (N, S, S, B), of the classes (N, S, S, K), and which boxes are responsible."""

    responsible: Tensor
    coordinates: Tensor
    confidence: Tensor
    no_object: Tensor
    classes: Tensor


def _terms(
    outputs: Tensor, target: Tensor, *, lambda_coord: float = 5.0, lambda_noobj: float = 0.5
) -> tuple[Tensor, ...]:
    """Return coordinates, confidences of responsible and of other boxes, and classes, each (N,) with its weight."""
    each = _squares(outputs, target)
    terms = (
        lambda_coord * each.responsible * each.coordinates,
        each.responsible * each.confidence,
        lambda_noobj * (1 - each.responsible) * each.no_object,
        each.classes,
    )
    return tuple(term.sum((1, 2, 3)) for term in terms)


@loss(
    task="detection",
    link=identity,
    shapes="N S S O , N S S T -> N",
    source='Redmon et al. 2016, "You Only Look Once: Unified, Real-Time Object Detection", arXiv:1506.02640',
    ranges={"lambda_coord": "[0, inf)", "lambda_noobj": "[0, inf)"},
    detached="the overlap that a confidence aims at, and which predictor is responsible",
)
@adds("coordinates", "confidence", "no_object", "classes", terms=_terms)
def yolo_v1(outputs: Tensor, target: Tensor, *, lambda_coord: float = 5.0, lambda_noobj: float = 0.5) -> Tensor:
    """Squared errors of boxes, confidences and classes, summed over the cells of a grid (YOLO v1).

    Formula: sum_resp (lambda_coord D + (C - IoU)^2) + lambda_noobj sum_others C^2 + sum_obj sum_k (p_k - t_k)^2

    with D = (x - x_t)^2 + (y - y_t)^2 + (sqrt(w) - sqrt(w_t))^2 + (sqrt(h) - sqrt(h_t))^2.

    Of each cell B boxes are predicted. Where an object has its centre in the cell, the box of the largest IoU with it
    is responsible, of several the first, and its confidence C aims at this IoU; all other boxes of the image, those of
    the same cell too, aim at C = 0. Classes count in cells of objects alone. Outputs are taken as they are, without a
    sigmoid. A network may give w < 0: the root is odd, sqrt(-w) below 0, and a straight line between -0.0001 and
    0.0001; such a box has no area. Predictors that give the root itself, as those of the authors' code, are another
    parametrisation.

    Parameters
    ----------
    outputs : Tensor (N, S, S, 5 B + K)
        Floating point, by row and column of the grid: B times x, y, w, h, C, and then a number for each class. x and y
        from the corner of the cell, in its size; w and h as shares of the image.
    target : Tensor (N, S, S, 5 + K)
        x, y, w, h of the object whose centre is in the cell, 1 or 0 for an object or none, and 0 or 1 for each class.
        Without an object nothing else is read.
    lambda_coord : float from 0
        Weight of the boxes.
    lambda_noobj : float from 0
        Weight of the confidences of the boxes that are not responsible.

    Returns
    -------
    Tensor (N,)
        Values from 0: the sum over an image.

    Raises
    ------
    ValueError
        If the grids differ, or the outputs of a cell are not 5 numbers for each box and one for each class.

    Examples
    --------
    >>> outputs = torch.tensor([0.5, 0.5, 0.25, 1.0, 1.0, 0.5]).view(1, 1, 1, 6)
    >>> target = torch.tensor([0.5, 0.5, 1.0, 1.0, 1.0, 1.0]).view(1, 1, 1, 6)
    >>> yolo_v1(outputs, target)
    tensor([2.0625])

    """
    each = _squares(outputs, target)
    of_boxes = each.responsible * (lambda_coord * each.coordinates + each.confidence)
    of_boxes = of_boxes + lambda_noobj * (1 - each.responsible) * each.no_object
    return of_boxes.sum((1, 2, 3)) + each.classes.sum((1, 2, 3))


def _squares(outputs: Tensor, target: Tensor) -> _Squares:
    classes = target.shape[-1] - 5
    count, left = divmod(outputs.shape[-1] - classes, 5)
    if classes < 0 or count < 1 or left:
        raise ValueError(
            f"a cell has {outputs.shape[-1]} outputs and {target.shape[-1]} numbers as target; with K classes and B "
            "boxes it needs 5 B + K and 5 + K."
        )
    boxes, scores = outputs[..., : 5 * count].unflatten(-1, (count, 5)), outputs[..., 5 * count :]
    true, there = target[..., None, :4], target[..., 4:5]
    with torch.no_grad():
        cells = outputs.shape[1]
        iou = iou_of(_corners(boxes[..., :4], cells), _corners(true, cells))
        responsible = there * F.one_hot(iou.argmax(-1), count).to(there)
    place = (boxes[..., :2] - true[..., :2]).square() + (_root(boxes[..., 2:4]) - _root(true[..., 2:])).square()
    confidence = boxes[..., 4]
    of_classes = there * (scores - target[..., 5:]).square()
    return _Squares(responsible, place.sum(-1), (confidence - iou).square(), confidence.square(), of_classes)


def _corners(boxes: Tensor, cells: int) -> Tensor:
    """Return corners, as shares of the image, of boxes (..., 4) of one cell; where the cell lies does not matter."""
    centre, half = boxes[..., :2] / cells, boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def _root(side: Tensor) -> Tensor:
    size = side.abs()
    return torch.where(size < _STRAIGHT, side / _STRAIGHT**0.5, side.sign() * size.clamp(min=_STRAIGHT).sqrt())
