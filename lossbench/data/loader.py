"""Batches from memory: gathered, augmented and normalised as whole tensors, in the order of (seed, epoch)."""

from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from lossbench.data.augmentation import Augmentation, CropAndFlip, TwoViews
from lossbench.data.mapped import held
from lossbench.data.sampling import batch_sizes, uniform
from lossbench.errors import ConfigError
from lossbench.losses.bound_loss import asking
from lossbench.seeding import torch_stream


class Batch(NamedTuple):
    """Samples: of a batch as learners get it, or of a whole data set with raw inputs.

    Parameters
    ----------
    inputs : Tensor, shape (N, ...)
        In a batch: float32, normalised; numbers of tokens, int64, stay as they are. Of a whole data set what lies in a
        file may be a `mapped.MappedRows`.
    target : Tensor, shape (N,)
        As observed, corruption included: int64 classes, or float32 standardised by the data module's center and scale.
        Of sequences the classes in their order, then -1, shape (N, S).
        For several labels 0 and 1, int64, shape (N, L). Of masks the class of each pixel, (N, H, W): uint8 in a whole
        data set, int64 in a batch.
    target_clean : Tensor, shape (N,)
        The truth, in the same units. Of sequences the class that is seen in each column, shape (N, W).
    index : Tensor, shape (N,)
        Position in the source's training (or test) part, int64.
    extras : mapping of str to Tensor, shape (N, ...)
        What else is known of each sample, by the name by which a loss asks for it.

    """

    inputs: Tensor
    target: Tensor
    target_clean: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which a batch does not need
    extras: Mapping[str, Tensor] = MappingProxyType({})

    def select(self, rows: Tensor) -> "Batch":
        """Return the samples of these rows."""
        inputs, target, target_clean, index = (tensor[rows] for tensor in self[:4])
        return Batch(inputs, target, target_clean, index, {name: each[rows] for name, each in self.extras.items()})


class BatchLoader:
    """Iterate over the batches of an epoch.

    With a seed it is a training loader: the order comes from the stream (seed, "order", epoch), augmentation draws from
    (seed, "augment", epoch), and a last batch of a single sample joins the one before it, since BatchNorm can't
    normalise it. Without a seed it goes through the samples in their order, without augmentation.
    Lightning calls `set_epoch` by itself.

    Parameters
    ----------
    samples : Batch
        All samples, with raw inputs: uint8 images, or floats.
    batch_size : int
        Samples per batch.
    mean, std : Tensor
        Of the inputs per channel or feature; uint8 images count as 0..1.
    seed : int, optional
        Seed of the order and the augmentation.
    augment : bool
        Crop and flip at random in training; see `augmentation.CropAndFlip`.
    views : int
        2: in training each image comes twice, each time changed otherwise, and its target, index and extras with it;
        see `augmentation.TwoViews`. A batch then has twice as many rows as samples.
    sampling : callable
        Draws the rows of an epoch in training, such as `sampling.uniform`.

    Raises
    ------
    ConfigError
        If the inputs can't be augmented so.

    """

    def __init__(
        self,
        samples: Batch,
        batch_size: int,
        mean: Tensor,
        std: Tensor,
        *,
        seed: int | None = None,
        augment: bool = False,
        views: int = 1,
        sampling: Callable[..., Tensor] = uniform,
    ) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self._draw = asking(sampling)
        self.epoch = 0
        self._mean, self._std = mean, std
        self._augmentation: Augmentation | None = None
        if augment:
            self._augmentation = CropAndFlip(samples.inputs)
        elif views == 2 and seed is not None:
            self._augmentation = TwoViews(samples.inputs, torch_stream(seed, "augment", "noise"))

    batch_sampler = None  # Lightning asks every loader that has a sampler for it

    @property
    def sampler(self) -> "BatchLoader":
        """Itself: Lightning looks for `set_epoch` here."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation come next."""
        self.epoch = epoch

    def order(self) -> Tensor:
        """Return the rows of the current epoch in their order, int64, shape (N,)."""
        n = len(self.samples.index)
        if self.seed is None:
            return torch.arange(n)
        target, generator = self.samples.target, torch_stream(self.seed, "order", self.epoch)
        known = {"target": target, "classes": target, "batch_size": self.batch_size, "generator": generator}
        rows = self._draw(known)
        if rows.shape != (n,):
            raise ConfigError(
                f"sampler: it must return the rows of an epoch, shape ({n},), but they have {tuple(rows.shape)}."
            )
        return rows

    def __len__(self) -> int:
        n = len(self.samples.index)
        return -(-n // self.batch_size) if self.seed is None else len(batch_sizes(n, self.batch_size))

    def __iter__(self) -> Iterator[Batch]:
        for rows, draws in self.steps():
            yield self.batch(rows, draws)

    def steps(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Return the rows of each batch of the current epoch, and what is drawn for their augmentation.

        Where each sample comes once its draw does not depend on the order; one that comes again gets another.
        """
        batches = self.batches()
        if self._augmentation is None or self.seed is None:
            return zip(batches, repeat(None), strict=False)
        draws = self._augmentation.draw(len(self.samples.index), torch_stream(self.seed, "augment", self.epoch))
        rows = torch.cat(batches)
        if (torch.bincount(rows) == 1).all():
            draws = draws[rows]
        return zip(batches, draws.split([len(rows) for rows in batches]), strict=True)

    def batches(self) -> list[Tensor]:
        """Return the rows of each batch of the current epoch."""
        order = self.order()
        if self.seed is None:
            return list(order.split(self.batch_size))
        return list(order.split(batch_sizes(len(order), self.batch_size)))

    def batch(self, rows: Tensor, draws: Tensor | None = None) -> Batch:
        """Gather the samples of some rows, augmented as drawn."""
        if self._augmentation is not None and draws is not None:
            inputs = self._augmentation(rows, draws)
            rows = rows.repeat_interleave(self._augmentation.views)
        else:
            inputs = held(self.samples.inputs[rows])
        target, clean = (each[rows].long() if each.dtype == torch.uint8 else each[rows] for each in self.samples[1:3])
        extras = {name: held(each[rows]) for name, each in self.samples.extras.items()}
        return Batch(normalised(inputs, self._mean, self._std), target, clean, self.samples.index[rows], extras)


def normalised(inputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return inputs as a network sees them: less the mean of each channel or feature, divided by its deviation."""
    if inputs.dtype == torch.int64:
        return inputs  # numbers of tokens
    channels = (-1, *[1] * (inputs.ndim - 2))
    values = inputs.float().div_(255) if inputs.dtype == torch.uint8 else inputs.clone()
    return values.sub_(mean.view(channels)).div_(std.view(channels))
