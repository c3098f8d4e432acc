"""What losses of images share: which pixels have a label, which class each is of, and means over pixels and classes.

Outputs are logits (N, H, W, K), the classes last; a target (N, H, W) has integer class indices, class 0 being the
background, and `IGNORED` where a pixel has no part in anything. Maps of the classes are made of them as (N, K, H, W):
a softmax over classes that lie one beside another in memory takes five times as long, and sums over pixels do, too.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lossbench.losses.classification import in_single_precision, require_indices

IGNORED = 255
"""The label of a pixel that is left out of every loss and metric."""


def valid_pixels(target: Tensor) -> Tensor:
    """Return the boolean mask of the pixels that have a label, of the shape of the target."""
    return target != IGNORED


def all_are(mask: Tensor) -> bool:
    """Tell whether it is known that a mask is all true: on the CPU it is looked up, elsewhere the device would wait."""
    if mask.device.type == "cpu" and not torch.compiler.is_compiling():
        try:
            return bool(mask.all())
        except RuntimeError:  # under torch.func.vmap no value can be asked for
            pass
    return False


def true_classes(logits: Tensor, target: Tensor) -> Tensor:
    """Return the boolean maps (N, K, H, W) of the true classes, without any at an ignored pixel."""
    require_indices(logits, target)
    valid = valid_pixels(target).unsqueeze(1)
    none = valid.new_zeros(len(target), logits.shape[-1], *target.shape[1:])
    return none.scatter_(1, target.long().unsqueeze(1).masked_fill(~valid, 0), valid)


def maps_of(logits: Tensor) -> Tensor:
    """Return the logits as maps (N, K, H, W), in float32 at least."""
    return in_single_precision(logits).movedim(-1, 1).contiguous()


def mean_over_valid(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean (N,) over the valid pixels of values (N, H, W); 0 for an image without one.

    Examples
    --------
    >>> mean_over_valid(torch.tensor([[[1.0, 2.0]], [[1.0, 9.0]]]), torch.tensor([[[0, 1]], [[0, 255]]]))
    tensor([1.5000, 1.0000])

    """
    valid = valid_pixels(target)
    return values.masked_fill(~valid, 0).sum((1, 2)) / valid.sum((1, 2)).clamp(min=1)


def mean_over_present(values: Tensor, present: Tensor, background: bool) -> Tensor:
    """Return the mean (...) over the classes that are present of values (..., K), which must be finite; 0 without one.

    Parameters
    ----------
    values : Tensor (..., K)
        A number for each class.
    present : Tensor (..., K)
        Whether the truth has the class, boolean.
    background : bool
        Whether class 0 counts.

    Examples
    --------
    >>> mean_over_present(torch.tensor([0.5, 0.2, 0.9]), torch.tensor([True, True, False]), background=True)
    tensor(0.3500)

    """
    counted = counted_classes(present, background)
    return values.masked_fill(~counted, 0).sum(-1) / counted.sum(-1).clamp(min=1)


def counted_maps(logits: Tensor, target: Tensor, background: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return which classes count (N, K), and of these P alone probabilities, truth and valid pixels, all (P, H, W)."""
    p, truth, valid = regions(logits, target)
    present = counted_classes(truth.any(-1).any(-1), background)
    return present, p[present], truth[present], valid.expand_as(truth)[present]


def mean_of_maps(values: Tensor, present: Tensor) -> Tensor:
    """Return the mean (N,) over the classes of values (P,) of the maps that count; 0 without one."""
    of_class = values.new_zeros(present.shape).masked_scatter(present, values)
    return mean_over_present(of_class, present, background=True)


def counted_classes(present: Tensor, background: bool) -> Tensor:
    """Return which of the classes present (..., K) count: without class 0 unless `background`."""
    return present if background else present & (torch.arange(present.shape[-1], device=present.device) > 0)


class Overlap(NamedTuple):
    """The sums over a region by class, each (N, K) or (1, K); the volume is the number of true pixels."""

    true_positives: Tensor
    false_positives: Tensor
    false_negatives: Tensor
    volume: Tensor


def overlap_of(logits: Tensor, target: Tensor, per: str) -> Overlap:
    """Return what `softmax(logits)` and the truth have in common and what not, by class.

    Formula: sum p t, sum p (1 - t), sum (1 - p) t, sum t over valid pixels

    Parameters
    ----------
    logits : Tensor (N, H, W, K)
        Floating point.
    target : Tensor (N, H, W)
        Integer class indices; 255 leaves a pixel out.
    per : str
        "image": sums (N, K) over each image; "batch": (1, K) over all.

    """
    require_per(per)
    require_indices(logits, target)
    # Nothing of the size of the logits but p and its other classes: half of the time that one-hot truth takes.
    p, valid = maps_of(logits).softmax(1).flatten(2), valid_pixels(target).flatten(1)
    own = target.flatten(1).long().masked_fill(~valid, 0).unsqueeze(1)
    of_own, counted = p.gather(1, own).squeeze(1), valid.to(p)
    false_positives = (p.scatter(1, own, 0.0) @ counted.unsqueeze(-1)).squeeze(-1)

    def by_class(values: Tensor) -> Tensor:
        return values.new_zeros(p.shape[:2]).scatter_add(1, own.squeeze(1), values * counted)

    sums = (by_class(of_own), false_positives, by_class(1 - of_own), by_class(torch.ones_like(of_own)))
    return Overlap(*(each.sum(0, keepdim=True) if per == "batch" else each for each in sums))


def regions(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the probabilities and the boolean truth, both (N, K, H, W), and the valid pixels (N, 1, H, W)."""
    return maps_of(logits).softmax(1), true_classes(logits, target), valid_pixels(target).unsqueeze(1)


def summed(values: Tensor, valid: Tensor, per: str) -> Tensor:
    """Return the sums by class over the valid pixels of values (N, K, H, W): (N, K) of images, (1, K) of the batch."""
    require_per(per)
    sums = values.masked_fill(~valid, 0).sum((2, 3))
    return sums.sum(0, keepdim=True) if per == "batch" else sums


def require_per(per: str) -> None:
    """Raise ValueError unless it is said rightly over what to sum."""
    if per not in ("image", "batch"):
        raise ValueError(f"per={per!r}: allowed is 'image' or 'batch'.")
