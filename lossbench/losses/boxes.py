"""Losses of boxes by their overlap with the truth: IoU and its successors, on boxes that are matched one to one.

I is the area that a box and its target share, U the area that they cover, IoU = I / U; the hull is the smallest box
around the corners of both, cw and ch its sides, c^2 = cw^2 + ch^2; dx and dy are the distances of the centres, w and h
the sides of the box, w_t and h_t those of its target. No loss here changes when all corners are moved or multiplied by
one number, so that pixels and shares of the image are alike; libraries that add a fixed 1e-7 to areas lack this.

A network may give any four numbers. Of a box with x2 < x1, or y2 < y1, the side counts as 0 in areas and in the angle
of CIoU: it has no area, and no gradient by it. Sides that are compared as lengths (EIoU, SIoU) keep their sign, which
turns such a box back where it lies within its target; its hull and its centre are those of its corners. One rule for
what is degenerate: a ratio whose denominator is 0 is 0 and has no gradient. So boxes that share no area have IoU 0, and
so have two equal boxes of area 0, whose loss is 1 in all of these but `box_log_iou`. Where edges just touch, or a side
is 0, areas have no gradient.

Where a loss says nothing else:

Parameters
----------
boxes : Tensor (N, 4)
    Floating point: x1, y1, x2, y2, in any unit.
target : Tensor (N, 4)
    The true boxes, in the same unit, with x1 <= x2 and y1 <= y2.

Returns
-------
Tensor (N,)
    Values from 0, to rounding.

Raises
------
ValueError
    If the shapes differ or are not (N, 4).

"""

import math

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity

