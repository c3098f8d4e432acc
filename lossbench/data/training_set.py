"""From a clean source to the training set of a run: imbalance, subset, corruption, then the validation split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import (
    Array,
    Rng,
    choose_per_class,
    contaminate,
    imbalanced_counts,
    part_of,
    stratified_subset,
)
from lossbench.data.grouped import choose_groups
from lossbench.data.label_density import skewed_subset
from lossbench.data.label_noise import noisy_labels
from lossbench.data.loader import Batch, normalised
from lossbench.data.mapped import held
from lossbench.data.mask_noise import fewer_pixels, noisy_masks
from lossbench.data.sources.source import Source
from lossbench.errors import ConfigError
from lossbench.ranges import takes
from lossbench.seeding import numpy_stream
from lossbench.tasks.task import Target

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class TrainingSet:
    """The samples that are trained and validated on, with targets in the units of the source.

    Parameters
    ----------
    samples : Batch
        Raw inputs, observed and clean targets, positions in the source.
    contaminated : Tensor of bool, shape (N,)
        The samples that differ from the clean source in target or inputs.

    """

    samples: Batch
    contaminated: Tensor


def training_set(
    name: str,
    source: Source,
    imbalance: Settings,
    noise: Settings,
    contamination: Settings,
    max_train: int | None,
    seed: int,
) -> TrainingSet:
    """Make the training set; every draw comes from a stream of (seed, purpose).

    Raises
    ------
    ConfigError
        If the source can't supply what is asked for.

    """
    index = torch.from_numpy(_imbalanced(source, imbalance, numpy_stream(seed, "imbalance")))
    if max_train is not None:
        chosen = stratified_subset(
            strata(source.train_target[index], source.target), max_train, numpy_stream(seed, "max_train")
        )
        index = index[torch.from_numpy(chosen)]
    inputs, target = source.train_inputs[index], source.train_target[index]
    known = source.train_target if source.train_target_clean is None else source.train_target_clean
    contaminated = torch.zeros(len(index), dtype=torch.bool)
    observed = target
    if noise["kind"] != "none":
        labels = _noisy(name, source, index, noise, numpy_stream(seed, "noise"))
        observed = torch.from_numpy(labels)
        contaminated = (observed != target).reshape(len(target), -1).any(1)
    if contamination["kind"] != "none":
        stream = numpy_stream(seed, "contamination")
        arrays = contaminate(inputs=inputs.numpy(), target=target.numpy(), rng=stream, **contamination)
        inputs, observed, contaminated = (torch.from_numpy(array) for array in arrays)
    extras = {name: each[index] for name, each in source.train_extras.items()}
    return TrainingSet(Batch(inputs, observed, known[index], index, extras), contaminated)


def validation_split(
    target: Tensor, kind: Target, fraction: float, rng: Rng, group: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Split rows into a training and a validation part, stratified by the observed class (not for regression).

    Parameters
    ----------
    target : Tensor, shape (N, ...)
        Observed targets.
    kind : str
        What they are, see `Source.target`: classes, labels, of which each combination is a class, or else no classes.
    fraction : float
        Of each class floor(fraction * n_c) samples go to validation, but never all; 0 means no validation.
    rng : numpy.random.Generator
        Draws which ones.
    group : Tensor of int, shape (N,), optional
        What samples come from: no group is in both parts, and validation has at most its fraction of the samples, but
        one group at least; see `grouped.choose_groups`.

    Returns
    -------
    train, val : Tensor
        Rows in ascending order, int64.

    Raises
    ------
    ConfigError
        If a fraction above 0 gives no validation sample at all.

    """
    labels = strata(target, kind)
    if group is not None:
        classes = np.zeros(len(labels), dtype=np.int64) if kind == "labels" else labels
        held = choose_groups(classes, group.numpy(), fraction, rng) if fraction > 0 else np.empty(0, dtype=np.int64)
        return torch.from_numpy(np.delete(np.arange(len(labels)), held)), torch.from_numpy(held)
    counts = np.bincount(labels)
    sizes = [max(0, min(part_of(int(count), fraction), int(count) - 1)) for count in counts]
    val = choose_per_class(labels, sizes, rng)
    if fraction > 0 and len(val) == 0:
        raise ConfigError(
            f"data.val_fraction={fraction:g} leaves no validation sample: "
            f"{'the largest class has' if len(counts) > 1 else 'there are'} {counts.max()} training samples. "
            "Raise data.val_fraction (or data.max_train), or set data.val_fraction=0 to do without."
        )
    train = np.setdiff1d(np.arange(len(labels)), val)
    return torch.from_numpy(train), torch.from_numpy(val)


def strata(target: Tensor, kind: Target) -> Array:
    """Return the classes as an array; of labels (N, L) their combination, of all else 0."""
    if kind == "labels":
        return np.unique(target.numpy(), axis=0, return_inverse=True)[1].reshape(-1)
    return target.numpy() if kind == "class" else np.zeros(len(target), dtype=np.int64)


def counts_by_class(target: Tensor, num_classes: int, kind: Target) -> list[int]:
    """Return the samples of each class, or that have each label; of sequences and masks how often a class is there."""
    if kind == "labels":
        return list((target > 0).sum(0).tolist())  # -1 is a label that is not known
    counted = target[(target >= 0) & (target < num_classes)]  # -1 pads a sequence, 255 is a pixel that is left out
    return list(torch.bincount(counted, minlength=num_classes).tolist())


@takes(
    kind="one of: exp, label_density, less_foreground, none, rare, step",
    factor="number [1, inf)",
    bins="int [2, inf)",
    max_count="int [1, inf) or null",
)
def _imbalanced(source: Source, imbalance: Settings, rng: Rng) -> Array:
    """Return the chosen positions. Without imbalance all stay, or `max_count` of each class if it is given."""
    kind, n_max = imbalance["kind"], imbalance.get("max_count")
    if kind == "label_density":
        return skewed_subset(source.train_target, imbalance["factor"], imbalance["bins"], n_max, rng)
    if kind in ("less_foreground", "rare"):
        return fewer_pixels(kind, source.train_target.numpy(), rng, imbalance["factor"])
    if kind == "none" and n_max is None:
        return np.arange(len(source.train_target))
    labels = source.train_target.numpy()
    if n_max is None:
        n_max = int(np.bincount(labels).min())
    if source.num_classes is None:
        raise ConfigError(f"data.imbalance.max_count={n_max} counts samples of a class; for regression use max_train.")
    counts = imbalanced_counts(kind, imbalance.get("factor", 1.0), n_max, len(np.bincount(labels)))
    return choose_per_class(labels, counts, rng)


def _noisy(name: str, source: Source, index: Tensor, noise: Settings, rng: Rng) -> Array:
    assert source.num_classes is not None
    settings = {key: noise[key] for key in noise if key != "kind"}
    if source.target == "mask":
        objects = source.train_extras.get("instances")
        known = None if objects is None else objects[index].numpy()
        return noisy_masks(noise["kind"], source.train_target[index].numpy(), rng, instances=known, **settings)

    def inputs_of(rows: Array) -> Array:
        inputs = held(source.train_inputs[index[torch.from_numpy(rows)]])
        return normalised(inputs, source.mean, source.std).flatten(1).numpy()

    labels = source.train_target[index].numpy()
    return noisy_labels(
        noise["kind"], labels, rng, inputs_of=inputs_of, source=name, num_classes=source.num_classes, **settings
    )
