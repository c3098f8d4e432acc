"""Batches from memory: gathered, augmented and normalised as whole tensors, in the order of (seed, epoch)."""

from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.data.sampling import uniform
from lossbench.errors import ConfigError
from lossbench.losses.bound_loss import asking
from lossbench.seeding import torch_stream

CROPPED = 4


class Batch(NamedTuple):
    """Samples: of a batch as learners get it, or of a whole data set with raw inputs.

    Parameters
    ----------
    inputs : Tensor, shape (N, ...)
        In a batch: float32, normalised; numbers of tokens, int64, stay as they are.
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
        Crop at random after padding by 4 pixels, and flip at random from left to right; for 32x32 RGB images.
    sampling : callable
        Draws the rows of an epoch in training, such as `sampling.uniform`.

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
        sampling: Callable[..., Tensor] = uniform,
    ) -> None:
        shape = tuple(samples.inputs.shape[1:])
        if augment and shape != (3, 32, 32):
            raise ConfigError(
                f"data.augment=true crops and flips 32x32 RGB images, but inputs have shape {shape}. Use false."
            )
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self._draw = asking(sampling)
        self.epoch = 0
        self._mean, self._std = mean, std
        self._windows = crop_windows(samples.inputs) if augment else None

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
        rows = self._draw({"target": target, "classes": target, "generator": generator})
        if rows.shape != (n,):
            raise ConfigError(
                f"sampler: it must return the rows of an epoch, shape ({n},), but they have {tuple(rows.shape)}."
            )
        return rows

    def __len__(self) -> int:
        return len(self.batches())

    def __iter__(self) -> Iterator[Batch]:
        for rows, draws in self.steps():
            yield self.batch(rows, draws)

    def steps(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Return the rows of each batch of the current epoch, and what is drawn for their augmentation.

        Where each sample comes once its draw does not depend on the order; one that comes again gets another.
        """
        batches = self.batches()
        if self._windows is None or self.seed is None:
            return zip(batches, repeat(None), strict=False)
        draws = draw_augmentation(len(self._windows), torch_stream(self.seed, "augment", self.epoch))
        rows = torch.cat(batches)
        if (torch.bincount(rows) == 1).all():
            draws = draws[rows]
        return zip(batches, draws.split([len(rows) for rows in batches]), strict=True)

    def batches(self) -> list[Tensor]:
        """Return the rows of each batch of the current epoch."""
        batches = list(self.order().split(self.batch_size))
        if self.seed is not None and len(batches) > 1 and len(batches[-1]) == 1 < self.batch_size:
            batches[-2:] = [torch.cat(batches[-2:])]
        return batches

    def batch(self, rows: Tensor, draws: Tensor | None = None) -> Batch:
        """Gather the samples of some rows, augmented as drawn."""
        if self._windows is not None and draws is not None:
            inputs = crop_and_flip(self._windows, rows, draws)
        else:
            inputs = self.samples.inputs[rows]
        target, clean = (each[rows].long() if each.dtype == torch.uint8 else each[rows] for each in self.samples[1:3])
        extras = {name: each[rows] for name, each in self.samples.extras.items()}
        return Batch(normalised(inputs, self._mean, self._std), target, clean, self.samples.index[rows], extras)


def normalised(inputs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return inputs as a network sees them: less the mean of each channel or feature, divided by its deviation."""
    if inputs.dtype == torch.int64:
        return inputs  # numbers of tokens
    channels = (-1, *[1] * (inputs.ndim - 2))
    values = inputs.float().div_(255) if inputs.dtype == torch.uint8 else inputs.clone()
    return values.sub_(mean.view(channels)).div_(std.view(channels))


def crop_windows(images: Tensor) -> Tensor:
    """Return a view of all crops of the images after zero padding, (N, C, 9, 9, H, W) for (N, C, H, W)."""
    height, width = images.shape[-2:]
    return F.pad(images, [CROPPED] * 4).unfold(2, height, 1).unfold(3, width, 1)


def draw_augmentation(size: int, generator: torch.Generator) -> Tensor:
    """Draw row offset, column offset and flip (0 or 1) of each sample, int64, shape (N, 3)."""
    offsets = torch.randint(2 * CROPPED + 1, (size, 2), generator=generator)
    flips = torch.randint(2, (size, 1), generator=generator)
    return torch.cat([offsets, flips], dim=1)


def crop_and_flip(windows: Tensor, rows: Tensor, augmentation: Tensor) -> Tensor:
    """Gather one crop of each row, flipped from left to right where drawn: (B, C, H, W)."""
    top, left, flip = augmentation.unbind(1)
    crops = windows[rows, :, top, left]
    return torch.where(flip.bool().view(-1, 1, 1, 1), crops.flip(3), crops)