__all__ = [
    "box_alpha_iou",
    "box_ciou",
    "box_diou",
    "box_eiou",
    "box_focal_eiou",
    "box_giou",
    "box_iou",
    "box_log_iou",
    "box_siou",
]


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=(
        'Rahman and Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", '
        'doi:10.1007/978-3-319-50835-1_22; Yu et al. 2016, "UnitBox: An Advanced Object Detection Network" (boxes), '
        "arXiv:1608.01471"
    ),
)
def box_iou(boxes: Tensor, target: Tensor) -> Tensor:
    """Share of the covered area that a box and its target do not have in common.

    Formula: 1 - IoU

    In [0, 1]. Boxes that do not overlap have no gradient: such a box stays where it is.

    Examples
    --------
    >>> box_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.0, 2.0, 1.0]]))
    tensor([0.5000])

    """
    return 1 - iou_of(boxes, target)


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source='Yu et al. 2016, "UnitBox: An Advanced Object Detection Network", arXiv:1608.01471',
    ranges={"eps": "(0, 1)"},
)
def box_log_iou(boxes: Tensor, target: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Negative logarithm of the overlap (UnitBox): the less a box overlaps, the more it is pulled.

    Formula: -log(max(IoU, eps))

    In [0, -log eps]: without overlap it is -log eps, 13.8 by default, and has no gradient.

    Parameters
    ----------
    eps : float in (0, 1)
        Overlap below which the loss is constant.

    Examples
    --------
    >>> box_log_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.0, 2.0, 1.0]]))
    tensor([0.6931])

    """
    return -iou_of(boxes, target).clamp(min=eps).log()


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=(
        'He et al. 2021, "Alpha-IoU: A Family of Power Intersection over Union Losses for Bounding Box Regression", '
        "arXiv:2110.13675"
    ),
    ranges={"alpha": "(0, inf)"},
)
def box_alpha_iou(boxes: Tensor, target: Tensor, *, alpha: float = 3.0) -> Tensor:
    """One less a power of the overlap: with alpha above 1, boxes that fit well already count more.

    Formula: 1 - IoU^alpha

    In [0, 1]. alpha = 1 is `box_iou`. Boxes that do not overlap have no gradient.

    Parameters
    ----------
    alpha : float above 0
        The power.

    Examples
    --------
    >>> box_alpha_iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.0, 2.0, 1.0]]))
    tensor([0.8750])

    """
    iou = iou_of(boxes, target)
    return 1 - iou.clamp(min=torch.finfo(iou.dtype).tiny) ** alpha


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=(
        'Rezatofighi et al. 2019, "Generalized Intersection over Union: A Metric and A Loss for Bounding Box '
        'Regression", arXiv:1902.09630'
    ),
)
def box_giou(boxes: Tensor, target: Tensor) -> Tensor:
    """`box_iou` and the share of the hull that neither box covers: boxes that do not overlap attract each other.

    Formula: 1 - IoU + (C - U) / C, with C = cw ch the area of the hull

    In [0, 2], towards 2 for boxes far apart. Where one box lies in the other the hull is the larger one, and it is
    `box_iou`.

    Examples
    --------
    >>> box_giou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
    tensor([1.3333])

    """
    shared, union = _areas(boxes, target)
    width, height = _hull(boxes, target)
    return 1 - _ratio(shared, union) + _ratio(width * height - union, width * height)


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=(
        'Zheng et al. 2020, "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression", '
        "arXiv:1911.08287"
    ),
)
def box_diou(boxes: Tensor, target: Tensor) -> Tensor:
    """`box_iou` and the squared distance of the centres, as a share of that across the hull.

    Formula: 1 - IoU + (dx^2 + dy^2) / c^2

    In [0, 2]. For boxes with one centre it is `box_iou`.

    Examples
    --------
    >>> box_diou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
    tensor([1.4000])

    """
    return 1 - iou_of(boxes, target) + _centre_distance(boxes, target)


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=(
        'Zheng et al. 2020, "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression", '
        "arXiv:1911.08287"
    ),
    detached="the weight A of the aspect",
)
def box_ciou(boxes: Tensor, target: Tensor) -> Tensor:
    """`box_diou` and the difference of the aspects, which counts the more the better the boxes overlap.

    Formula: 1 - IoU + (dx^2 + dy^2) / c^2 + A v, A = v / (1 - IoU + v), v = (4 / pi^2) (atan(w_t/h_t) - atan(w/h))^2

    The weight A is constant in the gradient, as in the paper. The gradient by the sides is that of v itself; the
    authors' code leaves out its factor 1 / (w^2 + h^2), which is large for sides that are small numbers. A point has
    the angle 0.

    Examples
    --------
    >>> box_ciou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.5, 2.0, 1.5]]))
    tensor([0.5032])

    """
    iou = iou_of(boxes, target)
    v = 4 / math.pi**2 * (_angle(target) - _angle(boxes)).square()
    with torch.no_grad():
        weight = _ratio(v, (1 - iou).clamp(min=0) + v)
    return 1 - iou + _centre_distance(boxes, target) + weight * v


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=('Zhang et al. 2021, "Focal and Efficient IOU Loss for Accurate Bounding Box Regression", arXiv:2101.08158'),
)
def box_eiou(boxes: Tensor, target: Tensor) -> Tensor:
    """`box_diou` and the squared differences of width and of height, each as a share of that side of the hull.

    Formula: 1 - IoU + (dx^2 + dy^2) / c^2 + (w - w_t)^2 / cw^2 + (h - h_t)^2 / ch^2

    Where CIoU compares aspects, which two boxes of different size may share, EIoU compares the sides themselves.
    Without the paper's focal weight, which `box_focal_eiou` has.

    Examples
    --------
    >>> box_eiou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.5, 2.0, 1.5]]))
    tensor([0.7500])

    """
    cw, ch = _hull(boxes, target)
    (w, h), (w_t, h_t) = _sides(boxes), _sides(target)
    of_sides = _ratio((w - w_t).square(), cw.square()) + _ratio((h - h_t).square(), ch.square())
    return 1 - iou_of(boxes, target) + _centre_distance(boxes, target) + of_sides


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source=('Zhang et al. 2021, "Focal and Efficient IOU Loss for Accurate Bounding Box Regression", arXiv:2101.08158'),
    ranges={"gamma": "[0, inf)"},
    detached="the weight IoU^gamma",
)
def box_focal_eiou(boxes: Tensor, target: Tensor, *, gamma: float = 0.5) -> Tensor:
    """`box_eiou`, less of boxes that overlap little: of many anchors those that fit well already count most.

    Formula: IoU^gamma L_EIoU

    The weight is held constant in the gradient, as else less overlap would lower the loss. Boxes that do not overlap
    have neither value nor gradient, unless gamma is 0, which is `box_eiou`.

    Parameters
    ----------
    gamma : float from 0
        Power of the weight.

    Examples
    --------
    >>> box_focal_eiou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.5, 2.0, 1.5]]))
    tensor([0.5303])

    """
    return iou_of(boxes, target).detach().clamp(min=0) ** gamma * box_eiou(boxes, target)


@loss(
    task="boxes",
    link=identity,
    outputs=4,
    shapes="N 4 , N 4 -> N",
    source='Gevorgyan 2022, "SIoU Loss: More Powerful Learning for Bounding Box Regression", arXiv:2205.12740',
    ranges={"theta": "[1, inf)"},
)
def box_siou(boxes: Tensor, target: Tensor, *, theta: float = 4.0) -> Tensor:
    """`box_iou` and costs of distance and shape; the distance counts less while its direction is off both axes.

    Formula: 1 - IoU + (D + S) / 2, D = sum_(t = x, y) 1 - e^(-(2 - L) p_t), S = sum_(t = w, h) (1 - e^(-o_t))^theta

    p_x = (dx / cw)^2 and p_y = (dy / ch)^2; o_w = |w - w_t| / max(w, w_t) and o_h alike; L = 1 - 2 sin^2(a - pi/4) is
    the cost of the angle a between the line of the centres and an axis, computed as 2 |dx dy| / (dx^2 + dy^2). So a box
    first comes into line with its target and then closes in. In [0, 3].

    Parameters
    ----------
    theta : float from 1
        How much large differences of the sides count above small ones; the paper takes about 4, of 2 to 6.

    Examples
    --------
    >>> box_siou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[0.0, 0.5, 2.0, 1.5]]))
    tensor([0.5120])

    """
    # The angle is a ratio of differences that may be small: in half precision nothing would be left of it.
    boxes, target = (each.to(torch.promote_types(each.dtype, torch.float32)) for each in (boxes, target))
    dx, dy = _between_centres(boxes, target)
    weight = 2 - _ratio(2 * (dx * dy).abs(), dx.square() + dy.square())
    distance = sum(
        -torch.expm1(-weight * _ratio(apart.square(), side.square()))
        for apart, side in zip((dx, dy), _hull(boxes, target), strict=True)
    )
    shape = sum(
        (-torch.expm1(-_ratio((side - true).abs(), torch.maximum(side, true)))) ** theta
        for side, true in zip(_sides(boxes), _sides(target), strict=True)
    )
    return 1 - iou_of(boxes, target) + (distance + shape) / 2


def iou_of(boxes: Tensor, target: Tensor) -> Tensor:
    """Return the IoU (...) of boxes (..., 4) and their targets (..., 4), by the rules of this family."""
    return _ratio(*_areas(boxes, target))


def _areas(boxes: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the areas (...) that a box and its target share and cover."""
    low = torch.maximum(boxes[..., :2], target[..., :2])
    high = torch.minimum(boxes[..., 2:], target[..., 2:])
    shared, own, true = (_area(*side.unbind(-1)) for side in (high - low, _extent(boxes), _extent(target)))
    return shared, own + true - shared


