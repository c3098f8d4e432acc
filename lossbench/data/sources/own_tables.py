"""Tables and arrays of the user's own."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossbench.data import own_arrays, own_tables
from lossbench.data.own_parts import Prepared, wanted_of
from lossbench.data.sources.source import Source, source
from lossbench.ranges import takes


@source(shape=(), serves=("multiclass", "binary", "regression", "count", "multilabel", "several"), by_task=True)
@takes(
    path="text",
    target="text or list of 1+ text",
    features="text or list of 1+ text or null",
    drop="text or list of text or null",
    weight="text or null",
    group="text or null",
    time="text or null",
    id="text or null",
    test="number (0, 1) or text",
)
def table(root: Path, seed: int, *, task: str, **columns: Any) -> Source:
    """Read a table, CSV, TSV or parquet, with a column for each feature and one for each target.

    Parameters
    ----------
    root, seed
        Not looked at: all is the same under every seed.
    task : str
        What the target is read for.
    **columns
        The file, and the names of its columns; see `own_parts.Wanted`.

    Raises
    ------
    DataError
        If the file can't be read, a column is not there, or nothing can be learned of what is there.

    """
    return _source("table", own_tables.prepare(wanted_of(columns, task)))


@source(shape=(), serves=("multiclass", "binary", "regression", "count", "multilabel", "several"), by_task=True)
@takes(path="text", weight="text or null", group="text or null", id="text or null", test="number (0, 1)")
def arrays(root: Path, seed: int, *, task: str, **names: Any) -> Source:
    """Read arrays of an `.npz` or `.pt`: inputs `X`, targets `y`, and if they are there `X_test` and `y_test`.

    Parameters
    ----------
    root, seed
        Not looked at: all is the same under every seed.
    task : str
        What the target is read for.
    **names
        The file, and the names of further arrays of it; see `own_parts.Wanted`.

    Raises
    ------
    DataError
        If the file can't be read, an array is not there, or nothing can be learned of what is there.

    """
    return _source("arrays", own_arrays.prepare(wanted_of(names, task)))


def _source(name: str, made: Prepared) -> Source:
    channels = made.inputs[0].shape[1]
    (train, test), (target, test_target) = made.inputs, made.targets
    extras, test_extras = ({key: torch.from_numpy(each) for key, each in part.items()} for part in made.extras)
    mean, std = (np.full(channels, 0.0), np.full(channels, 1.0)) if made.mean is None else (made.mean, made.std)
    return Source(
        task=target.task,
        train_inputs=torch.from_numpy(train),
        test_inputs=torch.from_numpy(test),
        train_target=torch.from_numpy(target.values),
        test_target=torch.from_numpy(test_target.values),
        mean=torch.tensor(mean, dtype=torch.float32),
        std=torch.tensor(std, dtype=torch.float32),
        class_names=target.names,
        train_extras=extras,
        test_extras=test_extras,
        shared={name: made.facts, **({"parts": target.parts} if target.parts else {})},
    )
