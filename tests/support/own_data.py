"""Data as a user may bring it: a LightningDataModule of their own."""

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset


class Own(pl.LightningDataModule):
    """Two classes, five features."""

    def __init__(self, batch_size: int = 16) -> None:
        super().__init__()
        self.batch_size = batch_size

    def loader(self, samples: int, seed: int) -> DataLoader:
        inputs = torch.randn(samples, 5, generator=torch.Generator().manual_seed(seed))
        return DataLoader(TensorDataset(inputs, self.target(inputs)), batch_size=self.batch_size)

    def target(self, inputs):
        return (inputs.sum(1) > 0).long()

    def train_dataloader(self):
        return self.loader(200, 0)

    def val_dataloader(self):
        return self.loader(50, 1)

    def test_dataloader(self):
        return self.loader(60, 2)


class OwnRegression(Own):
    def target(self, inputs):
        return 100 + 10 * inputs.sum(1)
