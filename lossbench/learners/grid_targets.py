"""What the cells of a grid shall say of an image, and which boxes are read from what they say (YOLO v1).

Boxes are corners x1, y1, x2, y2 in pixels of a square image; those of cells are x and y from the corner of the cell, in
its size, and w and h as shares of the image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def grid_targets(boxes: Tensor, labels: Tensor, *, cells: int, size: int, num_classes: int) -> Tensor:
    """Give each cell the object whose centre is in it: of several the smallest, the others are left out.

    Parameters
    ----------
    boxes : Tensor (N, M, 4)
        Corners.
    labels : Tensor (N, M)
        Classes, int64; -1 for padding.
    cells : int
        Cells S of a side.
    size : int
        Pixels of a side.
    num_classes : int
        Number of classes K.

    Returns
    -------
    Tensor (N, S, S, 5 + K)
        x, y, w, h, 1 for an object, and 1 at its class; zeros where there is none. As `losses.yolo_v1` takes it.

    Examples
    --------
    >>> boxes = torch.tensor([[[4.0, 0.0, 8.0, 2.0]]])
    >>> grid_targets(boxes, torch.tensor([[0]]), cells=2, size=8, num_classes=1)[0, 0].tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.5, 0.25, 0.5, 0.25, 1.0, 1.0]]

    """
    boxes, labels = F.pad(boxes, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=-1)  # so that there is one, always
    centre, shares = (boxes[..., :2] + boxes[..., 2:]) * (cells / 2 / size), (boxes[..., 2:] - boxes[..., :2]) / size
    corner = centre.floor().clamp(0, cells - 1)
    place = (cells * corner[..., 1] + corner[..., 0]).long()
    here = (place.unsqueeze(1) == torch.arange(cells**2, device=boxes.device).unsqueeze(1)) & (labels >= 0).unsqueeze(1)
    smallest, chosen = shares.prod(-1).unsqueeze(1).masked_fill(~here, torch.inf).min(-1)
    known = torch.cat([centre - corner, shares, torch.ones_like(centre[..., :1])], dim=-1)
    classes = F.one_hot(labels.clamp(min=0), num_classes).to(known)
    every = torch.cat([known, classes], dim=-1)
    of_cells = every.gather(1, chosen.unsqueeze(-1).expand(-1, -1, every.shape[-1]))
    return of_cells.masked_fill(smallest.isinf().unsqueeze(-1), 0).unflatten(1, (cells, cells))


def grid_boxes(outputs: Tensor, *, size: int, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return the scores (N, L, K) and the corners (N, L, 4) of the L = S S B boxes of outputs (N, S, S, 5 B + K).

    A score is the confidence of a box times the number of the class, each cut to [0, 1].

    Examples
    --------
    >>> outputs = torch.tensor([0.5, 0.5, 0.25, 1.0, 0.5, 0.8]).view(1, 1, 1, 6)
    >>> grid_boxes(outputs, size=8, num_classes=1)
    (tensor([[[0.4000]]]), tensor([[[3., 0., 5., 8.]]]))

    """
    cells = outputs.shape[1]
    boxes, classes = outputs[..., :-num_classes].unflatten(-1, (-1, 5)), outputs[..., -num_classes:]
    scores = boxes[..., 4:].clamp(0, 1) * classes.clamp(0, 1).unsqueeze(-2)
    row, column = torch.meshgrid(*2 * [torch.arange(cells, device=outputs.device)], indexing="ij")
    centre = (torch.stack([column, row], dim=-1).unsqueeze(-2) + boxes[..., :2]) / cells
    half = boxes[..., 2:4].clamp(min=0) / 2
    return scores.flatten(1, 3), size * torch.cat([centre - half, centre + half], dim=-1).flatten(1, 3)
