"""Training, validation and test part of different classes: what embeddings are for."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Rng
from lossbench.data.loader import Batch
from lossbench.data.mapped import joined
from lossbench.data.sources.source import Source
from lossbench.errors import ConfigError


class Parts(NamedTuple):
    """What is trained and what is validated on."""

    train: Tensor
    """Rows."""
    val: Tensor
    """Rows."""
    order: Tensor
    """(K,), the classes that are trained on, then those of validation: the number of each is its place."""
    trained: int
    """How many classes are trained on."""


def is_closed(source: Source) -> bool:
    """Tell whether each class of the test part is trained on."""
    return bool(torch.isin(source.test_target.unique(), source.train_target.unique()).all())


def apart(source: Source) -> Source:
    """Return a source whose training and test part have different classes, numbered from those to train.

    If some class is in both parts, the first half of the classes is trained on; the others are tested, with all their
    samples: those of the test part, then those of the training part.

    Raises
    ------
    ConfigError
        If a part would have fewer than two classes.

    """
    train, test = source.train_target.unique(), source.test_target.unique()
    if torch.isin(test, train).any():
        train, test = torch.tensor_split(torch.cat([train, test]).unique(), 2)
        source = _with_all_of(source, test)
    if min(len(train), len(test)) < 2:
        raise ConfigError(
            f"data.disjoint=true: {len(train)} classes to train and {len(test)} to test are left, but each part needs "
            f"2, and the data have {len(train) + len(test)} in all. Use false, or other data."
        )
    rows, tested = (torch.isin(each, of).nonzero()[:, 0] for each, of in
                    ((source.train_target, train), (source.test_target, test)))  # fmt: skip
    classes = torch.cat([train, test])
    numbers = torch.full((int(classes.max()) + 1,), -1)
    numbers[classes] = torch.arange(len(classes))
    return replace(
        source,
        train_inputs=source.train_inputs[rows],
        train_target=numbers[source.train_target[rows]],
        test_inputs=source.test_inputs[tested],
        test_target=numbers[source.test_target[tested]],
        class_names=tuple(source.class_names[number] for number in classes.tolist()),
        train_target_clean=None,
        test_target_clean=None,
        train_extras={name: each[rows] for name, each in source.train_extras.items()},
        test_extras={name: each[tested] for name, each in source.test_extras.items()},
    )


def split_classes(target: Tensor, count: int, fraction: float, rng: Rng) -> Parts:
    """Hold whole classes out for validation: max(2, round(fraction * K)) of the K classes, none with fraction 0.

    Parameters
    ----------
    target : Tensor, shape (N,)
        Classes of the training part, below K.
    count : int
        K.
    fraction : float
        Of the classes.
    rng : numpy.random.Generator
        Draws which ones.

    Raises
    ------
    ConfigError
        If fewer than two classes are left to train.

    Examples
    --------
    >>> import numpy as np
    >>> parts = split_classes(torch.arange(5).repeat(2), 5, 0.1, np.random.default_rng(0))
    >>> parts.order, parts.trained, len(parts.train), len(parts.val)
    (tensor([0, 1, 3, 2, 4]), 3, 6, 4)

    """
    held_out = max(2, round(fraction * count)) if fraction > 0 else 0
    if (left := max(0, count - held_out)) < 2:
        raise ConfigError(
            f"data.val_fraction={fraction:g} holds {held_out} of {count} classes out (data.disjoint=true): "
            f"{left} {'is' if left == 1 else 'are'} left to train, 2 needed. "
            "Set data.val_fraction=0 to do without, or use other data."
        )
    val = np.sort(rng.permutation(count)[:held_out])
    train = np.setdiff1d(np.arange(count), val)
    held = torch.isin(target, torch.from_numpy(val))
    order = torch.from_numpy(np.concatenate([train, val]))
    return Parts((~held).nonzero()[:, 0], held.nonzero()[:, 0], order, len(train))


def renumbered(samples: Batch, order: Tensor) -> Batch:
    """Return samples whose classes are called by their place in an order."""
    numbers = order.argsort()
    return samples._replace(target=numbers[samples.target], target_clean=numbers[samples.target_clean])


def _with_all_of(source: Source, classes: Tensor) -> Source:
    """Add the training samples of some classes to the test part."""
    rows = torch.isin(source.train_target, classes).nonzero()[:, 0]
    return replace(
        source,
        test_inputs=joined(source.test_inputs, source.train_inputs[rows]),
        test_target=torch.cat([source.test_target, source.train_target[rows]]),
        test_extras={name: joined(each, source.train_extras[name][rows])
                     for name, each in source.test_extras.items()},
    )  # fmt: skip
