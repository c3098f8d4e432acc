"""Images of torchvision's data sets."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.data.corruptions import Array
from lossbench.data.files import FILES
from lossbench.data.sources.source import Source, source


@source(shape=(1, 28, 28), serves=("multiclass", "images"))
def mnist(root: Path, seed: int) -> Source:
    """28x28 grey images of ten digits: 60,000 to train, 10,000 to test (LeCun et al. 1998)."""
    return _from_torchvision("mnist", root, mean=(0.1307,), std=(0.3081,))


@source(shape=(1, 28, 28), serves=("multiclass", "images"))
def fashion_mnist(root: Path, seed: int) -> Source:
    """28x28 grey images of ten kinds of clothing: 60,000 to train, 10,000 to test (Xiao et al. 2017)."""
    return _from_torchvision("fashion_mnist", root, mean=(0.2860,), std=(0.3530,))


@source(shape=(3, 32, 32), serves=("multiclass", "images"))
def cifar10(root: Path, seed: int) -> Source:
    """32x32 colour images of ten classes: 50,000 to train, 10,000 to test (Krizhevsky 2009).

    Mean and standard deviation are those of published recipes (Cao et al. 2019), so that results can be compared. Their
    .2023 .1994 .2010 is the mean over images of each image's deviation; that over all pixels is .2470 .2435 .2616.
    """
    return _from_torchvision("cifar10", root, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))


@source(shape=(3, 32, 32), serves=("multiclass", "images"))
def cifar100(root: Path, seed: int) -> Source:
    """32x32 colour images of a hundred classes: 50,000 to train, 10,000 to test (Krizhevsky 2009)."""
    return _from_torchvision("cifar100", root, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762))


def _from_torchvision(name: str, root: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> Source:
    import torchvision.datasets

    dataset: Any = getattr(torchvision.datasets, FILES[name].dataset)
    train, test = (dataset(str(root), train=part, download=False) for part in (True, False))
    return Source(
        task="multiclass",
        train_inputs=_images(train.data),
        train_target=torch.as_tensor(train.targets),
        test_inputs=_images(test.data),
        test_target=torch.as_tensor(test.targets),
        mean=torch.tensor(mean),
        std=torch.tensor(std),
        class_names=tuple(train.classes),
    )


def _images(data: Tensor | Array) -> Tensor:
    """Return uint8 images as (N, C, H, W), from grey (N, H, W) or colour (N, H, W, C)."""
    images = torch.as_tensor(data)
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
