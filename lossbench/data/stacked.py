"""The batches of many runs at once, for runs that train as one stack."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lossbench.data.loader import Batch, BatchLoader

CARRIED = ("weight", "group", "id")
"""The extras of samples that come along: others, such as images, are for tasks without a stacked form."""


class StackedLoader:
    """Iterate over several loaders side by side: batches with a leading axis, one place for each loader.

    In training each loader keeps its own order and augmentation, and all must have the same number of samples. In
    evaluation a shorter one repeats its last sample, so that all are as long as the longest; `sizes` says how many
    samples of each count.
    """

    def __init__(self, loaders: Sequence[BatchLoader]) -> None:
        self.loaders = loaders
        self.sizes = [len(loader.samples.index) for loader in loaders]
        self._carried = [name for name in CARRIED if all(name in loader.samples.extras for loader in loaders)]

    batch_sampler = None  # Lightning asks every loader that has a sampler for it

    @property
    def sampler(self) -> "StackedLoader":
        """Itself: Lightning looks for `set_epoch` here."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation come next."""
        for loader in self.loaders:
            loader.set_epoch(epoch)

    def __len__(self) -> int:
        return max(map(len, self.loaders))

    def __iter__(self) -> Iterator[Batch]:
        if self.loaders[0].seed is not None:
            for steps in zip(*(loader.steps() for loader in self.loaders), strict=True):
                yield self._together(steps)
            return
        for rows in torch.arange(max(self.sizes)).split(self.loaders[0].batch_size):
            yield self._together([(rows.clamp_max(size - 1), None) for size in self.sizes])

    def _together(self, steps: Sequence[tuple[Tensor, Tensor | None]]) -> Batch:
        batches = [loader.batch(*step) for loader, step in zip(self.loaders, steps, strict=True)]
        inputs, target, target_clean, index = map(torch.stack, zip(*(batch[:4] for batch in batches), strict=True))
        extras = {name: torch.stack([batch.extras[name] for batch in batches]) for name in self._carried}
        return Batch(inputs, target, target_clean, index, extras)


class StackedData(pl.LightningDataModule):
    """The training and evaluation loaders of several data modules side by side."""

    def __init__(self, modules: Sequence[Any]) -> None:
        super().__init__()
        self.train = StackedLoader([module.train_dataloader() for module in modules])
        self.evaluated = {
            name: StackedLoader([module.evaluation_loaders[name] for module in modules])
            for name in modules[0].evaluation_loaders
        }

    def train_dataloader(self) -> StackedLoader:
        """Return the training batches."""
        return self.train

    def val_dataloader(self) -> list[StackedLoader]:
        """Return the loaders of the evaluated parts, in their order."""
        return list(self.evaluated.values())
