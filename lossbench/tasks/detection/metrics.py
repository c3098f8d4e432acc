"""The metrics of detections: COCO's average precision and recall, and the 11 points of PASCAL VOC 2007."""

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from statistics import mean
from typing import Any

from torch import Tensor

from lossbench.errors import ConfigError

SCALE = 4
"""All lengths are taken times it: COCO's sizes, 32 and 96 pixels, are those of larger images."""
RECALLS = [k / 100 for k in range(101)]
BOUNDS = [k / 100 for k in range(50, 100, 5)]
"""Of the IoU. Both are decimals to the last bit; those of torchmetrics are in single precision: .6 is above 6 / 10."""
MOST = (1, 10, 100)
"""Detections of a class in an image."""


def require_coco() -> None:
    """Raise a `ConfigError` if the package that measures detections is not installed."""
    if find_spec("faster_coco_eval") is None:
        raise ConfigError("detections are measured by faster-coco-eval: pip install 'lossbench[detection]'")


def average_precisions(predictions: Mapping[str, Any]) -> dict[str, float]:
    """Measure the detections of all images of a part.

    Parameters
    ----------
    predictions : mapping
        `boxes` (N, D, 4), `scores` (N, D), `labels` (N, D): the detections; `target_boxes` (N, M, 4), `target` (N, M):
        the truth. Labels of -1 are padding.

    Returns
    -------
    dict of str to float
        The metrics of the task. Of what there is no object there is no value: COCO's -1 is left out.

    """
    from torchmetrics.detection import MeanAveragePrecision

    logging.getLogger("faster_coco_eval").setLevel(logging.WARNING)  # it tells each of its steps
    metric = MeanAveragePrecision(
        backend="faster_coco_eval",
        iou_thresholds=BOUNDS,
        rec_thresholds=RECALLS,
        max_detection_thresholds=list(MOST),
        extended_summary=True,
    )
    metric.update(
        _of_images(predictions["boxes"], predictions["labels"], scores=predictions["scores"]),
        _of_images(predictions["target_boxes"], predictions["target"]),
    )
    found = metric.compute()
    names = {"ap": "map", "ap50": "map_50", "ap75": "map_75"}
    names |= {f"ap_{size}": f"map_{size}" for size in ("small", "medium", "large")}
    names |= {f"ar_{most}": f"mar_{most}" for most in MOST}
    measured = {name: float(found[theirs]) for name, theirs in names.items()}
    if "precision" in found:
        precision = found["precision"][..., 0, -1].unbind(-1)  # (bound, recall) of each class, for all sizes
        labels = found["classes"].reshape(-1).tolist()  # of a single one torchmetrics makes a number
        measured |= {f"class_ap/{label}": float(each.mean()) for label, each in zip(labels, precision, strict=True)}
        at_points = [float(each[0, ::10].mean()) for each in precision]
        measured["voc11"] = mean([value for value in at_points if value >= 0] or [-1.0])
    return {name: value for name, value in measured.items() if value >= 0}


def _of_images(boxes: Tensor, labels: Tensor, **further: Tensor) -> list[dict[str, Tensor]]:
    """Return what there is in each image, without the padding."""
    there = labels >= 0
    counts = there.sum(1).tolist()
    columns = {"boxes": SCALE * boxes, "labels": labels.long(), **further}
    parts = {name: column[there].split(counts) for name, column in columns.items()}
    return [dict(zip(parts, each, strict=True)) for each in zip(*parts.values(), strict=True)]
