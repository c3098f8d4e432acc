"""What the places of a detector shall say of an image, and which boxes are read from what they say.

Boxes are corners x1, y1, x2, y2 in pixels. Images have different numbers of objects: they are padded to M boxes, and
the label of what is no object is -1.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms


class Targets(NamedTuple):
    """What each of L places is to say.

    Parameters
    ----------
    chosen : Tensor (N, L)
        Which of the boxes of the image belongs to the place, int64; -1 for background.
    labels : Tensor (N, L)
        Its class, int64; -1 for background.
    boxes : Tensor (N, L, 4)
        The box itself; 0 for background.

    """

    chosen: Tensor
    labels: Tensor
    boxes: Tensor


class Detections(NamedTuple):
    """The boxes that are found in each image, by falling scores, padded to one number D.

    Parameters
    ----------
    boxes : Tensor (N, D, 4)
        Corners in pixels; 0 where there is none.
    scores : Tensor (N, D)
        0 where there is none.
    labels : Tensor (N, D)
        int64; -1 where there is none.

    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def assign(locations: Tensor, boxes: Tensor, labels: Tensor, stride: float, radius: float = 1.5) -> Targets:
    """Give each place the smallest box in whose middle it lies, or none: the centre sampling of FCOS.

    The middle of a box is the part of it that is less than `radius` strides from its centre, in x and in y, without the
    edges. Of boxes of one area it is the first. A box between the places, which none lies in, has no place.

    Parameters
    ----------
    locations : Tensor (L, 2)
        x and y of the places.
    boxes : Tensor (N, M, 4)
        Corners.
    labels : Tensor (N, M)
        Classes, int64; -1 for padding.
    stride : float
        Distance of neighbouring places.
    radius : float
        In strides.

    References
    ----------
    Tian et al. 2022, "FCOS: A Simple and Strong Anchor-Free Object Detector", arXiv:2006.09214.

    Examples
    --------
    >>> places = torch.tensor([[2.0, 2.0], [6.0, 2.0]])
    >>> assign(places, torch.tensor([[[0.0, 0.0, 4.0, 4.0]]]), torch.tensor([[7]]), stride=4).labels
    tensor([[ 7, -1]])

    """
    boxes, labels = F.pad(boxes, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=-1)  # so that there is one, always
    inside = (distances_of(locations[:, None], boxes[:, None]) > 0).all(-1)
    centre, size = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    near = ((locations[:, None] - centre[:, None]).abs() < radius * stride).all(-1)
    area = size.prod(-1)[:, None].masked_fill(~(inside & near & (labels >= 0)[:, None]), torch.inf)
    smallest, chosen = area.min(-1)
    none = smallest.isinf()
    of_place = boxes.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 4))
    return Targets(
        chosen.masked_fill(none, -1),
        labels.gather(1, chosen).masked_fill(none, -1),
        of_place.masked_fill(none.unsqueeze(-1), 0),
    )


def distances_of(locations: Tensor, boxes: Tensor) -> Tensor:
    """Return the distances (..., 4) from places (..., 2) to the left, upper, right and lower side of boxes (..., 4)."""
    return torch.cat([locations - boxes[..., :2], boxes[..., 2:] - locations], dim=-1)


def boxes_of(locations: Tensor, distances: Tensor) -> Tensor:
    """Return the corners (..., 4) of boxes whose sides have distances (..., 4) from places (..., 2).

    Examples
    --------
    >>> boxes_of(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([1., 0., 5., 6.])

    """
    return torch.cat([locations - distances[..., :2], locations + distances[..., 2:]], dim=-1)


def centreness(distances: Tensor) -> Tensor:
    """Return how central a place is in its box: 1 in the middle, 0 at an edge (Tian et al. 2019).

    Formula: sqrt(min(l, r) / max(l, r) min(t, b) / max(t, b))

    Parameters
    ----------
    distances : Tensor (..., 4)
        l, t, r and b, from 0; of a box without width or height the centreness is 0.

    Examples
    --------
    >>> centreness(torch.tensor([1.0, 2.0, 4.0, 2.0]))
    tensor(0.5000)

    """
    one, other = distances[..., :2], distances[..., 2:]
    tiny = torch.finfo(distances.dtype).tiny
    return (torch.minimum(one, other) / torch.maximum(one, other).clamp(min=tiny)).prod(-1).sqrt()


def decode(
    scores: Tensor,
    boxes: Tensor,
    image_size: tuple[int, int],
    *,
    min_score: float = 0.05,
    candidates: int = 1000,
    max_overlap: float = 0.6,
    limit: int = 100,
) -> Detections:
    """Read the boxes of each image: the best scores, of which none overlaps a better one of its class much.

    Of an image the `candidates` best pairs of place and class above `min_score` are taken and their boxes cut to the
    image. By falling score a box is left out if its IoU with one of the same class that is kept is above `max_overlap`;
    of the rest the `limit` best are kept.

    Parameters
    ----------
    scores : Tensor (N, L, K)
        Scores of each class at each place.
    boxes : Tensor (N, L, 4)
        The box of each place.
    image_size : tuple of int
        Height and width.
    min_score : float
        Scores up to this are no detections.
    candidates, limit : int
        How many to an image.
    max_overlap : float
        Of two boxes of one class.

    Returns
    -------
    Detections
        Padded to `limit`.

    Examples
    --------
    >>> boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 5.0]]])
    >>> decode(torch.tensor([[[0.9], [0.8]]]), boxes, (8, 8), limit=3).scores
    tensor([[0.9000, 0.0000, 0.0000]])

    """
    number, places, classes = scores.shape
    best, index = scores.flatten(1).topk(min(candidates, places * classes))
    place = torch.div(index, classes, rounding_mode="floor")
    height, width = image_size
    # Within the image, as `batched_nms` keeps classes apart by shifts that need numbers from 0.
    cut = torch.minimum(boxes, boxes.new_tensor([width, height, width, height])).clamp(min=0)
    cut = cut.gather(1, place.unsqueeze(-1).expand(-1, -1, 4))
    there = best > min_score
    image = torch.arange(number, device=scores.device).unsqueeze(-1).expand_as(index)[there]
    best, label, cut = best[there], (index % classes)[there], cut[there]
    # In double precision: by the shifts of a large batch single precision would lose parts of a pixel.
    kept = batched_nms(cut.double(), best.double(), image * classes + label, max_overlap).sort().values
    image = image[kept]  # still by image, and of each by falling scores
    counts = torch.bincount(image, minlength=number)
    rank = torch.arange(len(kept), device=scores.device) - (counts.cumsum(0) - counts)[image]
    kept, image, rank = (each[rank < limit] for each in (kept, image, rank))
    found = Detections(
        boxes.new_zeros(number, limit, 4),
        scores.new_zeros(number, limit),
        torch.full((number, limit), -1, device=scores.device),
    )
    for padded, each in zip(found, (cut, best, label), strict=True):
        padded[image, rank] = each[kept]
    return found