def _area(width: Tensor, height: Tensor) -> Tensor:
    return width.relu() * height.relu()  # not clamp: its gradient at 0 differs between versions of torch


def _extent(boxes: Tensor) -> Tensor:
    return boxes[..., 2:] - boxes[..., :2]


def _sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return width and height, below 0 where corners have changed places."""
    width, height = _extent(boxes).unbind(-1)
    return width, height


def _hull(boxes: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return width and height of the smallest box around all four corners."""
    low = torch.minimum(torch.minimum(boxes[..., :2], boxes[..., 2:]), target[..., :2])
    high = torch.maximum(torch.maximum(boxes[..., :2], boxes[..., 2:]), target[..., 2:])
    width, height = (high - low).unbind(-1)
    return width, height


def _between_centres(boxes: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    dx, dy = ((boxes[..., :2] + boxes[..., 2:]) / 2 - (target[..., :2] + target[..., 2:]) / 2).unbind(-1)
    return dx, dy


def _centre_distance(boxes: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of the centres over the squared diagonal of the hull."""
    dx, dy = _between_centres(boxes, target)
    width, height = _hull(boxes, target)
    return _ratio(dx.square() + dy.square(), width.square() + height.square())


def _angle(boxes: Tensor) -> Tensor:
    """Return atan(width / height); 0 without a gradient for a point."""
    width, height = (side.relu() for side in _sides(boxes))
    point = width.square() + height.square() <= torch.finfo(boxes.dtype).tiny
    return torch.atan2(width.masked_fill(point, 0), height.masked_fill(point, 1))


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Return part / whole; 0 without a gradient where the whole is 0, or too small a number to be divided by."""
    nothing = whole <= torch.finfo(whole.dtype).tiny
    return (part / whole.masked_fill(nothing, 1)).masked_fill(nothing, 0)
