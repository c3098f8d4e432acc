"""The metrics of segmentation, on the probabilities of each pixel: the same for every loss.

Probabilities are (N, H, W, K), with class 0 the background; the target is (N, H, W), int64, 255 where a pixel is not
known. The predicted class of a pixel is its likeliest one.

One rule for means over classes: they are over the foreground classes 1 ... K - 1, as the background is large and easy;
accuracy, NLL, Brier score and calibration error are over all known pixels. One rule for absent classes: a class that is
neither there nor predicted is left out; one that is only predicted counts, as 0, as does one that is only there. One
rule for pixels that are not known: they belong to no class, neither in truth nor in prediction. A metric without a
value is left out.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from lossbench.losses.labelled_pixels import IGNORED as UNKNOWN
from lossbench.losses.links import log_odds_of
from lossbench.tasks.classification.confidence_bins import fill
from lossbench.tasks.problem import with_a_value

TOLERANCE = 2.0
"""So many pixels a boundary may be off for `boundary_f1`."""

Array = NDArray[Any]


def pixel_metrics(probabilities: Tensor, target: Tensor, log_odds: Tensor | None = None) -> dict[str, float]:
    """Compute the metrics that are counted pixel by pixel.

    `pixel_accuracy`; IoU = hit / (predicted + true - hit) and Dice = 2 hit / (predicted + true) of pixels, `iou/1` ...
    of each class (`iou/0` of the background) and their mean over classes from the counts of all images, `miou_pooled`
    and `dice_pooled`; `miou_image` and `dice_image`, the mean over images of the mean over the classes that are there
    or predicted in the image; `nll`; `ece`, the expected calibration error of the predicted class in 15 bins;
    `area_ratio`, pixels predicted as foreground over those that are; `soft_area`, the mean probability of foreground.

    Parameters
    ----------
    probabilities : Tensor
        Shape (N, H, W, K), of each pixel summing to one.
    target : Tensor
        True classes, 255 where not known, int64, shape (N, H, W).
    log_odds : Tensor, optional
        log(p / (1 - p)) of the probabilities, (N, H, W, K), for the NLL: it tells pixels apart whose probabilities are
        1. Without it, that of the probabilities as far as these go.

    Returns
    -------
    dict of str to float
        Empty if no pixel is known.

    Examples
    --------
    >>> half_right = torch.tensor([[0.1, 0.9], [0.4, 0.6], [0.7, 0.3], [0.8, 0.2]]).view(1, 2, 2, 2)
    >>> scores = pixel_metrics(half_right, torch.tensor([[[1, 0], [1, 0]]]))
    >>> scores["pixel_accuracy"], round(scores["miou_pooled"], 4), scores["dice_pooled"], scores["area_ratio"]
    (0.5, 0.3333, 0.5, 1.0)

    """
    known, classes = target != UNKNOWN, probabilities.shape[-1]
    if not known.any():
        return {}
    confidence, predicted = probabilities.max(-1)
    right = (predicted == target)[known]
    images = torch.arange(len(target)).view(-1, 1, 1).expand(target.shape)[known] * classes

    def counts(labels: Tensor, weights: Tensor | None = None) -> Tensor:
        counted = torch.bincount(images + labels[known], weights, minlength=len(target) * classes)
        return counted.view(len(target), classes).double()

    said, true, hit = counts(predicted), counts(target), counts(predicted, right.double())
    iou, dice = hit.sum(0) / (said + true - hit).sum(0), 2 * hit.sum(0) / (said + true).sum(0)
    own = target.masked_fill(~known, 0).unsqueeze(-1)
    of_true = log_odds_of(probabilities.gather(-1, own).double()) if log_odds is None else log_odds.gather(-1, own)
    return with_a_value(
        {
            "pixel_accuracy": right.double().mean(),
            "miou_pooled": iou[1:].nanmean(),
            "dice_pooled": dice[1:].nanmean(),
            "miou_image": (hit / (said + true - hit))[:, 1:].nanmean(1).nanmean(),
            "dice_image": (2 * hit / (said + true))[:, 1:].nanmean(1).nanmean(),
            "nll": softplus(-of_true.squeeze(-1)[known].double()).mean(),  # -log p of the log-odds log(p / (1 - p))
            "ece": torch.tensor(fill(confidence[known].numpy(), right.numpy()).error),
            "area_ratio": said[:, 1:].sum() / true[:, 1:].sum(),
            "soft_area": 1 - probabilities[..., 0][known].double().mean(),
            **{f"iou/{label}": iou[label] for label in range(classes)},
        }
    )


def shape_metrics(
    probabilities: Tensor, target: Tensor, instances: Tensor | None = None, log_odds: Tensor | None = None
) -> dict[str, float]:
    """Compute the metrics of boundaries, objects and order, which take longer.

    `ap` is the mean over classes of the average precision of their probabilities over all pixels; `brier` the mean of
    the squared distance of the probabilities to the one-hot truth, summed over the classes. For the others see
    `boundary_metrics`, and where objects are told apart `panoptic_metrics`.

    Parameters
    ----------
    probabilities, target, log_odds : Tensor
        As of `pixel_metrics`; here the log-odds are for the average precision.
    instances : Tensor, optional
        The number of the object of each pixel, 0 where there is none, shape (N, H, W).

    Examples
    --------
    >>> target = torch.zeros(1, 9, 9, dtype=torch.int64)
    >>> target[:, 3:6, 3:6] = 1
    >>> moved = torch.nn.functional.one_hot(target.roll(1, 2), 2).double()
    >>> scores = shape_metrics(moved, target, target)
    >>> scores["hausdorff_95"], scores["boundary_f1"], scores["pq"], round(scores["brier"], 4)
    (1.0, 1.0, 0.0, 0.1481)

    """
    known, classes = target != UNKNOWN, probabilities.shape[-1]
    if not known.any():
        return {}
    said, true = (labels.masked_fill(~known, 0) for labels in (probabilities.argmax(-1), target))
    scores, of_class = (probabilities if log_odds is None else log_odds)[known].numpy(), true[known].numpy()
    there = np.flatnonzero(np.bincount(of_class, minlength=classes)[1:]) + 1
    precision = [_average_precision(scores[:, label], of_class == label) for label in there]
    of_true = probabilities.gather(-1, true.unsqueeze(-1)).squeeze(-1)
    distance = torch.linalg.vector_norm(probabilities, dim=-1).square() - 2 * of_true + 1
    found = {"brier": distance[known].double().mean(), **boundary_metrics(said, true, classes)}
    if precision:
        found["ap"] = np.mean(precision)
    if instances is not None:
        found |= panoptic_metrics(said.numpy(), true.numpy(), instances.numpy(), classes)
    return with_a_value(found)


def _average_precision(scores: Array, positive: Array) -> float:
    """Return what `ranking.areas` does, from two plain sorts, which are faster for the millions of pixels of a part."""
    mine = np.sort(scores[positive])
    others = np.sort(scores[~positive & ~(scores < mine[0])])  # the lower ones count nowhere; NaN is sorted last
    if np.isnan(mine[-1]) or np.isnan(others[-1:]).any():
        return np.nan
    above, wrong = (len(side) - np.searchsorted(side, mine) for side in (mine, others))
    return float((above / (above + wrong)).mean())


def boundary_metrics(said: Tensor, true: Tensor, classes: int) -> dict[str, Any]:
    """Compute how far predicted boundaries are from true ones; means over all pairs of an image and a class.

    A pixel of a class is on its boundary if one of its four neighbours is not of the class or outside the image.
    `boundary_f1` is the F1 of the share of predicted boundary pixels with a true one within 2 pixels and of the share
    of true ones with a predicted one within 2 pixels; 0 where the class is on one side alone. `hausdorff_95` is the
    larger of the 95th percentiles of the distances from one boundary to the other and back, `surface_distance` the mean
    of all these distances, both in pixels. They have no value where the class is on one side alone: such pairs are left
    out, and `missed` is their share.

    Parameters
    ----------
    said, true : Tensor
        Predicted and true classes, 0 being none, int64, shape (N, H, W).
    classes : int
        K.

    References
    ----------
    Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?" (boundary F1, per image).

    """
    from scipy.spatial import cKDTree

    (on_said, said_there), (on_true, true_there) = (_boundary(labels, classes) for labels in (said, true))
    both, either = (said_there & true_there).numpy(), (said_there | true_there).numpy()
    if not either.any():
        return {}
    found: dict[str, Any] = {"boundary_f1": 0.0, "missed": 1 - both.sum() / either.sum()}
    if not both.any():
        return found
    # Each pair of an image and a class is a plane of its own, farther from the next than any two of its pixels.
    place, apart = both.cumsum() - 1, sum(said.shape[1:])
    points = []
    for pairs, row, column in (on_said, on_true):
        kept = both[pairs]
        points.append(np.stack([place[pairs[kept]] * apart, row[kept], column[kept]], axis=1))
    distances = [cKDTree(there).query(here)[0] for here, there in (points, points[::-1])]
    pair = [each[:, 0] // apart for each in points]
    count = [np.bincount(each) for each in pair]
    near = [np.bincount(p, d <= TOLERANCE) / n for p, d, n in zip(pair, distances, count, strict=True)]
    f1 = 2 * near[0] * near[1] / np.maximum(near[0] + near[1], 1e-12)
    worst = [_percentiles(*each, 0.95) for each in zip(pair, distances, count, strict=True)]
    mean = sum(np.bincount(p, d) for p, d in zip(pair, distances, strict=True)) / (count[0] + count[1])
    found["boundary_f1"] = f1.sum() / either.sum()
    return {**found, "hausdorff_95": np.maximum(*worst).mean(), "surface_distance": mean.mean()}


def _boundary(labels: Tensor, classes: int) -> tuple[tuple[Array, Array, Array], Tensor]:
    """Return number of the pair, row and column of each boundary pixel, and whether a pair (N * (K - 1),) has any."""
    height, width = labels.shape[1:]
    of_class = labels[:, None] == torch.arange(1, classes).view(-1, 1, 1)
    padded = torch.nn.functional.pad(of_class, (1, 1, 1, 1))
    across = padded[..., 1:-1, 2:] & padded[..., 1:-1, :-2]
    inner = across & padded[..., 2:, 1:-1] & padded[..., :-2, 1:-1]
    edge = (of_class & ~inner).view(-1, height * width)
    pair, pixel = edge.numpy().nonzero()
    return (pair, pixel // width, pixel % width), edge.any(1)


def _percentiles(group: Array, values: Array, count: Array, share: float) -> Array:
    """Return a percentile of the values of each group, interpolated linearly as NumPy does."""
    ordered = values[np.lexsort((values, group))]
    start, place = count.cumsum() - count, share * (count - 1)
    low = np.floor(place).astype(int)
    below, above = ordered[start + low], ordered[start + np.minimum(low + 1, count - 1)]
    percentile: Array = below + (place - low) * (above - below)
    return percentile


def panoptic_metrics(said: Array, true: Array, instances: Array, classes: int) -> dict[str, Any]:
    """Compare predicted with true objects; predicted are the connected parts of each class, diagonals included.

    A predicted and a true object match if they are of one class and their IoU is above one half. For each class,
    `sq` is the mean IoU of matches (0 if there are none), `rq` = matches / (predicted / 2 + true / 2), `pq` = sq rq;
    all three are means over the classes of which there is an object on any side.

    What is seen of an object may be several parts, and touching objects of a class are one part: the best value is
    then below 1.

    Parameters
    ----------
    said, true : array of int, shape (N, H, W)
        Predicted and true classes, 0 being none.
    instances : array of int, shape (N, H, W)
        The number of the object of each pixel in its image.
    classes : int
        K.

    References
    ----------
    Kirillov et al. 2019, "Panoptic Segmentation", of things alone.

    """
    parts, there = object_numbers(said), true > 0
    images = np.arange(len(true))[:, None, None] * classes
    numbers = ((images + true) * (int(instances.max(initial=0)) + 1) + instances)[there]
    objects, object_of = np.unique(numbers, return_inverse=True)
    class_of_object = np.zeros(len(objects), dtype=int)
    class_of_object[object_of] = true[there]
    class_of_part = np.zeros(int(parts.max(initial=0)) + 1, dtype=int)
    class_of_part[parts[said > 0]] = said[said > 0]
    in_both = parts[there] > 0
    pairs, shared = np.unique(parts[there][in_both] * len(objects) + object_of[in_both], return_counts=True)
    part, other = pairs // max(1, len(objects)), pairs % max(1, len(objects))
    iou = shared / (np.bincount(parts.ravel())[part] + np.bincount(object_of)[other] - shared)
    match = (iou > 0.5) & (class_of_part[part] == class_of_object[other])
    of_class = class_of_object[other[match]]
    matches, overlap = np.bincount(of_class, minlength=classes), np.bincount(of_class, iou[match], classes)
    halves = (np.bincount(class_of_part[1:], minlength=classes) + np.bincount(class_of_object, minlength=classes)) / 2
    seen = np.flatnonzero(halves)
    if not len(seen):
        return {}
    sq, rq = overlap[seen] / np.maximum(1, matches[seen]), matches[seen] / halves[seen]
    return {"pq": (sq * rq).mean(), "sq": sq.mean(), "rq": rq.mean()}


def object_numbers(masks: Array) -> Array:
    """Give numbers to the connected parts of each class, diagonal neighbours included, of all images; 0 is none.

    Parameters
    ----------
    masks : array of int, shape (N, H, W)
        Classes; 0 and 255 are none.

    Examples
    --------
    >>> object_numbers(np.array([[[1, 0, 1], [0, 1, 0]], [[2, 1, 0], [0, 0, 2]]])).tolist()
    [[[1, 0, 1], [0, 1, 0]], [[3, 2, 0], [0, 0, 4]]]

    """
    from scipy.ndimage import label

    within = np.zeros((3, 3, 3), dtype=int)
    within[1] = 1
    numbers, found = np.zeros(masks.shape, dtype=np.int64), 0
    for kind in np.flatnonzero(np.bincount(masks.ravel(), minlength=UNKNOWN + 1)[1:UNKNOWN]) + 1:
        parts, more = label(masks == kind, within)
        numbers += np.where(parts, parts + found, 0)
        found += more
    return numbers
