"""The metrics of lines in terms of lines."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.by_sample import Arrays, Makers, Mean, ratio
from lossbench.tasks.task import Task

Array = NDArray[Any]


def by_sample(task: Task, arrays: Arrays) -> Makers:
    """Make the metrics of `decoded` and `decoded_beam` (N, S) against `target` (N, S), and of what each line has."""
    target, decoded = compact(arrays["target"]), compact(arrays["decoded"])
    found: Makers = {
        name: partial(lambda key: Mean(arrays[key].astype(np.float64)), name)
        for name in ("nll", "blank_share", "frame_accuracy")
    }
    lengths = (target >= 0).sum(1)
    if lengths.any():
        wrong, some = edits(decoded, target) > 0, lengths > 0  # a line is a word; an empty one has none
        found["cer"] = lambda: ratio(edits(decoded, target), lengths)
        found["cer_beam"] = lambda: ratio(edits(compact(arrays["decoded_beam"]), target), lengths)
        found["wer"] = lambda: ratio(wrong, some)
        found["exact_line"] = lambda: Mean(1 - ratio(wrong, some).values)
    return found


def compact(labels: Array) -> Array:
    """Put what is in a line (N, S) before its -1."""
    return np.take_along_axis(labels, np.argsort(labels < 0, axis=1, kind="stable"), axis=1)


def edits(read: Array, target: Array) -> Array:
    """Return the fewest substitutions, deletions and insertions (N,) from lines (N, S) to others (N, T), -1 after each.

    Row by row for all pairs at once; the insertions of a row are a running minimum.

    Examples
    --------
    >>> edits(np.array([[1, 2, -1], [4, -1, -1]]), np.array([[1, 3, 2], [-1, -1, -1]])).tolist()
    [1, 1]

    """
    places = np.arange(target.shape[1] + 1, dtype=np.int32)
    lengths = (read >= 0).sum(1)
    row = np.broadcast_to(places, (len(read), len(places)))
    for i in range(read.shape[1]):
        replaced = row[:, :-1] + (read[:, i : i + 1] != target)
        below = np.concatenate([row[:, :1] + 1, np.minimum(replaced, row[:, 1:] + 1)], axis=1)
        below = np.minimum.accumulate(below - places, axis=1) + places
        row = np.where((i < lengths)[:, None], below, row)
    return row[np.arange(len(read)), (target >= 0).sum(1)].astype(np.int64)
