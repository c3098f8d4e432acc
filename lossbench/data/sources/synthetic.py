"""Data that are made on the spot, from a known truth."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import Array
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.seeding import numpy_stream


def true_function(x: Tensor) -> Tensor:
    """Return the function behind the source "outliers": sin(2 x) + x / 2.

    Examples
    --------
    >>> true_function(torch.tensor([0.0]))
    tensor([0.])

    """
    return torch.sin(2 * x) + 0.5 * x


@source(shape=(1,), serves=("regression",))
def outliers(root: Path, seed: int) -> Source:
    """One input uniform in [-3, 3], `true_function` plus Gaussian noise of 0.1: 1000 to train, 1000 fixed to test."""
    x_train, y_train, clean_train = _noisy_function(1000, numpy_stream(seed, "outliers", "train"))
    x_test, y_test, clean_test = _noisy_function(1000, numpy_stream(FIXED, "outliers", "test"))
    return Source(
        "regression", x_train, y_train, x_test, y_test, x_train.mean(0), x_train.std(0),
        train_target_clean=clean_train, test_target_clean=clean_test,
    )  # fmt: skip


@source(shape=(8,), serves=("regression",))
def curve(root: Path, seed: int) -> Source:
    """Numbers in [0, 10], to be told from noisy points of a curve in 8 dimensions: 4000 to train, 1000 fixed to test.

    Both parts cover the range evenly. Inputs are sin(k y) and cos(k y) for k = 0.15, 0.3, 0.6, 1.2, with Gaussian noise
    of 0.3: they do not settle the number, so that a model falls back on the numbers that it has seen often.
    """
    rng = numpy_stream(seed, "curve", "train")
    train = 10 * rng.random(4000)
    test = 10 * (np.arange(1000) + 0.5) / 1000
    seen, unseen = _on_curve(train, rng), _on_curve(test, numpy_stream(FIXED, "curve", "test"))
    y_train, y_test = (torch.tensor(part, dtype=torch.float32) for part in (train, test))
    return Source("regression", seen, y_train, unseen, y_test, seen.mean(0), seen.std(0))


def noise_deviation(x: Tensor) -> Tensor:
    """Return the standard deviation of the noise of the source "heteroscedastic": from 0.05 at -3 to 0.65 at 3."""
    return 0.35 + 0.1 * x


@source(shape=(1,), serves=("regression",))
def heteroscedastic(root: Path, seed: int) -> Source:
    """One input uniform in [-3, 3], `true_function` plus Gaussian noise that grows: 1000 to train, 1000 fixed to test.

    The deviation of the noise is `noise_deviation`. The truth has a CRPS of 0.35 / sqrt(pi) = 0.197 in expectation.
    """
    x_train, y_train, clean_train = _noisy_function(1000, numpy_stream(seed, "heteroscedastic", "train"), growing=True)
    x_test, y_test, clean_test = _noisy_function(1000, numpy_stream(FIXED, "heteroscedastic", "test"), growing=True)
    return Source(
        "regression", x_train, y_train, x_test, y_test, x_train.mean(0), x_train.std(0),
        train_target_clean=clean_train, test_target_clean=clean_test,
    )  # fmt: skip


def true_rate(x: Tensor) -> Tensor:
    """Return the expected count behind the source "counts", of inputs (N, 5); the last one has no effect.

    Formula: exp(0.5 + x_1 - 0.7 x_2 + 0.8 sin(pi x_3) + 0.5 x_1 x_4)

    Examples
    --------
    >>> true_rate(torch.zeros(1, 5))
    tensor([1.6487])

    """
    return (0.5 + x[:, 0] - 0.7 * x[:, 1] + 0.8 * torch.sin(torch.pi * x[:, 2]) + 0.5 * x[:, 0] * x[:, 3]).exp()


@source(shape=(5,), serves=("count",))
def counts(root: Path, seed: int) -> Source:
    """Five inputs uniform in [-1, 1], counts with the expectation `true_rate`: 1000 to train, 1000 fixed to test.

    The counts are over-dispersed: negative binomial with variance rate + 0.5 rate^2. A third of them are zero.
    """
    x_train, y_train, rate_train = _counted(1000, numpy_stream(seed, "counts", "train"))
    x_test, y_test, rate_test = _counted(1000, numpy_stream(FIXED, "counts", "test"))
    return Source(
        "count", x_train, y_train, x_test, y_test, x_train.mean(0), x_train.std(0),
        train_target_clean=rate_train, test_target_clean=rate_test,
    )  # fmt: skip


def _on_curve(position: Array, rng: np.random.Generator) -> Tensor:
    angles = position[:, np.newaxis] * [0.15, 0.3, 0.6, 1.2]
    points = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return torch.tensor(points + rng.normal(0, 0.3, size=points.shape), dtype=torch.float32)


def _noisy_function(size: int, rng: np.random.Generator, growing: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.tensor(rng.uniform(-3, 3, size=(size, 1)), dtype=torch.float32)
    clean = true_function(x[:, 0])
    deviation = noise_deviation(x[:, 0]).numpy() if growing else 0.1
    return x, clean + torch.tensor(rng.normal(0, deviation, size=size), dtype=torch.float32), clean


def _counted(size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.tensor(rng.uniform(-1, 1, size=(size, 5)), dtype=torch.float32)
    rate = true_rate(x)
    observed = rng.poisson(rng.gamma(2.0, rate.numpy() / 2.0))  # a gamma mixture of Poissons is negative binomial
    return x, torch.tensor(observed, dtype=torch.float32), rate
